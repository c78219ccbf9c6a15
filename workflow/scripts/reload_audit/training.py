"""Train one model, save it, and measure at once what it earns: in place and as reference.

Runs in a process of its own: see ``jobs.train``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import safe_mean, set_random_seed
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from reload_audit import artifacts
from reload_audit.algorithms import algorithm, default_policy, parse_hyperparams, resolved_hyperparams
from reload_audit.environments import Normalizer, build_vec_env, freeze_normalization
from reload_audit.episodes import Episode, TrainTime
from reload_audit.records import plain, write_json
from reload_audit.rollouts import ModelPolicy, RandomPolicy, run_episodes
from reload_audit.specs import EvaluationSpec, TrainingSpec

_RANDOM_POLICY_EPISODES = 20
_PROGRESS_SECONDS = 10.0


def train(spec_data: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """Train, save into ``folder``, evaluate, and return the measured part of the manifest.

    The order matters. Model and statistics are saved before anything else, because evaluating changes the last
    observations that prove the two files to belong together. In place comes before the reference, so that it meets
    the environments as training left them. The random policy comes last, because nothing after it can be disturbed.

    :param spec_data: what ``TrainingSpec.from_dict`` reads
    """
    spec = TrainingSpec.from_dict(spec_data)
    th.set_num_threads(1)
    set_random_seed(spec.seed)
    venv = training_environment(spec)
    model = create_model(spec, venv)

    start = time.monotonic()
    model.learn(spec.total_timesteps, callback=_Progress(spec.total_timesteps))
    learned = time.monotonic()
    artifacts.save(model, Path(folder))
    manifest = _describe(spec, model, venv)

    _log("evaluating in place")
    in_place = evaluate_in_looks(model, venv, spec.evaluation)
    _log("evaluating on freshly built environments")
    reference = _evaluate_reference(spec, model)
    random_policy = _evaluate_random_policy(spec, model)
    evaluated = time.monotonic()
    write_json(Path(folder) / artifacts.EVALUATIONS, TrainTime(in_place, reference, random_policy).to_dict())
    venv.close()
    seconds = {"learn": learned - start, "evaluate": evaluated - learned}
    _log(f"done: learned for {seconds['learn']:.1f} s, evaluated for {seconds['evaluate']:.1f} s")
    return {**manifest, "seconds": seconds}


def training_environment(spec: TrainingSpec) -> VecEnv:
    """The environments that an experiment trains in."""
    return build_vec_env(
        spec.environment,
        spec.n_envs,
        seed=spec.seed,
        kind=spec.vec_env,
        start_method=spec.start_method,
        normalizer=_new_normalizer(spec),
    )


def create_model(spec: TrainingSpec, venv: VecEnv) -> BaseAlgorithm:
    """An untrained model.

    :raises HyperparameterProblem: a hyperparameter cannot be used
    """
    hyperparams = parse_hyperparams(spec.algo, spec.hyperparams)
    policy = hyperparams.pop("policy", None) or default_policy(spec.algo, venv.observation_space)
    return algorithm(spec.algo)(policy, venv, seed=spec.seed, device=spec.device, **hyperparams)


def evaluate_in_looks(model: BaseAlgorithm, venv: VecEnv, evaluation: EvaluationSpec) -> list[Episode]:
    """All episodes of the protocol, look by look: exactly the calls that the reload makes, as far as it goes."""
    freeze_normalization(venv)
    episodes: list[Episode] = []
    for stop in evaluation.stops:
        episodes += run_episodes(ModelPolicy(model), venv, evaluation, start=len(episodes), stop=stop)
    return episodes


def _new_normalizer(spec: TrainingSpec) -> Normalizer:
    arguments = dict(spec.environment.normalize or {})
    if "gamma" not in arguments and "gamma" in spec.hyperparams:
        arguments["gamma"] = spec.hyperparams["gamma"]
    return lambda venv: VecNormalize(venv, **arguments)


def _evaluate_reference(spec: TrainingSpec, model: BaseAlgorithm) -> list[Episode]:
    venv = _fresh_environment(spec, model)
    try:
        return evaluate_in_looks(model, venv, spec.evaluation)
    finally:
        venv.close()


def _evaluate_random_policy(spec: TrainingSpec, model: BaseAlgorithm) -> list[Episode] | None:
    """What a random policy earns, the zero of the margin's scale; None where random actions break the environment."""
    venv = _fresh_environment(spec, model)
    try:
        policy = RandomPolicy(venv, seed=spec.evaluation.seed)
        return run_episodes(policy, venv, spec.evaluation, start=0, stop=_RANDOM_POLICY_EPISODES)
    except Exception as error:
        _log(f"the random policy could not be measured: {type(error).__name__}: {error}")
        return None
    finally:
        venv.close()


def _fresh_environment(spec: TrainingSpec, model: BaseAlgorithm) -> VecEnv:
    normalize = model.get_vec_normalize_env()
    return build_vec_env(
        spec.environment,
        spec.evaluation.n_envs,
        seed=spec.seed,
        normalizer=None if normalize is None else artifacts.normalizer_from_memory(normalize),
    )


def _describe(spec: TrainingSpec, model: BaseAlgorithm, venv: VecEnv) -> dict[str, Any]:
    normalize = model.get_vec_normalize_env()
    finished = list(model.ep_info_buffer or [])
    hyperparams = {"policy": type(model.policy).__name__, **resolved_hyperparams(spec.algo, spec.hyperparams)}
    return {
        "num_timesteps": model.num_timesteps,
        "ep_rew_mean": float(safe_mean([episode["r"] for episode in finished])) if finished else None,
        "hyperparams": plain(hyperparams),
        "normalized": normalize is not None,
        "vecnormalize": None if normalize is None else artifacts.normalizer_settings(normalize),
        "digests": artifacts.content_digests(model, normalize),
        "acts_on": artifacts.spaces_and_spec(model, venv),
        "versions": artifacts.versions(),
        "machine": artifacts.machine(),
    }


class _Progress(BaseCallback):
    """Prints steps, speed, time left and the recent mean reward now and then."""

    def __init__(self, total_timesteps: int) -> None:
        super().__init__()
        self._total = total_timesteps

    def _on_training_start(self) -> None:
        self._start = self._printed = time.monotonic()

    def _on_step(self) -> bool:
        now = time.monotonic()
        if now - self._printed >= _PROGRESS_SECONDS:
            self._printed = now
            speed = self.num_timesteps / (now - self._start)
            left = max(0, self._total - self.num_timesteps) / speed
            rewards = [episode["r"] for episode in self.model.ep_info_buffer or []]
            _log(
                f"{self.num_timesteps:,} of {self._total:,} steps, {speed:,.0f} fps, {left:,.0f} s left, "
                f"ep_rew_mean {np.mean(rewards) if rewards else float('nan'):.2f}"
            )
        return True


def _log(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)
