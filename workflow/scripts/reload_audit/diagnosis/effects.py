"""What each trial gave, in numbers: its effect on the reward, how well that is known, how much of the gap it closes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from reload_audit.causes.finding import Detail
from reload_audit.diagnosis.gap import EXPLAINS, NEXT_TO_NOTHING, STANDARD_ERRORS, share_closed
from reload_audit.judging.judgement import Judgement
from reload_audit.records.episodes import Episode, mean_reward
from reload_audit.records.examination import Trial
from reload_audit.records.first_look import FirstLook
from reload_audit.records.model_record import Measurement

_EXPLAINS_BUT_FOR_NOISE = 0.6
"""Share of a gap that a trial has to close to explain it, where the rest of it is within the noise."""

_ROUNDING = 0.01
"""Fraction of the gap to which a claimed reward may have been rounded: noise is taken to be no less."""


@dataclass(frozen=True)
class ConditionResult:
    """Rewards under one condition, and how much they differ from those under the canonical one.

    The difference is taken over the episodes that both have run, or of all episodes of each, whichever is known better:
    pairs are worth nothing where the two hardly depend on each other, and a trial may be shorter.

    :param mean: mean reward, as the condition counts it; None where there is none, and ``failure`` says why
    :param std: standard deviation (ddof 1) of ``n`` episodes
    :param instead: mean reward under the canonical condition, over the episodes of the comparison; None without one
    :param effect: mean reward minus ``instead``
    :param error: standard error of ``effect``; 0 where that is certain
    """

    mean: float | None
    failure: str = ""
    std: float = 0.0
    n: int = 0
    instead: float | None = None
    effect: float = 0.0
    error: float = 0.0

    @classmethod
    def of(cls, found: Measurement, canonical: Measurement | None) -> ConditionResult:
        rewards = found.rewards
        if not rewards.size or not np.isfinite(rewards).all():
            return cls(None, found.reason)
        mean, std = float(rewards.mean()), spread(rewards)
        before = np.empty(0) if canonical is None else canonical.rewards
        if before.size < 2 or rewards.size < 2:
            return cls(mean, "", std, rewards.size)
        common, same = before[: rewards.size], rewards[: before.size]
        paired = spread(same - common) / float(np.sqrt(common.size))
        error = _error_of_all(rewards, before)
        instead = float(before.mean())
        if paired <= error:
            mean, instead, error = float(same.mean()), float(common.mean()), paired
        return cls(mean, "", std, rewards.size, instead, mean - instead, error)


def _error_of_all(rewards: np.ndarray, before: np.ndarray) -> float:
    """The standard error of the difference of two means, the first episodes of which have the same seeds."""
    n, m = rewards.size, before.size
    common, same = before[:n], rewards[:m]
    covariance = (spread(same) ** 2 + spread(common) ** 2 - spread(same - common) ** 2) / 2.0
    square = spread(rewards) ** 2 / n + spread(before) ** 2 / m - 2.0 * covariance / max(n, m)
    return math.sqrt(square) if 0.0 < square < math.inf else math.inf


def spread(values: np.ndarray) -> float:
    """The standard deviation with ddof 1; 0 for a single value, infinite where squares overflow."""
    with np.errstate(over="ignore", invalid="ignore"):
        return float(values.std(ddof=1)) if values.size > 1 else 0.0


@dataclass(frozen=True)
class TrialResult:
    """A trial, or an estimate: the causes that it may speak for, what it gave, and how much of the gap it closes.

    The gap lies between what the model earns under the canonical condition and the reward that is to be explained.

    :param name: of its condition, or of the estimate
    :param details: what a fix of its causes may name
    :param share: how much of the gap it closes; None where there is no gap to close
    :param moved: how far it moved the reward towards the target, 1 for all the way, more for beyond
    :param uncertain: ``moved`` may be off by so much
    :param rest: what is left of the gap, in standard errors
    :param surprise: how badly mean and spread fit the target's; a sum of squares of standard normal numbers
    """

    name: str
    causes: tuple[str, ...]
    details: Mapping[str, Detail]
    result: ConditionResult
    share: float | None = None
    moved: float = 0.0
    uncertain: float = 0.0
    rest: float = np.inf
    surprise: float = np.inf

    @property
    def helps(self) -> bool:
        """Whether it moves the reward towards the target, beyond noise."""
        return self.share is not None and self.moved > self.uncertain

    @property
    def explains(self) -> bool:
        """Whether it closes so much of the gap that nothing else is needed."""
        if self.share is None or not self.helps:
            return False
        return self.share >= EXPLAINS or (self.share >= _EXPLAINS_BUT_FOR_NOISE and self.rest <= STANDARD_ERRORS)

    @property
    def explains_alone(self) -> bool:
        """Whether it explains, and speaks for a single cause."""
        return len(self.causes) == 1 and self.explains

    @property
    def excluded(self) -> bool:
        """Whether all that its effect may be, noise included, closes next to nothing of the gap."""
        if self.share is None:
            return False
        nearest = min(max(1.0, self.moved - self.uncertain), self.moved + self.uncertain)
        return share_closed(1.0, 0.0, nearest) < NEXT_TO_NOTHING


@dataclass(frozen=True)
class Goal:
    """The reward that is to be explained; None for what is not known of it.

    :param std: its standard deviation, and ``n``, the episodes behind it, are known only of some claims
    """

    mean: float | None
    std: float | None = None
    n: int | None = None

    @classmethod
    def of(cls, reward: float | None, judgement: Judgement | None) -> Goal:
        """What a judgement compares with; unknown where it shows no loss and no gain, as there is none to explain.

        :param reward: mean reward under the canonical condition; None where it failed
        """
        if reward is None or judgement is None or judgement.comparison is None:
            return cls(None)
        # A biased claim must not decide, but what it shows is tried to be explained.
        decision = judgement.comparison.decision if judgement.obstacle else judgement.decision
        if decision not in ("degraded", "improved"):
            return cls(None)
        mean = reward - judgement.comparison.difference
        claim = judgement.claim
        return cls(mean) if claim is None or not claim.n else cls(mean, claim.std, claim.n)


def compared(trial: TrialResult, reward: float | None, target: Goal) -> TrialResult:
    """A trial with its numbers filled in; unchanged where there is no gap.

    :param reward: mean reward under the canonical condition
    """
    goal, result = target.mean, trial.result
    if result.mean is None or goal is None or reward is None or goal == reward:
        return trial
    gap = goal - reward
    effect = result.mean - reward if result.instead is None else result.effect
    moved = effect / gap
    noise = np.hypot(result.std / np.sqrt(result.n or 1), (target.std or 0.0) / np.sqrt(target.n or 1))
    rest = abs(1.0 - moved) * abs(gap) / max(float(noise), _ROUNDING * abs(gap))
    return replace(
        trial,
        share=share_closed(1.0, 0.0, moved),
        moved=moved,
        uncertain=STANDARD_ERRORS * result.error / abs(gap),
        rest=rest,
        surprise=rest**2 + _surprising_spread(target, result.std, result.n or 1),
    )


def effect_of(trial: Trial, found: Measurement | None, canonical: Measurement, goal: Goal) -> TrialResult | None:
    """What a trial did to the reward; None where it was not made, or gave none, or there is nothing to explain.

    :param found: what its condition gave
    :param canonical: what the canonical condition gave
    """
    if found is None or not canonical.episodes:
        return None
    tried = TrialResult(trial.condition.name, trial.causes, {}, ConditionResult.of(found, canonical))
    effect = compared(tried, mean_reward(canonical.episodes), goal)
    return None if effect.share is None else effect


@dataclass(frozen=True)
class Excluding(FirstLook):
    """Whether the first episodes of a trial exclude what it changes as the cause, so that its further ones are spared.

    They do not where the gap may lie in few episodes, of which the first may hold none: where its half is within the
    noise of so many.

    :param canonical: what the canonical condition gave
    """

    trial: Trial
    canonical: Measurement
    goal: Goal

    episodes = 20
    says = "excluded"

    def suffices(self, episodes: Sequence[Episode]) -> bool:
        if self.goal.mean is None or self.goal.std is None or not episodes:
            return False
        reward = mean_reward(self.canonical.episodes)
        noise = max(self.goal.std, spread(self.canonical.rewards)) / math.sqrt(len(episodes))
        if STANDARD_ERRORS * noise > abs(self.goal.mean - reward) / 2.0:
            return False
        found = Measurement(self.trial.condition, None, None, episodes=episodes)
        gave = ConditionResult.of(found, self.canonical)
        name = self.trial.condition.name
        return compared(TrialResult(name, self.trial.causes, {}, gave), reward, self.goal).excluded


def _surprising_spread(target: Goal, std: float, n: int) -> float:
    """How badly two spreads fit each other: the logarithm of a standard deviation has the error ``1 / sqrt(2 n)``."""
    if not target.std or not target.n or not std:
        return 0.0
    return float(np.log(std / target.std) ** 2 / (0.5 / n + 0.5 / target.n))
