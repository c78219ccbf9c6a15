"""Build environments from a spec, seed every one of their episodes, and normalise them.

The stack, from the inside out: environment, Monitor, :class:`SeededEpisodes`, the user's wrappers, VecEnv, VecMonitor
(if asked for), VecNormalize, VecFrameStack, VecTransposeImage. It is the order of SB3's ``make_vec_env`` and of RL Zoo.
"""

from __future__ import annotations

import multiprocessing
import os
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
import torch as th
from gymnasium.wrappers import TimeLimit
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecEnv,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
    unwrap_vec_normalize,
)

from reload_audit.environments.construction import describe_construction
from reload_audit.processes.imports import ImportProblem, extend_path, import_module, import_object
from reload_audit.records.specs import EnvironmentSpec
from reload_audit.records.steps import EPISODES, EnvironmentSteps
from reload_audit.records.storage import Digest

PARKED_KEY = "reload_audit_parked"
"""In the ``info`` of every step that a parked :class:`SeededEpisodes` does not make."""

Normalizer = Callable[[VecEnv], VecNormalize]


class EpisodeTooLong(RuntimeError):
    """An episode does not end."""


class SeededEpisodes(gym.Wrapper):
    """Run given episodes, each reset with its own seed, and record them; pass everything through until asked to.

    ``VecEnv.seed`` reaches only the first reset of each environment: the later ones, which the VecEnv makes by
    itself, continue whatever generator is there. This wrapper supplies the seed of every one. When its episodes
    are done it *parks*: the environment is neither stepped nor reset any more, so a slot that waits for
    others does nothing that the protocol did not ask for.

    It sits inside the user's wrappers, beside the Monitor: an episode is the environment's own, also where a wrapper
    ends it early for training (a life lost in Atari) or changes its rewards, and its reward is the monitor's. Rewards
    are summed here in double precision, because VecEnvs differ: DummyVecEnv hands them out as float32.
    """

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        self._queue: list[tuple[int, int]] | None = None
        self._max_steps = 0
        self._last_observation: Any = None
        self._current: tuple[int, int] | None = None
        self._parked = False
        self._over = False
        self._rewards: list[float] = []
        self._finished: list[dict[str, Any]] = []
        self._construction: dict[str, Any] = {}
        self._keep_steps = False
        self._steps: EnvironmentSteps | None = None

    def begin_episodes(self, episodes: Sequence[tuple[int, int]], max_steps: int, keep_steps: bool = False) -> None:
        """From the next reset on, run these episodes: pairs of index and seed.

        :param keep_steps: whether the first ones are recorded step by step
        """
        self._queue = list(episodes)
        self._max_steps = max_steps
        self._keep_steps = keep_steps
        self._current, self._parked, self._finished = None, False, []

    def collect_episodes(self) -> tuple[list[dict[str, Any]], bool]:
        """What has been recorded since the last call, and whether all is done and this slot parked."""
        finished, self._finished = self._finished, []
        return finished, self._parked

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        if self._queue is None:
            self._over = False
            self._last_observation, info = self.env.reset(seed=seed, options=options)
            return self._last_observation, info
        if self._current is not None and self._rewards:
            self._finish(terminated=False)  # cut short by a wrapper further out
        if self._current is None:
            self._current = self._queue.pop(0) if self._queue else None
        self._parked = self._current is None
        if self._parked and self._last_observation is not None:
            return self._last_observation, {}
        seed = None if self._current is None else self._current[1]
        self._last_observation, info = self.env.reset(seed=seed, options=options)
        self._over = False
        self._rewards = []
        episode = 0 if self._current is None else self._current[0]
        self._steps = EnvironmentSteps(episode, keep=self._keep_steps and episode < EPISODES)
        self._steps.observe(self._last_observation)
        return self._last_observation, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        if self._parked:
            return self._last_observation, 0.0, False, False, {PARKED_KEY: True}
        if self._over and self._queue is not None:
            # A wrapper that resets only when an episode is really over has missed that: say it again.
            return self._last_observation, 0.0, True, False, {}
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._last_observation = observation
        self._over = bool(terminated or truncated)
        if self._current is not None and self._steps is not None:
            self._rewards.append(float(reward))
            self._steps.observe(observation)
            if self._over:
                self._finish(bool(terminated))
            elif len(self._rewards) >= self._max_steps:
                raise EpisodeTooLong(
                    f"the episode with seed {self._current[1]} did not end within {self._max_steps} steps; "
                    "expected an environment with a time limit (or a larger evaluation.max_episode_steps)"
                )
        return observation, reward, terminated, truncated, info

    def policy_acts(self) -> None:
        """The policy has chosen an action, and wrappers further out are about to act on it."""
        if self._current is not None and self._steps is not None:
            self._steps.policy_acts()

    def remember_construction(self, construction: dict[str, Any]) -> None:
        """Keep how the environment was built, wrappers further out included."""
        self._construction = construction

    def construction(self) -> dict[str, Any]:
        """See ``construction.describe_construction``."""
        return self._construction

    def _finish(self, terminated: bool) -> None:
        assert self._current is not None
        assert self._steps is not None
        index, seed = self._current
        self._current = None
        observed, steps = self._steps.finish(self._rewards)
        self._finished.append(
            {
                "episode": index,
                "seed": seed,
                "reward": float(sum(self._rewards)),
                "length": len(self._rewards),
                "terminated": terminated,
                "raw_observations": observed,
                "rewards": Digest().add_array(np.asarray(self._rewards)).hexdigest(),
                "steps": steps,
            }
        )


