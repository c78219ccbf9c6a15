"""Run given episodes in a VecEnv of the user's own, as far as it lets one: it steps and resets its slots by itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from reload_audit.environments.construction import describe_vec_env
from reload_audit.environments.seeded_episodes import PARKED_KEY, EpisodeTooLong, SeededEpisode
from reload_audit.environments.step_recorders import EnvironmentSteps
from reload_audit.processes.imports import ImportProblem, import_object, with_functions, with_objects
from reload_audit.records.digests import Digest
from reload_audit.records.environment_spec import EnvironmentSpec
from reload_audit.records.episodes import UNSEEDED
from reload_audit.records.manifest import Construction
from reload_audit.records.steps import EPISODES

_COUNTS = ("n_envs", "num_envs")


class OwnVecEnv(VecEnvWrapper):
    """Tells apart and records the episodes of a VecEnv that resets its slots by itself.

    Only the whole VecEnv can be seeded, before its first step: with the seed of the first episode. The later episodes
    of a slot continue whatever generator is there, so they are the same bits only in as many slots and in the same
    portions, and only if the VecEnv heeds the seed. A slot without further episodes is stepped on, and not recorded.

    :param construction: how the VecEnv was built
    """

    def __init__(self, venv: VecEnv, construction: Construction) -> None:
        super().__init__(venv)
        self._construction = construction
        self._queues: list[list[tuple[int, int]]] = [[] for _ in range(venv.num_envs)]
        self._running: list[_Episode | None] = [None] * venv.num_envs
        self._finished: list[list[SeededEpisode]] = [[] for _ in range(venv.num_envs)]
        self._recording = self._keep_steps = False
        self._max_steps = 0

    def reset(self) -> VecEnvObs:
        seeds = [seed for queue in self._queues for _, seed in queue]
        if seeds:
            self.venv.seed(min(seeds))
        observations = self.venv.reset()
        for slot in range(self.num_envs if self._recording else 0):
            self._begin(slot, _of_slot(observations, slot))
        return observations

    def step_wait(self) -> VecEnvStepReturn:
        observations, rewards, dones, infos = self.venv.step_wait()
        if not self._recording:
            return observations, rewards, dones, infos
        infos = list(infos)
        for slot, episode in enumerate(self._running):
            if episode is None:
                infos[slot] = {**infos[slot], PARKED_KEY: True}
                continue
            ended = bool(dones[slot])
            first = _of_slot(observations, slot)
            last = infos[slot].get("terminal_observation", first) if ended else first
            episode.step(last, float(rewards[slot]))
            if ended:
                self._finished[slot].append(episode.finish(not infos[slot].get("TimeLimit.truncated", False)))
                self._begin(slot, first)
            elif episode.length >= self._max_steps:
                raise EpisodeTooLong(
                    f"episode {episode.index} did not end within {self._max_steps} steps; expected a VecEnv with a "
                    "time limit (or a larger evaluation.max_episode_steps)"
                )
        return observations, rewards, dones, infos

    def env_method(self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any) -> list[Any]:
        own: dict[str, Callable[..., Any]] = {
            "begin_episodes": self._take_episodes,
            "collect_episodes": self._collect_episodes,
            "begin_no_more": self._begin_no_more,
            "construction": lambda _: self._construction,
        }
        if method_name not in own:
            return self.venv.env_method(method_name, *args, indices=indices, **kwargs)
        return [own[method_name](slot, *args, **kwargs) for slot in self._get_indices(indices)]

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        if attr_name == "spec":  # of single environments, which there are none of
            return [None for _ in self._get_indices(indices)]
        return self.venv.get_attr(attr_name, indices)

    def has_attr(self, attr_name: str) -> bool:
        try:
            return all(found is not None for found in self.venv.get_attr(attr_name))
        except Exception:  # VecEnvs of one's own often leave it out
            return False

    def _take_episodes(self, slot: int, queue: Sequence[tuple[int, int]], max_steps: int, keep_steps: bool) -> None:
        self._queues[slot], self._finished[slot], self._running[slot] = list(queue), [], None
        self._recording, self._max_steps, self._keep_steps = True, max_steps, keep_steps

    def _collect_episodes(self, slot: int, stop: int) -> tuple[list[SeededEpisode], bool]:
        finished, self._finished[slot] = self._finished[slot], []
        return [episode for episode in finished if episode.episode < stop], self._running[slot] is None

    def _begin_no_more(self, slot: int) -> int | None:
        left, self._queues[slot] = self._queues[slot], []
        return left[0][0] if left else None

    def _begin(self, slot: int, observation: Any) -> None:
        if not self._queues[slot]:
            self._running[slot] = None
            return
        index, _ = self._queues[slot].pop(0)
        self._running[slot] = _Episode(index, observation, keep=self._keep_steps and index < EPISODES)


class _Episode:
    """An episode that runs in one slot.

    :param observation: the first one
    """

    def __init__(self, index: int, observation: Any, keep: bool) -> None:
        self.index = index
        self._rewards: list[float] = []
        self._steps = EnvironmentSteps(index, keep)
        self._steps.observe(observation)
        self._steps.policy_acts()

    @property
    def length(self) -> int:
        return len(self._rewards)

    def step(self, observation: Any, reward: float) -> None:
        self._rewards.append(reward)
        self._steps.observe(observation)
        self._steps.policy_acts()

    def finish(self, terminated: bool) -> SeededEpisode:
        observed, steps = self._steps.finish(self._rewards)
        return SeededEpisode(
            episode=self.index,
            seed=UNSEEDED,
            reward=float(sum(self._rewards)),
            length=self.length,
            terminated=terminated,
            raw_observations=observed,
            rewards=Digest().add_array(np.asarray(self._rewards)).hexdigest(),
            steps=steps,
        )


def own_vec_env(spec: EnvironmentSpec, n_envs: int, seed: int) -> VecEnv:
    """Make the VecEnv that a spec names.

    :param seed: that it is made with, if it takes one
    :raises ImportProblem: the name leads nowhere, or to something else
    """
    assert spec.vec_env is not None
    make = import_object(spec.vec_env)
    given = with_functions(make, with_objects(spec.env_kwargs))
    try:
        parameters = set(inspect.signature(make).parameters)
    except (TypeError, ValueError):
        parameters = set()
    count = next((name for name in _COUNTS if name in parameters), None)
    arguments = {**({count: n_envs} if count else {}), **({"seed": seed} if "seed" in parameters else {}), **given}
    venv = make(**arguments)
    if not isinstance(venv, VecEnv):
        raise ImportProblem(
            f"vec_env: {spec.vec_env} gives {type(venv).__name__}; expected a VecEnv of Stable-Baselines3, from a "
            "class or a function that takes n_envs"
        )
    return OwnVecEnv(venv, describe_vec_env(venv, spec.env_kwargs))


def _of_slot(observations: VecEnvObs, slot: int) -> Any:
    if isinstance(observations, dict):
        return {key: np.array(part[slot]) for key, part in observations.items()}
    return np.array(observations[slot])
