"""Examine a model whose reward changed: its files, its environment, and which trials are worth making.

Runs in a process of its own: see ``jobs.diagnosis``. Nothing that the model's files hold is executed.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces

from reload_audit.causes.finding import Finding
from reload_audit.causes.migrations import migrations
from reload_audit.causes.trials import Circumstances
from reload_audit.diagnosis.effects import Goal
from reload_audit.diagnosis.orders import orders_to_try
from reload_audit.diagnosis.trials import plan
from reload_audit.environments.build import build_vec_env, close, normalizable_keys
from reload_audit.evaluation.external import environment_of
from reload_audit.evaluation.file_checks import trained_normalized
from reload_audit.forensics.construction_changes import changed_by_training, changed_stack, changes
from reload_audit.forensics.earned import training_on_another_scale
from reload_audit.forensics.examine_files import FileFindings, examine_files
from reload_audit.forensics.model_files import ModelFiles, RecordedDigests
from reload_audit.forensics.search import find_statistics
from reload_audit.forensics.traces import space_of, traces_of
from reload_audit.judging.claims import judge_external
from reload_audit.judging.criteria import Criteria
from reload_audit.judging.judgement import Judgement, judge
from reload_audit.models import model_folder
from reload_audit.models.claims import find_claims
from reload_audit.models.recording import read_recording
from reload_audit.processes.imports import extend_path
from reload_audit.reading.model_zip import SavedModel, read_model
from reload_audit.reading.refusal import Unreadable
from reload_audit.reading.statistics import SavedStatistics, read_statistics
from reload_audit.records.conditions import Condition
from reload_audit.records.environment_spec import VEC_NORMALIZE, EnvironmentSpec
from reload_audit.records.episodes import Episode, TrainTime, mean_reward
from reload_audit.records.examination import Estimate, Examination, Facts
from reload_audit.records.manifest import ChangedAttribute, Construction, Identity
from reload_audit.records.specs import Claim, ExternalPolicy, ExternalSpec, TrainingSpec
from reload_audit.records.storage import plain, read_json

_EPISODES_BEFORE = 200
"""Episodes that an environment sees before it counts as used, at most."""

_STEPS_BEFORE = 10_000
"""Steps that an environment makes before it counts as used, at most."""

_WITHOUT_END = 10**9
"""Stands for the number of steps of an episode that may never end."""

_LOOPS = 200
"""Loops of hand-written evaluation that are simulated for an estimate."""

_MOST_CLAIMED = 1000
"""Episodes of a claim up to which it matters which of them ended first."""

_EPISODES_OF_A_TRIAL = 100
"""Episodes of a trial where the reload is compared with a claim; otherwise as many as the canonical condition ran."""

_MAX_BYTES = 2**32
"""What the zip of a model that was trained here may unpack to."""


@dataclass(frozen=True)
class _Subject:
    """The model that is examined: where its files are, and what is known of it.

    :param role: ``final``, ``best`` or ``checkpoint``
    :param normalized: whether the run's own files say that observations were normalised; None if they say nothing
    :param n_envs: environments in training, if known
    :param environment: None where it must not, or cannot, be built
    :param identity: what was recorded when it was saved, if it was; it may come from anybody
    :param trust: packages that its files may name
    :param max_bytes: what its zip may unpack to
    :param classes: dotted names of classes in its zip, each with the one to import instead
    :param migrations: names of what may make the environment as the version that it was trained in
    :param changed: attributes that the environments trained in had otherwise than new ones
    """

    zip: str
    statistics: str | None
    algo: str
    role: str
    normalized: bool | None
    n_envs: int | None
    environment: EnvironmentSpec | None
    identity: Identity | None
    evaluations: str | None
    trust: Sequence[str]
    max_bytes: int
    classes: Mapping[str, str] = field(default_factory=dict)
    migrations: Sequence[str] = ()
    changed: Sequence[ChangedAttribute] = ()


@dataclass(frozen=True)
class _Reload:
    """How the model was reloaded, and what came of it.

    :param canonical: the canonical condition
    :param episodes: of the canonical condition; none where it failed
    :param judgement: what they say, compared with train time or with claims; None without episodes
    :param claims: what somebody or some file says that the model earned
    :param claimed: whether a claim is what the reload is compared with
    :param forced: whether every condition that is possible is to be tried
    """

    canonical: Condition
    episodes: Sequence[Episode]
    judgement: Judgement | None
    claims: Sequence[Claim]
    claimed: bool
    forced: bool


@dataclass(frozen=True)
class _Read:
    """The zip and statistics of a model, as far as they could be read; ``problems`` says what could not be, and why."""

    saved: SavedModel | None
    statistics: SavedStatistics | None
    problems: Facts


def examine_trained(
    folder: str,
    spec_data: Mapping[str, Any],
    canonical: Condition,
    episodes: Sequence[Episode],
    criteria: Criteria,
    forced: bool,
) -> Examination:
    """Examine a model that this workflow trained.

    :param spec_data: what ``TrainingSpec.from_dict`` reads
    :param episodes: those of the canonical condition; none where it failed
    :param forced: whether every condition that is possible is to be tried
    """
    spec = TrainingSpec.from_dict(spec_data)
    extend_path(spec.environment.python_path)
    statistics = Path(folder) / model_folder.STATISTICS
    subject = _Subject(
        zip=str(Path(folder) / model_folder.MODEL),
        statistics=str(statistics) if statistics.exists() else None,
        algo=spec.algo,
        role="final",
        normalized=spec.environment.normalize is not None,
        n_envs=spec.n_envs,
        environment=spec.environment,
        identity=Identity.from_dict(read_json(Path(folder) / model_folder.MANIFEST)),
        evaluations=None,
        trust=_packages_in(spec.environment.python_path),
        max_bytes=_MAX_BYTES,
    )
    train_time = TrainTime.from_dict(read_json(Path(folder) / model_folder.EVALUATIONS))
    judgement = judge(train_time, episodes, criteria) if episodes else None
    return _examine(subject, _Reload(canonical, episodes, judgement, claims=(), claimed=False, forced=forced))


def examine_external(
    spec: ExternalSpec,
    policy: ExternalPolicy,
    canonical: Condition,
    episodes: Sequence[Episode],
    random_mean: float | None,
    criteria: Criteria,
    forced: bool,
) -> Examination:
    """Examine a model that this workflow did not train.

    :param episodes: those of the canonical condition; none where it failed
    :param random_mean: mean episode reward of a random policy; None where it could not be measured
    :param forced: whether every condition that is possible is to be tried
    """
    extend_path(spec.environment.python_path)
    environment = None
    with contextlib.suppress(Exception):  # whatever is wrong with it, the canonical condition has said so
        environment, _ = environment_of(spec.environment, spec, policy, canonical.migration)
    recording = None
    with contextlib.suppress(Unreadable):
        recording = None if spec.recording is None else read_recording(spec.recording)
    subject = _Subject(
        zip=spec.path,
        statistics=spec.statistics,
        algo=spec.algo,
        role=spec.role,
        normalized=spec.normalized,
        n_envs=spec.n_envs,
        environment=environment,
        identity=None if recording is None else recording.identity,
        evaluations=spec.evaluations,
        trust=policy.trust,
        max_bytes=policy.max_bytes,
        classes=policy.classes_of(spec),
        migrations=() if environment is None else [*migrations(spec.environment.env, environment.env)],
        changed=() if recording is None else recording.changed,
    )
    claims: list[Claim] = []
    with contextlib.suppress(Unreadable):
        claims, _ = find_claims(spec, _saved(subject))
    train_time = None
    if recording is not None and spec.judged_by_recording:
        train_time, criteria = recording.train_time, replace(criteria, looks=recording.evaluation.looks)
    judgement = judge_external(train_time, claims, episodes, random_mean, criteria) if episodes else None
    reload = _Reload(canonical, episodes, judgement, claims, claimed=train_time is None, forced=forced)
    return _examine(subject, reload)


def _examine(subject: _Subject, reload: _Reload) -> Examination:
    th.set_num_threads(1)
    read = _read(subject)
    facts, findings = read.problems, list[Finding]()
    if read.saved is not None:
        found = _look_at_files(subject, reload, read.saved, read.statistics)
        facts, findings = {**facts, **found.facts}, found.findings
    judgement, episodes = reload.judgement, reload.episodes
    goal = Goal.of(mean_reward(episodes) if episodes else None, judgement)
    trials = []
    if read.saved is not None:
        n_episodes = _EPISODES_OF_A_TRIAL if reload.claimed and episodes else len(episodes) or None
        circumstances = _circumstances(subject, reload, facts, read.statistics)
        orders = []
        if circumstances.runs and circumstances.lost and subject.environment is not None:
            acted_on = None if subject.identity is None else subject.identity.acts_on
            orders = [*orders_to_try(subject.environment, acted_on, read.statistics)]
        canonical = replace(reload.canonical, n_episodes=n_episodes)
        trials = plan(canonical, circumstances, findings, subject.migrations, orders)
    return Examination(
        facts=plain(facts),
        findings=tuple(Finding(**plain(asdict(finding))) for finding in findings),
        target=goal.mean,
        target_std=goal.std,
        gained=judgement is not None and judgement.decision == "improved",
        pairs=judgement is not None and not judgement.obstacle,
        estimates=() if subject.n_envs is None else tuple(_estimates(judgement, episodes, subject.n_envs)),
        trials=tuple(trials),
    )


def _saved(subject: _Subject) -> SavedModel:
    return read_model(subject.zip, trusted=subject.trust, classes=subject.classes, max_bytes=subject.max_bytes)


def _read(subject: _Subject) -> _Read:
    """Read the zip and the statistics, each for itself: one of them may be damaged."""
    problems = Facts()
    saved: SavedModel | None = None
    statistics: SavedStatistics | None = None
    try:
        saved = _saved(subject)
    except Unreadable as problem:
        problems["unreadable"] = str(problem)
    try:
        statistics = None if subject.statistics is None else read_statistics(subject.statistics, subject.trust)
    except Unreadable as problem:
        problems["unreadable_statistics"] = str(problem)
    return _Read(saved, statistics, problems)


def _look_at_files(
    subject: _Subject, reload: _Reload, saved: SavedModel, statistics: SavedStatistics | None
) -> FileFindings:
    """What the files say, compared with the environment as built now and with the episodes that were run in it."""
    built = _build(subject.environment)
    found = examine_files(
        ModelFiles(
            saved,
            statistics,
            algo=subject.algo,
            role=subject.role,
            normalized=subject.normalized,
            n_envs=subject.n_envs,
            claims=reload.claims,
            recorded=RecordedDigests.of(None if subject.identity is None else subject.identity.digests),
            observation_space=built.observation_space,
            action_space=built.action_space,
            evaluations=subject.evaluations,
            max_episode_steps=None if built.construction is None else built.construction.time_limit,
            # Without episodes and without a limit, they may have no end.
            longest_episode=max((episode.length for episode in reload.episodes), default=_WITHOUT_END),
            others=find_statistics(subject.zip, saved, subject.algo),
            unreadable_statistics=subject.statistics is not None and statistics is None,
        )
    )
    findings = [*found.findings, *changed_by_training(subject.changed)]
    findings += [*_reward_scale(subject, saved, statistics, reload.episodes)]
    if built.construction is not None and subject.identity is not None:
        findings += changes(subject.identity.acts_on.construction, built.construction)
        if subject.environment is not None:
            findings += changed_stack(subject.identity.acts_on.vec_env_stack, subject.environment.vec_wrappers)
    facts = Facts(trained_normalized=trained_normalized(saved))
    space = space_of(saved, "observation_space")
    if keys := normalizable_keys(space) if statistics is None else statistics.settings.get("norm_obs_keys"):
        facts["normalized_keys"] = list(keys)
    return FileFindings({**found.facts, **facts}, findings)


def _circumstances(
    subject: _Subject, reload: _Reload, facts: Facts, statistics: SavedStatistics | None
) -> Circumstances:
    judgement, episodes = reload.judgement, reload.episodes
    comparison = None if judgement is None else judgement.comparison
    gap = None if judgement is None else judgement.environment_gap
    return Circumstances(
        claimed=reload.claimed,
        runs=bool(episodes),
        lost=not episodes or (comparison is not None and comparison.decision in ("degraded", "improved")),
        environment_gap=gap is not None and gap.decision in ("degraded", "improved"),
        statistics=statistics is not None,
        never_normalized=facts.get("trained_normalized") is False,
        paired=bool(facts.get("statistics_paired")),
        norm_reward=statistics is not None and bool(statistics.settings["norm_reward"]),
        dictionary=statistics is not None and list(statistics.observations) != [""],
        recurrent=subject.algo == "RecurrentPPO",
        maskable=subject.algo == "MaskablePPO",
        deterministic=reload.canonical.deterministic,
        time_limit=subject.environment is not None and subject.environment.time_limit is None,
        other_device="cuda" if th.cuda.is_available() else None,
        episodes_trained=_episodes_trained(facts.get("num_timesteps"), episodes, subject.n_envs or 1),
        forced=reload.forced,
        own_wrappers_inside=_own_wrappers_inside(subject.environment),
    )


def _own_wrappers_inside(environment: EnvironmentSpec | None) -> bool:
    names = [] if environment is None else [wrapper.name for wrapper in environment.vec_wrappers]
    return VEC_NORMALIZE in names and any(re.search("[.:]", name) for name in names[: names.index(VEC_NORMALIZE)])


def _episodes_trained(steps: int | None, episodes: Sequence[Episode], n_envs: int) -> int:
    """How many episodes each training environment has seen, as far as it can be told.

    :param steps: environment steps that the model was trained for
    :param episodes: that were run now
    """
    total = sum(episode.length for episode in episodes)
    if steps is None or not total:
        return 1
    seen = steps * len(episodes) // (total * n_envs)
    affordable = _STEPS_BEFORE * len(episodes) // total
    return max(1, min(seen, affordable, _EPISODES_BEFORE))


def _reward_scale(
    subject: _Subject, saved: SavedModel, statistics: SavedStatistics | None, episodes: Sequence[Episode]
) -> list[Finding]:
    """Whether the model's own training episodes are on another scale than what it earns."""
    if not episodes:
        return []
    reward = float(np.mean([episode.reward for episode in episodes]))
    length = float(np.mean([float(episode.length) for episode in episodes]))
    traces = traces_of(saved, subject.algo, subject.n_envs)
    found = training_on_another_scale(traces, statistics, reward, length)
    return [] if found is None else [found]


