"""What those who watch are told of the verdict on a model, as far as it alone can tell."""

from __future__ import annotations

from collections.abc import Sequence

from reload_audit.judging.judgement import Judgement
from reload_audit.processes.notes import Note
from reload_audit.records.model_record import Check


def said_of(judgement: Judgement, checks: Sequence[Check]) -> Note:
    """A note of a verdict. The number of models, which may overturn a loss or gain, is not known here.

    :param checks: of what was loaded
    """
    decision, compared = judgement.decision, judgement.comparison
    if decision in ("degraded", "improved") and compared is not None:
        p = compared.p_degraded if decision == "degraded" else compared.p_improved
        return Note(verdict=decision, difference=float(compared.difference), p=float(p))
    if decision is None or (decision == "consistent" and any(not check.passed for check in checks)):
        return Note(verdict="inconclusive")
    return Note(verdict=decision)
