"""Which of several explanations counts more: how much speaks for each cause, and which of them are named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from reload_audit.causes.catalogue import CAUSES, Cause
from reload_audit.causes.finding import Detail, Finding
from reload_audit.diagnosis.effects import TrialResult
from reload_audit.diagnosis.gap import EXPLAINS_WITH_PROOF, NEXT_TO_NOTHING
from reload_audit.judging.judgement import Judgement

_AS_GOOD = 9.0
"""Trials whose surprises differ by no more count as fitting equally well."""

_BIASED = ("best_of_k", "before_last_update", "claim_too_imprecise")
"""Obstacles under which a trial that earns what is claimed is no evidence: the claim is biased or imprecise."""


class Level(IntEnum):
    """How much speaks for a cause, the strongest last. Those that are also in ``causes.yaml`` are for its fallbacks."""

    NO_CAUSE = 0
    """Nothing speaks for it, or a trial speaks against it."""
    TOO_FEW_EPISODES = 1
    """The comparison is open, and nothing else is known."""
    SIGN_OF_WHAT_NO_CONDITION_UNDOES = 2
    """A sign, but no proof, of something that no trial could confirm."""
    BESIDE_THE_ERROR = 3
    """Files prove it of a model that does not run; whether that is why is not known."""
    NO_CLAIM = 4
    """Nothing says what the model earned."""
    NUMERICS = 5
    """Only the last bits of numbers differ."""
    OBSTACLE = 6
    """The claim cannot decide: best of many, of another moment, of few episodes."""
    FAULT_OF_THE_ENVIRONMENT = 7
    """The probe proves it of the environment; what it does to the reward was not measured."""
    PRESUMED = 8
    """Something that would explain a loss is known, but not whether it does."""
    PROVEN_AND_PART_OF_IT = 9
    """Proven, and its trial closes a part of the gap."""
    BOTH_TOGETHER = 10
    """A trial of two conditions at once explains the gap, and this is one of the two."""
    PROVEN_AND_NOT_MEASURED = 11
    """Proven of the files, and no trial of it could be made."""
    EXPLAINS = 12
    """Its trial alone explains the gap; no file and no contrast speaks for it."""
    FAULT_THAT_SHOWS = 13
    """The probe proves it of the environment, and recorded episodes differ: then a trial may fit by chance."""
    DOES_NOT_RUN = 14
    """The error that keeps the model from running."""
    EXPLAINS_WITH_A_SIGN = 15
    """Its trial explains the gap, and there is a sign of it."""
    PROVEN_AND_EXPLAINS = 16
    """Proven, and its trial explains the gap; or the model runs under its trial, and not otherwise."""


@dataclass
class Suspect:
    """A cause, with the findings and trials that speak for it.

    :param name: key of :data:`reload_audit.causes.catalogue.CAUSES`
    :param findings: of this cause
    :param trials: that would speak for this cause alone
    :param together: the trial of two conditions at once that explains, where this is one of its causes
    :param level: how much speaks for it, once it is ranked
    """

    name: str
    findings: list[Finding] = field(default_factory=list)
    trials: list[TrialResult] = field(default_factory=list)
    together: TrialResult | None = None
    level: Level = Level.NO_CAUSE

    @property
    def cause(self) -> Cause:
        return CAUSES[self.name]

    @property
    def proven(self) -> bool:
        """Whether files or a contrast show it by themselves."""
        return any(finding.proof for finding in self.findings)

    @property
    def only_presumed(self) -> bool:
        """Whether it counts only where nothing else explains. What files prove of another environment counts more."""
        return self.cause.fallback is not None and not (self.cause.fallback == "presumed" and self.proven)

    @property
    def of_environment(self) -> bool:
        """Whether the probe found it."""
        return any(finding.instrument == "probe" for finding in self.findings)

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
    :param others: all that are not named
    """

    named: Sequence[Suspect]
    others: Sequence[Suspect]


def suspects(findings: Iterable[Finding], trials: Sequence[TrialResult]) -> dict[str, Suspect]:
    """Every cause that a finding or a trial may speak for, by its name."""
    found: dict[str, Suspect] = {}
    for finding in findings:
        found.setdefault(finding.cause, Suspect(finding.cause)).findings.append(finding)
    for trial in trials:
        if len(trial.causes) == 1:
            for cause in _spoken_for(trial.causes[0], [*found.values()]):
                found.setdefault(cause, Suspect(cause)).trials.append(trial)
    both = [trial for trial in trials if len(trial.causes) > 1 and _explains_together(trial, found)]
    if both and not any(trial.explains_alone for trial in trials):
        # The best pair: the one that more proofs speak for, and among equals the one that closes more.
        best = max(both, key=lambda trial: (_proofs(trial, found), trial.share or 0.0))
        for cause in best.causes:
            found.setdefault(cause, Suspect(cause)).together = best
    return found


def _spoken_for(cause: str, found: Iterable[Suspect]) -> list[str]:
    """The causes that a trial speaks for: all that the probe found about the same subject, or else its own cause.

    The probe is no part of a model's examination, so that trials are made without knowing what it finds.
    """
    subject = CAUSES[cause].subject
    alike = [one.name for one in found if one.of_environment and subject is not None and one.cause.subject == subject]
    return alike or [cause]


