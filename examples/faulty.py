"""Environments with one fault each, to show what the audit says of them. All are :class:`Field` but for a few lines.

A step earns what the field yields, tens, and a little for the action, ones: where a fault moves the yield, everybody
sees it in the reward, however little a model has learned. What is healthy about the twin of each faulty environment is
that the yield comes from ``self.np_random``, which ``super().reset(seed=seed)`` seeds.
"""

from __future__ import annotations

import random
import time
from typing import Any, ClassVar, Literal

import gymnasium as gym
import numpy as np
import torch

KINDS = 7


class Field(gym.Env):
    """Healthy: every episode draws its yield and its weather from the generator that its seed decides.

    :param action: whether actions are 0 or 1, or a number from -1 to 1
    :param limit: steps of the longest episodes; the shortest have two fewer
    :param price: what a unit of the yield earns
    """

    observation_space = gym.spaces.Box(-10.0, 10.0, (4,), np.float32)

    def __init__(
        self, action: Literal["discrete", "continuous"] = "discrete", limit: int = 8, price: float = 1.0
    ) -> None:
        self.action_space: gym.Space = (
            gym.spaces.Discrete(2) if action == "discrete" else gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
        )
        self.limit = limit
        self.price = price

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start a season."""
        super().reset(seed=seed)
        self.left = self.limit - int(self.np_random.integers(3))
        self.crop = self.plant()
        return self.observe(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Earn the yield, and up to 1 for the action."""
        self.left -= 1
        return self.observe(), self.price * self.crop + float(np.mean(action)), self.left == 0, False, {}

    def plant(self) -> float:
        """The yield of each step of the episode that begins."""
        return 10.0 * int(self.np_random.integers(1, KINDS + 1))

    def observe(self) -> np.ndarray:
        """What is left of the season, the yield, and the weather."""
        weather = self.np_random.uniform(-1.0, 1.0, 2)
        return np.array([self.left / 10.0, self.crop / 100.0, *weather], np.float32)


class DrawsFromNumPy(Field):
    """Draws from NumPy's global generator."""

    def plant(self) -> float:
        return 10.0 * np.random.randint(1, KINDS + 1)


class DrawsFromRandom(Field):
    """Draws from the global generator of ``random``."""

    def plant(self) -> float:
        return 10.0 * random.randint(1, KINDS)


class DrawsFromTorch(Field):
    """Draws from PyTorch's global generator."""

    def plant(self) -> float:
        return 10.0 * float(torch.randint(1, KINDS + 1, ()))


class DrawsOnceFromNumPy(Field):
    """Draws from NumPy's global generator once, for all environments of the process."""

    yields: ClassVar[float | None] = None

    def plant(self) -> float:
        if DrawsOnceFromNumPy.yields is None:
            DrawsOnceFromNumPy.yields = 10.0 * np.random.randint(1, KINDS + 1)
        return DrawsOnceFromNumPy.yields


class Unseeded(Field):
    """Makes a generator without a seed for every episode."""

    def plant(self) -> float:
        return 10.0 * float(np.random.default_rng().uniform(1, KINDS))


class UnseededFromTheStart(Field):
    """Makes a generator without a seed when it is constructed, and goes on drawing from it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.generator = np.random.default_rng()

    def plant(self) -> float:
        return 10.0 * float(self.generator.uniform(1, KINDS))


class ForgetsToSeed(Field):
    """Does not hand the seed on, so that Gymnasium makes ``self.np_random`` without one."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        return super().reset(options=options)


class IgnoresTheSeed(Field):
    """Draws from a generator of its own, which ``reset(seed=...)`` does not seed."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.generator = random.Random(0)

    def plant(self) -> float:
        return 10.0 * self.generator.randint(1, KINDS)


class DependsOnHashes(Field):
    """Takes whatever a set of texts gives first."""

    def plant(self) -> float:
        crops = {"barley", "flax", "hemp", "maize", "oats", "rye", "wheat"}
        return 10.0 * (1 + ["barley", "flax", "hemp", "maize", "oats", "rye", "wheat"].index(next(iter(crops))))


class ReadsTheClock(Field):
    """Yields what the time of day says."""

    def plant(self) -> float:
        return 10.0 * (1 + time.time() * 1_000 % KINDS)


class ReadsElapsedTime(Field):
    """Yields what a stopwatch says."""

    def plant(self) -> float:
        return 10.0 * (1 + time.perf_counter_ns() % 7_000 / 1_000)


class Shares(Field):
    """Keeps the yield of an episode in the class, where every other instance overwrites it."""

    yields: ClassVar[float] = 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        outcome = super().reset(seed=seed, options=options)
        Shares.yields = self.crop
        return outcome

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.crop = Shares.yields
        return super().step(action)


class Exhausts(Field):
    """The soil suffers from every harvest and recovers with every rest, and reset() does not renew it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.soil = 0.0

    def plant(self) -> float:
        return super().plant() - 10.0 * self.soil

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.soil += float(np.mean(action)) - 0.5
        return super().step(action)


class Advances(Field):
    """A curriculum: each episode yields more than the one before, up to the fortieth."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seasons = 0

    def plant(self) -> float:
        self.seasons += 1
        return super().plant() + 5.0 * min(self.seasons, 40)


class AdvancesLate(Field):
    """A curriculum that begins only after a hundred episodes."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seasons = 0

    def plant(self) -> float:
        self.seasons += 1
        return super().plant() + (50.0 if self.seasons > 100 else 0.0)


class DrawsAtConstruction(Field):
    """Every new instance is another field."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.soil = 10.0 * float(np.random.default_rng().uniform(0, KINDS))

    def plant(self) -> float:
        return super().plant() + self.soil


class DrawsAtConstructionFromNumPy(Field):
    """Every new instance is another field, and NumPy's global generator decides which."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.soil = 10.0 * np.random.randint(KINDS + 1)

    def plant(self) -> float:
        return super().plant() + self.soil


class CachesForTheProcess(Field):
    """The first episode of the process decides for all that follow."""

    yields: ClassVar[float | None] = None

    def plant(self) -> float:
        if CachesForTheProcess.yields is None:
            CachesForTheProcess.yields = super().plant()
        return CachesForTheProcess.yields


class PaysAtTheEnd(Field):
    """Healthy, but whoever changes the length of episodes changes their reward more than in proportion."""

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.worked += 1
        observation, _, terminated, truncated, info = super().step(action)
        return observation, self.price * self.worked**2 if terminated else 0.0, terminated, truncated, info

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        outcome = super().reset(seed=seed, options=options)
        self.worked = 0
        return outcome


class Repriced(Field):
    """Healthy, and the same environment as a :class:`Field`, after somebody changed the default of an argument."""

    def __init__(self, *, price: float = 5.0, **kwargs: Any) -> None:
        super().__init__(price=price, **kwargs)


class EndlessField(Field):
    """Healthy, and goes on for ever: only a TimeLimit around it ends its episodes."""

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        observation, reward, _, truncated, info = super().step(action)
        return observation, reward, False, truncated, info
