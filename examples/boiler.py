"""A healthy custom environment whose observations are in physical units, so that a policy needs them normalised."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

STEPS = 40
OUTSIDE = 290.0  # K
FULL_POWER = 6.0  # K a step


class Boiler(gym.Env):
    """Heat or cool water to a wanted temperature, and hold it there.

    Observed are the temperature (K), the wanted temperature (K), the pressure (Pa) and the flow (kg/h). The action is
    the heater's power, from -1 (cooling) to 1. A step costs a tenth of the distance to the wanted temperature.
    """

    observation_space = gym.spaces.Box(0.0, 1e6, (4,), np.float32)
    action_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Draw everything from the generator that ``super().reset(seed=seed)`` seeds: that makes it healthy."""
        super().reset(seed=seed)
        self.temperature = self.np_random.uniform(300.0, 370.0)
        self.wanted = self.np_random.uniform(320.0, 350.0)
        self.flow = self.np_random.uniform(1000.0, 1400.0)
        self.steps = 0
        return self._observe(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Heat, lose some of it to the outside, and be told how far off the temperature is."""
        loss = 0.03 * (self.temperature - OUTSIDE) * self.flow / 1200.0
        self.temperature += FULL_POWER * float(action[0]) - loss + self.np_random.normal(0.0, 0.2)
        self.steps += 1
        reward = -abs(self.temperature - self.wanted) / 10.0
        return self._observe(), reward, False, self.steps == STEPS, {}

    def _observe(self) -> np.ndarray:
        pressure = 101_325.0 + 1_500.0 * (self.temperature - OUTSIDE)
        return np.array([self.temperature, self.wanted, pressure, self.flow], np.float32)
