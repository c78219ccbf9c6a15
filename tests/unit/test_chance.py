"""Whether a script's episodes differ from its model's by more than chance."""

from __future__ import annotations

import numpy as np
import pytest

from reload_audit.diagnosis.chance import differ


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
