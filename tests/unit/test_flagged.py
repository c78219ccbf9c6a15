"""The table of the models that need a look."""

from __future__ import annotations

import pandas as pd

from reload_audit.judging.criteria import AS_BEFORE, VERDICTS
from reload_audit.reports.flagged import write_flagged
from support.audit_contents import audit_of, suspect_row, trained_row


def test_models_that_are_not_as_before_are_listed_the_worst_first(tmp_path):
    models = [trained_row(verdict, verdict) for verdict in VERDICTS]
    write_flagged(tmp_path / "flagged.csv", audit_of(*models, suspect_row("suspect")).models)
    table = pd.read_csv(tmp_path / "flagged.csv")
    assert list(table["model"]) == ["error", "degraded", "suspect", "inconclusive", "improved"]
    assert list(table["suspect"]) == [False, False, True, False, False]
    assert not {*table["verdict"]} & {*AS_BEFORE}
