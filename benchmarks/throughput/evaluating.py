"""What the audit's own evaluation takes, with and without its traces, and what stepping the same environments takes.

usage: python -m throughput.evaluating RECORDING EPISODES REPEATS
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from reload_audit.environments import seeded_episodes
from reload_audit.environments.build import build_vec_env, freeze_normalization
from reload_audit.evaluation import rollouts
from reload_audit.evaluation.rollouts import ModelPolicy, run_episodes
from reload_audit.models import model_folder
from reload_audit.records.environment_spec import EnvironmentSpec
from reload_audit.records.specs import EvaluationSpec
from reload_audit.records.steps import Steps


class Remembering(ModelPolicy):
    """Keeps what the model does."""

    def __init__(self, model: PPO) -> None:
        super().__init__(model)
        self.actions: list[np.ndarray] = []

    def act(self, *arguments: Any) -> Any:
        """Act, and remember it."""
        actions, states = super().act(*arguments)
        self.actions.append(np.array(actions))
        return actions, states


class Given(gym.Wrapper):
    """Resets with the seeds that it was given, then stands still: all that the episode protocol asks for."""

    def __init__(self, env: gym.Env, seeds: Sequence[int]) -> None:
        super().__init__(env)
        self._seeds = list(seeds)
        self._over = False
        self._last: Any = None

    def reset(self, **_: Any) -> tuple[Any, dict[str, Any]]:
        """Begin the next episode, if there is one."""
        self._over = not self._seeds
        if self._over:
            return self._last, {}
        self._last, info = self.env.reset(seed=self._seeds.pop(0))
        return self._last, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step, unless all is done."""
        if self._over:
            return self._last, 0.0, False, False, {}
        self._last, *rest = self.env.step(action)
        return self._last, *rest


class NoTrace:
    """Stands in for what digests every step."""

    def __init__(self, *_: Any) -> None: ...

    def add(self, *_: Any) -> None: ...

    def finish(self, _: int) -> tuple[dict[str, str], None]:
        """Nothing was kept."""
        return {}, None


class NoSteps:
    """Stands in for what digests what an environment gives."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def observe(self, _: Any) -> None: ...

    def policy_acts(self) -> None: ...

    def finish(self, _: Any) -> tuple[str, None]:
        """Nothing was kept."""
        return "", None


@contextlib.contextmanager
def without_traces() -> Iterator[None]:
    """Within the block, evaluate as the audit does, but without digests."""
    with (
        mock.patch.object(rollouts, "_Trace", NoTrace),
        mock.patch.object(seeded_episodes, "EnvironmentSteps", NoSteps),
    ):
        yield


class Evaluation:
    """One recorded model, and the episodes that an audit runs of it."""

    def __init__(self, folder: Path, episodes: int) -> None:
        spec = json.loads((folder / "manifest.json").read_text())["spec"]
        self._environment = EnvironmentSpec.from_dict(spec["environment"])
        self._evaluation = EvaluationSpec.from_dict(spec["evaluation"])
        self._episodes = episodes
        self._model = PPO.load(folder / "model.zip", device="cpu")
        self._normalizer = (
            model_folder.normalizer_from_file(folder) if self._environment.normalize is not None else None
        )
        remembering = Remembering(self._model)
        self.reward = self.run(remembering, None)[1]
        self._actions = remembering.actions

    def run(self, policy: ModelPolicy, steps: Steps | None) -> tuple[float, float]:
        """Seconds that the audit's evaluation takes, and the mean reward."""
        slots = self._evaluation.n_envs
        venv = build_vec_env(self._environment, slots, seed=0, normalizer=self._normalizer)
        freeze_normalization(venv)
        start = time.perf_counter()
        episodes = run_episodes(policy, venv, self._evaluation, 0, self._episodes, steps)
        seconds = time.perf_counter() - start
        venv.close()
        return seconds, float(np.mean([episode.reward for episode in episodes]))

    def audited(self) -> float:
        """Seconds of the evaluation as an audit runs it, and digests what happens."""
        return self.run(ModelPolicy(self._model), Steps())[0]

    def untraced(self) -> float:
        """Seconds of that evaluation without digests of what happened."""
        with without_traces():
            return self.run(ModelPolicy(self._model), None)[0]

    def stepped(self) -> float:
        """Seconds of the same steps of the same environments in a plain VecEnv, with actions that are known already.

        :raises RuntimeError: it did not earn the same
        """
        slots, first = self._evaluation.n_envs, self._evaluation.seed
        queues = [range(first + slot, first + self._episodes, slots) for slot in range(slots)]
        venv: VecEnv = DummyVecEnv([lambda seeds=seeds: self._plain(seeds) for seeds in queues])  # type: ignore[misc]
        if self._normalizer is not None:
            venv = self._normalizer(venv)
            freeze_normalization(venv)
        earned = 0.0
        start = time.perf_counter()
        venv.reset()
        for actions in self._actions:
            rewards = venv.step(actions)[1]
            earned += float(rewards.sum())
        seconds = time.perf_counter() - start
        venv.close()
        if not np.isclose(earned / self._episodes, self.reward, rtol=1e-3):
            raise RuntimeError(f"expected a mean reward of {self.reward}, found {earned / self._episodes}")
        return seconds

    def predicted(self) -> float:
        """Seconds of the model's forward passes alone, on as many observations of the same kind."""
        seen = np.stack([self._model.observation_space.sample() for _ in range(self._evaluation.n_envs)])
        with ModelPolicy(self._model).acting():
            start = time.perf_counter()
            for _ in self._actions:
                self._model.predict(seen, deterministic=True)
            return time.perf_counter() - start

    def _plain(self, seeds: Sequence[int]) -> gym.Env:
        return Given(Monitor(gym.make(self._environment.env)), seeds)


def main(folder: Path, episodes: int, repeats: int) -> None:
    """Print the seconds of each, in turn, as often as is wanted."""
    torch.set_num_threads(1)
    evaluation = Evaluation(folder, episodes)
    each: tuple[Callable[[], float], ...] = (
        evaluation.audited,
        evaluation.untraced,
        evaluation.stepped,
        evaluation.predicted,
    )
    seconds: dict[str, list[float]] = {one.__name__: [] for one in each}
    for one in each:
        one()  # what is loaded once
    for _ in range(repeats):
        for one in each:
            seconds[one.__name__].append(one())
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
