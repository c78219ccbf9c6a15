"""Environments that SB3 runs and that do not look as Gymnasium's documentation says: other arguments, other results."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

STEPS = 6


class Walk(gym.Env):
    """A walk of random steps, which pays for every step to the right. Its ``reset`` is given only ``seed``."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, seed: int | None = None) -> Any:  # type: ignore[override]
        super().reset(seed=seed)
        return self.begin(), {}

    def begin(self) -> np.ndarray:
        self.place, self.time = float(self.np_random.normal()), 0
        return self.observe()

    def observe(self) -> np.ndarray:
        return np.array([self.place, self.time / STEPS], np.float32)

    def step(self, action: Any) -> Any:
        reward = float(self.np_random.normal(2 * int(action) - 1))
        self.place, self.time = self.place + reward, self.time + 1
        return self.observe(), reward, self.time == STEPS, False, {}


class GivenAnything(Walk):
    """Hands whatever ``reset`` is given to a part of it that knows only ``seed``."""

    def reset(self, **given: Any) -> Any:  # type: ignore[override]
        return super().reset(**given)


class SeededByMethod(Walk):
    """As for gym 0.21: seeded by a method, returns of ``reset`` the observation alone, and of ``step`` four things."""

    def seed(self, seed: int | None = None) -> list[int | None]:
        self.np_random = np.random.default_rng(seed)
        return [seed]

    def reset(self) -> Any:  # type: ignore[override]
        return self.begin()

    def step(self, action: Any) -> Any:
        observation, reward, done, _, _ = super().step(action)
        return observation, reward, done, {}


class CutShort(SeededByMethod):
    """As for gym 0.21, where a time limit is said among the infos."""

    def step(self, action: Any) -> Any:
        observation, reward, _, _ = super().step(action)
        cut = self.time == STEPS - 1
        return observation, reward, cut, {"TimeLimit.truncated": cut}


class NeverSeeded(SeededByMethod):
    """Nothing can give it a seed."""

    seed = None  # type: ignore[assignment]


class SeedPassedOn(gym.Wrapper):
    """A wrapper whose ``reset`` is given only ``seed``."""

    def reset(self, seed: int | None = None) -> Any:  # type: ignore[override]
        return self.env.reset(seed=seed)


class WrittenForNumpy1(Walk):
    """Uses what NumPy 2 has removed."""

    def begin(self) -> np.ndarray:
        return super().begin().astype(np.float_)  # type: ignore[attr-defined]


class WithoutEnd(Walk):
    """Pays one for every step, and ends only where the agent goes to the left; there is no time limit."""

    def step(self, action: Any) -> Any:
        observation, *_ = super().step(action)
        return observation, 1.0, int(action) == 0, False, {}
