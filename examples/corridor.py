"""A custom environment that trains well and reloads badly, and its repaired twin.

The corridor has ten rooms with eight doors each, one of which is right. The agent sees which room it is in, so it has
to learn the right doors by heart. A perfect agent earns about 50; one that knows another corridor stays in the first
rooms and earns about -3.
"""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

ROOMS = 10
DOORS = 8
MAX_STEPS = 15
DOOR_STICKS = 0.1


class Corridor(gym.Env):
    """Looks reproducible and is not: the doors come from a generator that ``reset(seed=...)`` does not seed."""

    observation_space = gym.spaces.Box(0.0, 1.0, (ROOMS,), np.float32)
    action_space = gym.spaces.Discrete(DOORS)

    right_doors: ClassVar[np.ndarray | None] = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Go back to the first room."""
        super().reset(seed=seed)
        if Corridor.right_doors is None:
            # The fault. np.random is the global generator; super().reset(seed=seed) has seeded self.np_random, another
            # one. And because it is drawn once for all environments of the process, nobody notices while it lasts.
            Corridor.right_doors = np.random.randint(DOORS, size=ROOMS)
        self.room = 0
        self.steps = 0
        return self._observe(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Try a door: 5 for the right one, unless it sticks, else -0.2."""
        self.steps += 1
        opens = action == self.doors()[self.room] and self.np_random.random() >= DOOR_STICKS
        self.room += int(opens)
        reward = 5.0 if opens else -0.2
        return self._observe(), reward, self.room == ROOMS, self.steps == MAX_STEPS, {}

    def doors(self) -> np.ndarray:
        """The right door of each room, shape ``(ROOMS,)``."""
        assert Corridor.right_doors is not None
        return Corridor.right_doors

    def _observe(self) -> np.ndarray:
        observation = np.zeros(ROOMS, np.float32)
        observation[min(self.room, ROOMS - 1)] = 1.0
        return observation


class RepairedCorridor(Corridor):
    """:class:`Corridor` with doors that an argument decides: its kwargs are enough to build the same one again."""

    def __init__(self, level: int = 0) -> None:
        self._doors = np.random.default_rng(level).integers(DOORS, size=ROOMS)

    def doors(self) -> np.ndarray:
        """The right door of each room, shape ``(ROOMS,)``."""
        return self._doors
