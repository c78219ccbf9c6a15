"""Look at a model that does not earn what it earned: its files, and what is worth trying.

Runs in a process of its own: see ``jobs.diagnosis``. Nothing that its files hold is executed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces

from reload_audit.causes.finding import Finding
from reload_audit.diagnosis.trials import Circumstances, plan
from reload_audit.environments.build import build_vec_env
from reload_audit.evaluation.external import environment_of, trained_normalized
from reload_audit.forensics.construction_changes import changes
from reload_audit.forensics.earned import training_on_another_scale
from reload_audit.forensics.examine_files import examine_files
from reload_audit.forensics.search import find_statistics
from reload_audit.forensics.traces import traces_of
from reload_audit.judging.comparison import Criteria
from reload_audit.judging.judgement import Judgement, judge, judge_found
from reload_audit.models import model_folder
from reload_audit.models.claims import find_claims
from reload_audit.models.recording import read_recording
from reload_audit.processes.imports import extend_path
from reload_audit.reading.model_zip import SavedModel, read_model
from reload_audit.reading.refusal import Unreadable
from reload_audit.reading.statistics import SavedStatistics, read_statistics
from reload_audit.records.episodes import TrainTime, episodes_from, mean_reward
from reload_audit.records.specs import Claim, Condition, EnvironmentSpec, ExternalPolicy, ExternalSpec, TrainingSpec
from reload_audit.records.storage import plain, read_json

_EPISODES_BEFORE = 200
"""Episodes that an environment sees before it counts as used, at most."""


_STEPS_BEFORE = 10_000
"""And steps, at most."""

_WITHOUT_END = 10**9

_LOOPS = 200
_MOST_ENVIRONMENTS = 64
_MOST_CLAIMED = 1000
"""Episodes of a claim up to which it matters which of them ended first."""

_EPISODES_OF_A_TRIAL = 100
"""Against a claim; else the same as the canonical condition ran, which are paired with those of train time."""


@dataclass(frozen=True)
class _Files:
    """What there is to look at.

    :param environment: None where it must not, or cannot, be built
    :param manifest: what was recorded at train time, if it was
    """

    zip: str
    statistics: str | None
    algo: str
    role: Any
    normalized: bool | None
    n_envs: int | None
    environment: EnvironmentSpec | None
    manifest: Mapping[str, Any] | None
    evaluations: str | None
    trust: Sequence[str]
    max_bytes: int


def examine_trained(
    folder: str,
    spec_data: Mapping[str, Any],
    canonical: Condition,
    episodes: Sequence[Mapping[str, Any]],
    criteria: Criteria,
    forced: bool,
) -> dict[str, Any]:
    """Examine a model that this workflow trained.

    :param episodes: those of the canonical condition; none where it failed
    :return: ``facts``, ``findings`` and ``trials``; ``target``: the reward that is to be explained, or None
    """
    spec = TrainingSpec.from_dict(spec_data)
    extend_path(spec.environment.python_path)
    statistics = Path(folder) / model_folder.STATISTICS
    files = _Files(
        zip=str(Path(folder) / model_folder.MODEL),
        statistics=str(statistics) if statistics.exists() else None,
        algo=spec.algo,
        role="final",
        normalized=spec.environment.normalize is not None,
        n_envs=spec.n_envs,
        environment=spec.environment,
        manifest=read_json(Path(folder) / model_folder.MANIFEST),
        evaluations=None,
        trust=_packages_in(spec.environment.python_path),
        max_bytes=2**32,
    )
    train_time = TrainTime.from_dict(read_json(Path(folder) / model_folder.EVALUATIONS))
    judgement = judge(train_time, episodes_from(episodes), criteria) if episodes else None
    return _examine(files, canonical, judgement, episodes, claims=(), claimed=False, forced=forced)


def examine_external(
    spec: ExternalSpec,
    policy: ExternalPolicy,
    canonical: Condition,
    episodes: Sequence[Mapping[str, Any]],
    random_mean: float | None,
    criteria: Criteria,
    forced: bool,
) -> dict[str, Any]:
    """The same for a model that somebody else trained."""
    extend_path(spec.environment.python_path)
    environment = None
    with contextlib.suppress(Exception):  # whatever is wrong with it, the canonical condition has said so
        environment, _ = environment_of(spec.environment, spec, policy)
    recording = None
    with contextlib.suppress(Unreadable):
        recording = None if spec.recording is None else read_recording(spec.recording)
    files = _Files(
        zip=spec.path,
        statistics=spec.statistics,
        algo=spec.algo,
        role=spec.role,
        normalized=spec.normalized,
        n_envs=spec.n_envs,
        environment=environment,
        manifest=None if recording is None else recording.manifest,
        evaluations=spec.evaluations,
        trust=policy.trust,
        max_bytes=policy.max_bytes,
    )
    claims: list[Claim] = []
    with contextlib.suppress(Unreadable):
        claims, _ = find_claims(spec, read_model(spec.path, trusted=policy.trust, max_bytes=policy.max_bytes))
    train_time = None
    if recording is not None and spec.judged_by_recording:
        train_time, criteria = recording.train_time, replace(criteria, looks=recording.evaluation.looks)
    judgement = judge_found(train_time, claims, episodes_from(episodes), random_mean, criteria) if episodes else None
    claimed = train_time is None
    return _examine(files, canonical, judgement, episodes, claims=claims, claimed=claimed, forced=forced)


def _examine(
    files: _Files,
    canonical: Condition,
    judgement: Judgement | None,
    episodes: Sequence[Mapping[str, Any]],
    *,
    claims: Sequence[Claim],
    claimed: bool,
    forced: bool,
) -> dict[str, Any]:
    th.set_num_threads(1)
    findings: list[Finding] = []
    facts: dict[str, Any] = {}
    saved: SavedModel | None = None
    statistics: SavedStatistics | None = None
    try:
        saved = read_model(files.zip, trusted=files.trust, max_bytes=files.max_bytes)
    except Unreadable as problem:
        facts["unreadable"] = str(problem)
    try:
        statistics = None if files.statistics is None else read_statistics(files.statistics, files.trust)
    except Unreadable as problem:
        facts["unreadable_statistics"] = str(problem)
    if saved is not None:
        built = _build(files.environment)
        examination = examine_files(
            saved,
            statistics,
            algo=files.algo,
            role=files.role,
            normalized=files.normalized,
            n_envs=files.n_envs,
            claims=claims,
            manifest=files.manifest,
            observation_space=built.observation_space,
            action_space=built.action_space,
            evaluations=files.evaluations,
            max_episode_steps=None if built.construction is None else built.construction["time_limit"],
            # Without episodes and without a limit, they may have no end.
            longest_episode=max((episode["length"] for episode in episodes), default=_WITHOUT_END),
            others=find_statistics(files.zip, saved, files.algo),
            unreadable_statistics=files.statistics is not None and statistics is None,
        )
        facts |= examination.facts | {"trained_normalized": trained_normalized(saved)}
        findings += examination.findings
        then = ((files.manifest or {}).get("acts_on") or {}).get("construction")
        findings += _reward_scale(saved, statistics, files, episodes)
        findings += [] if built.construction is None else changes(then, built.construction)
    target = None
    if judgement is not None and judgement.comparison is not None:
        target = mean_reward(episodes_from(episodes)) - judgement.comparison.difference
    trials = (
        []
        if saved is None
        else plan(
            replace(canonical, n_episodes=_EPISODES_OF_A_TRIAL if claimed and episodes else len(episodes) or None),
            _circumstances(
                files, facts, statistics, judgement, episodes, claimed=claimed, deterministic=canonical.deterministic
            ),
            findings,
            forced=forced,
        )
    )
    return {
        "facts": plain(facts),
        "findings": [plain(finding.to_dict()) for finding in findings],
        "target": target,
        "pairs": judgement is not None and not judgement.obstacle,
        "estimates": [] if files.n_envs is None else _estimates(judgement, episodes, files.n_envs),
        "trials": [trial.to_dict() for trial in trials],
    }


def _circumstances(
    files: _Files,
    facts: Mapping[str, Any],
    statistics: SavedStatistics | None,
    judgement: Judgement | None,
    episodes: Sequence[Mapping[str, Any]],
    *,
    claimed: bool,
    deterministic: bool,
) -> Circumstances:
    comparison = None if judgement is None else judgement.comparison
    gap = None if judgement is None else judgement.environment_gap
    return Circumstances(
        claimed=claimed,
        runs=bool(episodes),
        lost=not episodes or (comparison is not None and comparison.decision in ("degraded", "improved")),
        environment_gap=gap is not None and gap.decision in ("degraded", "improved"),
        statistics=statistics is not None,
        never_normalized=facts.get("trained_normalized") is False,
        paired=bool(facts.get("statistics_paired")),
        norm_reward=statistics is not None and bool(statistics.settings["norm_reward"]),
        dictionary=statistics is not None and list(statistics.observations) != [""],
        recurrent=files.algo == "RecurrentPPO",
        maskable=files.algo == "MaskablePPO",
        deterministic=deterministic,
        time_limit=files.environment is not None and files.environment.time_limit is None,
        other_device=_other_device(),
        episodes_trained=_episodes_trained(files, facts, episodes),
    )


def _episodes_trained(files: _Files, facts: Mapping[str, Any], episodes: Sequence[Mapping[str, Any]]) -> int:
    """How many episodes each training environment has seen, as far as it can be told."""
    steps, lengths = facts.get("num_timesteps"), [episode["length"] for episode in episodes]
    if not isinstance(steps, int) or not sum(lengths):
        return 1
    seen: int = steps * len(lengths) // (sum(lengths) * (files.n_envs or 1))
    affordable: int = _STEPS_BEFORE * len(lengths) // sum(lengths)
    return max(1, min(seen, affordable, _EPISODES_BEFORE))


def _reward_scale(
    saved: SavedModel, statistics: SavedStatistics | None, files: _Files, episodes: Sequence[Mapping[str, Any]]
) -> list[Finding]:
    """Whether the model's own training episodes are on another scale than what it earns."""
    if not episodes:
        return []
    reward, length = (float(np.mean([float(episode[name]) for episode in episodes])) for name in ("reward", "length"))
    found = training_on_another_scale(traces_of(saved, files.algo, files.n_envs), statistics, reward, length)
    return [] if found is None else [found]


