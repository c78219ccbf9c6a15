"""Evaluate one external model under one condition: read, check, find claims, run episodes.

Runs in a process of its own: see ``jobs.external``. Nothing that its files hold is executed.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch as th
from stable_baselines3.common.base_class import BaseAlgorithm

from reload_audit.causes.migrations import Migration, migrations
from reload_audit.environments import ids
from reload_audit.environments.build import build_vec_env, close, seed_global_generators
from reload_audit.environments.older_software import needs_older_software
from reload_audit.environments.packages import is_missing, what_to_install
from reload_audit.environments.seeded_episodes import EpisodeTooLong
from reload_audit.environments.stack import LayerProblem, order_of, unclear_place
from reload_audit.evaluation.checks import recorded_divergence
from reload_audit.evaluation.conditions import Subject, fresh_environments, run_condition, why_spared
from reload_audit.evaluation.file_checks import check_files
from reload_audit.evaluation.in_time import time_allowed
from reload_audit.evaluation.observations import (
    PARAMETERS_NOT_FINITE,
    UnusableObservation,
    parameters_are_finite,
)
from reload_audit.evaluation.rollouts import NoActionMasks, NonFiniteReward, RandomPolicy, TimeAllowed, run_episodes
from reload_audit.evaluation.said import said_of
from reload_audit.evaluation.spaces import check_spaces, misfit
from reload_audit.forensics.history import remarks_on_training
from reload_audit.forensics.traces import traces_of
from reload_audit.judging.claims import exploring_may_tell, judge_external
from reload_audit.judging.criteria import Criteria
from reload_audit.judging.judgement import Judgement
from reload_audit.models import model_folder
from reload_audit.models.claims import find_claims
from reload_audit.models.load_untrusted import load, plain_load_error
from reload_audit.models.recording import Recording, read_recording
from reload_audit.processes.full_disk import is_out_of_space
from reload_audit.processes.imports import ImportProblem, extend_path
from reload_audit.processes.outcome import error_said
from reload_audit.processes.under_way import hand_over, say, seconds_left
from reload_audit.reading.model_zip import SavedModel, read_model
from reload_audit.reading.refusal import Unreadable
from reload_audit.reading.statistics import SavedStatistics, read_statistics
from reload_audit.reading.trust import running_names
from reload_audit.records.conditions import CANONICAL, Condition
from reload_audit.records.environment_spec import EnvironmentSpec, WrapperSpec
from reload_audit.records.episodes import (
    RANDOM_POLICY_EPISODES,
    Episode,
    Pays,
    RandomReward,
    TrainTime,
    are_alike,
    mean_reward,
    paid_by,
    with_bounds,
)
from reload_audit.records.first_look import FirstLook
from reload_audit.records.manifest import ExternalFacts
from reload_audit.records.model_record import Check, Evaluation
from reload_audit.records.specs import EvaluationSpec, ExternalPolicy, ExternalSpec
from reload_audit.records.steps import Steps

_GLOBAL_SEED = 2**31
"""Seed of the global generators while a random policy is measured."""

_WRAPPERS = {
    "insert_zeros": "reload_audit.environments.past_observations:insert_zeros",
    "zero_observations": "reload_audit.environments.past_observations:zero_observations",
}
"""Wrappers of a migration, as a spec names them."""

_SPEAKING = (
    *(Unreadable, ImportProblem, LayerProblem),
    *(EpisodeTooLong, NonFiniteReward, NoActionMasks, UnusableObservation),
)


def evaluate_external(
    spec: ExternalSpec,
    policy: ExternalPolicy,
    condition: Condition,
    criteria: Criteria,
    random: RandomReward | None,
    first_look: FirstLook | None = None,
    canonical: Sequence[Episode] = (),
) -> Evaluation:
    """Load an external model and evaluate it.

    The canonical condition runs look by look until the verdict is clear; the others one look.

    :param random: what a random policy earns in its environment, if that could be measured
    :param first_look: of a trial, whether its first episodes tell so much that the rest is spared
    :param canonical: episodes of the canonical condition, where this one explores as training did: then they are judged
        together
    :return: where the model cannot be evaluated, why, and what its files say as far as they were read
    """
    th.set_num_threads(1)
    extend_path(spec.environment.python_path)  # trusted packages may lie there
    evaluation = _Evaluation(spec, policy, condition, criteria, random, canonical)
    try:
        return evaluation.run(first_look)
    except _SPEAKING as problem:
        fitting = evaluation.fitting_migration()
        older = needs_older_software(problem.__cause__) if problem.__cause__ else ""
        advice = older or what_to_install(problem, spec.environment.env)
        problem_said = f"{problem}; {advice}" if advice else str(problem)
        return Evaluation(checks=evaluation.checks, problem=problem_said, facts=evaluation.facts, migration=fitting)
    except Exception as error:
        if is_out_of_space(error):
            raise
        traceback.print_exc()
        said = error_said(error)
        if PARAMETERS_NOT_FINITE in evaluation.facts.remarks:
            said = f"{PARAMETERS_NOT_FINITE}; {said}"
        problem_said = what_to_install(error, spec.environment.env) or needs_older_software(error) or said
        return Evaluation(checks=evaluation.checks, problem=problem_said, facts=evaluation.facts)


def load_external(
    spec: ExternalSpec, policy: ExternalPolicy, condition: Condition, criteria: Criteria
) -> tuple[Subject, EvaluationSpec, Sequence[int]]:
    """An external model as a condition has it, the protocol of its episodes, and how many there are after each look.

    :raises Unreadable: it cannot be loaded
    """
    th.set_num_threads(1)
    extend_path(spec.environment.python_path)
    return _Evaluation(spec, policy, condition, criteria, None).loaded()


def random_policy_reward(spec: ExternalSpec, policy: ExternalPolicy, migration: str | None) -> RandomReward:
    """What a random policy earns in a model's environment.

    :param migration: as of a condition
    """
    th.set_num_threads(1)
    extend_path(spec.environment.python_path)
    environment, _ = environment_of(spec.environment.unnormalized(), spec, policy, migration)
    seed_global_generators(_GLOBAL_SEED)
    venv = build_vec_env(environment, policy.evaluation.n_envs, seed=_GLOBAL_SEED)
    acting, allowed = RandomPolicy(venv, policy.evaluation.seed), TimeAllowed(seconds_left)
    episodes = run_episodes(acting, venv, policy.evaluation, 0, RANDOM_POLICY_EPISODES, allowed=allowed)
    close(venv)
    return RandomReward(mean_reward(episodes), paid_by(episodes))


class _Evaluation:
    """The evaluation of one external model. If it raises, ``facts`` and ``checks`` keep what was found out before."""

    def __init__(
        self,
        spec: ExternalSpec,
        policy: ExternalPolicy,
        condition: Condition,
        criteria: Criteria,
        random: RandomReward | None,
        before: Sequence[Episode] = (),
    ) -> None:
        self._spec = spec if condition.model_file is None else replace(spec, path=condition.model_file)
        self._policy = policy
        self._condition = condition
        self._criteria = criteria
        self._random = random
        self._before = before
        self._device = condition.device or spec.device
        self._model: BaseAlgorithm | None = None
        self.facts = ExternalFacts()
        self.checks: list[Check] = []

    def run(self, first_look: FirstLook | None = None) -> Evaluation:
        """Read, load and check the model, and run its episodes."""
        spec, condition = self._spec, self._condition
        canonical = condition.name == CANONICAL
        decides = canonical or bool(self._before)
        saved, recording, statistics = self._files()
        folder = None if spec.recording is None else Path(spec.recording).absolute()  # environments may leave it
        if spec.algo != "ARS":
            remarks = remarks_on_training(saved, statistics, traces_of(saved, spec.algo, spec.n_envs), spec.role)
            self.facts = replace(self.facts, remarks=(*self.facts.remarks, *remarks))
        subject = self._load(saved, statistics)
        venv = fresh_environments(subject, condition)
        said_anew = "vec_wrappers" in condition.environment
        if not said_anew and (unclear := unclear_place(venv, subject.environment.vec_wrappers)):
            raise Unreadable(unclear)
        order = order_of(venv, subject.environment.vec_wrappers)
        self.facts = replace(self.facts, vec_wrappers=tuple(wrapper.to_plain() for wrapper in order))
        check_spaces(subject.model, venv)
        if canonical:
            self.checks = check_files(spec, saved, statistics, recording, subject.model, venv)
        evaluation, criteria, train_time = self._protocol(recording)
        claims, started = self.facts.claims, _Clocks()
        random_mean = None if self._random is None else self._random.mean
        known = self._paid_elsewhere(train_time)

        def judged(episodes: Sequence[Episode]) -> Judgement:
            earned = [*filter(None, (self._before, with_bounds(episodes, known)))]
            return judge_external(train_time, claims, earned[0], random_mean, criteria, *earned[1:])

        def found(episodes: Sequence[Episode]) -> Evaluation:
            healthy = decides and len(episodes) > 1 and judged(episodes).healthy
            return Evaluation(self.checks, with_bounds(episodes, known), healthy, facts=self.facts)

        def enough(so_far: Sequence[Episode]) -> bool:
            hand_over(found(so_far))
            spent = started.spent()
            if are_alike(so_far) and len(so_far) >= criteria.episodes_to_meet_a_rare_loss:
                return True  # a further one would be the same again
            return not canonical or (
                not criteria.must_go_on(len(so_far))
                and (criteria.too_slow(len(so_far), spent) or judged(so_far).settled(criteria))
            )

        steps = Steps() if canonical and train_time is not None else None
        stops = criteria.planned.all
        allowed = time_allowed(found([]), condition.n_episodes or stops[0], condition.name)
        episodes = run_condition(subject, venv, condition, evaluation, stops, enough, steps, allowed, first_look)
        close(venv)
        divergence = None
        if steps is not None and train_time is not None and recording is not None and folder is not None:
            computed_on = recording.identity.computed_on, model_folder.computed_on(subject.model)
            divergence = recorded_divergence(folder, train_time.reference, episodes, steps, self.checks, computed_on)
        if decides and len(episodes) > 1:
            self._say(judged(episodes), recorded=train_time is not None)
        spared = why_spared(first_look, len(episodes), condition.n_episodes or stops[0], allowed)
        return replace(found(episodes), divergence=divergence, out_of_time=allowed.is_up, spared=spared)

    def _say(self, judgement: Judgement, *, recorded: bool) -> None:
        """Say the verdict, unless stochastic actions may yet decide.

        :param recorded: whether it rests on recorded episodes
        """
        explores = exploring_may_tell(self.facts.claims, self._spec.algo, deterministic=self._condition.deterministic)
        if self._before or recorded or not explores or judgement.decision not in (None, "consistent"):
            say(said_of(judgement, self.checks))

    def loaded(self) -> tuple[Subject, EvaluationSpec, Sequence[int]]:
        """The loaded model, and what :func:`load_external` returns with it."""
        saved, recording, statistics = self._files()
        evaluation, criteria, _ = self._protocol(recording)
        return self._load(saved, statistics), evaluation, criteria.planned.all

    def _files(self) -> tuple[SavedModel, Recording | None, SavedStatistics | None]:
        spec, saved = self._spec, self._read()
        recording = None if spec.recording is None else read_recording(spec.recording)
        statistics = None if spec.statistics is None else read_statistics(spec.statistics, self._policy.trust)
        return saved, recording, statistics

    def _paid_elsewhere(self, train_time: TrainTime | None) -> Pays:
        """What steps are known to pay from episodes of others: of a random policy, or of the recorder."""
        if train_time is not None:
            return train_time.paid
        return "" if self._random is None else self._random.pays

    def fitting_migration(self) -> str | None:
        """What is known to give the environment the model's spaces; None where they fit as it is, or nothing is known.

        Only of the canonical condition: the others are evaluated with what it needs.
        """
        spec = self._spec
        if self._model is None or self._condition.name != CANONICAL or self._condition.migration is not None:
            return None
        environment, _ = environment_of(spec.environment.unnormalized(), spec, self._policy)
        known = migrations(spec.environment.env, environment.env)
        if not known or _fits_in(self._model, environment):
            return None
        fitting = (name for name in known if _fits_in(self._model, migrated(environment, known[name])))
        return next(fitting, None)

    def _read(self) -> SavedModel:
        """Read the zip; note what it, and the files around it, say of training and rewards."""
        spec, trust = self._spec, self._policy.trust
        classes, max_bytes = self._policy.classes_of(spec), self._policy.max_bytes
        saved = read_model(spec.path, trusted=trust, classes=classes, max_bytes=max_bytes)
        claims, remarks = find_claims(spec, saved)
        missing = [f"trust: there is no package {name!r}" for name in trust if is_missing(name)]
        self.facts = ExternalFacts(
            num_timesteps=_integer(saved.settings.get("num_timesteps")),
            train_seed=_integer(saved.settings.get("seed")),
            saved_with=dict(saved.saved_with),
            claims=tuple(claims),
            remarks=(*spec.remarks, *remarks, *missing, *_warnings(saved), *_about_vec_env(spec.environment)),
        )
        return saved

    def _load(self, saved: SavedModel, statistics: SavedStatistics | None) -> Subject:
        spec = self._spec
        self.facts = replace(self.facts, normalized=statistics is not None)
        plain_error = plain_load_error(saved, None if statistics is None else statistics.parsed)
        self.facts = replace(self.facts, plain_load_error=plain_error)
        environment, moved = environment_of(spec.environment, spec, self._policy, self._condition.migration)
        self.facts = replace(self.facts, env_ran=environment.env, env_package=ids.registering_package(environment.env))
        loaded = load(saved, spec.algo, self._device)
        self.facts = replace(self.facts, plain_load_error=plain_error or loaded.plain_error)
        unread = () if statistics is None or not statistics.left_out else (", ".join(statistics.left_out),)
        self.facts = replace(
            self.facts,
            loaded_with=(
                *([moved] if moved else []),
                *loaded.notes,
                *(f"left out of the statistics: {parts}" for parts in unread),
            ),
            versions=model_folder.versions() | {"platform": model_folder.machine().platform},
        )
        self._model = loaded.model
        if not parameters_are_finite(loaded.model):
            self.facts = replace(self.facts, remarks=(*self.facts.remarks, PARAMETERS_NOT_FINITE))
        return Subject(
            model=loaded.model,
            environment=environment,
            train_seed=self.facts.train_seed or 0,
            device=self._device,
            normalizer=None if statistics is None else statistics.around,
            statistics=None if statistics is None else lambda: statistics,
            settings={} if statistics is None else statistics.settings,
            trusted=self._policy.trust,
        )

    def _protocol(self, recording: Recording | None) -> tuple[EvaluationSpec, Criteria, TrainTime | None]:
        """The episode protocol, the criteria with this model's looks, and what was recorded to compare."""
        if recording is None or not self._spec.judged_by_recording:
            return self._policy.evaluation, self._criteria, None
        evaluation = recording.evaluation
        criteria = replace(self._criteria, looks=evaluation.looks).up_to(evaluation.episodes)
        return evaluation, criteria, recording.train_time


