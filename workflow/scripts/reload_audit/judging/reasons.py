"""How a verdict's reason is worded, in one sentence. Only what writes results imports it: nothing that measures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from reload_audit.judging.comparison import Comparison, episodes_of_a_precise_claim
from reload_audit.judging.criteria import Criteria
from reload_audit.judging.judgement import Gap, Judgement, Obstacle, is_clear
from reload_audit.judging.verdicts import JudgedVerdict
from reload_audit.reading.refusal import printable
from reload_audit.records.model_record import Check
from reload_audit.records.specs import Claim

_BRIEF = 60

_GAP_MEANS: dict[Gap, str] = {
    "environment": "it appears as soon as environments are built anew: state that lives in them and is not saved",
    "process": "it appears in the fresh process: lost or altered in saving and loading, or bound to the process",
    "environment and process": "part of it appears when environments are built anew, part in the fresh process",
}


@dataclass(frozen=True)
class FurtherEpisodes:
    """Where further episodes of a model would come from, and what they cost.

    :param ends_with: what ends the episodes that a reload can be compared with: what was recorded in ``training`` here,
        or a ``recording`` by somebody else; a ``claim`` goes with any number
    :param seconds: wall time of one episode; None where it is not known
    :param missing: episodes that were not run for want of time
    """

    ends_with: Literal["training", "recording", "claim"]
    seconds: float | None = None
    missing: int = 0

    def cost(self, n: int) -> str:
        """How long so many episodes take."""
        return "" if self.seconds is None else f", {_duration(n * self.seconds)}"


def reason(
    judged: JudgedVerdict,
    judgement: Judgement,
    checks: Sequence[Check],
    criteria: Criteria,
    further: FurtherEpisodes,
    loss_share: float | None,
) -> str:
    """Why a model has its verdict; empty for a plain ``identical``.

    :param checks: those that failed
    :param loss_share: the largest loss that is not excluded, as a share of what was learned; None where not known
    """
    parts = [_main_reason(judged, judgement, criteria, further, loss_share)]
    if checks:
        disagreement = f"its files do not agree: {', '.join(map(_disagreement, checks))}"
        # Of a loss or gain the disagreement comes first: it may explain it.
        parts.insert(0 if judged.verdict in ("degraded", "improved") else 1, disagreement)
    if further.missing:
        cost = further.cost(further.missing)
        parts.append(f"its time ended before {further.missing:,} more episodes{cost} (reload.timeout)")
    return "; ".join(filter(None, parts))


def _disagreement(check: Check) -> str:
    """What a check that failed expected and found."""
    return f"{check.name} (expected {_brief(check.expected)}, found {_brief(check.found)})"


def _brief(value: Any) -> str:
    text = f"{value:,}" if type(value) is int else printable(str(value))
    return text if len(text) <= _BRIEF else f"{text[:_BRIEF]}…"


def _main_reason(
    judged: JudgedVerdict,
    judgement: Judgement,
    criteria: Criteria,
    further: FurtherEpisodes,
    loss_share: float | None,
) -> str:
    comparison, claim = judgement.comparison, judgement.claim
    if comparison is None:
        return "no_claim: nothing says what it earned; a table (models: or claims:) can"
    match judged.verdict:
        case "identical":
            return ""
        case "equivalent":
            return _equivalent(judgement, claim)
        case "retained":
            return _retained(judged, judgement, criteria)
        case "consistent" if claim is not None:
            return _consistent(comparison, claim, criteria, loss_share)
        case "degraded" | "improved":
            return _changed(judgement, comparison, claim)
    if judgement.obstacle == "episodes_cut":
        of = "claimed" if claim is not None else "recorded"
        return f"episodes_cut: {_amount(comparison)} than {of}, but episodes were cut that may have made up for it"
    if judgement.obstacle and claim is not None:
        return f"{judgement.obstacle}: {_obstacle(judgement.obstacle, claim, comparison, criteria)}"
    if judged.suspect:
        return _suspect(comparison, claim, judged, criteria, further)
    return _undecided(comparison, criteria, further)


def _equivalent(judgement: Judgement, claim: Claim | None) -> str:
    if claim is not None:
        return f"earns what is claimed, within the margin: {_said_by(claim)}"
    return f"within the margin; the first bits that differ from the reference: {judgement.first_difference}"


def _changed(judgement: Judgement, comparison: Comparison, claim: Claim | None) -> str:
    amount = f"{_amount(comparison)} than"
    if claim is not None:
        return f"{amount} claimed: {_said_by(claim)}"
    quoted = "recorded" if judgement.environment_gap is None else "in place"
    return f"{amount} {quoted}; {_GAP_MEANS[judgement.gap]}"


def _retained(judged: JudgedVerdict, judgement: Judgement, criteria: Criteria) -> str:
    comparison, claim = judgement.comparison, judgement.claim
    assert comparison is not None
    if judgement.exploring and claim is not None:
        earned = claim.mean + comparison.difference
        return f"with stochastic actions, as in training, it earns {earned:.4g}, no less than there: {_said_by(claim)}"
    if judgement.as_claimed and claim is not None:
        return f"{_amount(comparison)} than claimed, as such a claim lets expect: {_said_by(claim)}"
    said = "" if claim is None else f": {_said_by(claim)}"
    gain = f"whether it gains is open ({_bounds(comparison)})"
    if judgement.decision == "improved":
        gain = f"a gain beyond it is likely ({_bounds(comparison)}), but {_may_be_chance(judged, criteria)}"
    return f"loses no more than the margin of {comparison.margin:.4g}; {gain}{said}"


def _consistent(comparison: Comparison, claim: Claim, criteria: Criteria, loss_share: float | None) -> str:
    share = f", {100 * loss_share:.0f} % of what was learned," if loss_share is not None else ""
    share = ", all that was learned," if loss_share is not None and loss_share > 0.99 else share
    return (
        f"earns what this claim predicts, which cannot tell more: {_said_by(claim)}; a loss of up to "
        f"{max(0.0, -comparison.ci_low):.4g}{share} is not excluded; {_better_claim(comparison, claim, criteria)}"
    )


def _obstacle(obstacle: Obstacle, claim: Claim, comparison: Comparison, criteria: Criteria) -> str:
    amount, told = f"{_amount(comparison)} than claimed", _better_claim(comparison, claim, criteria)
    match obstacle:
        case "best_of_k":
            said = f"{amount}, but choosing the best of many evaluations alone may explain it"
        case "before_last_update":
            said = f"{amount}, but the policy was updated once more after that evaluation"
        case "claim_with_exploration":
            said = f"{amount}, but training episodes explore"
        case _ if claim.kind == "stated":
            said = f"{amount}, but a text says so without how it was measured, or of which model"
        case _:
            said = (
                f"{amount}, which a claim of so few episodes does not show to be a loss beyond {comparison.margin:.4g}"
            )
    return f"{said}: {_said_by(claim)}; {told}"


def _better_claim(comparison: Comparison, claim: Claim, criteria: Criteria) -> str:
    """What claim would tell more than this one."""
    if claim.kind in ("explicit", "evaluations", "model_card", "reported") and comparison.claim_error > 0.0:
        n = episodes_of_a_precise_claim(comparison, claim.n or 2, criteria)
        return f"a claim of at least {max(n, 2 * (claim.n or 1)):,} episodes would tell"
    return "a reward that was measured of this very model, under claims, would tell"


def _suspect(
    comparison: Comparison, claim: Claim | None, judged: JudgedVerdict, criteria: Criteria, further: FurtherEpisodes
) -> str:
    if claim is not None and is_clear(comparison, criteria):
        told = _better_claim(comparison, claim, criteria)
    else:
        told = _more_episodes(comparison.n_episodes, 3 * comparison.n_episodes, further)
    likely = f"a loss beyond the margin of {comparison.margin:.4g} is likely ({_bounds(comparison)})"
    return f"{likely}, but {_may_be_chance(judged, criteria)}; {told}"


def _may_be_chance(judged: JudgedVerdict, criteria: Criteria) -> str:
    return f"among so many models it may be chance (q = {judged.q:.2g} > {criteria.fdr:g})"


def _undecided(comparison: Comparison, criteria: Criteria, further: FurtherEpisodes) -> str:
    n, enough = comparison.n_episodes, comparison.episodes_to_decide(criteria)
    said = f"{n:,} episodes cannot tell: {_bounds(comparison)}, the margin is {comparison.margin:.4g}"
    if enough is None:
        return f"{said}; it lies at the margin, or episodes vary too much for any number of them to decide"
    return f"{said}; {_more_episodes(n, enough - n, further)}"


def _more_episodes(n: int, more: int, further: FurtherEpisodes) -> str:
    """How many more episodes would decide, what they cost, and where to ask for them."""
    match further.ends_with:
        case "training":
            return f"{n + more:,} episodes at train time would decide (evaluation.episodes{further.cost(more)})"
        case "recording":
            return f"a recording of {n + more:,} episodes would decide{further.cost(more)}"
    where = "reload.timeout" if further.missing else "verdict.further_looks, verdict.seconds"
    cost = further.cost(more)
    return f"{more:,} more episodes{cost and f'{cost},'} would decide ({where})"


def _amount(comparison: Comparison) -> str:
    return f"earns {abs(comparison.difference):.4g} {'less' if comparison.difference < 0 else 'more'}"


def _bounds(comparison: Comparison) -> str:
    return f"the difference lies between {comparison.ci_low:.4g} and {comparison.ci_high:.4g}"


def _duration(seconds: float) -> str:
    """About how long that is: one of 1, 2, 5, 10, 20, 50 of a unit, so that two audits seldom say different things."""
    unit, size = ("s", 1.0) if seconds < 75.0 else ("min", 60.0) if seconds < 4500.0 else ("h", 3600.0)
    amount = max(1.0, seconds / size)
    ten = 10.0 ** math.floor(math.log10(amount))
    nearest = min((1, 2, 5, 10), key=lambda step: abs(math.log(amount / (step * ten))))
    return f"about {nearest * ten:.0f} {unit}"


def _said_by(claim: Claim) -> str:
    """The claimed reward, and where it is claimed."""
    if claim.kind == "trend" and claim.std is not None and claim.n:
        return f"{claim.mean:.4g} ± {claim.std / math.sqrt(claim.n):.4g} ({claim.where})"
    std = "" if claim.std is None else f" ± {claim.std:.4g}"
    n = "" if claim.n is None else f" over {claim.n:,} episodes"
    return f"{claim.mean:.4g}{std}{n} ({claim.where})"
