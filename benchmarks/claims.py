"""What the audit says of models that are compared with a claim, in simulated audits: imported by ``decisions``.

Claims and reloads are drawn from returns that a t test finds hard: bimodal, skewed, mostly zero.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow/scripts"))

from reload_audit.judging.claims import judge_by_claim, judge_by_claims
from reload_audit.judging.criteria import Criteria, margin
from reload_audit.models.claims import trend
from reload_audit.records.episodes import Episode
from reload_audit.records.specs import Claim

CRITERIA = Criteria(
    alpha=0.05,
    fdr=0.05,
    margin_fraction=0.05,
    margin_std=0.2,
    looks=(20, 40, 80, 160, 320),
    further_looks=(640, 1280, 2560),
)
CLAIMED = (5, 10, 20, 50, 200, 1000)

Returns = Callable[[np.random.Generator, int], np.ndarray]


def bimodal(failing: float) -> Returns:
    """An agent that fails one episode in some, and otherwise earns nearly the same each time."""
    return lambda rng, n: np.where(rng.random(n) < failing, 0.0, 1.0) + 0.02 * rng.standard_normal(n)


RETURNS: Mapping[str, Returns] = {
    **{f"one of {round(1 / failing)} fails": bimodal(failing) for failing in (0.01, 0.1, 0.5)},
    "skewed to the left": lambda rng, n: 1.0 - 0.1 * np.exp(rng.standard_normal(n)),
    "skewed to the right": lambda rng, n: rng.exponential(1.0, n),
    "half of them zero": lambda rng, n: np.where(rng.random(n) < 0.5, 0.0, rng.exponential(1.0, n)),
    "nine of ten zero": lambda rng, n: np.where(rng.random(n) < 0.9, 0.0, rng.exponential(1.0, n)),
}

LOSSES = {"nothing": 0.0, "the margin": -1.0, "half of what was learned": -0.5}
"""In margins, but the last, which is in what was learned."""


def verdicts(returns: Returns, claimed: int, lost: str, trials: int) -> Counter[str]:
    """How often each verdict is reached by models of which so many episodes are claimed, as fractions.

    :param lost: a key of :data:`LOSSES`
    """
    rng = np.random.default_rng(16)
    many = returns(rng, 100_000)
    learned = float(abs(many.mean()))
    width = margin(float(many.mean()), float(many.std()), 0.0, CRITERIA)
    shift = LOSSES[lost] * (learned if lost.startswith("half") else width)
    criteria = replace(CRITERIA, margin_std=0.0)  # so that the margin is the same whatever is claimed
    found: Counter[str] = Counter()
    for _ in range(trials):
        episodes = returns(rng, claimed)
        claim = Claim("explicit", float(episodes.mean()), float(episodes.std()), claimed, "simulated")
        reload = returns(rng, criteria.planned.all[-1]) + shift
        random_mean = claim.mean - width / criteria.margin_fraction
        for look in criteria.planned.all:
            judgement = judge_by_claim(claim, reload[:look], random_mean, criteria)
            if judgement.settled(criteria):
                break
        found[judgement.decision or "inconclusive"] += 1
    return Counter({verdict: count / trials for verdict, count in found.items()})


def claims_table(trials: int) -> str:
    """For every kind of returns and number of claimed episodes: which verdicts, in percent."""
    head = "| returns | claimed | " + " | ".join(f"lost: {lost}" for lost in LOSSES) + " |"
    rows = [f"{trials:,} models a cell.\n\n{head}\n| --- | --- |{' --- |' * len(LOSSES)}"]
    for name, returns in RETURNS.items():
        for claimed in CLAIMED:
            cells = [_cell(verdicts(returns, claimed, lost, trials)) for lost in LOSSES]
            rows.append(f"| {name} | {claimed:,} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _cell(found: Counter[str]) -> str:
    """Not lost (equivalent, retained or improved), consistent, inconclusive, degraded."""
    kept = found["equivalent"] + found["retained"] + found["improved"]
    return " / ".join(
        f"{100 * share:.0f}" for share in (kept, found["consistent"], found["inconclusive"], found["degraded"])
    )


_EPISODES = 10
"""Of each evaluation."""


def _episode(reward: float) -> Episode:
    return Episode(0, 0, reward, 1, True, reward, reward, {})


CURVES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "levels off": lambda t: 1.0 - np.exp(-6.0 * t),
    "rises": lambda t: t,
    "plateau": lambda t: np.minimum(1.0, 3.0 * t),
    "collapses": lambda t: np.minimum(1.0, 3.0 * t) - 0.5 * (t > 0.7),
}
SCATTER = {"little": (0.02, 0.05), "as evaluations do": (0.05, 0.1), "policies differ": (0.2, 0.1)}
"""Standard deviations from the curve: of a policy's true reward, and of its evaluation, in what was learned."""


def trend_outcomes(curve: str, scatter: str, evaluations: int, *, best: bool, trials: int) -> dict[str, float]:
    """How often a reload is judged as it should and should not be by a trend, if its own error is nil.

    :param evaluations: of the run; the best of them is reloaded, or the model saved half an interval after the last
    """
    rng, criteria = np.random.default_rng(17), replace(CRITERIA, looks=(20,), further_looks=())
    policies, noise = SCATTER[scatter]
    steps = np.append(np.arange(1, evaluations + 1) * 1000, evaluations * 1000 + 500)
    times = (steps - 1000) / (evaluations * 1000)
    found: Counter[str] = Counter()
    for _ in range(trials):
        truth = CURVES[curve](times) + policies * rng.standard_normal(evaluations + 1)
        seen = truth + noise * rng.standard_normal(evaluations + 1)
        chosen = int(np.argmax(seen[:-1])) if best else evaluations
        others = np.array([row for row in range(evaluations) if row != chosen])
        claim = trend("simulated", int(steps[chosen]), steps[others].astype(float), seen[others])
        if claim is None:
            return {}
        own = Claim("best", float(seen[chosen]), noise * math.sqrt(_EPISODES), _EPISODES, "simulated")
        for lost, loss in (("margin", 0.05), ("nothing", 0.0), ("half", 0.5)):
            reload = [_episode(truth[chosen] - loss + 1e-6 * one) for one in rng.standard_normal(20)]
            judged = judge_by_claims([claim, own] if best else [claim], reload, claim.mean - 1.0, criteria)
            found[f"{lost}: {judged.decision or 'inconclusive'}"] += 1
    return {verdict: count / trials for verdict, count in found.items()}


def trend_table(trials: int) -> str:
    """For every curve, scatter and number of evaluations."""
    rows = [
        f"{trials:,} runs a cell; margin: a twentieth of what was learned. Not lost / consistent / inconclusive / "
        "degraded, in percent.\n\n"
        "| curve | scatter | evaluations | model | lost: nothing | lost: the margin | lost: half |\n"
        "| --- | --- | --- | --- | --- | --- | --- |"
    ]
    for curve in CURVES:
        for scatter in SCATTER:
            for evaluations in (10, 50):
                for best in (True, False):
                    found = Counter(trend_outcomes(curve, scatter, evaluations, best=best, trials=trials))
                    cells = [_cell(_of(found, lost)) for lost in ("nothing", "margin", "half")]
                    model = "best" if best else "final"
                    rows.append(f"| {curve} | {scatter} | {evaluations} | {model} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _of(found: Counter[str], lost: str) -> Counter[str]:
    return Counter({key.removeprefix(f"{lost}: "): n for key, n in found.items() if key.startswith(f"{lost}: ")})
