"""Whatever an audit holds, as long as its schema allows it: there is a page, and nothing is lost on the way to it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings

from reload_audit.records.storage import plain, read_json
from reload_audit.reports.audit import Audit
from reload_audit.reports.dashboard import payload
from reload_audit.reports.dashboard.report import write_report
from reload_audit.reports.safe_text import one_line
from support.any_audit import audits
from support.builders import ROOT
from support.fleet import fleet
from support.fleet_rewards import episodes

LONGEST_NAME = 200


def page(audit: dict[str, Any]) -> str:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        write_report(Audit.from_json(audit), path)
        return path.read_text(encoding="utf-8")


@settings(max_examples=60)
@given(audits())
def test_every_audit_has_a_page_with_all_its_models(audit: dict[str, Any]) -> None:
    for content in (audit, plain(audit)):  # as it is in memory, and as it is read back
        names = payload.read(page(content))["columns"]["model"]
        assert sorted(names) == sorted(one_line(model["model"], LONGEST_NAME) for model in audit["models"])


@pytest.mark.parametrize("n", [0, 1, 9, 100])
def test_generated_audits_fit_the_schema(n: int) -> None:
    audit = plain(fleet(n))
    jsonschema.validate(audit, read_json(ROOT / "workflow/schemas/audit.schema.json"))
    assert len({model["model"] for model in audit["models"]}) == n
    assert audit == plain(fleet(n))


def test_the_episodes_of_a_generated_audit_have_the_means_of_its_rows() -> None:
    audit = fleet(300)
    table = episodes(audit).to_pandas()
    means = table.groupby(["model", "condition"])["reward"].agg(["mean", "size"])
    for model in audit["models"]:
        for row in model["conditions"]:
            if (model["model"], row["condition"]) in means.index:
                mean, size = means.loc[(model["model"], row["condition"])]
                assert (size, mean) == (row["n_episodes"], pytest.approx(row["mean_reward"]))
