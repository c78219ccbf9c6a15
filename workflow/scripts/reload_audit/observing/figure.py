"""The reward that a script gives its user: which of the numbers that were seen it is."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from reload_audit.records.observation import Observation, ObservedRun
from reload_audit.records.script_record import Figure


def figure_of(observation: Observation, run: ObservedRun) -> Figure | None:
    """The mean reward that the script shows: of ``evaluate_policy``, or of the episodes that it saw end.

    Where VecNormalize rescales rewards and a script prints those of the environment, the printed ones count.
    """
    rewards = run.seen
    if not rewards.size:
        return None
    for evaluation in reversed(observation.evaluations):
        if evaluation.environment in (None, run.environment) and math.isfinite(evaluation.mean):
            close = np.isclose(evaluation.mean, run.earned[-evaluation.episodes :].mean(), rtol=1e-3, atol=1e-3)
            seen = run.earned if close else run.seen
            made = Figure.of(seen[-evaluation.episodes :], evaluation.line)
            return Figure(made.rewards, evaluation.mean, evaluation.std, evaluation.episodes, evaluation.line)
    if matches(observation.printed, run.earned) > matches(observation.printed, rewards):
        rewards = run.earned
    return Figure.of(rewards, run.step_line)


def matches(printed: Iterable[float], rewards: np.ndarray) -> int:
    """How many printed numbers are rewards of episodes, or their mean, but for rounding."""
    values = np.asarray([*rewards, rewards.mean()])
    return sum(bool(np.isclose(values, number, rtol=1e-4, atol=0.006).any()) for number in printed)
