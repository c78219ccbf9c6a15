"""Train one model, save it, and measure at once what it earns: in place and as reference.

Runs in a process of its own: see ``jobs.train``.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from reload_audit.environments.build import build_vec_env, close
from reload_audit.environments.stack import Normalizer
from reload_audit.evaluation.divergence import first_divergence
from reload_audit.evaluation.reference import (
    evaluate_in_place_and_anew,
    evaluate_random_policy,
    evaluate_reference,
)
from reload_audit.models import model_folder
from reload_audit.models.algorithms import algorithm, default_policy, parse_hyperparams, resolved_hyperparams
from reload_audit.models.without_dynamo import spare_compiler
from reload_audit.processes.under_way import report
from reload_audit.records.episodes import Episode, TrainTime
from reload_audit.records.manifest import Training
from reload_audit.records.specs import TrainingSpec
from reload_audit.records.steps import Steps
from reload_audit.records.storage import plain, write_json
from reload_audit.remedies.pickling import find_unpicklable_parts
from reload_audit.training.checkpoints import Checkpoints, SaveCheckpoints, load_into
from reload_audit.training.learning import learning
from reload_audit.training.not_finite import FirstNotFinite, TrainingBroke

_PROGRESS_SECONDS = 10.0


def train(spec_data: Mapping[str, Any], folder: str, checkpoints: str = "", code: str = "") -> Training:
    """Train a model, save it into ``folder``, and evaluate it.

    The order matters. Model and statistics are saved before anything else, because evaluating changes the last
    observations that prove the two files to belong together. The random policy comes last, because nothing after it
    can be disturbed.

    :param spec_data: what ``TrainingSpec.from_dict`` reads
    :param checkpoints: folder of this model's checkpoints, if it is to have some
    :param code: digest of the code that decides the training; checkpoints of other code are not used
    """
    spec = TrainingSpec.from_dict(spec_data)
    th.set_num_threads(1)
    spare_compiler()
    set_random_seed(spec.seed)
    kept = Checkpoints(Path(checkpoints), [spec_data, code]) if spec.checkpoint_every and checkpoints else None
    checkpoint = None if kept is None else kept.last()
    venv = training_environment(spec, checkpoint)
    model = create_model(spec, venv)
    if checkpoint is not None:
        model = load_into(model, checkpoint)
        _log(f"resuming from the checkpoint at {model.num_timesteps:,} steps")
    numbers = FirstNotFinite(model)
    callback: BaseCallback = _InEveryStep(_Progress(model, spec.total_timesteps), numbers)
    if kept is not None and spec.checkpoint_every is not None:
        callback = CallbackList([callback, SaveCheckpoints(kept, spec.checkpoint_every)])
    resumed_from = model.num_timesteps if checkpoint is not None else None

    start = time.monotonic()
    left = spec.total_timesteps - model.num_timesteps
    try:
        with learning(model):
            model.learn(left, callback=callback, reset_num_timesteps=checkpoint is None)
    except Exception as error:
        if why := numbers.why(error):
            raise TrainingBroke(why) from error
        raise
    learned = time.monotonic()
    _remove_empty_log(model)
    model_folder.save(model, Path(folder))
    description = model_folder.describe(model, venv)
    unpicklable = find_unpicklable_parts(venv)

    report("evaluating", 0, 0, "")
    in_place_steps, steps = Steps(), Steps()

    def evaluate_anew() -> list[Episode]:
        _log("evaluating on freshly built environments")
        return evaluate_reference(model, spec.environment, spec.evaluation, spec.seed, steps)

    _log("evaluating in place")
    in_place, reference = evaluate_in_place_and_anew(model, venv, spec.evaluation, evaluate_anew, in_place_steps)
    random_policy = evaluate_random_policy(model, spec.environment, spec.evaluation, spec.seed)
    evaluated = time.monotonic()
    write_json(Path(folder) / model_folder.EVALUATIONS, TrainTime(in_place, reference, random_policy).to_dict())
    steps.save(Path(folder) / model_folder.STEPS)
    parted = first_divergence(in_place, reference, in_place_steps, steps)
    close(venv)
    seconds = {"learn": learned - start, "evaluate": evaluated - learned}
    _log(f"done: learned for {seconds['learn']:.1f} s, evaluated for {seconds['evaluate']:.1f} s")
    hyperparams = {"policy": type(model.policy).__name__, **resolved_hyperparams(spec.algo, spec.hyperparams)}
    return Training(plain(hyperparams), unpicklable, description, resumed_from, parted, seconds, numbers.remark())


def _remove_empty_log(model: BaseAlgorithm) -> None:
    """Remove the temporary folder that SB3 makes for a log, unless something was logged."""
    folder = Path(model.logger.get_dir() or "")
    if folder.name.startswith("SB3-"):
        with contextlib.suppress(OSError):  # not empty: something was logged
            folder.rmdir()


def training_environment(spec: TrainingSpec, checkpoint: Path | None = None) -> VecEnv:
    """Build the environments that an experiment trains in.

    :param checkpoint: whose statistics VecNormalize goes on with
    """
    normalizer = None
    if spec.environment.normalize is not None:
        normalizer = _new_normalizer(spec) if checkpoint is None else model_folder.normalizer_from_file(checkpoint)
    return build_vec_env(
        spec.environment,
        spec.n_envs,
        seed=spec.seed,
        kind=spec.vec_env,
        start_method=spec.start_method,
        normalizer=normalizer,
        vec_env_seed=spec.seed,
    )


def create_model(spec: TrainingSpec, venv: VecEnv) -> BaseAlgorithm:
    """Make an untrained model.

    :raises HyperparameterProblem: a hyperparameter cannot be used
    """
    hyperparams = parse_hyperparams(spec.algo, spec.hyperparams)
    policy = hyperparams.pop("policy", None) or default_policy(spec.algo, venv.observation_space)
    return algorithm(spec.algo)(policy, venv, seed=spec.seed, device=spec.device, **hyperparams)


def _new_normalizer(spec: TrainingSpec) -> Normalizer:
    arguments = dict(spec.environment.normalize or {})
    if "gamma" not in arguments and "gamma" in spec.hyperparams:
        arguments["gamma"] = spec.hyperparams["gamma"]
    return lambda venv: VecNormalize(venv, **arguments)


class _InEveryStep(BaseCallback):
    """All that is done in every step of training: a callback for each would take three times as long."""

    def __init__(self, progress: _Progress, numbers: FirstNotFinite) -> None:
        super().__init__()
        self._progress = progress
        self._numbers = numbers

    def _on_training_start(self) -> None:
        self._progress.begin()
        self._numbers.look_at_reset()

    def _on_step(self) -> bool:
        self._progress.go_on()
        self._numbers.look_at_step(self.locals.get("rewards"), self.locals.get("new_obs"))
        return True


class _Progress:
    """Prints steps, speed, time left and the recent mean reward now and then; says how far training is."""

    def __init__(self, model: BaseAlgorithm, total_timesteps: int) -> None:
        self._model = model
        self._total = total_timesteps

    def begin(self) -> None:
        self._start = self._printed = time.monotonic()

    def go_on(self) -> None:
        """Say so after a step."""
        model, now = self._model, time.monotonic()
        report("training", model.num_timesteps, self._total, "steps")
        if now - self._printed >= _PROGRESS_SECONDS:
            self._printed = now
            speed = model.num_timesteps / (now - self._start)
            left = max(0, self._total - model.num_timesteps) / speed
            rewards = [episode["r"] for episode in model.ep_info_buffer or []]
            _log(
                f"{model.num_timesteps:,} of {self._total:,} steps, {speed:,.0f} fps, {left:,.0f} s left, "
                f"ep_rew_mean {np.mean(rewards) if rewards else float('nan'):.2f}"
            )


def _log(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)
