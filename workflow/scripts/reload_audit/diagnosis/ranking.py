"""Which of several explanations counts more: how much speaks for each cause, and which of them are named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from reload_audit.causes.catalogue import CAUSES, Cause
from reload_audit.causes.finding import Detail, Finding
from reload_audit.diagnosis.evidence import TrialResult
from reload_audit.diagnosis.gap import EXPLAINS_WITH_PROOF
from reload_audit.judging.judgement import Judgement

NEXT_TO_NOTHING = 0.2
"""Share of the gap below which a trial shows that what it changes is not the cause."""

_AS_GOOD = 9.0
"""Trials whose surprises differ by no more count as fitting equally well."""

_BIASED = ("best_of_k", "before_last_update", "claim_too_imprecise")
"""Obstacles under which a trial that earns what is claimed is no evidence: the claim is biased or imprecise."""


class Level(IntEnum):
    """How much speaks for a cause, the strongest last."""

    NO_CAUSE = 0
    TOO_FEW_EPISODES = 1
    SIGN_OF_WHAT_NO_CONDITION_UNDOES = 2
    DOES_NOT_RUN = 3
    HIDDEN_BUT_NOTHING_TO_EXPLAIN = 4
    NO_CLAIM = 5
    NUMERICS = 6
    OBSTACLE = 7
    PRESUMED = 8
    PROVEN_AND_PART_OF_IT = 9
    BOTH_TOGETHER = 10
    PROVEN_AND_NOT_MEASURED = 11
    EXPLAINS = 12
    EXPLAINS_WITH_A_SIGN = 13
    PROVEN_AND_EXPLAINS = 14


@dataclass
class Suspect:
    """A cause, with the findings and trials that speak for it.

    :param name: key of :data:`reload_audit.causes.catalogue.CAUSES`
    :param findings: of this cause
    :param trials: that would speak for this cause alone
    :param together: the trial of two conditions at once that explains, where this is one of its causes
    """

    name: str
    findings: list[Finding] = field(default_factory=list)
    trials: list[TrialResult] = field(default_factory=list)
    together: TrialResult | None = None

    @property
    def cause(self) -> Cause:
        return CAUSES[self.name]

    @property
    def proven(self) -> bool:
        """Whether files or a contrast show it by themselves."""
        return any(finding.proof for finding in self.findings)

    @property
    def best(self) -> TrialResult | None:
        """The trial that closes most of the gap, or one that runs where nothing else did."""
        ran = [trial for trial in self.trials if trial.result.mean is not None]
        return max(ran, key=lambda trial: -np.inf if trial.share is None else trial.share, default=None)

    @property
    def share(self) -> float | None:
        """How much of the gap its best trial closes; None where that was not measured."""
        return None if self.best is None else self.best.share

    @property
    def surprise(self) -> float:
        """How badly its best trial fits the target; infinite without one."""
        return np.inf if self.best is None else self.best.surprise

    @property
    def details(self) -> Mapping[str, Detail]:
        """What its fix may name; the best trial's details count most, then those of the first finding."""
        known: dict[str, Detail] = {}
        for finding in reversed(self.findings):
            known |= finding.details
        return known | (dict(self.best.details) if self.best is not None else {})


@dataclass(frozen=True)
class Ranking:
    """Suspects in order.

    :param named: those that explain the verdict, the best explanation first
    :param cleared: those that explain nothing, though something was seen of them
    """

    named: Sequence[Suspect]
    cleared: Sequence[Suspect]


def suspects(findings: Iterable[Finding], trials: Sequence[TrialResult]) -> dict[str, Suspect]:
    """Every cause that a finding or a trial may speak for, by its name."""
    found: dict[str, Suspect] = {}
    for finding in findings:
        found.setdefault(finding.cause, Suspect(finding.cause)).findings.append(finding)
    for trial in trials:
        if len(trial.causes) == 1:
            (cause,) = trial.causes
            found.setdefault(cause, Suspect(cause)).trials.append(trial)
    both = [trial for trial in trials if len(trial.causes) > 1 and _explains_together(trial, found)]
    if both and not any(trial.explains_alone for trial in trials):
        # The best pair: the one that more proofs speak for, and among equals the one that closes more.
        best = max(both, key=lambda trial: (_proofs(trial, found), trial.share or 0.0))
        for cause in best.causes:
            found.setdefault(cause, Suspect(cause)).together = best
    return found


