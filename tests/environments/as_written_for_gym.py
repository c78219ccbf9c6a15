"""Environments of ``gym``, registered there; importing this module needs it."""

from __future__ import annotations

from typing import Any

import as_written
import gym
import numpy as np


class Walk21(gym.Env):
    """As for gym 0.21; installed may be 0.26, whose environments have no ``seed``."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, of: type[Any] = as_written.SeededByMethod) -> None:
        self.walk = of()

    def seed(self, seed: int | None = None) -> list[int | None]:
        return self.walk.seed(seed)

    def reset(self) -> Any:
        return self.walk.reset()

    def step(self, action: Any) -> Any:
        return self.walk.step(action)


class Walk26(gym.Env):
    """As for gym 0.26, whose ``reset`` knows no ``options``."""

    observation_space, action_space = Walk21.observation_space, Walk21.action_space

    def __init__(self) -> None:
        self.walk = as_written.Walk()

    def reset(self, seed: int | None = None) -> Any:
        return self.walk.reset(seed=seed)

    def step(self, action: Any) -> Any:
        return self.walk.step(action)


class Doubled(gym.Wrapper):
    """A wrapper of ``gym`` that pays twice."""

    def step(self, action: Any) -> Any:
        observation, reward, *rest = self.env.step(action)
        return (observation, 2 * reward, *rest)


gym.register("Walk21-v0", entry_point=Walk21, max_episode_steps=3)
gym.register("Walk26-v0", entry_point="as_written_for_gym:Walk26")
