"""Environments with numbers that a network learns nothing from."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import planted


class _SpoiltLater(planted.Draws):
    """Begins well; from its 21st step on something is wrong with it."""

    steps = 0

    def step(self, action: Any) -> planted.Step:
        self.steps += 1
        return super().step(action)


class NoNumberAsReward(_SpoiltLater):
    """A reward is NaN."""

    def step(self, action: Any) -> planted.Step:
        observation, reward, *rest = super().step(action)
        return observation, np.nan if self.steps > 20 else reward, *rest


class NoNumberForAWhile(planted.Draws):
    """Rewards are NaN from the 21st to the 30th step of a process that trains."""

    steps_of_process = 0

    def step(self, action: Any) -> planted.Step:
        NoNumberForAWhile.steps_of_process += 1
        observation, reward, *rest = super().step(action)
        spoilt = 20 < self.steps_of_process <= 30 and not planted.reloading()
        return observation, np.nan if spoilt else reward, *rest


class NoNumberObserved(_SpoiltLater):
    """Observations are NaN."""

    def observe(self) -> np.ndarray:
        return super().observe() * np.float32(np.nan if self.steps > 20 else 1)


class InfinityObserved(_SpoiltLater):
    """A part of a dictionary of observations is infinite from the first reset on."""

    observation_space = gym.spaces.Dict(
        {"fine": planted.Draws.observation_space, "far": gym.spaces.Box(0, np.inf, (1,))}
    )

    def observe(self) -> dict[str, np.ndarray]:
        return {"fine": super().observe(), "far": np.array([np.inf], np.float32)}


class CountsFromOne(planted.Draws):
    """Observes 1, 2 and 3."""

    observation_space = gym.spaces.Discrete(3, start=1)

    def observe(self) -> int:
        return int(self.np_random.integers(1, 4))


class NoNumberObservedOnReload(planted.Draws):
    """Observes NaN, but only after a reload."""

    def observe(self) -> np.ndarray:
        return super().observe() * np.float32(np.nan if planted.reloading() else 1)


class ObservesTooMuch(planted.Draws):
    """Observes four numbers, and says three."""

    def observe(self) -> np.ndarray:
        return np.append(super().observe(), np.float32(0))
