"""What a trial did to a reward is said with its noise: what may matter is not ruled out, and no number contradicts."""

from __future__ import annotations

import numpy as np
import pytest

from reload_audit.diagnosis.effects import ConditionResult, Goal, TrialResult, compared
from reload_audit.diagnosis.wording import what_it_earns
from reload_audit.processes.outcome import Usage
from reload_audit.records.conditions import CANONICAL, Condition
from reload_audit.records.episodes import Episode
from reload_audit.records.model_record import Measurement

USAGE = Usage("here", 1, 0, 0.0, 1.0, 1.0, 100.0)


def measured(rewards: np.ndarray, name: str = CANONICAL) -> Measurement:
    found = [Episode(k, k, float(reward), 10, True, None, float(reward), {}) for k, reward in enumerate(rewards)]
    return Measurement(Condition(name, 10), None, USAGE, episodes=found)


def tried(rewards: np.ndarray, before: np.ndarray, goal: float) -> TrialResult:
    gave = ConditionResult.of(measured(rewards, "stochastic"), measured(before))
    return compared(TrialResult("stochastic", ("policy-mode",), {}, gave), float(before.mean()), Goal(goal))


def drawn(mean: float, std: float, n: int, seed: int) -> np.ndarray:
    """Rewards of exactly this mean and standard deviation (ddof 0)."""
    rewards = np.random.default_rng(seed).standard_normal(n)
    return mean + std * (rewards - rewards.mean()) / rewards.std()


def test_an_effect_that_noise_hides_is_not_ruled_out() -> None:
    """119 in place of 104, over so few episodes that it may be chance, is not "no change"."""
    trial = tried(drawn(112.0, 60.0, 20, 1), drawn(102.0, 60.0, 20, 2), goal=150.0)
    assert not trial.helps
    assert not trial.excluded
    assert "may be chance, and closes all of the gap" in what_it_earns(trial, 150.0, 102.0)


def test_the_same_effect_is_ruled_out_once_it_is_bounded_below_a_fifth_of_the_gap() -> None:
    assert tried(drawn(104.0, 60.0, 2_000, 1), drawn(102.0, 60.0, 2_000, 2), goal=150.0).excluded
    assert not tried(drawn(112.0, 60.0, 2_000, 1), drawn(102.0, 60.0, 2_000, 2), goal=150.0).excluded


def test_pairs_make_an_effect_certain_where_seeds_decide_what_an_episode_earns() -> None:
    before = drawn(100.0, 50.0, 40, 1)
    trial = tried(before + 1.0, before, goal=200.0)
    assert trial.helps
    assert trial.excluded
    assert trial.moved == pytest.approx(0.01)


def test_a_short_trial_is_compared_with_all_episodes_where_pairs_are_worth_nothing() -> None:
    """Of 320 episodes the first 100 may be lucky: 263.9 was "no change" beside 232.8."""
    before = np.concatenate([drawn(255.0, 117.0, 100, 1), drawn(222.7, 117.0, 220, 2)])
    trial = tried(drawn(263.9, 81.0, 100, 3), before, goal=287.9)
    assert trial.result.instead == pytest.approx(before.mean())
    assert trial.moved == pytest.approx((263.9 - before.mean()) / (287.9 - before.mean()))


def test_a_short_trial_names_the_reward_of_the_same_episodes_where_it_is_compared_with_those() -> None:
    before = drawn(230.0, 100.0, 320, 1)
    same = before[:100]
    said = what_it_earns(tried(same + drawn(10.0, 1.0, 100, 2), before, goal=290.0), 290.0, float(before.mean()))
    assert f"it earns {same.mean() + 10.0:.4g} instead of {same.mean():.4g} in the same 100 episodes" in said


def test_what_changes_no_episode_is_said_to_change_none() -> None:
    before = drawn(230.0, 100.0, 50, 1)
    trial = tried(before, before, goal=290.0)
    assert trial.excluded
    same = "it earns the same in every episode that both ran, 230 in the mean"
    assert what_it_earns(trial, 290.0, 230.0) == f"stochastic: {same}"


@pytest.mark.parametrize(
    ("now", "goal"), [(0.0, 50.0), (232.8, 287.9), (-180.0, -110.0), (500.0, 10.0), (3199.0, 3200.0)]
)
@pytest.mark.parametrize("moved", [-0.5, 0.0, 0.05, 0.15, 0.4, 0.85, 1.0, 1.1, 1.5, 3.0])
@pytest.mark.parametrize("error", [0.0, 0.01, 0.05, 0.2, 1.0])
def test_no_sentence_contradicts_its_own_numbers(now: float, goal: float, moved: float, error: float) -> None:
    gap = goal - now
    mean = now + moved * gap
    gave = ConditionResult(mean, "", abs(gap), 100, now, mean - now, error * abs(gap))
    trial = compared(TrialResult("x", ("policy-mode",), {}, gave), now, Goal(goal))
    said = what_it_earns(trial, goal, now)
    assert ("the same in every" in said) == (mean == now and error == 0.0)
    if "instead of" in said:
        earned, before = said.partition("earns ")[2].partition(",")[0].split(" instead of ")
        assert (earned == before) == (mean == now)
    assert not ("nothing" in said and not trial.excluded)
    assert not ("chance" in said and trial.helps)
    assert not ("further" in said and moved >= 0.0)
    assert not ("100 %" in said and moved != 1.0)
    assert trial.explains <= (not trial.excluded)


def test_without_a_loss_or_gain_no_trial_is_said_to_close_a_gap() -> None:
    trial = compared(TrialResult("x", ("policy-mode",), {}, ConditionResult(3.0, n=20)), 2.0, Goal(None))
    assert trial.share is None
    assert what_it_earns(trial, None, 2.0) == "x: it earns 3 instead of 2"


@pytest.mark.parametrize("dependence", [-0.8, 0.0, 0.6, 0.95])
@pytest.mark.parametrize(("n", "m"), [(100, 320), (100, 100), (100, 20)])
def test_the_error_of_an_effect_is_that_of_its_estimate(dependence: float, n: int, m: int) -> None:
    """Whether or not episodes of one seed depend on each other, and whichever of the two ran more of them."""
    random, off = np.random.default_rng(0), []
    for _ in range(1_500):
        both = random.standard_normal((2, max(n, m)))
        rewards = (dependence * both[0] + np.sqrt(1 - dependence**2) * both[1])[:n]
        gave = ConditionResult.of(measured(rewards, "stochastic"), measured(both[0][:m]))
        off.append(gave.effect / gave.error)
    assert np.std(off) == pytest.approx(1.0, abs=0.1)


def test_rewards_whose_squares_overflow_are_compared_all_the_same() -> None:
    before = 1e200 * drawn(1.0, 0.1, 20, 1)
    assert np.isfinite(ConditionResult.of(measured(before, "stochastic"), measured(before)).effect)
