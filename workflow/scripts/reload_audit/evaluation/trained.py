"""Evaluate one reloaded model under one condition: load, check, run episodes until the verdict is clear.

Runs in a process of its own: see ``jobs.reload``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch as th
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv, unwrap_vec_normalize

from reload_audit.evaluation.conditions import Subject, fresh_environments, run_condition
from reload_audit.evaluation.divergence import first_divergence
from reload_audit.judging.comparison import Criteria
from reload_audit.judging.judgement import judge
from reload_audit.models import model_folder
from reload_audit.reading.refusal import Unreadable
from reload_audit.reading.statistics import read_statistics
from reload_audit.records.episodes import Episode, TrainTime
from reload_audit.records.specs import CANONICAL, Condition, TrainingSpec
from reload_audit.records.steps import Steps, read_steps
from reload_audit.records.storage import read_json


def evaluate(folder: str, spec_data: Mapping[str, Any], condition: Condition, criteria: Criteria) -> dict[str, Any]:
    """Load the model in ``folder`` and evaluate it.

    The canonical condition runs look by look until the verdict is clear; the others one look.

    :param spec_data: the training spec, from the manifest
    :return: ``checks`` of what was loaded against the manifest (canonical only), ``episodes``, ``global_seed``,
        ``healthy`` (whether it is shown to earn what it earned), ``divergence`` (canonical only)
    """
    spec = TrainingSpec.from_dict(spec_data)
    th.set_num_threads(1)
    subject = _load(Path(folder), spec, condition.device or spec.device)
    venv, global_seed = fresh_environments(subject, condition)
    canonical = condition.name == CANONICAL
    manifest = read_json(Path(folder) / model_folder.MANIFEST)
    checks = check_against_manifest(manifest, subject.model, venv) if canonical else []
    train_time = TrainTime.from_dict(read_json(Path(folder) / model_folder.EVALUATIONS))
    steps = Steps() if canonical else None
    episodes = run_condition(
        subject,
        venv,
        condition,
        spec.evaluation,
        spec.evaluation.stops,
        lambda so_far: not canonical or judge(train_time, so_far, criteria).settled(criteria),
        steps,
    )
    venv.close()
    return {
        "checks": checks,
        "episodes": [episode.to_dict() for episode in episodes],
        "global_seed": global_seed,
        "healthy": canonical and judge(train_time, episodes, criteria).healthy,
        "divergence": None if steps is None else divergence(Path(folder), train_time.reference, episodes, steps),
    }


def divergence(
    folder: Path, reference: Sequence[Episode], reload: Sequence[Episode], steps: Steps
) -> dict[str, Any] | None:
    """Where a reload first differs from the recorded reference, with a sentence about it; None where no bit does."""
    recorded = None
    if (folder / model_folder.STEPS).exists():
        with contextlib.suppress(Unreadable):  # then only the episode is known
            recorded = read_steps(folder / model_folder.STEPS)
    found = first_divergence(reference, reload, recorded, steps)
    return None if found is None else {**found.to_dict(), "text": found.text}


def _load(folder: Path, spec: TrainingSpec, device: str) -> Subject:
    normalized = spec.environment.normalize is not None
    return Subject(
        model=model_folder.load_model(folder, spec.algo, device),
        environment=spec.environment,
        train_seed=spec.seed,
        device=device,
        normalizer=model_folder.normalizer_from_file(folder) if normalized else None,
        statistics=partial(read_statistics, folder / model_folder.STATISTICS) if normalized else None,
        settings=spec.environment.normalize or {},
    )


def check_against_manifest(manifest: Mapping[str, Any], model: BaseAlgorithm, venv: VecEnv) -> list[dict[str, Any]]:
    """Whether what was loaded is what was saved: one entry a check, with what was expected and found."""
    normalize = unwrap_vec_normalize(venv)
    acts_on = model_folder.spaces_and_spec(model, venv)
    expected = {
        **manifest["digests"],
        **{name: manifest["acts_on"][name] for name in ("observation_space", "action_space", "env_spec", "env_stack")},
        **{f"{name} version": version for name, version in manifest["versions"].items()},
    }
    found = {
        **model_folder.content_digests(model, normalize),
        **acts_on,
        **{f"{name} version": version for name, version in model_folder.versions().items()},
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
