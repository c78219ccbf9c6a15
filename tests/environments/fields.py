"""Environments that are registered when this package is imported, as those of other people's packages are."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import planted


class Field(planted.Continuous):
    """Continuous actions in episodes of 3 to 8 steps, on a soil that an argument decides."""

    def __init__(self, soil: int = 0) -> None:
        self.soil = soil


class Orchard(planted.DictObservations):
    """Observes a dictionary of which one part can be normalised; its actions are continuous."""

    action_space: gym.Space = gym.spaces.Box(-2, 2, (1,), np.float32)

    def __init__(self, soil: int = 0) -> None:
        self.soil = soil


class Bright(gym.RewardWrapper):
    """A wrapper with an argument: every reward gets larger by ``light``."""

    def __init__(self, env: gym.Env, light: float = 0.0) -> None:
        super().__init__(env)
        self.light = light

    def reward(self, reward: Any) -> float:
        return float(reward) + self.light


gym.register("Field-v1", entry_point="fields:Field")
