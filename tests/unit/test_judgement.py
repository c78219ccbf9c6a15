"""In place, reference and reload together say whether a reward is lost, and between which two of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from reload_audit.judging.judgement import judge
from reload_audit.records.episodes import Episode, TrainTime
from support.builders import CRITERIA


def episode(k: int, reward: float, **changes: object) -> Episode:
    made = Episode(
        episode=k,
        seed=1000 + k,
        reward=reward,
        length=10,
        terminated=True,
        monitor_reward=round(reward, 6),
        step_reward=reward,
        trace={"raw_observations": "a", "rewards": "b", "policy_observations": "c", "actions": "d"},
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def episodes(rewards: Iterable[float]) -> list[Episode]:
    return [episode(k, float(reward)) for k, reward in enumerate(rewards)]


def noise_around(mean: float, seed: int, n: int = 40) -> np.ndarray:
    return mean + np.random.default_rng(seed).standard_normal(n)


RANDOM = episodes([0.0, 0.0])
HEALTHY = noise_around(50.0, seed=0)
LOST = noise_around(-3.0, seed=1)


def train_time(in_place: Iterable[float], reference: Iterable[float]) -> TrainTime:
    return TrainTime(episodes(in_place), episodes(reference), RANDOM)


def test_equal_bits_are_identical() -> None:
    assert judge(train_time(HEALTHY, HEALTHY), episodes(HEALTHY), CRITERIA).decision == "identical"


def test_one_differing_digest_makes_a_model_equivalent_and_is_named() -> None:
    reload = episodes(HEALTHY)
    reload[3] = replace(reload[3], trace={**reload[3].trace, "actions": "x"})

    judgement = judge(train_time(HEALTHY, HEALTHY), reload, CRITERIA)

    assert (judgement.decision, judgement.first_difference) == ("equivalent", "episode 3: actions")


def test_minus_zero_is_not_identical_to_zero() -> None:
    judgement = judge(train_time([0.0] * 5, [0.0] * 5), episodes([0.0, 0.0, -0.0, 0.0, 0.0]), CRITERIA)
    assert (judgement.decision, judgement.first_difference) == ("equivalent", "episode 2: reward")


def test_an_episode_of_another_length_is_not_identical() -> None:
    reload = episodes(HEALTHY)
    reload[0] = replace(reload[0], length=11)
    assert judge(train_time(HEALTHY, HEALTHY), reload, CRITERIA).first_difference == "episode 0: length"


def test_without_variance_only_equal_bits_settle_a_verdict_before_the_last_episode() -> None:
    """A reload that fails one episode in twenty has not failed yet in 36 of 100 first looks."""
    constant = [500.0] * 20
    other_bits = [replace(episode, trace={**episode.trace, "actions": "other"}) for episode in episodes(constant)]
    same, other = (
        judge(train_time(constant, constant), reload, CRITERIA) for reload in (episodes(constant), other_bits)
    )
    assert (same.decision, same.settled(CRITERIA)) == ("identical", True)
    assert (other.decision, other.settled(CRITERIA)) == ("equivalent", False)


def test_differences_in_last_bits_are_no_variance_that_could_end_the_evaluation_early() -> None:
    constant = [500.0] * 20
    reload = [500.0 + 1e-9 * k for k in range(20)]
    judgement = judge(train_time(constant, constant), episodes(reload), replace(CRITERIA, margin_std=0.2))
    assert (judgement.decision, judgement.settled(CRITERIA)) == ("equivalent", False)


def test_a_loss_that_could_be_chance_among_many_models_takes_all_recorded_episodes() -> None:
    """Whether the loss outlasts the false discovery rate depends on all models, so further episodes are run."""
    in_place = noise_around(50.0, seed=3, n=20)
    clear, slight = (in_place - loss + 0.5 * noise_around(0.0, seed=4, n=20) for loss in (50.0, 3.0))
    settled = [judge(train_time(in_place, in_place), episodes(reload), CRITERIA) for reload in (clear, slight)]
    assert [judgement.decision for judgement in settled] == ["degraded", "degraded"]
    assert [judgement.settled(CRITERIA) for judgement in settled] == [True, False]


def test_an_episode_that_ends_in_another_way_is_not_identical() -> None:
    reload = episodes(HEALTHY)
    reload[0] = replace(reload[0], terminated=False)
    assert judge(train_time(HEALTHY, HEALTHY), reload, CRITERIA).decision == "equivalent"


@pytest.mark.parametrize(
    "richer",
    [
        "reference",
        "reload",
    ],
)
def test_a_digest_that_only_one_side_has_is_a_difference(richer: str) -> None:
    plain, rich = episodes(HEALTHY), episodes(HEALTHY)
    rich[0] = replace(rich[0], trace={**rich[0].trace, "policy_observations.goal": "x"})
    reference, reload = (rich, plain) if richer == "reference" else (plain, rich)

    assert judge(TrainTime(plain, reference, RANDOM), reload, CRITERIA).first_difference is not None


def test_a_loss_that_appears_with_new_environments_is_an_environment_gap() -> None:
    judgement = judge(train_time(HEALTHY, LOST), episodes(LOST), CRITERIA)
    gaps = (judgement.environment_gap.decision, judgement.process_gap.decision)
    assert (judgement.decision, *gaps) == ("degraded", "degraded", "equivalent")


def test_a_loss_that_appears_in_the_fresh_process_is_a_process_gap() -> None:
    judgement = judge(train_time(HEALTHY, HEALTHY), episodes(LOST), CRITERIA)
    gaps = (judgement.environment_gap.decision, judgement.process_gap.decision)
    assert (judgement.decision, *gaps) == ("degraded", "equivalent", "degraded")


def test_a_reload_equal_to_a_reference_that_had_already_lost_is_degraded() -> None:
    judgement = judge(train_time(HEALTHY, LOST), episodes(LOST), CRITERIA)
    assert (judgement.decision, judgement.first_difference) == ("degraded", None)


def test_two_gaps_that_cancel_are_both_measured() -> None:
    judgement = judge(train_time(HEALTHY, LOST), episodes(HEALTHY), CRITERIA)
    gaps = (judgement.environment_gap.decision, judgement.process_gap.decision)
    assert (judgement.decision, *gaps) == ("equivalent", "degraded", "improved")


def test_only_the_episodes_that_were_reloaded_are_compared() -> None:
    ends_badly = [*HEALTHY[:20], *LOST[20:]]
    judgement = judge(train_time(HEALTHY, ends_badly), episodes(ends_badly[:20]), CRITERIA)
    assert (judgement.decision, judgement.environment_gap.n_episodes) == ("identical", 20)


def test_the_margin_is_that_of_all_train_time_episodes_at_every_look() -> None:
    record = train_time(noise_around(50.0, seed=2, n=100), noise_around(50.0, seed=2, n=100))
    whole = judge(record, record.reference, CRITERIA).comparison.margin

    assert judge(record, record.reference[:20], CRITERIA).comparison.margin == whole
    assert whole == pytest.approx(0.05 * np.mean([e.reward for e in record.in_place]))


def test_without_a_random_policy_the_margin_is_the_noise_part_of_all_train_time_episodes() -> None:
    record = TrainTime(episodes(HEALTHY), episodes(HEALTHY), None)
    assert judge(record, episodes(HEALTHY[:20]), CRITERIA).comparison.margin == pytest.approx(0.2 * HEALTHY.std())


def test_more_reloaded_episodes_than_were_recorded_cannot_be_judged() -> None:
    with pytest.raises(ValueError, match=r"shape|broadcast"):
        judge(train_time(HEALTHY[:20], HEALTHY[:20]), episodes(HEALTHY[:21]), CRITERIA)


def test_a_reward_that_is_not_a_number_cannot_be_judged() -> None:
    with pytest.raises(ValueError, match="finite"):
        judge(train_time(HEALTHY, HEALTHY), episodes([math.nan, *HEALTHY[1:]]), CRITERIA)