class _Clocks:
    """Time since it was made, as ``verdict.seconds`` counts it: of the processor, which other work does not lengthen.

    Of an environment that waits, which takes no processor, a part of the wall time counts.
    """

    def __init__(self) -> None:
        self._started = time.process_time(), time.monotonic()

    def spent(self) -> float:
        """Seconds."""
        processor, wall = self._started
        return max(time.process_time() - processor, (time.monotonic() - wall) / _WAITING)


_WAITING = 5
"""Seconds of waiting that count as one."""


def _warnings(saved: SavedModel) -> list[str]:
    """Warnings for whoever loads the model without this audit."""
    named = dict.fromkeys(name for parsed in saved.pickled.values() for name in running_names(parsed))
    if not named:
        return []
    said = "which SB3 would import, and may call, when it loads it: do not load it elsewhere"
    return [f"its zip names {', '.join([*named][:10])}, {said}"]


def _about_vec_env(environment: EnvironmentSpec) -> list[str]:
    if environment.vec_env is None:
        return []
    return [
        f"{environment.vec_env} seeds all of its slots together: episodes are compared bit by bit only with those of "
        "as many slots, otherwise without pairs, and it is not probed"
    ]


def environment_of(
    environment: EnvironmentSpec, spec: ExternalSpec, policy: ExternalPolicy, migration: str | None = None
) -> tuple[EnvironmentSpec, str]:
    """The environment that a model is evaluated in, and a note if that is not the one it names.

    :param migration: as of a condition
    :raises Unreadable: a file of the model names what may not be imported or called
    """
    ran, moved = ids.runnable(environment, spec.named_by_user, policy.trust, policy.env_versions)
    if migration is None:
        return ran, moved
    return migrated(ran, migrations(environment.env, ran.env)[migration]), f"{moved} with {migration}"


def migrated(environment: EnvironmentSpec, migration: Migration) -> EnvironmentSpec:
    """An environment made as an older version of it was."""
    wrappers = (WrapperSpec(_WRAPPERS[name], {"at": at}) for name, at in migration.wrappers)
    return replace(
        environment,
        env_kwargs={**environment.env_kwargs, **migration.env_kwargs},
        wrappers=(*wrappers, *environment.wrappers),
    )


def _fits_in(model: BaseAlgorithm, environment: EnvironmentSpec) -> bool:
    """Whether a model can act in an environment, which is not normalised; False where it cannot be built."""
    try:
        venv = build_vec_env(environment, 1, seed=_GLOBAL_SEED)
    except Exception:
        return False
    close(venv)
    return not misfit(model, venv)


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else None
