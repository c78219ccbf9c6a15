"""Wrappers of a VecEnv, and an environment whose observations tell in which order they stand."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn


class Mirrored(VecEnvWrapper):
    """Hands on observations with the opposite sign, times ``scale``."""

    def __init__(self, venv: VecEnv, scale: float = 1.0) -> None:
        super().__init__(venv)
        self.scale = scale

    def reset(self) -> np.ndarray:
        return -self.scale * np.asarray(self.venv.reset())

    def step_wait(self) -> VecEnvStepReturn:
        observations, rewards, dones, infos = self.venv.step_wait()
        for index in np.flatnonzero(dones):
            infos[index]["terminal_observation"] = -self.scale * infos[index]["terminal_observation"]
        return -self.scale * np.asarray(observations), rewards, dones, infos


class Clipped(VecEnvWrapper):
    """Hands on observations within ``bound``."""

    def __init__(self, venv: VecEnv, bound: float = 1.0) -> None:
        super().__init__(venv)
        self.bound = bound

    def reset(self) -> np.ndarray:
        return np.clip(np.asarray(self.venv.reset()), -self.bound, self.bound)

    def step_wait(self) -> VecEnvStepReturn:
        observations, rewards, dones, infos = self.venv.step_wait()
        return np.clip(np.asarray(observations), -self.bound, self.bound), rewards, dones, infos


class MirroredAlone(gym.ObservationWrapper):
    """What :class:`Mirrored` does, around one environment."""

    def __init__(self, env: gym.Env, scale: float = 1.0) -> None:
        super().__init__(env)
        self.scale = scale

    def observation(self, observation: np.ndarray) -> np.ndarray:
        return -self.scale * observation


class ClippedAlone(gym.ObservationWrapper):
    """What :class:`Clipped` does, around one environment."""

    def __init__(self, env: gym.Env, bound: float = 1.0) -> None:
        super().__init__(env)
        self.bound = bound

    def observation(self, observation: np.ndarray) -> np.ndarray:
        return np.clip(observation, -self.bound, self.bound)


class Shift(gym.Env):
    """Two numbers far from zero, of which the first tells the action that is rewarded; ends after ten steps."""

    observation_space = gym.spaces.Box(-100, 100, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self._steps = 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        reward = float(int(action) == self._rewarded)
        self._steps += 1
        return self._observe(), reward, self._steps >= 10, False, {}

    def _observe(self) -> np.ndarray:
        self._rewarded = int(self.np_random.integers(2))
        return np.array([20 + 3 * self._rewarded, -20 + self._steps], np.float32)


class Parts(gym.ObservationWrapper):
    """The same two numbers as a dictionary of two parts."""

    def __init__(self) -> None:
        super().__init__(Shift())
        self.observation_space = gym.spaces.Dict({name: gym.spaces.Box(-100, 100, (1,)) for name in ("near", "far")})

    def observation(self, observation: np.ndarray) -> dict[str, np.ndarray]:
        return {"near": observation[:1], "far": observation[1:]}
