"""Evaluate one reloaded model under one condition: load, check, run episodes until the verdict is clear.

Runs in a process of its own: see ``jobs.reload``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch as th
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv, unwrap_vec_normalize

from reload_audit import artifacts
from reload_audit.environments import (
    Normalizer,
    build_vec_env,
    freeze_normalization,
    seed_global_generators,
)
from reload_audit.episodes import TrainTime
from reload_audit.judgement import judge
from reload_audit.records import read_json
from reload_audit.rollouts import ModelPolicy, run_looks
from reload_audit.specs import CANONICAL, Condition, EnvironmentSpec, TrainingSpec
from reload_audit.verdicts import Criteria


def evaluate(folder: str, spec_data: Mapping[str, Any], condition: Condition, criteria: Criteria) -> dict[str, Any]:
    """Load the model in ``folder`` and evaluate it.

    The canonical condition runs look by look until the verdict is clear; the others one look.

    :param spec_data: the training spec, from the manifest
    :return: ``checks`` of what was loaded against the manifest, ``episodes``, ``global_seed``
    """
    spec = TrainingSpec.from_dict(spec_data)
    th.set_num_threads(1)
    model = artifacts.load_model(Path(folder), spec.algo, spec.device)
    normalized = spec.environment.normalize is not None
    venv, global_seed = fresh_environments(
        spec.environment,
        condition,
        train_seed=spec.seed,
        device=spec.device,
        normalizer=artifacts.normalizer_from_file(Path(folder)) if normalized else None,
    )
    checks = check_against_manifest(read_json(Path(folder) / artifacts.MANIFEST), model, venv)
    train_time = TrainTime.from_dict(read_json(Path(folder) / artifacts.EVALUATIONS))
    episodes = run_looks(
        ModelPolicy(model, condition.deterministic),
        venv,
        spec.evaluation,
        spec.evaluation.stops,
        lambda so_far: condition.name != CANONICAL or judge(train_time, so_far, criteria).settled(criteria),
    )
    venv.close()
    return {"checks": checks, "episodes": [episode.to_dict() for episode in episodes], "global_seed": global_seed}


def fresh_environments(
    environment: EnvironmentSpec,
    condition: Condition,
    *,
    train_seed: int,
    device: str,
    normalizer: Normalizer | None,
) -> tuple[VecEnv, int]:
    """Build a condition's environments, and the state that the global generators were put into for it.

    Loading a model seeds them with the training seed, and an environment that draws from them would look healthy by
    that coincidence: so they are put into a state that training did not start from.
    """
    global_seed = (train_seed + 2**31) % 2**32
    seed_global_generators(global_seed)
    venv = build_vec_env(
        environment,
        condition.n_envs,
        seed=global_seed,
        kind=condition.vec_env,
        start_method=_start_method(device),
        normalizer=normalizer,
    )
    freeze_normalization(venv)
    return venv, global_seed


def check_against_manifest(manifest: Mapping[str, Any], model: BaseAlgorithm, venv: VecEnv) -> list[dict[str, Any]]:
    """Whether what was loaded is what was saved: one entry a check, with what was expected and found."""
    normalize = unwrap_vec_normalize(venv)
    acts_on = artifacts.spaces_and_spec(model, venv)
    expected = {
        **manifest["digests"],
        **{name: manifest["acts_on"][name] for name in ("observation_space", "action_space", "env_spec", "env_stack")},
        **{f"{name} version": version for name, version in manifest["versions"].items()},
    }
    found = {
        **artifacts.content_digests(model, normalize),
        **acts_on,
        **{f"{name} version": version for name, version in artifacts.versions().items()},
    }
    return [check(name, value, found.get(name)) for name, value in expected.items()]


def check(name: str, expected: Any, found: Any, *, passed: bool | None = None) -> dict[str, Any]:
    """One entry of a list of checks."""
    return {
        "check": name,
        "passed": expected == found if passed is None else passed,
        "expected": expected,
        "found": found,
    }


def _start_method(device: str) -> str:
    """Fork where that is safe: this process has one thread that computes, and has built no environment yet."""
    return "fork" if device == "cpu" and sys.platform == "linux" else "forkserver"
