"""Simulators that are VecEnvs themselves, as fast ones are, and functions that make environments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn
from stacks import Shift


class Sides(VecEnv):
    """Rewards the side on which a number lies; episodes have ``length`` to ``length + 3`` steps.

    :param heeds_seeds: whether ``seed`` decides what comes
    """

    def __init__(self, n_envs: int, length: int = 5, seed: int | None = None, heeds_seeds: bool = True) -> None:
        space = gym.spaces.Box(-1, 1, (1,), np.float32)
        super().__init__(n_envs, space, gym.spaces.Discrete(2))
        self._length = length
        self._heeds_seeds = heeds_seeds
        self._generator = np.random.default_rng(seed)

    def seed(self, seed: int | None = None) -> list[int | None]:
        if self._heeds_seeds:
            self._generator = np.random.default_rng(seed)
        return [seed] * self.num_envs

    def reset(self) -> VecEnvObs:
        self._left = self._lengths()
        return self._observe()

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        rewards = (self._actions == (self._numbers > 0)).astype(np.float32)
        self._left -= 1
        dones = self._left == 0
        last = self._observe()
        infos: list[dict[str, Any]] = [{} for _ in dones]
        for slot in np.flatnonzero(dones):
            infos[slot] = {"terminal_observation": last[slot], "TimeLimit.truncated": True}
        self._left = np.where(dones, self._lengths(), self._left)
        return self._observe() if dones.any() else last, rewards, dones, infos

    def close(self) -> None:
        pass

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [None] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: Any = None) -> list[bool]:
        return [False] * self.num_envs

    def _lengths(self) -> np.ndarray:
        return self._generator.integers(self._length, self._length + 4, self.num_envs)

    def _observe(self) -> np.ndarray:
        self._numbers = self._generator.uniform(-1, 1, self.num_envs)
        return self._numbers[:, None].astype(np.float32)


def make_sides(num_envs: int, length: int = 5) -> Sides:
    return Sides(num_envs, length)


def unseeded(n_envs: int) -> Sides:
    """A simulator whose generator nobody can seed."""
    return Sides(n_envs, heeds_seeds=False)


def of_environments(n_envs: int) -> VecEnv:
    return DummyVecEnv([Shift] * n_envs)


def make_shift(steps: int = 10) -> gym.Env:
    return gym.wrappers.TimeLimit(Shift(), steps)


def shift_maker(rank: int = 0) -> Callable[[], gym.Env]:
    """What SB3's documentation gives to a SubprocVecEnv: a function that makes the environment."""

    def make() -> gym.Env:
        return Shift()

    return make
