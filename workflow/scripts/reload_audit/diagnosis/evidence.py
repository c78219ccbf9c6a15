"""What was seen of one model that may explain its verdict: findings, and in numbers what each trial gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from reload_audit.causes.finding import Detail, Finding
from reload_audit.diagnosis.gap import EXPLAINS, share_closed
from reload_audit.judging.divergence_wording import divergence_sentence
from reload_audit.judging.judgement import Judgement
from reload_audit.records.divergence import Divergence
from reload_audit.records.episodes import mean_reward
from reload_audit.records.examination import Examination
from reload_audit.records.manifest import ExternalManifest
from reload_audit.records.model_record import Measurement, ModelRecord

_STANDARD_ERRORS = 3.0
"""A difference within so many standard errors counts as noise."""

_EXPLAINS_BUT_FOR_NOISE = 0.6
"""Share of a gap that a trial has to close to explain it, where the rest of it is within the noise."""

_ROUNDING = 0.01
"""Fraction of the gap to which a claimed reward may have been rounded: noise is taken to be no less."""


@dataclass(frozen=True)
class ConditionResult:
    """Rewards under one condition, compared with the canonical one over the episodes that both have run.

    :param mean: mean reward, as the condition counts it; None where there is none, and ``failure`` says why
    :param std: standard deviation (ddof 1) of ``n`` episodes
    :param moved: mean difference from the canonical condition, 0 where it is within three standard errors; infinite
        where the two have no episodes in common
    """

    mean: float | None
    failure: str = ""
    std: float = 0.0
    n: int = 0
    moved: float = 0.0

    @classmethod
    def of(cls, found: Measurement, canonical: Measurement | None) -> ConditionResult:
        rewards = found.rewards
        if not rewards.size or not np.isfinite(rewards).all():
            return cls(None, found.reason)
        std = float(rewards.std(ddof=1)) if rewards.size > 1 else 0.0
        common = 0 if canonical is None else min(rewards.size, len(canonical.episodes))
        if canonical is None or common < 2:
            return cls(float(rewards.mean()), "", std, rewards.size, np.inf)
        differences = rewards[:common] - canonical.rewards[:common]
        error = float(differences.std(ddof=1) / np.sqrt(common))
        moved = float(differences.mean())
        is_clear = abs(moved) > _STANDARD_ERRORS * error
        return cls(float(rewards.mean()), "", std, rewards.size, moved if is_clear else 0.0)


@dataclass(frozen=True)
class TrialResult:
    """A trial, or an estimate: the causes that it may speak for, what it gave, and how much of the gap it closes.

    The gap lies between what the model earns under the canonical condition and the reward that is to be explained.

    :param name: of its condition, or of the estimate
    :param details: what a fix of its causes may name
    :param share: how much of the gap it closes; None where there is no gap to close
    :param moved: how far it moved the reward towards the target, 1 for all the way, more for beyond
    :param rest: what is left of the gap, in standard errors
    :param surprise: how badly mean and spread fit the target's; a sum of squares of standard normal numbers
    """

    name: str
    causes: tuple[str, ...]
    details: Mapping[str, Detail]
    result: ConditionResult
    share: float | None = None
    moved: float = 0.0
    rest: float = np.inf
    surprise: float = np.inf

    @property
    def explains(self) -> bool:
        """Whether it closes so much of the gap that nothing else is needed."""
        if self.share is None or self.moved <= 0.0:
            return False
        return self.share >= EXPLAINS or (self.share >= _EXPLAINS_BUT_FOR_NOISE and self.rest <= _STANDARD_ERRORS)

    @property
    def explains_alone(self) -> bool:
        """Whether it explains, and speaks for a single cause."""
        return len(self.causes) == 1 and self.explains


@dataclass(frozen=True)
class Evidence:
    """All that is known of one model that may explain its verdict, without its episodes: an audit may hold thousands.

    :param reward: mean reward under the canonical condition; None where it failed
    :param failure: why there are no rewards; empty if there are
    :param checks: how many checks there were, and how many failed
    :param findings: what examining its files found
    :param trials: those that were planned, then the estimates
    :param examination_failure: why it could not be examined; empty if it could
    :param context: what every fix may name: ``algo``, and the environment as code has it
    :param last_bits: where reload and reference first differ, as a sentence, if only last bits do; otherwise empty
    :param ran_as: a sentence on which other version of its environment it ran in; empty where it ran in its own
    """

    reward: float | None
    failure: str
    checks: tuple[int, int]
    findings: tuple[Finding, ...] = ()
    trials: tuple[TrialResult, ...] = ()
    examination_failure: str = ""
    context: Mapping[str, str] = field(default_factory=dict)
    last_bits: str = ""
    ran_as: str = ""

    @classmethod
    def of(cls, model: ModelRecord) -> Evidence:
        canonical = model.canonical
        examination = model.examination or Examination()
        return cls(
            reward=mean_reward(canonical.episodes) if canonical is not None and canonical.episodes else None,
            failure=model.failure,
            checks=(0, 0) if canonical is None else (len(canonical.checks), len(canonical.checks_failed)),
            findings=examination.findings,
            trials=_trial_results(examination, model),
            examination_failure=examination.failure,
            context=_context(model),
            last_bits="" if canonical is None else only_last_bits(canonical.divergence),
            ran_as=_ran_as(model),
        )


@dataclass(frozen=True)
class Target:
    """The reward that is to be explained; None for what is not known of it.

    :param std: its standard deviation, and ``n``, the episodes behind it, are known only of some claims
    """

    mean: float | None
    std: float | None = None
    n: int | None = None

    @classmethod
    def of(cls, evidence: Evidence, judgement: Judgement | None) -> Target:
        if judgement is None or judgement.comparison is None or evidence.reward is None:
            return cls(None)
        mean = evidence.reward - judgement.comparison.difference
        claim = judgement.claim
        return cls(mean) if claim is None or not claim.n else cls(mean, claim.std, claim.n)


def compared(trial: TrialResult, reward: float | None, target: Target) -> TrialResult:
    """A trial with ``share``, ``moved``, ``rest`` and ``surprise`` filled in; unchanged where there is no gap.

    :param reward: mean reward under the canonical condition
    """
    goal, result = target.mean, trial.result
    if result.mean is None or goal is None or reward is None or goal == reward:
        return trial
    gap = goal - reward
    noise = np.hypot(result.std / np.sqrt(result.n or 1), (target.std or 0.0) / np.sqrt(target.n or 1))
    rest = abs(goal - result.mean) / max(float(noise), _ROUNDING * abs(gap))
    moved = result.mean - reward if result.moved == np.inf else result.moved
    return replace(
        trial,
        share=share_closed(goal, reward, result.mean),
        moved=moved / gap,
        rest=rest,
        surprise=rest**2 + _surprising_spread(target, result.std, result.n or 1),
    )


def only_last_bits(divergence: Divergence | None) -> str:
    """The sentence on a divergence that rounding alone explains; empty for any other."""
    return divergence_sentence(divergence) if divergence is not None and divergence.implies == "numerics" else ""


def _surprising_spread(target: Target, std: float, n: int) -> float:
    """How badly two spreads fit each other: the logarithm of a standard deviation has the error ``1 / sqrt(2 n)``."""
    if not target.std or not target.n or not std:
        return 0.0
    return float(np.log(std / target.std) ** 2 / (0.5 / n + 0.5 / target.n))


def _trial_results(examination: Examination, model: ModelRecord) -> tuple[TrialResult, ...]:
    results = []
    for trial in examination.trials:
        name = trial.condition.name
        found = model.measurements.get(name)
        gave = (
            ConditionResult(None, "it was not tried") if found is None else ConditionResult.of(found, model.canonical)
        )
        results.append(TrialResult(name, trial.causes, trial.details, gave))
    for estimate in examination.estimates:
        gave = ConditionResult(estimate.mean, moved=np.inf)
        results.append(TrialResult(estimate.name, (estimate.cause,), estimate.details, gave))
    return tuple(results)


def _ran_as(model: ModelRecord) -> str:
    """A sentence on which other version of its environment a model ran in; empty where it ran in its own."""
    env, ran = model.environment["env"], _env_ran(model)
    if ran in (None, env):
        return ""
    migration = None if model.canonical is None else model.canonical.condition.migration
    return f"{env} ran as {ran}" + ("" if migration is None else f" with {migration}")


def _env_ran(model: ModelRecord) -> str | None:
    """The environment that an external model ran in, as a spec names it; None where that is not known."""
    return model.manifest.facts.env_ran if isinstance(model.manifest, ExternalManifest) else None


def _context(model: ModelRecord) -> dict[str, str]:
    env = model.environment["env"]
    known = {"algo": model.algo, "env_ran": _env_ran(model) or env}
    module, colon, name = env.partition(":")
    if not colon:
        return {**known, "env": env, "env_code": f'"{env}"'}
    if name.isidentifier():
        return {**known, "env_code": name, "env_import": f"from {module} import {name}"}
    return {**known, "env_code": f'"{env}"'}
