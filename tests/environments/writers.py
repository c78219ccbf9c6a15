"""An environment of dictionaries, and wrappers that write into what it gives or ask for its attributes."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np


class Cells(gym.Env):
    """Three cells, each of which may be taken once; ends when all are, when one is taken twice, or at the limit."""

    def __init__(self) -> None:
        self.observation_space = gym.spaces.Dict({"observation": gym.spaces.Box(-100, 100, (4,), np.float32)})
        self.action_space = gym.spaces.Discrete(3)
        self.limit = 10

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        super().reset(seed=seed)
        self.left = np.ones(3, bool)
        self._noise = self.np_random.random()
        return self._observe(), {"left": 3}

    def step(self, action: Any) -> tuple[dict, float, bool, bool, dict]:
        reward = float(self.left[action])
        self.left[action] = False
        taken = 3 - int(self.left.sum())
        return self._observe(), reward, not reward or taken == 3, taken >= self.limit, {"left": 3 - taken}

    def limit_to(self, steps: int) -> None:
        self.limit = steps

    def _observe(self) -> dict[str, np.ndarray]:
        return {"observation": np.array([*self.left, self._noise], np.float32)}


def free(env: Any) -> np.ndarray:
    """The mask of the cells that are left: of the environment itself, as a training script would ask for it."""
    left: np.ndarray = env.left
    return left


class AppendsToTheDictionary(gym.Wrapper):
    """Adds a number to the observations, in the very dictionary that the environment gave."""

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        self.observation_space = gym.spaces.Dict({"observation": gym.spaces.Box(-100, 100, (5,), np.float32)})

    def reset(self, **kwargs: Any) -> tuple[Any, dict]:
        observation, info = self.env.reset(**kwargs)
        return self._append(observation), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict]:
        observation, *others = self.env.step(action)
        return self._append(observation), *others  # type: ignore[return-value]

    def _append(self, observation: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        observation["observation"] = np.append(observation["observation"], np.float32(1))
        return observation


class ScalesInPlace(gym.ObservationWrapper):
    """Doubles observations in the very array that the environment gave."""

    def observation(self, observation: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        observation["observation"] *= 2
        return observation


class WantsItsInfo(gym.Wrapper):
    """Reads what the environment says in every info."""

    def reset(self, **kwargs: Any) -> tuple[Any, dict]:
        observation, info = self.env.reset(**kwargs)
        info["left"] += 1
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict]:
        *others, info = self.env.step(action)
        info["left"] += 1
        return *others, info  # type: ignore[return-value]


class SetsTheLimit(gym.Wrapper):
    """Sets an attribute of the environment that it is put around."""

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        self.env.limit = self.env.limit - 8  # type: ignore[attr-defined]


class NeverEnds(gym.Wrapper):
    """Hides the end of every episode."""

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict]:
        observation, reward, _, _, info = self.env.step(action)
        return observation, reward, False, False, info
