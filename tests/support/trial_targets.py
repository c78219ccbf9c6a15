"""Functions that ``test_trying`` calls in child processes: what an examination says, and what a condition earns."""

from __future__ import annotations

import numpy as np

from reload_audit.records.conditions import Condition
from reload_audit.records.episodes import Episode
from reload_audit.records.examination import Examination
from reload_audit.records.first_look import FirstLook
from reload_audit.records.model_record import Evaluation

SPREAD = 60.0


def examine(examination: Examination) -> Examination:
    """What examining gave."""
    return examination


def evaluate(condition: Condition, mean: float, first_look: FirstLook | None = None) -> Evaluation:
    """Episodes that vary by :data:`SPREAD` about a mean, the first of which are the same however many there are."""
    episodes = earned(mean, condition.n_episodes or 0, sum(condition.name.encode()))
    first = episodes[:20]
    if first_look is not None and first_look.suffices(first):
        return Evaluation(episodes=first, spared=first_look.says)
    return Evaluation(episodes=episodes)


def earned(mean: float, n: int, seed: int) -> list[Episode]:
    """As many episodes, with seeds from 0."""
    rewards = mean + SPREAD * np.random.default_rng(seed).standard_normal(n)
    return [Episode(k, k, float(reward), 10, True, None, float(reward), {}) for k, reward in enumerate(rewards)]
