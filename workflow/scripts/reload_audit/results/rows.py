"""The rows of the result tables, each made from a model's record."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, TypedDict

import numpy as np

from reload_audit.judging.claims import SAID_BY_SOMEBODY, strongest
from reload_audit.judging.comparison import Comparison, compare_paired
from reload_audit.judging.criteria import Criteria
from reload_audit.judging.judgement import Judgement
from reload_audit.processes.outcome import Usage
from reload_audit.reading.refusal import shown, unforeseen
from reload_audit.records.conditions import CANONICAL
from reload_audit.records.digests import digest
from reload_audit.records.episodes import Cut, Episode, are_alike, first_difference, mean_reward, rewards, std_reward
from reload_audit.records.manifest import ExternalManifest, TrainedManifest
from reload_audit.records.model_record import Check, Measurement, ModelRecord, recorded_text
from reload_audit.records.specs import Claim
from reload_audit.records.unpicklable_part import UnpicklablePart
from reload_audit.remedies.pickling_advice import advice
from reload_audit.results.tables import ConditionRow, EpisodeRow, ModelRow, ProcessRow


class ComparisonColumns(TypedDict):
    """The columns of a comparison; ``p`` is of a loss where the difference is negative, else of a gain."""

    difference: float
    ci_low: float
    ci_high: float
    margin: float
    p: float


class LossColumns(TypedDict):
    """The largest loss that is not excluded, in reward and as a share of what was learned."""

    largest_loss: float
    largest_loss_share: float | None


def model_row(record: ModelRecord, judgement: Judgement | None) -> ModelRow:
    """A model's row without q, verdict and gap, which need all models; ``reason`` is only that of a failure."""
    if isinstance(record.manifest, TrainedManifest):
        row = _trained_row(record.manifest, record.canonical)
    else:
        row = _external_row(record.manifest)
    row = replace(
        row,
        model=record.name,
        gap="",
        reason=record.failure,
        checks_failed=", ".join(check.name for check in checks_failed(record)),
        random_mean_reward=record.random_policy_mean,
        log=record.log,
    )
    row = _with_cut(_with_claim(_with_rewards(row, record), record, judgement), record)
    row = replace(row, remarks="; ".join(filter(None, [row.remarks, *_alike(record), *_unlearned(row)])))
    if judgement is not None and judgement.comparison is not None:
        row = replace(row, **comparison_columns(judgement.comparison))
        row = replace(row, **loss_columns(judgement.comparison, row.claim_mean, row.random_mean_reward))
        row = replace(row, remarks="; ".join(filter(None, [row.remarks, *_said_elsewhere(row, record.claims)])))
    texts: dict[str, Any] = {name: shown(value) for name, value in vars(row).items() if isinstance(value, str)}
    return replace(row, **texts)


def failed_row(content: Mapping[str, Any], error: Exception) -> ModelRow:
    """The row of a model whose record cannot be used: what it is called, where it is from, and why.

    :param content: its record, which may be damaged, or the row that was made of it
    """

    def text(in_row: str, *in_record: str) -> str | None:
        of_kind = recorded_text(content, "manifest", *in_record)
        found = recorded_text(content, in_row) if of_kind is None else of_kind
        return None if found is None else shown(found)

    kind = "external" if recorded_text(content, "manifest", "external", "model") else "spec"
    return ModelRow(
        model=text("model", "model"),
        experiment=text("experiment", kind, "group" if kind == "external" else "experiment"),
        source=text("source", kind, "source") or "trained",
        role=text("role", kind, "role") or "final",
        algo=text("algo", kind, "algo"),
        env_id=text("env_id", kind, "environment", "env"),
        gap="",
        reason=f"in aggregation: its record cannot be used: {unforeseen(error)}",
        checks_failed="",
        remarks="",
        log=text("log") or "",
    )


def comparison_columns(comparison: Comparison) -> ComparisonColumns:
    """What the table of models says of a comparison."""
    return {
        "difference": comparison.difference,
        "ci_low": comparison.ci_low,
        "ci_high": comparison.ci_high,
        "margin": comparison.margin,
        "p": comparison.p_degraded if comparison.difference < 0 else comparison.p_improved,
    }


def loss_columns(comparison: Comparison, earned: float | None, random_mean: float | None) -> LossColumns:
    """What the table of models says of the loss that may have been missed.

    :param earned: mean episode reward at train time, or as claimed
    :param random_mean: mean episode reward of a random policy; without it nobody knows how much was learned
    """
    largest = max(0.0, -comparison.ci_low)
    learned = 0.0 if earned is None or random_mean is None else abs(earned - random_mean)
    share = largest / learned if 0.0 < learned < math.inf else math.nan
    return {"largest_loss": largest, "largest_loss_share": share if math.isfinite(share) else None}


def checks_failed(record: ModelRecord) -> list[Check]:
    """The checks that failed, but for those of versions: they nearly always do, and have a column of their own."""
    failed = [] if record.canonical is None else record.canonical.checks_failed
    return [check for check in failed if check.package is None]


