"""Choose the actions of every episode once, for all scenarios: random ones, and those that a model chooses."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from stable_baselines3.common.vec_env import VecEnv

from reload_audit.environments import ids
from reload_audit.environments.build import build_vec_env, close, freeze_normalization, seed_global_generators
from reload_audit.environments.packages import what_to_install
from reload_audit.environments.stack import Normalizer
from reload_audit.evaluation.rollouts import ModelPolicy, Policy, RandomPolicy
from reload_audit.models import model_folder
from reload_audit.models.load_untrusted import load
from reload_audit.probing.scenario import Planned, Play
from reload_audit.probing.stated_problems import stating_problems
from reload_audit.processes.imports import extend_path
from reload_audit.processes.outcome import error_said
from reload_audit.reading.model_zip import read_model
from reload_audit.reading.refusal import Unreadable
from reload_audit.reading.statistics import read_statistics
from reload_audit.records.environment_spec import EnvironmentSpec
from reload_audit.records.manifest import TrainedManifest
from reload_audit.records.probe_record import Source
from reload_audit.records.specs import ExternalPolicy, ExternalSpec, TrainingSpec
from reload_audit.records.storage import read_json

_GLOBAL_SEED = 11
_PATIENCE = 20.0
"""Seconds after which no further episode is planned."""


@stating_problems
def plan_for_trained(environment: EnvironmentSpec, folder: Path, seeds: int, steps: int) -> Planned:
    """Plan the episodes for an environment in which this workflow trained a model: random actions and the model's.

    :param folder: of the trained model
    :param seeds: episodes with actions of each source
    :param steps: of an episode, at most
    """
    th.set_num_threads(1)
    plays = list(_random_plays(environment, seeds, steps))
    manifest = TrainedManifest.from_dict(read_json(folder / model_folder.MANIFEST))
    if manifest.failure is not None:
        return Planned(environment, "", tuple(plays), "its training failed")
    spec = TrainingSpec.from_dict(manifest.spec)
    model = model_folder.load_model(folder, spec.algo, spec.device)
    normalizer = None if spec.environment.normalize is None else model_folder.normalizer_from_file(folder)
    plays += _plays("model", lambda *_: ModelPolicy(model), spec.environment, normalizer, seeds, steps)
    return Planned(environment, "", tuple(plays), "")


@stating_problems
def plan_for_external(
    environment: EnvironmentSpec, spec: ExternalSpec, policy: ExternalPolicy, seeds: int, steps: int
) -> Planned:
    """Plan the episodes for the environment of an external model: only trusted names are imported, nothing executed.

    :raises Unreadable: the environment must not be imported, or is not there
    """
    th.set_num_threads(1)
    extend_path(environment.python_path)
    current, remark = ids.runnable(environment, spec.named_by_user, policy.trust, policy.env_versions)
    try:
        plays = list(_random_plays(current, seeds, steps))
    except Exception as error:
        missing = what_to_install(error, environment.env)
        if missing:
            raise Unreadable(missing) from None
        raise
    try:
        plays += _plays_of_external(spec, current, policy, seeds, steps)
        problem = ""
    except Exception as error:  # a model that does not load is no reason not to look at its environment
        problem = error_said(error)[:300]
    return Planned(current, remark, tuple(plays), problem)


@stating_problems
def plan_for_environment(environment: EnvironmentSpec, seeds: int, steps: int) -> Planned:
    """Plan the episodes for an environment without a model: random actions alone."""
    th.set_num_threads(1)
    return Planned(environment, "", tuple(_random_plays(environment, seeds, steps)), "there is no model")


def _plays_of_external(
    spec: ExternalSpec, current: EnvironmentSpec, policy: ExternalPolicy, seeds: int, steps: int
) -> list[Play]:
    classes = policy.classes_of(spec)
    saved = read_model(spec.path, trusted=policy.trust, classes=classes, max_bytes=policy.max_bytes)
    model = load(saved, spec.algo, spec.device).model
    statistics = None if spec.statistics is None else read_statistics(spec.statistics, policy.trust)
    whole = replace(spec.environment, env=current.env)
    around = None if statistics is None else statistics.around
    return list(_plays("model", lambda *_: ModelPolicy(model), whole, around, seeds, steps))


def _random_plays(environment: EnvironmentSpec, seeds: int, steps: int) -> Iterator[Play]:
    return _plays("random", RandomPolicy, environment, None, seeds, steps)


def _plays(
    source: Source,
    policy: Callable[[VecEnv, int], Policy],
    environment: EnvironmentSpec,
    normalizer: Normalizer | None,
    seeds: int,
    steps: int,
) -> Iterator[Play]:
    start = time.monotonic()
    for seed in range(seeds):
        if seed and time.monotonic() - start > _PATIENCE:
            return
        seed_global_generators(_GLOBAL_SEED)
        venv = build_vec_env(environment, 1, seed=_GLOBAL_SEED, normalizer=normalizer)
        freeze_normalization(venv)
        yield Play(seed, source, tuple(_actions(policy(venv, seed), venv, seed, steps, start)))
        close(venv)


def _actions(policy: Policy, venv: VecEnv, seed: int, steps: int, start: float) -> Iterator[Any]:
    venv.seed(seed)
    observations: Any = venv.reset()
    states, starts, parked = None, np.ones(1, dtype=bool), np.zeros(1, dtype=bool)
    for _ in range(steps):
        actions, states = policy.act(observations, states, starts, venv, parked)
        yield copy.deepcopy(actions[0])  # environments are given views, and may write to them
        observations, _, starts, _ = venv.step(actions)
        if starts[0] or time.monotonic() - start > _PATIENCE:
            return
