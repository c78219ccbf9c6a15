"""The corridor, losing its reward in three ways, and each time repaired as the audit's printed fix says.

Each faulty environment is learned by heart in ten environments side by side, earns about 50 right after training, and
next to nothing once the model is loaded: what the agent knows is no longer there. The first of them is
:class:`corridor.Corridor`; what is healthy here is its repair.
"""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from boiler import Boiler
from corridor import DOOR_STICKS, DOORS, MAX_STEPS, ROOMS

MOVES = 2
EPISODES_BETWEEN_MOVES = 5
RUST_LEFT = 0.9995


class DoorsOfALevel(gym.Env):
    """The repair of :class:`corridor.Corridor`, whose doors came from a global generator: a level decides them."""

    observation_space = gym.spaces.Box(0.0, 1.0, (ROOMS,), np.float32)
    action_space = gym.spaces.Discrete(DOORS)

    def __init__(self, level: int = 0) -> None:
        self.right_doors = np.random.default_rng(level).integers(8, size=10)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Go back to the first room."""
        super().reset(seed=seed)
        self.room = 0
        self.steps = 0
        return self.observe(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Try a door: 5 for the right one, unless it sticks, else -0.2."""
        self.steps += 1
        opens = action == self.doors()[self.room] and self.np_random.random() >= self.sticks()
        self.room += int(opens)
        reward = 5.0 if opens else -0.2
        return self.observe(), reward, self.room == ROOMS, self.steps == MAX_STEPS, {}

    def doors(self) -> np.ndarray:
        """The right door of each room, shape ``(ROOMS,)``."""
        return self.right_doors

    def sticks(self) -> float:
        """The probability that the right door does not open."""
        return DOOR_STICKS

    def observe(self) -> np.ndarray:
        """Which room it is, shape ``(ROOMS,)``."""
        observation = np.zeros(ROOMS, np.float32)
        observation[min(self.room, ROOMS - 1)] = 1.0
        return observation


class MovesItsDoors(DoorsOfALevel):
    """A curriculum: now and then the doors are moved, until they stay. A new instance begins at the beginning."""

    def __init__(self) -> None:
        super().__init__()
        self.episodes = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin another episode."""
        self.episodes += 1
        return super().reset(seed=seed, options=options)

    def doors(self) -> np.ndarray:
        """The right door of each room after the moves so far, shape ``(ROOMS,)``."""
        moves = min(self.episodes // EPISODES_BETWEEN_MOVES, MOVES)
        return np.random.default_rng(moves).integers(DOORS, size=ROOMS)


class MovesItsDoorsFrom(MovesItsDoors):
    """Repaired: how far the curriculum has come is an argument, which can be saved beside the model."""

    def __init__(self, episodes: int = 0) -> None:
        super().__init__()
        self.episodes = episodes


class SharesItsRust(DoorsOfALevel):
    """The doors are rusty, and whoever tries one rubs some rust off all doors of all environments of the process."""

    observation_space = gym.spaces.Box(0.0, 1.0, (ROOMS + 1,), np.float32)

    rust: ClassVar[float] = 1.0

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Try a door, which leaves less rust."""
        self.rub_off()
        return super().step(action)

    def rub_off(self) -> None:
        """Rust becomes less."""
        SharesItsRust.rust *= RUST_LEFT

    def sticks(self) -> float:
        """The probability that the right door does not open."""
        return max(DOOR_STICKS, self.rust)

    def observe(self) -> np.ndarray:
        """Which room it is, and how much rust there is, shape ``(ROOMS + 1,)``."""
        return np.append(super().observe(), np.float32(self.rust))


class HasItsOwnRust(SharesItsRust):
    """Repaired: an episode begins without rust, whatever others have done."""

    rust: float  # type: ignore[misc]

    def __init__(self) -> None:
        super().__init__()
        self.rust = 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Go back to the first room, without rust."""
        self.rust = 0.0
        return super().reset(seed=seed, options=options)

    def rub_off(self) -> None:
        """Rust becomes less."""
        self.rust *= RUST_LEFT


class SteadyBoiler(Boiler):
    """The boiler with eight more sensors, whose readings stand still but for their last digits.

    VecNormalize's epsilon, inside the root, makes them smaller, and its clipping bounds what a broken one does.

    :param broken: whether one of them is broken, and reads 1
    """

    observation_space = gym.spaces.Box(-np.inf, np.inf, (12,), np.float32)

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken

    def _observe(self) -> np.ndarray:
        readings = self.np_random.normal(0.0, 1e-5, 8)
        if self.broken:
            readings[0] = 1.0
        return np.append(super()._observe(), readings).astype(np.float32)