def rank(found: Iterable[Suspect], trials: Iterable[TrialResult], gap: str, judgement: Judgement | None) -> Ranking:
    """Order suspects by how much speaks for them, and leave out what is not needed.

    :param gap: between which measurements the difference lies; empty where that is not known
    """
    least = min((trial.surprise for trial in trials if trial.explains_alone), default=np.inf)
    ranked = sorted(
        ((level_of(suspect, gap, least, judgement), suspect) for suspect in found),
        key=lambda item: (-item[0], item[1].surprise, -(item[1].share or 0.0), list(CAUSES).index(item[1].name)),
    )
    # Causes that a trial alone speaks for are left out where one with stronger evidence explains.
    needless = Level.EXPLAINS if ranked and ranked[0][0] > Level.EXPLAINS else Level.NO_CAUSE
    named = [suspect for level, suspect in ranked if level not in (Level.NO_CAUSE, needless)]
    if len(named) > 1 and named[0].cause.fallback is None:
        named = [suspect for suspect in named if suspect.cause.fallback is None]
    return Ranking(named, [suspect for level, suspect in ranked if level is Level.NO_CAUSE])


def level_of(suspect: Suspect, gap: str, least: float, judgement: Judgement | None) -> Level:
    """How much speaks for a cause.

    :param gap: between which measurements the difference lies; empty where that is not known
    :param least: the least surprise of any trial of one cause that explains. Where only a trial speaks for a cause, it
        counts only if it fits about as well: many wrong ways to measure come near a reward that is lost altogether
    """
    cause, best = suspect.cause, suspect.best
    if cause.fallback is not None:
        is_seen = suspect.findings if cause.fallback == "presumed" else suspect.proven
        by_trials = Level.NO_CAUSE if best is None else _level_by_trials(suspect, best, least, gap)
        return max(by_trials, Level[cause.fallback.upper()] if is_seen else Level.NO_CAUSE)
    if best is not None and best.share is not None:
        level = _level_by_trials(suspect, best, least, gap)
        biased = judgement is not None and judgement.obstacle in _BIASED
        return Level.NO_CAUSE if biased and level is Level.EXPLAINS else level
    if best is not None and judgement is None:
        return Level.PROVEN_AND_EXPLAINS  # under its condition the model runs, otherwise it does not
    if suspect.together is not None:
        return Level.BOTH_TOGETHER
    if not suspect.proven:
        untested = suspect.findings and not cause.testable
        return Level.SIGN_OF_WHAT_NO_CONDITION_UNDOES if untested else Level.NO_CAUSE
    if cause.gap is not None and gap in ("environment", "process") and gap != cause.gap:
        return Level.NO_CAUSE
    if judgement is not None and judgement.comparison is None and suspect.findings[0].instrument == "probe":
        return Level.HIDDEN_BUT_NOTHING_TO_EXPLAIN
    return Level.PROVEN_AND_NOT_MEASURED


def _level_by_trials(suspect: Suspect, best: TrialResult, least: float, gap: str) -> Level:
    """How much speaks for a cause whose trials have run, so that it is known how much of the gap they close."""
    if suspect.proven:
        if best.share is not None and best.share >= EXPLAINS_WITH_PROOF and best.moved > 0.0:
            return Level.PROVEN_AND_EXPLAINS
        if suspect.together is not None:
            return Level.BOTH_TOGETHER
        part = max(trial.moved for trial in suspect.trials) >= NEXT_TO_NOTHING
        # The loss appears where such a cause acts, so it counts even if no trial was long enough to undo it.
        part = part or (gap == "environment" and suspect.cause.gap == gap)
        return Level.PROVEN_AND_PART_OF_IT if part else Level.NO_CAUSE
    if best.explains and suspect.findings:
        return Level.EXPLAINS_WITH_A_SIGN
    if best.explains and best.surprise <= least + _AS_GOOD:
        return Level.EXPLAINS
    return Level.BOTH_TOGETHER if suspect.together is not None else Level.NO_CAUSE


def _explains_together(trial: TrialResult, found: Mapping[str, Suspect]) -> bool:
    enough = trial.share is not None and trial.share >= EXPLAINS_WITH_PROOF and trial.moved > 0.0
    return trial.explains or (enough and _proofs(trial, found) > 0)


def _proofs(trial: TrialResult, found: Mapping[str, Suspect]) -> int:
    """How many of a trial's causes are proven."""
    return sum(found[cause].proven for cause in trial.causes if cause in found)
