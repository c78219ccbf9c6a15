"""Verdicts of all models of an audit: the false discovery rate is controlled over them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reload_audit.judging.comparison import false_discovery_q
from reload_audit.judging.criteria import Criteria, Verdict
from reload_audit.judging.judgement import Judgement


@dataclass(frozen=True)
class JudgedVerdict:
    """The verdict of one model, corrected for the number of models.

    :param q: p-value of the loss or gain, adjusted for the number of models; None where nothing was tested
    :param suspect: whether it is inconclusive although its own bounds show a loss: the correction overturns them
    """

    verdict: Verdict
    q: float | None = None
    suspect: bool = False


def decide_verdicts(judgements: Sequence[Judgement | None], criteria: Criteria) -> list[JudgedVerdict]:
    """Decide the verdict of each model of an audit.

    A loss or gain counts only where it outlasts the correction for the number of models (Benjamini and Hochberg).

    :param judgements: one a model, in any order; None where a model could not be run
    """
    # Models with an obstacle are not tested: their small p-values would make room for other models' false alarms.
    tested = {
        index: judgement.comparison
        for index, judgement in enumerate(judgements)
        if judgement is not None and judgement.comparison is not None and not judgement.obstacle
    }
    q_degraded = false_discovery_q([comparison.p_degraded for comparison in tested.values()])
    q_improved = false_discovery_q([comparison.p_improved for comparison in tested.values()])
    q = {
        index: float(lost if comparison.difference < 0 else gained)
        for (index, comparison), lost, gained in zip(tested.items(), q_degraded, q_improved, strict=True)
    }
    return [_decide(judgement, q.get(index), criteria) for index, judgement in enumerate(judgements)]


def _decide(judgement: Judgement | None, q: float | None, criteria: Criteria) -> JudgedVerdict:
    if judgement is None:
        return JudgedVerdict("error", q)
    decision = judgement.decision
    if decision is None:
        return JudgedVerdict("inconclusive", q)
    if decision in ("degraded", "improved") and (q is None or q > criteria.fdr):
        # A gain that may be chance is no loss for all that: this needs no correction, as equivalence needs none.
        return (
            JudgedVerdict("retained", q) if decision == "improved" else JudgedVerdict("inconclusive", q, suspect=True)
        )
    return JudgedVerdict(decision, q)
