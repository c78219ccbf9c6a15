"""Small environments that differ from older ones as Ant-v4 and Humanoid-v4 do.

In both, every step pays what is left of 1 by the action, so a policy that hardly moves earns nearly all there is.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

STEPS = 10


class Still(gym.Env):
    """Pays for staying still; every observation but the time is noise."""

    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, size: int) -> None:
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (size,), np.float64)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._time = 0
        return self.observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._time += 1
        reward = 1.0 - abs(float(action[0])) + 0.1 * self.np_random.normal()
        return self.observe(), reward, self._time == STEPS, False, {}

    def observe(self) -> np.ndarray:
        assert self.observation_space.shape is not None
        return self.np_random.normal(size=self.observation_space.shape)


class WithoutContactForces(Still):
    """Like Ant-v4: the 84 contact forces that Ant-v3 had are not observed."""

    def __init__(self) -> None:
        super().__init__(27)


class WithContactForces(Still):
    """Like Humanoid-v4: contact forces that had been zero in Humanoid-v3 are now large."""

    def __init__(self) -> None:
        super().__init__(376)

    def observe(self) -> np.ndarray:
        observation = super().observe()
        observation[292:376] *= 1000.0
        return observation