def condition_row(record: ModelRecord, measurement: Measurement, criteria: Criteria) -> ConditionRow:
    """What one condition gave, compared with the reference as far as it can be."""
    condition, episodes = measurement.condition, measurement.episodes
    row = ConditionRow(
        model=record.name,
        condition=condition.name,
        n_envs=condition.n_envs,
        vec_env=condition.vec_env,
        deterministic=condition.deterministic,
        status="error" if measurement.reason else "ok",
        reason=measurement.reason,
        migration=condition.migration or "",
    )
    if episodes:
        row = replace(
            row,
            n_episodes=len(episodes),
            spared=measurement.spared,
            earned=condition.earned,
            mean_reward=float(measurement.rewards.mean()),
            std_reward=float(measurement.rewards.std()),
            mean_ep_length=float(np.mean([episode.length for episode in episodes])),
        )
    reference = record.reference[: len(episodes)]
    comparable = measurement.paired and (record.train_time is not None or condition.name != CANONICAL)
    if len(reference) > 1 and comparable and np.isfinite(measurement.rewards).all():
        earned = measurement.rewards[: len(reference)]
        difference = compare_paired(earned - rewards(reference), 0.0, criteria)
        differs_at = first_difference(reference, episodes[: len(reference)])
        row = replace(
            row,
            difference=difference.difference,
            ci_low=difference.ci_low,
            ci_high=difference.ci_high,
            identical=differs_at is None,
            first_difference=differs_at or "",
        )
    return row


def episode_rows(record: ModelRecord) -> Iterator[EpisodeRow]:
    """Every episode that was measured of a model."""
    for name, measurement in record.measurements.items():
        for episode in measurement.episodes:
            yield EpisodeRow(
                record.name,
                name,
                episode.episode,
                episode.seed,
                episode.reward,
                episode.length,
                episode.terminated,
                episode.monitor_reward,
                episode.step_reward,
                digest(episode.trace),
                bool(episode.cut),
            )


def process_rows(record: ModelRecord) -> Iterator[ProcessRow]:
    """The process that trained a model, if it was trained here, and those that reloaded it."""
    trainer = record.manifest.process if isinstance(record.manifest, TrainedManifest) else None
    if trainer is not None:
        yield _process_row(record.name, "train", trainer, None)
    for name, measurement in record.conditions.items():
        if measurement.process is not None:
            fresh = trainer is None or _is_another(measurement.process, trainer)
            yield _process_row(record.name, name, measurement.process, fresh)


def _process_row(model: str, condition: str, process: Usage, fresh: bool | None) -> ProcessRow:
    return ProcessRow(model, condition, fresh=fresh, **asdict(process))


def _is_another(process: Usage, trainer: Usage) -> bool:
    same_parent = (process.host, process.parent_pid) == (trainer.host, trainer.pid)
    same = (process.host, process.pid, process.started) == (trainer.host, trainer.pid, trainer.started)
    return not same_parent and not same


def _trained_row(manifest: TrainedManifest, canonical: Measurement | None) -> ModelRow:
    spec, training = manifest.training_spec, manifest.training
    checks = [] if canonical is None else canonical.checks
    now = {check.package: check.found for check in checks if check.package is not None}
    row = ModelRow(
        experiment=spec.experiment,
        source="trained",
        role="final",
        algo=spec.algo,
        env_id=spec.environment.env,
        env_ran=spec.environment.env,
        train_seed=spec.seed,
        train_n_envs=spec.n_envs,
        remarks="",
    )
    if training is None:
        return _with_versions(row, {}, now)
    row = replace(
        row,
        num_timesteps=training.description.num_timesteps,
        normalized=training.description.normalized,
        ep_rew_mean=training.description.ep_rew_mean,
        remarks="; ".join(
            [
                *_resumed(training.resumed_from),
                *filter(None, [training.not_finite]),
                *map(_cannot_be_pickled, training.unpicklable),
            ]
        ),
    )
    return _with_versions(row, training.description.identity.versions, now)


def _resumed(steps: int | None) -> list[str]:
    if steps is None:
        return []
    return [f"training was interrupted and went on from {steps:,} steps, on environments that started anew"]


def _cannot_be_pickled(part: UnpicklablePart) -> str:
    return f"{part.layer}.{part.attribute} cannot be pickled ({part.error}): {advice(part).remedy}"


def _external_row(manifest: ExternalManifest) -> ModelRow:
    external, facts = manifest.external, manifest.facts
    row = ModelRow(
        experiment=external.group,
        source=external.source,
        role=external.role,
        algo=external.algo,
        env_id=external.environment.env,
        env_ran=facts.env_ran,
        train_seed=facts.train_seed,
        train_n_envs=external.n_envs,
        num_timesteps=facts.num_timesteps,
        normalized=facts.normalized,
        ep_rew_mean=next((claim.mean for claim in facts.claims if claim.kind == "training"), None),
        loaded_with="; ".join(facts.loaded_with),
        remarks="; ".join(facts.remarks),
        plain_load_error=facts.plain_load_error,
    )
    return _with_versions(row, facts.saved_with, facts.versions)


