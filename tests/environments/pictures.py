"""An environment of pixels that a convolutional policy learns in seconds, and one that disturbs whoever draws."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch as th

_SIZE, _SPOT = 36, 6


class Spot(gym.Env):
    """A bright spot somewhere in a picture; an action says how far to the right it is, from -1 to 1.

    A step earns 1 for the right answer, less by the distance otherwise. Episodes have 8 steps.
    """

    observation_space = gym.spaces.Box(0, 255, (_SIZE, _SIZE, 1), np.uint8)
    action_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.left = 8
        return self.observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        reward = 1.0 - abs(float(np.sum(action)) - self.position)
        self.left -= 1
        return self.observe(), reward, self.left == 0, False, {}

    def observe(self) -> np.ndarray:
        row, column = self.np_random.integers(0, _SIZE - _SPOT, 2, endpoint=True)
        picture = self.np_random.integers(0, 64, (_SIZE, _SIZE, 1), dtype=np.uint8)  # what is not the spot is noise
        picture[row : row + _SPOT, column : column + _SPOT] = 255
        self.position = 2.0 * float(column) / (_SIZE - _SPOT) - 1.0
        return picture


class SeedsPyTorch(Spot):
    """Where it is seeded it seeds PyTorch too, all devices: a policy on a GPU then draws its actions anew."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        if seed is not None:
            th.manual_seed(seed)
        return super().reset(seed=seed, options=options)
