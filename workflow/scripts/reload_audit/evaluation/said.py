"""Say to those who watch what the verdict on a model is, as far as it alone can tell."""

from __future__ import annotations

from collections.abc import Sequence

from reload_audit.judging.judgement import Judgement
from reload_audit.processes.notes import Note
from reload_audit.processes.under_way import say
from reload_audit.records.model_record import Check


def say_verdict(judgement: Judgement, checks: Sequence[Check], *, is_last: bool = True) -> None:
    """Leave a note of a verdict. The number of models, which may overturn a loss or gain, is not known here.

    :param checks: of what was loaded
    :param is_last: whether no other condition may decide what the canonical one leaves open
    """
    decision, compared = judgement.decision, judgement.comparison
    if decision in ("degraded", "improved") and compared is not None:
        p = compared.p_degraded if decision == "degraded" else compared.p_improved
        say(Note(verdict=decision, difference=float(compared.difference), p=float(p)))
    elif decision is not None and not (decision == "consistent" and any(not check.passed for check in checks)):
        say(Note(verdict=decision))
    elif is_last:
        say(Note(verdict="inconclusive"))
