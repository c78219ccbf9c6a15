"""Whether a script's episodes differ from its model's by more than chance."""

from __future__ import annotations

import numpy as np
import pytest

from reload_audit.diagnosis.chance import differ, is_reproduced
from reload_audit.records.conditions import Condition
from reload_audit.records.episodes import Episode
from reload_audit.records.model_record import Measurement


def episodes_that_crash_at_times(n: int, seed: int) -> np.ndarray:
    """Rewards of about 250, but of -100 in a twelfth of all episodes."""
    generator = np.random.default_rng(seed)
    return np.where(generator.random(n) < 1 / 12, -100.0, generator.normal(250.0, 15.0, n))


@pytest.mark.parametrize("few", [1, 4, 15])
def test_few_episodes_of_the_same_model_seldom_differ_from_many(few: int) -> None:
    wrong = sum(
        differ(episodes_that_crash_at_times(few, 2 * seed), episodes_that_crash_at_times(200, 2 * seed + 1))
        for seed in range(40)
    )
    assert wrong <= 1


@pytest.mark.parametrize("few", [1, 3, 10, 40])
def test_episodes_that_are_far_from_all_others_differ(few: int) -> None:
    model = episodes_that_crash_at_times(200, 0)
    assert differ(np.full(few, -600.0) + np.arange(few), model)
    assert not differ(np.full(few, 240.0), model)


def test_episodes_of_drifting_statistics_are_compared_by_rounds_as_those_of_one_are_alike() -> None:
    def rounds(n: int, seed: int) -> np.ndarray:
        """Rewards of rounds of five episodes, each of which has a level of its own."""
        generator = np.random.default_rng(seed)
        return (generator.normal(-20.0, 12.0, (n, 1)) + generator.normal(0.0, 3.0, (n, 5))).ravel()

    def measured(rewards: np.ndarray) -> Measurement:
        episodes = [Episode(k, k, float(reward), 8, True, None, float(reward), {}) for k, reward in enumerate(rewards)]
        condition = Condition("script", 1, statistics="new", anew_after=5)
        return Measurement(condition, None, None, episodes=episodes)

    many = [rounds(40, 2 * seed + 1) for seed in range(40)]
    missed = [not is_reproduced(rounds(1, 2 * seed), measured(rewards)) for seed, rewards in enumerate(many)]
    assert sum(missed) <= 1
    assert sum(differ(rounds(1, 2 * seed), rewards) for seed, rewards in enumerate(many)) > 5
    assert not is_reproduced(np.full(5, 60.0), measured(many[0]))
