"""The verdicts' error rates are at most what the configuration says, in simulated audits."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pytest

from reload_audit.judging.claims import judge_by_claim
from reload_audit.judging.comparison import compare_paired
from reload_audit.judging.criteria import Criteria
from reload_audit.judging.judgement import Judgement
from reload_audit.judging.verdicts import decide_verdicts
from reload_audit.records.specs import Claim
from support.builders import CRITERIA, ROOT

sys.path.append(str(ROOT / "benchmarks"))

import claims

Noise = Callable[[np.random.Generator, int], np.ndarray]

NOISES: dict[str, Noise] = {  # all with mean 0 and standard deviation 1
    "normal": lambda rng, n: rng.standard_normal(n),
    "uniform": lambda rng, n: rng.uniform(-math.sqrt(3), math.sqrt(3), n),
    "bimodal": lambda rng, n: rng.choice([-1.0, 1.0], n) * math.sqrt(0.99) + 0.1 * rng.standard_normal(n),
    "exponential": lambda rng, n: rng.exponential(1, n) - 1,
}
SYMMETRIC = ["normal", "uniform", "bimodal"]


def at_most(nominal: float, trials: int) -> float:
    """The largest fraction that chance alone, at three standard errors, leaves to a test that keeps ``nominal``."""
    return nominal + 3 * math.sqrt(nominal * (1 - nominal) / trials)


def audited(judgement_at: Callable[[int], Judgement], criteria: Criteria = CRITERIA) -> Judgement:
    """What an audit concludes of one model: it judges growing numbers of episodes until the verdict is settled.

    :param judgement_at: the judgement after so many episodes
    """
    for look in criteria.planned.all:
        judgement = judgement_at(look)
        if judgement.settled(criteria):
            break
    return judgement


def paired_audit(differences: np.ndarray, width: float) -> Judgement:
    """The audit of a model whose reload differs by so much, episode by episode, shape ``(320,)``."""
    return audited(
        lambda look: Judgement(
            compare_paired(differences[:look], width, CRITERIA), first_difference="episode 0: rewards"
        )
    )


def fractions(decisions: Iterable[str | None]) -> Counter[str | None]:
    decisions = list(decisions)
    return Counter({name: count / len(decisions) for name, count in Counter(decisions).items()})


def paired_fractions(noise: Noise, shift: float, width: float, trials: int, seed: int) -> Counter[str | None]:
    rng = np.random.default_rng(seed)
    return fractions(paired_audit(noise(rng, 320) + shift, width).decision for _ in range(trials))


@pytest.mark.parametrize("noise", SYMMETRIC)
@pytest.mark.parametrize(("side", "verdict"), [(-1, "degraded"), (1, "improved")])
@pytest.mark.parametrize("width", [0.2, 1.0])
def test_a_difference_of_exactly_the_margin_is_miscalled_at_most_at_alpha(
    noise: str, side: int, verdict: str, width: float
) -> None:
    trials = 2000
    called = paired_fractions(NOISES[noise], side * width, width, trials, seed=11)

    # Measured with 3,000 trials: beyond the margin 0.032 to 0.044, within it 0.012 to 0.041.
    assert called[verdict] <= at_most(0.05, trials)
    assert called["equivalent"] <= at_most(0.05, trials)


@pytest.mark.parametrize("noise", SYMMETRIC)
def test_no_difference_and_little_noise_is_nearly_always_equivalent(noise: str) -> None:
    assert paired_fractions(NOISES[noise], shift=0.0, width=1.0, trials=500, seed=12)["equivalent"] >= 0.99


@pytest.mark.parametrize("noise", SYMMETRIC)
def test_a_loss_of_twice_the_margin_is_nearly_always_degraded(noise: str) -> None:
    assert paired_fractions(NOISES[noise], shift=-1.0, width=0.5, trials=500, seed=13)["degraded"] >= 0.99


def test_strongly_skewed_differences_raise_at_most_two_and_a_half_times_the_false_alarms() -> None:
    """No t test keeps its level on strong skew at 20 episodes: measured 0.10 on exponential differences."""
    called = paired_fractions(NOISES["exponential"], shift=-1.0, width=1.0, trials=2000, seed=14)
    assert called["degraded"] <= 0.125


@pytest.mark.parametrize("claimed", [5, 20, 50, 200])
@pytest.mark.parametrize("returns", claims.RETURNS)
def test_of_however_few_episodes_a_claim_is_a_loss_of_the_margin_is_miscalled_at_most_at_alpha(
    returns: str, claimed: int
) -> None:
    trials = 150
    # With plain Welch up to 0.60, with only the claim's spread raised up to 0.35.
    called = claims.verdicts(claims.RETURNS[returns], claimed, "the margin", trials)
    assert called["degraded"] <= at_most(0.05, trials)
    assert called["equivalent"] + called["retained"] <= at_most(0.05, trials)


@pytest.mark.parametrize("claimed", [10, 100])
@pytest.mark.parametrize("returns", ["one of 10 fails", "one of 2 fails", "skewed to the left", "half of them zero"])
def test_an_untouched_model_is_seldom_left_inconclusive_by_a_claim_that_is_imprecise(
    returns: str, claimed: int
) -> None:
    trials = 150
    called = claims.verdicts(claims.RETURNS[returns], claimed, "nothing", trials)
    # At most 5 % earn so much less by chance that the claim does not predict it.
    assert called["inconclusive"] + called["degraded"] <= at_most(0.05, trials)
    assert called["degraded"] <= at_most(0.01, trials)


@pytest.mark.parametrize("best", [True, False])
@pytest.mark.parametrize("curve", claims.CURVES)
def test_a_trend_of_evaluations_errs_at_most_at_alpha(curve: str, best: bool) -> None:
    trials = 150
    for scatter in claims.SCATTER:
        found = claims.trend_outcomes(curve, scatter, 20, best=best, trials=trials)
        for healthy in ("equivalent", "retained", "improved"):
            assert found.get(f"margin: {healthy}", 0.0) <= at_most(0.05, trials)
        for lost in ("margin", "nothing"):
            assert found.get(f"{lost}: degraded", 0.0) <= at_most(0.05, trials)


def test_a_claim_with_next_to_no_spread_shows_a_loss_among_ten_thousand_models() -> None:
    """287.9 ± 2.4 over 123 episodes; the reload crashes every fifth time."""
    rng = np.random.default_rng(3)
    reload = np.where(rng.random(320) < 0.2, 0.0, 288.0) + 8.0 * rng.standard_normal(320)
    reload += 232.8 - reload.mean()
    lost = judge_by_claim(Claim("explicit", 287.9, 2.4, 123, "table"), reload, -98.0, CRITERIA)
    healthy = [
        judge_by_claim(Claim("explicit", 100.0, 20.0, 100, "table"), 100.0 + 20.0 * noise, 0.0, CRITERIA)
        for noise in rng.standard_normal((500, 320))
    ]
    verdicts = [judged.verdict for judged in decide_verdicts([lost, *20 * healthy[:499]], CRITERIA)]
    assert verdicts[0] == "degraded"
    assert "degraded" not in verdicts[1:]


def degraded_after_fdr(shifts: Sequence[float], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    judgements = [paired_audit(rng.standard_normal(320) + shift, 1.0) for shift in shifts]
    return np.array([judged.verdict == "degraded" for judged in decide_verdicts(judgements, CRITERIA)])


@pytest.mark.parametrize("shift", [0.0, -1.0], ids=["without effect", "at the margin"])
def test_a_thousand_healthy_models_rarely_raise_a_single_false_alarm(shift: float) -> None:
    audits = 8
    with_alarm = sum(degraded_after_fdr([shift] * 1000, seed).any() for seed in range(audits))
    assert with_alarm <= 2  # of 8 at 0.05: three or more happen once in 170 times


def test_false_alarms_are_at_most_the_false_discovery_rate_of_all_alarms() -> None:
    found = np.mean([degraded_after_fdr([-1.0] * 900 + [-3.0] * 100, seed) for seed in range(4)], axis=0)
    false, true = found[:900].sum(), found[900:].sum()

    assert true >= 99
    assert false / (false + true) <= at_most(CRITERIA.fdr, 400)
