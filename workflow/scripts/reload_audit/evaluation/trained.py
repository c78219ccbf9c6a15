"""Evaluate one reloaded model under one condition: load, check, run episodes until the verdict is clear.

Runs in a process of its own: see ``jobs.reload``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch as th

from reload_audit.environments.build import close
from reload_audit.evaluation.checks import check_identity, recorded_divergence
from reload_audit.evaluation.conditions import (
    Subject,
    fresh_environments,
    run_condition,
    run_in_few_workers,
    why_spared,
)
from reload_audit.evaluation.in_time import time_allowed
from reload_audit.evaluation.said import said_of
from reload_audit.judging.criteria import Criteria
from reload_audit.judging.judgement import Judgement, judge
from reload_audit.models import model_folder
from reload_audit.processes.under_way import hand_over, say
from reload_audit.reading.statistics import read_statistics
from reload_audit.records.conditions import CANONICAL, Condition
from reload_audit.records.episodes import Episode, TrainTime, with_bounds
from reload_audit.records.first_look import FirstLook
from reload_audit.records.manifest import Identity
from reload_audit.records.model_record import Check, Evaluation
from reload_audit.records.specs import TrainingSpec
from reload_audit.records.steps import Steps
from reload_audit.records.storage import read_json


def evaluate(
    folder: str,
    spec_data: Mapping[str, Any],
    condition: Condition,
    criteria: Criteria,
    first_look: FirstLook | None = None,
) -> Evaluation:
    """Load the model in ``folder`` and evaluate it.

    The canonical condition runs look by look until the verdict is clear; the others one look.

    :param spec_data: the training spec, from the manifest
    :param first_look: of any other, whether its first episodes tell so much that the rest is spared
    """
    spec = TrainingSpec.from_dict(spec_data)
    subject = load_trained(Path(folder), spec, condition)
    canonical = condition.name == CANONICAL
    recorded = _identity(Path(folder))
    checks: list[Check] = []
    train_time = TrainTime.from_dict(read_json(Path(folder) / model_folder.EVALUATIONS))
    steps = Steps() if canonical else None

    def judged(episodes: Sequence[Episode]) -> Judgement:
        return judge(train_time, with_bounds(episodes, train_time.paid), criteria)

    def found(episodes: Sequence[Episode]) -> Evaluation:
        healthy = canonical and len(episodes) > 1 and judged(episodes).healthy
        return Evaluation(checks, with_bounds(episodes, train_time.paid), healthy)

    def enough(so_far: Sequence[Episode]) -> bool:
        hand_over(found(so_far))
        return not canonical or (not criteria.must_go_on(len(so_far)) and judged(so_far).settled(criteria))

    stops = spec.evaluation.stops
    asked = condition.n_episodes or stops[0]
    allowed = time_allowed(found([]), asked, condition.name)
    if first_look is not None:
        few = run_in_few_workers(subject, condition, spec.evaluation, first_look, allowed)
        if few:
            return replace(found(few), spared=first_look.says)
    venv = fresh_environments(subject, condition)
    if canonical:
        checks = check_identity(recorded, subject.model, venv)
    episodes = run_condition(subject, venv, condition, spec.evaluation, stops, enough, steps, allowed, first_look)
    close(venv)
    divergence = None
    if steps is not None:
        computed_on = recorded.computed_on, model_folder.computed_on(subject.model)
        divergence = recorded_divergence(Path(folder), train_time.reference, episodes, steps, checks, computed_on)
    if canonical and len(episodes) > 1:
        say(said_of(judged(episodes), checks))
    spared = why_spared(first_look, len(episodes), asked, allowed)
    return replace(found(episodes), divergence=divergence, out_of_time=allowed.is_up, spared=spared)


def _identity(folder: Path) -> Identity:
    return Identity.from_dict(read_json(folder / model_folder.MANIFEST))


def load_trained(folder: Path, spec: TrainingSpec, condition: Condition) -> Subject:
    """The model in ``folder``, which this workflow trained, on the device of a condition."""
    th.set_num_threads(1)
    device = condition.device or spec.device
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