def _estimates(judgement: Judgement | None, episodes: Sequence[Mapping[str, Any]], n_envs: int) -> list[dict[str, Any]]:
    """What hand-written loops would have measured, computed from episodes that have been run."""
    claim = None if judgement is None else judgement.claim
    if (
        claim is None
        or claim.n is None
        or not 1 <= claim.n <= _MOST_CLAIMED
        or n_envs < 2
        or len({episode["length"] for episode in episodes}) < 2
    ):
        return []
    mean = mean_of_first_finished(
        np.asarray([episode["length"] for episode in episodes]),
        np.asarray([float(episode["reward"]) for episode in episodes]),
        n=claim.n,
        n_envs=n_envs,
    )
    name = f"the first {claim.n} episodes that {n_envs} environments finish"
    return [{"name": name, "cause": "short-episode-bias", "mean": mean, "details": {"n": claim.n, "n_envs": n_envs}}]


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
    """The environment as the policy would meet it; nothing where it cannot be built."""

    observation_space: spaces.Space | None = None
    action_space: spaces.Space | None = None
    construction: Mapping[str, Any] | None = None


def _build(environment: EnvironmentSpec | None) -> _Built:
    if environment is None:
        return _Built()
    try:
        venv = build_vec_env(replace(environment, normalize=None), 1, seed=0)
    except Exception:
        return _Built()
    built = _Built(venv.observation_space, venv.action_space, venv.env_method("construction", indices=0)[0])
    venv.close()
    return built


def _other_device() -> str | None:
    return "cuda" if th.cuda.is_available() else None


def _packages_in(folders: Sequence[str]) -> list[str]:
    """What the user's own folders hold: a model trained here may name it."""
    return sorted(
        path.stem for folder in folders for path in Path(folder).glob("*") if path.suffix == ".py" or path.is_dir()
    )
