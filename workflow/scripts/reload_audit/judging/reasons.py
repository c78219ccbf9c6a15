"""How a verdict's reason is worded, in one sentence. Only what writes results imports it: nothing that measures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reload_audit.judging.comparison import Comparison
from reload_audit.judging.criteria import Criteria
from reload_audit.judging.judgement import Gap, Judgement, Obstacle
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


def reason(
    judged: JudgedVerdict,
    judgement: Judgement,
    checks: Sequence[Check],
    criteria: Criteria,
) -> str:
    """Why a model has its verdict; empty for a plain ``identical``.

    :param checks: those that failed
    """
    parts = [_main_reason(judged, judgement, criteria)]
    if checks:
        disagreement = f"its files do not agree: {', '.join(map(_disagreement, checks))}"
        # Of a loss or gain the disagreement comes first: it may explain it.
        parts.insert(0 if judged.verdict in ("degraded", "improved") else 1, disagreement)
    return "; ".join(filter(None, parts))


def _disagreement(check: Check) -> str:
    """What a check that failed expected and found."""
    return f"{check.name} (expected {_brief(check.expected)}, found {_brief(check.found)})"


def _brief(value: Any) -> str:
    text = " or ".join(f"{item:,}" for item in value) if _are_integers(value) else printable(str(value))
    return text if len(text) <= _BRIEF else f"{text[:_BRIEF]}…"


def _are_integers(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, int) for item in value)


def _main_reason(judged: JudgedVerdict, judgement: Judgement, criteria: Criteria) -> str:
    comparison, claim = judgement.comparison, judgement.claim
    if comparison is None:
        return "no_claim: nothing says what it earned; a table (models: or claims:) can"
    match judged.verdict:
        case "identical":
            return ""
        case "equivalent" if claim is not None:
            return f"earns what is claimed, within the margin: {_said_by(claim)}"
        case "equivalent":
            return f"within the margin; the first bits that differ from the reference: {judgement.first_difference}"
        case "degraded" | "improved":
            word = "less" if comparison.difference < 0 else "more"
            amount = f"earns {abs(comparison.difference):.4g} {word} than"
            if claim is not None:
                return f"{amount} claimed: {_said_by(claim)}"
            quoted = "recorded" if judgement.environment_gap is None else "in place"
            return f"{amount} {quoted}; {_GAP_MEANS[judgement.gap]}"
    if judgement.obstacle and claim is not None:
        return f"{judgement.obstacle}: {_obstacle(judgement.obstacle, claim, comparison)}"
    return _undecided(comparison, judged.q, criteria)


def _obstacle(obstacle: Obstacle, claim: Claim, comparison: Comparison) -> str:
    word = "less" if comparison.difference < 0 else "more"
    amount = f"earns {abs(comparison.difference):.4g} {word} than claimed"
    match obstacle:
        case "best_of_k":
            return f"{amount}, but choosing the best of many evaluations alone may explain it: {_said_by(claim)}"
        case "before_last_update":
            return f"{amount}, but the policy was updated once more after that evaluation: {_said_by(claim)}"
        case "claim_with_exploration":
            return f"{amount}, but training episodes explore: {_said_by(claim)}"
    return f"a claim of so few episodes cannot tell a loss of {comparison.margin:.4g}: {_said_by(claim)}"


def _undecided(comparison: Comparison, q: float | None, criteria: Criteria) -> str:
    if comparison.decision is not None and q is not None:
        return f"beyond the margin, but not significant over all models (q = {q:.2g} > {criteria.fdr:g})"
    return (
        f"{comparison.n_episodes} episodes cannot tell: the difference lies between {comparison.ci_low:.4g} and "
        f"{comparison.ci_high:.4g}, the margin is {comparison.margin:.4g}; "
        f"a loss of {comparison.detectable:.4g} or more would have shown"
    )


def _said_by(claim: Claim) -> str:
    """The claimed reward, and where it is claimed."""
    std = "" if claim.std is None else f" ± {claim.std:.4g}"
    n = "" if claim.n is None else f" over {claim.n:,} episodes"
    return f"{claim.mean:.4g}{std}{n} ({claim.where})"