def _estimates(judgement: Judgement | None, episodes: Sequence[Episode], n_envs: int) -> list[Estimate]:
    """What hand-written loops would have measured, computed from episodes that have been run.

    :param n_envs: environments that such a loop steps at once
    """
    claim = None if judgement is None else judgement.claim
    if (
        claim is None
        or claim.n is None
        or not 1 <= claim.n <= _MOST_CLAIMED
        or n_envs < 2
        or len({episode.length for episode in episodes}) < 2
    ):
        return []
    mean = mean_of_first_finished(
        np.asarray([episode.length for episode in episodes]),
        np.asarray([episode.reward for episode in episodes]),
        n=claim.n,
        n_envs=n_envs,
    )
    name = f"the first {claim.n} episodes that {n_envs} environments finish"
    return [Estimate(name, "short-episode-bias", mean, {"n": claim.n, "n_envs": n_envs})]


def mean_of_first_finished(lengths: np.ndarray, rewards: np.ndarray, *, n: int, n_envs: int) -> float:
    """What a loop reports that steps several environments and averages the first episodes that end.

    :param lengths: of episodes that were run, shape ``(m,)``; ``rewards`` of the same
    :param n: episodes that it waits for
    :return: mean over many such loops, whose episodes are drawn from these
    """
    random = np.random.default_rng(0)
    drawn = random.integers(len(lengths), size=(_LOOPS, n_envs, n))
    ends = np.cumsum(lengths[drawn], axis=2).reshape(_LOOPS, -1)
    first = np.argsort(ends, axis=1, kind="stable")[:, :n]
    return float(np.take_along_axis(rewards[drawn].reshape(_LOOPS, -1), first, axis=1).mean())


@dataclass(frozen=True)
class _Built:
    """What is seen of an environment as the policy would meet it; all None where it cannot be built.

    :param construction: how it was built
    """

    observation_space: spaces.Space | None = None
    action_space: spaces.Space | None = None
    construction: Construction | None = None


def _build(environment: EnvironmentSpec | None) -> _Built:
    if environment is None:
        return _Built()
    try:
        venv = build_vec_env(environment.unnormalized(), 1, seed=0)
    except Exception:
        return _Built()
    built = _Built(venv.observation_space, venv.action_space, venv.env_method("construction", indices=0)[0])
    close(venv)
    return built


def _packages_in(folders: Sequence[str]) -> list[str]:
    """Names of the packages and modules in the user's own folders: a model trained here may name them."""
    return sorted(
        path.stem for folder in folders for path in Path(folder).glob("*") if path.suffix == ".py" or path.is_dir()
    )