class _ActionsAnnounced(gym.Wrapper):
    """Tells :class:`SeededEpisodes` when the policy acts: wrappers in between may step and reset on their own."""

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        self._announce = env.get_wrapper_attr("policy_acts")

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        self._announce()
        return self.env.step(action)


def make_env(spec: EnvironmentSpec, inside: Sequence[Callable[[gym.Env], gym.Env]] = ()) -> gym.Env:
    """One environment with the user's wrappers.

    :param inside: put around the environment before the user's wrappers
    :raises ImportProblem: a name in the spec leads nowhere
    :raises gymnasium.error.Error: Gymnasium does not know the id or refuses the arguments
    """
    extend_path(spec.python_path)
    env = _make_unwrapped(spec)
    for wrap in inside:
        env = wrap(env)
    for wrapper in spec.wrappers:
        env = import_object(wrapper.name)(env, **wrapper.kwargs)
    return env


def build_vec_env(
    spec: EnvironmentSpec,
    n_envs: int,
    *,
    seed: int,
    kind: str = "dummy",
    start_method: str = "forkserver",
    normalizer: Normalizer | None = None,
) -> VecEnv:
    """The whole vectorised stack, ready for ``learn`` or ``predict``.

    :param seed: state that the global generators of a SubprocVecEnv's worker ``i`` start from, plus ``i``;
        without it, whatever an environment draws from them would differ from run to run
    :param normalizer: puts VecNormalize around; must be given where the spec normalises
    """
    makers: list[Callable[[], gym.Env]] = [
        partial(_make_slot, spec, seed + index, os.getpid()) for index in range(n_envs)
    ]
    venv = _subproc_vec_env(makers, start_method) if kind == "subproc" else DummyVecEnv(makers)
    if spec.monitor == "vec":
        venv = VecMonitor(venv)
    if spec.normalize is not None:
        if normalizer is None:
            raise ValueError("expected a normalizer, because the environment is normalised")
        venv = normalizer(venv)
    if spec.frame_stack is not None:
        venv = VecFrameStack(venv, spec.frame_stack)
    # Private in SB3, but it is the one place that knows when images must be transposed.
    return BaseAlgorithm._wrap_env(venv, monitor_wrapper=False)


def freeze_normalization(venv: VecEnv) -> None:
    """Stop VecNormalize from updating its statistics and from rescaling rewards, if there is one."""
    normalize = unwrap_vec_normalize(venv)
    if normalize is not None:
        normalize.training = False
        normalize.norm_reward = False


def seed_global_generators(seed: int) -> None:
    """Seed Python's, NumPy's and PyTorch's global generators, and nothing else."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    th.manual_seed(seed)


def _subproc_vec_env(makers: list[Callable[[], gym.Env]], start_method: str) -> VecEnv:
    if start_method == "forkserver":
        # Workers then share one import of PyTorch instead of paying for it each.
        multiprocessing.set_forkserver_preload(["stable_baselines3"])
    return SubprocVecEnv(makers, start_method=start_method)


def _make_slot(spec: EnvironmentSpec, worker_seed: int, creator: int) -> gym.Env:
    if os.getpid() != creator:
        th.set_num_threads(1)
        seed_global_generators(worker_seed)
    env = make_env(spec, [Monitor, SeededEpisodes] if spec.monitor == "env" else [SeededEpisodes])
    env.get_wrapper_attr("remember_construction")(describe_construction(env, spec.env_kwargs))
    return _ActionsAnnounced(env) if spec.wrappers else env


def _make_unwrapped(spec: EnvironmentSpec) -> gym.Env:
    module_name, colon, name = spec.env.partition(":")
    if not colon:
        return gym.make(spec.env, **_registered_arguments(spec))
    module = import_module(module_name)
    if callable(getattr(module, name, None)):
        env = getattr(module, name)(**spec.env_kwargs)
        if not isinstance(env, gym.Env):
            raise ImportProblem(f"{spec.env} gives {type(env).__name__}; expected a gymnasium.Env")
        return env if spec.time_limit in (None, -1) else TimeLimit(env, spec.time_limit)
    if name not in gym.registry:
        raise ImportProblem(
            f"module {module_name!r} neither has a class {name!r} nor registers an environment of that id"
        )
    return gym.make(name, **_registered_arguments(spec))


def _registered_arguments(spec: EnvironmentSpec) -> dict[str, Any]:
    """``max_episode_steps`` may be among the user's own arguments, too."""
    limit = {} if spec.time_limit is None else {"max_episode_steps": spec.time_limit}
    return {**spec.env_kwargs, **limit}