def _with_versions(row: ModelRow, saved: Mapping[str, str], now: Mapping[str, str]) -> ModelRow:
    changes = [f"{name} {saved[name]} → {now[name]}" for name in now if name in saved and saved[name] != now[name]]
    return replace(
        row,
        sb3_saved=saved.get("stable_baselines3"),
        sb3_loaded=now.get("stable_baselines3"),
        version_changes="; ".join(changes),
    )


def _with_rewards(row: ModelRow, record: ModelRecord) -> ModelRow:
    """With the moments of what was earned at train time and after the reload, over the episodes that both have run."""
    canonical = [] if record.canonical is None else record.canonical.episodes
    if canonical:
        mean, std = _moments(canonical)
        row = replace(row, n_episodes=len(canonical), reload_mean_reward=mean, reload_std_reward=std)
    if record.train_time is None:
        return row
    n = len(canonical) or None
    quoted = record.train_time.quoted[:n]
    mean, std = _moments(quoted)
    reference_mean, reference_std = _moments(record.train_time.reference[:n])
    return replace(
        row,
        train_mean_reward=mean,
        train_std_reward=std,
        reference_mean_reward=reference_mean,
        reference_std_reward=reference_std,
        claim_kind="reference" if record.train_time.in_place is None else "in_place",
        claim_mean=mean,
        claim_std=std,
        claim_n=len(quoted),
    )


def _with_claim(row: ModelRow, record: ModelRecord, judgement: Judgement | None) -> ModelRow:
    """With the claim that decides, if one does."""
    claim: Claim | None = judgement.claim if judgement is not None else strongest(record.claims)
    if claim is None or (record.train_time is not None and judgement is None):
        return row
    return replace(
        row,
        claim_kind=claim.kind,
        claim_mean=claim.mean,
        claim_std=claim.std,
        claim_n=claim.n,
        claim_source=claim.where,
    )


def _alike(record: ModelRecord) -> Iterator[str]:
    """A remark where nothing in a model's episodes is drawn at random."""
    episodes = [] if record.canonical is None else record.canonical.episodes
    if are_alike(episodes):
        yield f"its {len(episodes):,} episodes are the same in every bit, whatever their seeds: they count as one"


def _said_elsewhere(row: ModelRow, claims: Sequence[Claim]) -> Iterator[str]:
    """Remarks on what somebody says that a model earns, where it is not what decides, within the margin."""
    compared_with, margin = row.claim_mean, row.margin
    if compared_with is None or margin is None or row.reload_mean_reward is None:
        return
    for claim in claims:
        if claim.kind in SAID_BY_SOMEBODY and abs(claim.mean - compared_with) > margin:
            spread = "" if claim.std is None else f" ± {claim.std:.4g}"
            yield f"{claim.where} says something else: {claim.mean:.4g}{spread}; it earns {row.reload_mean_reward:.4g}"


def _unlearned(row: ModelRow) -> Iterator[str]:
    """Remarks on a model that was never trained, or earns no more than a random policy.

    Rewards are compared, not actions: an untrained network's usual action is always the same, which no random policy's
    is, and yet nothing was learned.
    """
    if row.num_timesteps == 0:
        yield "it was saved before its training: its zip counts 0 steps"
    mean, std, random_mean = row.reload_mean_reward, row.reload_std_reward, row.random_mean_reward
    if mean is None or std is None or random_mean is None or not row.n_episodes or row.episodes_cut:
        return
    if mean - random_mean <= std / math.sqrt(row.n_episodes):
        yield f"as far as its episodes show, it earns no more than a random policy, which earns {random_mean:.4g}"


_BOUNDS: dict[Cut, str] = {
    "lower": "they earned at least what is said, because no step pays less than 0",
    "upper": "they earned at most what is said, because no step pays more than 0",
    "open": "whether they would have earned more or less is not known",
}


def _with_cut(row: ModelRow, record: ModelRecord) -> ModelRow:
    """With the number of episodes of the reload that were cut, and a remark on them."""
    episodes = [] if record.canonical is None else record.canonical.episodes
    cut = [episode for episode in episodes if episode.cut]
    if not cut:
        return replace(row, episodes_cut=0 if episodes else None)
    remark = (
        f"{len(cut):,} of {len(episodes):,} episodes did not end within {cut[0].length:,} steps "
        f"(evaluation.max_episode_steps) and were cut: {_BOUNDS[cut[0].cut]}"
    )
    return replace(row, episodes_cut=len(cut), remarks="; ".join(filter(None, [row.remarks, remark])))


def _moments(episodes: Sequence[Episode]) -> tuple[float, float]:
    return mean_reward(episodes), std_reward(episodes)