def rank(found: Iterable[Suspect], trials: Iterable[TrialResult], gap: str, judgement: Judgement | None) -> Ranking:
    """Order suspects by how much speaks for them, and leave out what is not needed.

    :param gap: between which measurements the difference lies; empty where that is not known
    :param judgement: None of a model that does not run
    """
    least = min((trial.surprise for trial in trials if trial.explains_alone), default=np.inf)
    found = list(found)
    for suspect in found:
        suspect.level = (
            _level_of_error(suspect) if judgement is None else _level_of_reward(suspect, gap, least, judgement)
        )
    ranked = sorted(
        found, key=lambda one: (-one.level, one.surprise, -(one.share or 0.0), list(CAUSES).index(one.name))
    )
    # Causes that a trial alone speaks for are left out where one with stronger evidence explains.
    needless = Level.EXPLAINS if ranked and ranked[0].level > Level.EXPLAINS else Level.NO_CAUSE
    named = [suspect for suspect in ranked if suspect.level not in (Level.NO_CAUSE, needless)]
    if len(named) > 1 and not named[0].only_presumed:
        named = [suspect for suspect in named if not suspect.only_presumed]
    return Ranking(named, [suspect for suspect in ranked if suspect not in named])


def _level_of_error(suspect: Suspect) -> Level:
    """How much speaks for a cause of a model that does not run: what keeps it from running comes first."""
    if suspect.best is not None:
        return Level.PROVEN_AND_EXPLAINS
    if suspect.cause.prevents_running:
        return Level.DOES_NOT_RUN if suspect.proven else Level.NO_CAUSE
    return Level.BESIDE_THE_ERROR if suspect.proven else Level.NO_CAUSE


def _level_of_reward(suspect: Suspect, gap: str, least: float, judgement: Judgement) -> Level:
    """How much speaks for a cause of a model that runs.

    :param gap: between which measurements the difference lies; empty where that is not known
    :param least: the least surprise of any trial of one cause that explains. Where only a trial speaks for a cause, it
        counts only if it fits about as well: many wrong ways to measure come near a reward that is lost altogether
    """
    cause, best = suspect.cause, suspect.best
    if cause.fallback is not None and suspect.only_presumed:
        is_seen = suspect.findings if cause.fallback == "presumed" else suspect.proven
        by_trials = Level.NO_CAUSE if best is None else _level_by_trials(suspect, best, least, gap)
        return max(by_trials, Level[cause.fallback.upper()] if is_seen else Level.NO_CAUSE)
    if best is not None and best.share is not None:
        level = _level_by_trials(suspect, best, least, gap)
        return Level.NO_CAUSE if judgement.obstacle in _BIASED and level is Level.EXPLAINS else level
    if suspect.together is not None:
        return Level.BOTH_TOGETHER
    if not suspect.proven:
        untested = suspect.findings and not cause.testable
        return Level.SIGN_OF_WHAT_NO_CONDITION_UNDOES if untested else Level.NO_CAUSE
    if cause.gap is not None and gap in ("environment", "process") and gap != cause.gap:
        return Level.NO_CAUSE
    if not suspect.of_environment:
        return Level.PROVEN_AND_NOT_MEASURED
    # Against a claim it is not known whether the same episodes came out differently.
    return Level.FAULT_THAT_SHOWS if judgement.claim is None else Level.FAULT_OF_THE_ENVIRONMENT


def _level_by_trials(suspect: Suspect, best: TrialResult, least: float, gap: str) -> Level:
    """How much speaks for a cause whose trials have run, so that it is known how much of the gap they close."""
    if suspect.proven:
        if best.share is not None and best.share >= EXPLAINS_WITH_PROOF and best.helps:
            return Level.PROVEN_AND_EXPLAINS
        if suspect.together is not None:
            return Level.BOTH_TOGETHER
        part = any(trial.helps and trial.moved >= NEXT_TO_NOTHING for trial in suspect.trials)
        # The loss appears where such a cause acts, so it counts even if no trial was long enough to undo it.
        acts = suspect.cause.gap == gap or (suspect.of_environment and suspect.cause.gap is None)
        part = part or (gap == "environment" and acts)
        return Level.PROVEN_AND_PART_OF_IT if part else Level.NO_CAUSE
    if best.explains and suspect.findings:
        return Level.EXPLAINS_WITH_A_SIGN
    if best.explains and best.surprise <= least + _AS_GOOD:
        return Level.EXPLAINS
    return Level.BOTH_TOGETHER if suspect.together is not None else Level.NO_CAUSE


def _explains_together(trial: TrialResult, found: Mapping[str, Suspect]) -> bool:
    enough = trial.share is not None and trial.share >= EXPLAINS_WITH_PROOF and trial.helps
    return trial.explains or (enough and _proofs(trial, found) > 0)


def _proofs(trial: TrialResult, found: Mapping[str, Suspect]) -> int:
    """How many of a trial's causes are proven."""
    return sum(found[cause].proven for cause in trial.causes if cause in found)
