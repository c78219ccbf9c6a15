"""Environments that keep state or draw without harm, as widely used ones do: no reward depends on it."""

from __future__ import annotations

import numpy as np
from stable_baselines3.common.atari_wrappers import EpisodicLifeEnv

from faulty import Field


class Reused(Field):
    """As on Box2D: an instance that has run an episode before gives other last bits than a new one."""

    used = 0.0

    def observe(self) -> np.ndarray:
        seen = super().observe()
        if self.left == 0:
            self.used = 1e-6
        return seen + np.float32(self.used)


class Lives(Field):
    """A game of three lives, each of which lasts a third of it."""

    def __init__(self) -> None:
        super().__init__(limit=12)
        self.ale = self

    def lives(self) -> int:
        return -(-self.left // 4)


class OneLife(EpisodicLifeEnv):
    """As on Atari: every life is an episode, and a reset after one goes on with the game."""

    def __init__(self) -> None:
        super().__init__(Lives())


class DrawsItsWeather(Field):
    """Draws from NumPy's global generator what nobody is paid for."""

    def observe(self) -> np.ndarray:
        return np.array([self.left / 10.0, self.crop / 100.0, *np.random.uniform(-1.0, 1.0, 2)], np.float32)
