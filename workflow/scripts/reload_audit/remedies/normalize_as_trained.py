"""Apply a VecNormalize's statistics to one environment, without a VecEnv around it.

To deploy a policy, with every bit of an observation as in training::

    env = NormalizeAsTrained(gym.make("Robot-v0"), "robot.npz")
"""

from __future__ import annotations

import copy
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv

from reload_audit.remedies.statistics_file import Source, statistics_of


class NormalizeAsTrained(gym.Wrapper):
    """Normalises the observations of one environment as a frozen VecNormalize would, bit for bit.

    What counts as equal is VecNormalize around a DummyVecEnv, and its arithmetic is what runs here: observations are
    first cast to the data type of their space, except the last one of an episode, which VecNormalize gets as the
    environment returned it (``terminal_observation``). The observation space changes as VecNormalize changes it. (A
    SubprocVecEnv does not cast: it gives the same where an environment returns the data types that it declares.)

    Rewards are left alone, unless ``norm_reward``: then ``reward / sqrt(var + epsilon)``, clipped, without a mean, of
    the reward in single precision and rounded to it again, because that is what DummyVecEnv and VecNormalize do.
    (A SubprocVecEnv hands rewards on in double precision, so its normalised ones may differ in the last bit.)

    :param statistics: of the VecNormalize, or where to find them: as in :func:`statistics_of`
    :param norm_reward: whether to rescale rewards, as in training
    :raises Unreadable: the statistics are damaged, or those of other observations
    """

    def __init__(self, env: gym.Env, statistics: Source, norm_reward: bool = False) -> None:
        super().__init__(env)
        self._stored_space = copy.deepcopy(env.observation_space)
        self._stored_reward = np.zeros(1, np.float32)
        # A copy of the space, because VecNormalize changes a dictionary of spaces in place.
        nothing = _OnlySpaces(copy.deepcopy(env.observation_space), env.action_space)
        self._normalize = statistics_of(statistics).around(DummyVecEnv([lambda: nothing]), norm_reward)
        self.observation_space = self._normalize.observation_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        return self._normalize.normalize_obs(_stored(observation, self._stored_space)), info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        if not (terminated or truncated):
            observation = _stored(observation, self._stored_space)
        if self._normalize.norm_reward:
            self._stored_reward[0] = reward
            reward = float(self._normalize.normalize_reward(self._stored_reward)[0])
        return self._normalize.normalize_obs(observation), reward, terminated, truncated, info


class _OnlySpaces(gym.Env):
    """An environment that has spaces and is never run."""

    def __init__(self, observation_space: spaces.Space, action_space: spaces.Space) -> None:
        self.observation_space = observation_space
        self.action_space = action_space


def _stored(observation: Any, space: spaces.Space) -> Any:
    """A copy of an observation, of the data types in which a DummyVecEnv keeps it."""
    if isinstance(space, spaces.Dict):
        return {key: _stored(observation[key], part) for key, part in space.spaces.items()}
    if space.shape is None:
        return copy.deepcopy(observation)
    stored = np.empty(space.shape, space.dtype)
    stored[...] = observation
    return stored
