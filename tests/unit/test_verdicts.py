"""The arithmetic behind a verdict, held against statsmodels."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from scipy.stats import false_discovery_control
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from reload_audit.judging.comparison import (
    Comparison,
    claim_too_imprecise,
    compare_paired,
    compare_unpaired,
    episodes_of_a_precise_claim,
    false_discovery_q,
)
from reload_audit.judging.criteria import margin
from reload_audit.judging.judgement import Judgement, Obstacle
from reload_audit.judging.spending import nominal_alpha, sequential_p
from reload_audit.judging.verdicts import decide_verdicts
from reload_audit.records.specs import EvaluationSpec
from support.builders import CRITERIA, Moments, moments

# --- Paired: the same numbers as statsmodels ---------------------------------------------------------------------


def random_differences(seed: int) -> tuple[np.ndarray, float]:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 200))
    scale = 10 ** rng.uniform(-3, 3)
    return scale * (rng.normal(rng.uniform(-1, 1), 1, n)), scale * rng.uniform(0.05, 0.6)


SEEDS = range(60)


def level_at(n: int, claimed: float = math.inf) -> float:
    """The nominal level of a test after so many episodes; ``test_spending`` has what that is.

    :param claimed: episodes of the claim that they are compared with, if each is as noisy as one of them
    """
    return nominal_alpha(CRITERIA.alpha, CRITERIA.planned.against(claimed), n)


def corrected(p: float, n: int, claimed: float = math.inf) -> float:
    """The p-value of a test after so many episodes, corrected for the looks."""
    return sequential_p(p, CRITERIA.alpha, CRITERIA.planned.against(claimed), n)


@pytest.mark.parametrize("seed", SEEDS)
def test_paired_bounds_are_those_of_the_one_sample_t(seed: int) -> None:
    differences, width = random_differences(seed)
    ours = compare_paired(differences, width, CRITERIA)
    oracle = DescrStatsW(differences)

    _, high = oracle.tconfint_mean(level_at(len(differences)), alternative="smaller")
    low, _ = oracle.tconfint_mean(level_at(len(differences)), alternative="larger")

    assert (ours.difference, ours.ci_low, ours.ci_high) == pytest.approx((oracle.mean, low, high), rel=1e-10)


@pytest.mark.parametrize("seed", SEEDS)
def test_paired_p_is_that_of_the_one_sample_t_corrected_for_the_looks(seed: int) -> None:
    differences, width = random_differences(seed)
    ours = compare_paired(differences, width, CRITERIA)
    oracle = DescrStatsW(differences)

    lost = oracle.ttest_mean(-width, alternative="smaller")[1]
    gained = oracle.ttest_mean(width, alternative="larger")[1]

    assert ours.p_degraded == pytest.approx(corrected(lost, len(differences)), rel=1e-10)
    assert ours.p_improved == pytest.approx(corrected(gained, len(differences)), rel=1e-10)


@pytest.mark.parametrize("seed", SEEDS)
def test_equivalent_is_what_two_one_sided_tests_find(seed: int) -> None:
    differences, _ = random_differences(seed)
    width = abs(differences.mean()) + 3 * differences.std(ddof=1) / math.sqrt(len(differences))  # both answers occur

    found = compare_paired(differences, width, CRITERIA).decision == "equivalent"

    assert found == (DescrStatsW(differences).ttost_mean(-width, width)[0] <= level_at(len(differences)))


def test_two_one_sided_tests_find_both_answers_among_the_samples_above() -> None:
    answers = set()
    for seed in SEEDS:
        differences, _ = random_differences(seed)
        width = abs(differences.mean()) + 3 * differences.std(ddof=1) / math.sqrt(len(differences))
        answers.add(compare_paired(differences, width, CRITERIA).decision)
    assert answers == {"equivalent", "retained", None}


# --- Unpaired: the same numbers as statsmodels -------------------------------------------------------------------


def random_samples(seed: int, *, claim_is_noisier: bool) -> tuple[np.ndarray, np.ndarray, float]:
    rng = np.random.default_rng(seed)
    claim = rng.normal(10, 1, int(rng.integers(2, 60)))
    reload = rng.normal(rng.uniform(8, 11), 1, int(rng.integers(2, 200)))
    factor = claim.std(ddof=1) / reload.std(ddof=1) * (0.6 if claim_is_noisier else 1.7)
    return claim, reload.mean() + factor * (reload - reload.mean()), rng.uniform(0.1, 1)


def assert_equals_welch(ours: Comparison, claim: np.ndarray, reload: np.ndarray, width: float) -> None:
    oracle = CompareMeans(DescrStatsW(reload), DescrStatsW(claim))
    claimed = len(claim) * reload.var(ddof=1) / claim.var(ddof=1)
    alpha = level_at(len(reload), claimed)
    _, high = oracle.tconfint_diff(alpha, alternative="smaller", usevar="unequal")
    low, _ = oracle.tconfint_diff(alpha, alternative="larger", usevar="unequal")
    lost = oracle.ttest_ind(alternative="smaller", usevar="unequal", value=-width)[1]
    gained = oracle.ttest_ind(alternative="larger", usevar="unequal", value=width)[1]
    expected = (low, high, corrected(lost, len(reload), claimed), corrected(gained, len(reload), claimed))
    assert (ours.ci_low, ours.ci_high, ours.p_degraded, ours.p_improved) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("claim_is_noisier", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_unpaired_is_welch_with_each_side_as_noisy_as_the_noisier(seed: int, claim_is_noisier: bool) -> None:
    claim, reload, width = random_samples(seed, claim_is_noisier=claim_is_noisier)
    noise = max(claim.std(ddof=1), reload.std(ddof=1))
    as_noisy = [one.mean() + (one - one.mean()) * noise / one.std(ddof=1) for one in (claim, reload)]

    ours = compare_unpaired(moments(claim), moments(reload), width, CRITERIA)

    assert_equals_welch(ours, *as_noisy, width)


@pytest.mark.parametrize("seed", SEEDS)
def test_unpaired_is_plain_welch_where_the_claim_cannot_be_of_the_reload_s_distribution(seed: int) -> None:
    claim, reload, width = random_samples(seed, claim_is_noisier=False)
    ours = compare_unpaired(moments(claim), moments(reload), width, CRITERIA, chance=0.0)
    assert_equals_welch(ours, claim, reload, width)


def test_p_is_never_less_than_the_chance_of_the_spread_that_it_rests_on() -> None:
    claim, reload = (100.0, 1.0, 100), (0.0, 50.0, 320)
    assert compare_unpaired(claim, reload, 5.0, CRITERIA, chance=1e-7).p_degraded == 1e-7


# --- False discovery rate ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_q_values_are_those_of_benjamini_and_hochberg(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = np.round(rng.uniform(0, 1, int(rng.integers(1, 300))) ** 3, 2)  # rounding makes ties, and zeros

    assert false_discovery_q(p) == pytest.approx(multipletests(p, method="fdr_bh")[1], rel=1e-10)


@pytest.mark.parametrize("p", [math.nan, -0.01, 1.01, math.inf])
def test_what_is_no_probability_is_refused_instead_of_making_every_q_value_void(p: float) -> None:
    with pytest.raises(ValueError, match="expected p-values between 0 and 1, found"):
        false_discovery_q([0.01, p, 0.5])


def test_without_models_there_are_no_q_values() -> None:
    assert false_discovery_q([]).shape == (0,)


@pytest.mark.parametrize("p", [0.0, 0.03, 1.0])
def test_a_p_value_alone_needs_no_correction(p: float) -> None:
    assert false_discovery_q([p]).tolist() == false_discovery_control([p], method="bh").tolist() == [p]


def loss(p: float, obstacle: Obstacle = "") -> Judgement:
    """A judgement whose bounds show a loss with this p-value."""
    shown = Comparison(20, -5.0, -6.0, -4.0, 1.0, p_degraded=p, p_improved=1.0)
    return Judgement(shown, obstacle=obstacle)


def test_a_loss_that_could_be_chance_among_many_models_is_inconclusive() -> None:
    healthy = replace(loss(1.0), comparison=Comparison(20, 0.0, -0.5, 0.5, 1.0, 1.0, 1.0), first_difference="a bit")
    alone, *_ = decide_verdicts([loss(0.01)], CRITERIA)
    among_many, *others = decide_verdicts([loss(0.01), *[healthy] * 99], CRITERIA)
    assert (alone.verdict, among_many.verdict, others[0].verdict) == ("degraded", "inconclusive", "equivalent")
    assert (alone.q, among_many.q) == (0.01, 1.0)


def test_a_model_whose_claim_must_not_decide_does_not_change_the_q_values_of_others() -> None:
    without, *_ = decide_verdicts([loss(0.04)], CRITERIA)
    beside, undecided = decide_verdicts([loss(0.04), loss(1e-9, obstacle="best_of_k")], CRITERIA)
    assert beside == without
    assert (undecided.verdict, undecided.q) == ("inconclusive", None)


def test_a_model_that_could_not_be_run_is_an_error() -> None:
    assert [judged.verdict for judged in decide_verdicts([None], CRITERIA)] == ["error"]


# --- What needs no test, and what cannot be tested ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("difference", "decision"),
    [(-2.0, "degraded"), (-1.0, "equivalent"), (0.0, "equivalent"), (1.0, "equivalent"), (2.0, "improved")],
)
def test_differences_without_variance_are_decided_as_they_stand(difference: float, decision: str) -> None:
    assert compare_paired([difference] * 2, 1.0, CRITERIA).decision == decision


@pytest.mark.parametrize(("difference", "p"), [(-2.0, (0, 1)), (-1.0, (1, 1)), (1.0, (1, 1)), (2.0, (1, 0))])
def test_differences_without_variance_are_certain(difference: float, p: tuple[float, float]) -> None:
    comparison = compare_paired([difference] * 20, 1.0, CRITERIA)
    assert (comparison.p_degraded, comparison.p_improved) == p
    assert comparison.ci_low == comparison.ci_high == difference


def test_a_difference_that_a_mean_cannot_hold_exactly_counts_as_constant() -> None:
    assert compare_paired([0.1] * 7, 0.1, CRITERIA).ci_high == 0.1  # the mean of seven 0.1 is not 0.1


def test_without_margin_and_difference_the_verdict_is_equivalent() -> None:
    assert compare_paired([0.0, 0.0], 0.0, CRITERIA).decision == "equivalent"


@pytest.mark.parametrize(
    ("reload_mean", "decision"), [(8.0, "degraded"), (9.0, "equivalent"), (10.0, "equivalent"), (12.0, "improved")]
)
def test_two_samples_without_variance_are_decided_as_they_stand(reload_mean: float, decision: str) -> None:
    assert compare_unpaired((10.0, 0.0, 5), (reload_mean, 0.0, 20), 1.0, CRITERIA).decision == decision


@pytest.mark.parametrize("differences", [[], [1.0], [1.0, math.nan], [1.0, math.inf], [-math.inf, 1.0, 2.0]])
def test_paired_needs_two_finite_differences(differences: list[float]) -> None:
    with pytest.raises(ValueError, match="at least two finite differences"):
        compare_paired(differences, 1.0, CRITERIA)


@pytest.mark.parametrize(("claimed", "reloaded"), [(1, 20), (20, 1), (0, 0)])
def test_unpaired_needs_two_episodes_on_each_side(claimed: int, reloaded: int) -> None:
    with pytest.raises(ValueError, match=f"at least two episodes on each side, found {claimed} and {reloaded}"):
        compare_unpaired((1.0, 1.0, claimed), (1.0, 1.0, reloaded), 1.0, CRITERIA)


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e-40, 1.0, 1e78, 1e99])
def test_rewards_of_any_size_are_compared_as_those_of_size_one_are(size: float) -> None:
    differences, width = random_differences(3)
    unit, sized = (
        compare_paired(differences, width, CRITERIA),
        compare_paired(differences * size, width * size, CRITERIA),
    )
    assert (sized.ci_low / size, sized.ci_high / size) == pytest.approx((unit.ci_low, unit.ci_high), rel=1e-9)
    assert (sized.p_degraded, sized.p_improved) == pytest.approx((unit.p_degraded, unit.p_improved), rel=1e-9)

    claim, reload = (5.0, 2.0, 12), (4.0, 3.0, 40)
    unit = compare_unpaired(claim, reload, 0.5, CRITERIA)
    large = [(mean * size, std * size, n) for mean, std, n in (claim, reload)]
    sized = compare_unpaired(large[0], large[1], 0.5 * size, CRITERIA)
    assert (sized.ci_low / size, sized.ci_high / size) == pytest.approx((unit.ci_low, unit.ci_high), rel=1e-9)
    assert sized.p_degraded == pytest.approx(unit.p_degraded, rel=1e-9)


def test_rewards_whose_spread_is_no_number_have_no_margin() -> None:
    with pytest.raises(ValueError, match="expected rewards of which a spread can be computed, found 0 ± inf"):
        margin(0.0, math.inf, None, CRITERIA)


@pytest.mark.parametrize("claim", [(math.nan, 1.0, 5), (1.0, math.nan, 5), (math.inf, 1.0, 5)])
def test_unpaired_needs_finite_claims(claim: Moments) -> None:
    with pytest.raises(ValueError, match="finite"):
        compare_unpaired(claim, (1.0, 1.0, 20), 1.0, CRITERIA)


# --- From bounds to a decision -----------------------------------------------------------------------------------


def comparison(low: float, high: float, width: float = 1.0) -> Comparison:
    return Comparison(20, (low + high) / 2, low, high, width, p_degraded=1.0, p_improved=1.0)


@pytest.mark.parametrize(
    ("low", "high", "decision"),
    [
        (-3.0, -1.1, "degraded"),
        (-3.0, -1.0, None),
        (-1.0, 1.0, "equivalent"),
        (-1.1, 1.0, None),
        (-1.0, 1.1, "retained"),
        (1.0, 3.0, "retained"),
        (1.1, 3.0, "improved"),
        (-3.0, 3.0, None),
    ],
)
def test_a_decision_needs_a_bound_strictly_beyond_the_margin_or_both_within_it(
    low: float, high: float, decision: str | None
) -> None:
    assert comparison(low, high).decision == decision


def test_a_gain_is_judged_as_a_loss_is() -> None:
    differences, width = random_differences(3)
    loss, gain = compare_paired(differences, width, CRITERIA), compare_paired(-differences, width, CRITERIA)
    assert (gain.ci_low, gain.ci_high, gain.p_improved) == (-loss.ci_high, -loss.ci_low, loss.p_degraded)


@pytest.mark.parametrize("seed", SEEDS)
def test_degraded_by_bound_is_degraded_by_p(seed: int) -> None:
    differences, width = random_differences(seed)
    found = compare_paired(differences, width, CRITERIA)
    assert (found.decision == "degraded") == (found.p_degraded < CRITERIA.alpha)


# --- Looks, margin, claims ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("episodes", "stops"),
    [
        (2, (2,)),
        (20, (20,)),
        (21, (20, 21)),
        (100, (20, 40, 80, 100)),
        (320, (20, 40, 80, 160, 320)),
        (5000, (20, 40, 80, 160, 5000)),
    ],
)
def test_looks_end_with_the_recorded_episodes_and_so_does_the_spending_of_alpha(
    episodes: int, stops: tuple[int, ...]
) -> None:
    evaluation = EvaluationSpec(episodes, seed=0, n_envs=20, max_episode_steps=1000, looks=CRITERIA.looks)
    assert evaluation.stops == CRITERIA.up_to(episodes).looks == stops


@pytest.mark.parametrize(
    ("train", "random", "width"),
    [
        ((500.0, 10.0), 20.0, 24.0),  # 5 % of 480 against 0.2 * 10
        ((500.0, 200.0), 20.0, 40.0),  # the noise is larger
        ((-150.0, 10.0), -1200.0, 52.5),  # rewards below zero
        ((-200.0, 0.0), -100.0, 5.0),  # worse than random
        ((500.0, 10.0), None, 2.0),  # random actions break the environment
        ((500.0, 0.0), None, 25.0),  # never nothing: the last digit of a sum would decide
    ],
)
def test_the_margin_is_the_larger_of_a_part_of_what_was_learned_and_a_part_of_the_noise(
    train: tuple[float, float], random: float | None, width: float
) -> None:
    assert margin(*train, random, CRITERIA) == pytest.approx(width)


def test_a_claim_is_too_imprecise_from_where_its_own_error_leaves_a_loss_beyond_the_margin_possible() -> None:
    """At the look that has the most lenient level of those that are left."""
    for n, difference in ((8, 0.0), (8, -0.5), (100, 0.3)):
        looks = CRITERIA.planned.against(n)
        most_lenient = max(nominal_alpha(CRITERIA.alpha, looks, look) for look in looks.all)
        width = stats.t.isf(most_lenient, n - 1) - difference
        compared = replace(comparison(0.0, 0.0), difference=difference, claim_error=1.0, reload_error=math.sqrt(n / 20))
        assert claim_too_imprecise(replace(compared, margin=0.999999 * width), n, CRITERIA)
        assert not claim_too_imprecise(replace(compared, margin=1.000001 * width), n, CRITERIA)


def test_a_claim_of_so_many_episodes_as_are_said_to_be_needed_is_precise_enough() -> None:
    def against_a_claim_of(n: int, reloaded: int) -> Comparison:
        return compare_unpaired((100.0, 50.0, n), (100.0, 50.0, reloaded), 5.0, CRITERIA)

    n = episodes_of_a_precise_claim(against_a_claim_of(10, 320), 10, CRITERIA)
    assert claim_too_imprecise(against_a_claim_of(n // 4, 320), n // 4, CRITERIA)
    assert against_a_claim_of(n, 20 * n).decision == "equivalent"


@pytest.mark.parametrize("n", [0, 1])
def test_a_claim_from_less_than_two_episodes_is_too_imprecise(n: int) -> None:
    assert claim_too_imprecise(comparison(0.0, 0.0, 100.0), n, CRITERIA)


def test_a_claim_without_noise_is_precise_enough() -> None:
    assert not claim_too_imprecise(comparison(0.0, 0.0), 5, CRITERIA)


def test_a_claim_that_is_too_imprecise_never_makes_degraded_of_a_loss_within_its_error() -> None:
    found = compare_unpaired((100.0, 30.0, 5), (80.0, 30.0, 10**6), 5.0, CRITERIA)
    assert claim_too_imprecise(found, 5, CRITERIA)
    assert found.decision is None
