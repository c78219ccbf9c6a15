"""From a verdict, and all that was seen, to a ranked list of causes, each with its evidence and its fix.

A cause is named only with evidence: files or a contrast that show it, or a condition that closes most of the gap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import IntEnum
from typing import Any

import numpy as np

from reload_audit.causes.catalogue import CAUSES, UNEXPLAINED
from reload_audit.causes.finding import Finding
from reload_audit.diagnosis.evidence import STANDARD_ERRORS, Observed, Tried
from reload_audit.diagnosis.trials import EXPLAINS, EXPLAINS_WITH_PROOF, share_closed
from reload_audit.judging.judgement import Judgement

_EXPLAINS_BUT_FOR_NOISE = 0.6
"""Or this share, where the rest of the gap is within the noise."""

_ROUNDING = 0.01
"""Part of a gap that no claim is precise to."""

_NEXT_TO_NOTHING = 0.2
"""Share of the gap below which a remedy shows that what it remedies is not the cause."""

_UNTESTED = ("parameters-of-another-checkpoint", "env-changed")
"""What no condition can undo: a sign of it counts where nothing else does."""

_ONLY_IN_A_FRESH_PROCESS = ("hash-order", "process-cache")
_ONLY_ON_NEW_ENVIRONMENTS = ("curriculum",)

_OBSTACLES = {
    "no_claim": "no-claim",
    "claim_too_imprecise": "claim-too-imprecise",
    "best_of_k": "best-of-k",
    "before_last_update": "before-last-update",
    "claim_with_exploration": "training-episodes",
}


@dataclass(frozen=True)
class Explanation:
    """One cause, as it is reported.

    :param evidence: sentences with numbers
    :param proven: whether files or a contrast show it by themselves
    :param share: how much of the gap the remedy closes; None where that was not measured
    :param fix: code to paste
    """

    cause: str
    explanation: str
    evidence: tuple[str, ...]
    proven: bool
    share: float | None
    fix: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Diagnosis:
    """What explains a verdict, the best explanation first, and what was ruled out."""

    causes: tuple[Explanation, ...] = ()
    ruled_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Measured:
    """A trial, and what it says of the gap.

    :param share: how much of the gap it closes; None where there is no gap to close
    :param moved: how far it moved the reward towards the target, 1 for all the way, more for beyond
    :param rest: what is left of the gap, in standard errors
    :param surprise: how badly mean and spread fit the target's; a sum of squares of standard normal numbers
    """

    name: str
    causes: tuple[str, ...]
    details: Mapping[str, Any]
    tried: Tried
    share: float | None = None
    moved: float = 0.0
    rest: float = np.inf
    surprise: float = np.inf

    @property
    def explains(self) -> bool:
        if self.share is None or self.moved <= 0.0:
            return False
        return self.share >= EXPLAINS or (self.share >= _EXPLAINS_BUT_FOR_NOISE and self.rest <= STANDARD_ERRORS)


@dataclass
class _Candidate:
    """A cause that something speaks for."""

    cause: str
    findings: list[Finding] = field(default_factory=list)
    trials: list[_Measured] = field(default_factory=list)
    together: _Measured | None = None

    @property
    def proven(self) -> bool:
        return any(finding.proof for finding in self.findings)

    @property
    def best(self) -> _Measured | None:
        """The trial that closes most of the gap, or one that runs where nothing else did."""
        ran = [measured for measured in self.trials if measured.tried.mean is not None]
        return max(ran, key=lambda found: -np.inf if found.share is None else found.share, default=None)

    @property
    def share(self) -> float | None:
        return None if self.best is None else self.best.share

    @property
    def details(self) -> dict[str, Any]:
        known: dict[str, Any] = {}
        for finding in reversed(self.findings):
            known |= finding.details
        return known | (dict(self.best.details) if self.best is not None else {})


def conclude(
    model: Observed, verdict: str, gap: str, judgement: Judgement | None, probed: Sequence[Finding] | None
) -> Diagnosis:
    """Name the causes of a verdict that is neither ``identical`` nor ``equivalent``.

    :param gap: between which measurements the difference lies; empty where that is not known
    :param probed: what the probe found in the model's environment; None where it was not probed
    """
    if verdict in ("identical", "equivalent"):
        return Diagnosis()
    target = _Target.of(model, judgement)
    goal = target.mean
    measured = list(_measured(model, target))
    # What an environment draws or keeps changes rewards; it makes nothing fail.
    blamed = [finding for finding in probed or () if (verdict == "error") == (finding.cause == "not-runnable")]
    candidates = _candidates(model, blamed, measured)
    for finding in _obstacles(verdict, judgement, model):
        candidates.setdefault(finding.cause, _Candidate(finding.cause)).findings.append(finding)
    least = min((found.surprise for found in measured if len(found.causes) == 1 and found.explains), default=np.inf)
    ranked = sorted(
        ((_level(candidate, gap, least, judgement), candidate) for candidate in candidates.values()),
        key=lambda item: (-item[0], _surprise(item[1]), -(item[1].share or 0.0), _place(item[1].cause)),
    )
    # What nothing but a trial speaks for is not needed where something that more speaks for explains.
    needless = Level.EXPLAINS if ranked and ranked[0][0] > Level.EXPLAINS else Level.NO_CAUSE
    named = [candidate for level, candidate in ranked if level not in (Level.NO_CAUSE, needless)]
    if len(named) > 1 and named[0].cause not in _OBSTACLE_CAUSES:
        named = [candidate for candidate in named if candidate.cause not in _OBSTACLE_CAUSES]
    said = [_explained(candidate, goal, model) for candidate in named]
    present = [candidate for level, candidate in ranked if level is Level.NO_CAUSE]
    ruled_out = tuple(_ruled_out(present, measured, named, goal, model, probed))
    if not said:
        cause, evidence = CAUSES[UNEXPLAINED], f"{len(ruled_out)} explanations were ruled out"
        said = [Explanation(UNEXPLAINED, cause.explanation, (evidence,), False, None, cause.fix_with(model.context))]
    return Diagnosis(tuple(said), ruled_out)


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
    PROVEN_AND_PART_OF_IT = 8
    BOTH_TOGETHER = 9
    PROVEN_AND_NOT_MEASURED = 10
    EXPLAINS = 11
    EXPLAINS_WITH_A_SIGN = 12
    PROVEN_AND_EXPLAINS = 13


_AS_GOOD = 9.0
"""Surprises that differ by no more say the same."""


def _surprise(candidate: _Candidate) -> float:
    return np.inf if candidate.best is None else candidate.best.surprise


def _level(candidate: _Candidate, gap: str, least: float, judgement: Judgement | None) -> Level:
    """How much speaks for a candidate.

    :param least: the least surprise of any single trial that explains. Where nothing else speaks for a candidate, only
        trials that fit as well count: many a wrong way to measure comes near a reward that is lost altogether
    """
    best = candidate.best
    if candidate.cause in _OBSTACLE_CAUSES and not candidate.trials:
        return _OBSTACLE_CAUSES[candidate.cause] if candidate.proven else Level.NO_CAUSE
    if best is not None and best.share is not None:
        level = _measured_level(candidate, best, least, gap)
        biased = judgement is not None and judgement.obstacle in _BIASED
        return Level.NO_CAUSE if biased and level is Level.EXPLAINS else level
    if best is not None and judgement is None:
        return Level.PROVEN_AND_EXPLAINS  # with its remedy the model runs, without it does not
    if candidate.together is not None:
        return Level.BOTH_TOGETHER
    if not candidate.proven:
        untested = candidate.findings and candidate.cause in _UNTESTED
        return Level.SIGN_OF_WHAT_NO_CONDITION_UNDOES if untested else Level.NO_CAUSE
    excluded = (gap == "environment" and candidate.cause in _ONLY_IN_A_FRESH_PROCESS) or (
        gap == "process" and candidate.cause in _ONLY_ON_NEW_ENVIRONMENTS
    )
    if excluded:
        return Level.NO_CAUSE
    if judgement is not None and judgement.comparison is None and candidate.findings[0].instrument == "probe":
        return Level.HIDDEN_BUT_NOTHING_TO_EXPLAIN
    return Level.PROVEN_AND_NOT_MEASURED


_BIASED = ("best_of_k", "before_last_update", "claim_too_imprecise")
"""Obstacles that make a claim no number to come near to."""


def _measured_level(candidate: _Candidate, best: _Measured, least: float, gap: str) -> Level:
    """The same of a candidate whose remedy was tried."""
    if candidate.proven:
        if best.share is not None and best.share >= EXPLAINS_WITH_PROOF and best.moved > 0.0:
            return Level.PROVEN_AND_EXPLAINS
        if candidate.together is not None:
            return Level.BOTH_TOGETHER
        part = max(found.moved for found in candidate.trials) >= _NEXT_TO_NOTHING
        # What the probe has shown, and where the loss appears, fit together, however long it would take to undo.
        part = part or (gap == "environment" and candidate.cause in _ONLY_ON_NEW_ENVIRONMENTS)
        return Level.PROVEN_AND_PART_OF_IT if part else Level.NO_CAUSE
    if best.explains and candidate.findings:
        return Level.EXPLAINS_WITH_A_SIGN
    if best.explains and best.surprise <= least + _AS_GOOD:
        return Level.EXPLAINS
    return Level.BOTH_TOGETHER if candidate.together is not None else Level.NO_CAUSE


_OBSTACLE_CAUSES = {
    "best-of-k": Level.OBSTACLE,
    "before-last-update": Level.OBSTACLE,
    "training-episodes": Level.OBSTACLE,
    "claim-too-imprecise": Level.OBSTACLE,
    "numerics": Level.NUMERICS,
    "not-runnable": Level.DOES_NOT_RUN,
    "no-claim": Level.NO_CLAIM,
    "too-few-episodes": Level.TOO_FEW_EPISODES,
}
"""What explains a verdict where nothing about the model does better."""


@dataclass(frozen=True)
class _Target:
    """The reward that is to be explained; its spread is known only of some claims."""

    mean: float | None
    std: float | None = None
    n: int | None = None

    @classmethod
    def of(cls, model: Observed, judgement: Judgement | None) -> _Target:
        if judgement is None or judgement.comparison is None or model.now is None:
            return cls(None)
        mean = model.now - judgement.comparison.difference
        claim = judgement.claim
        return cls(mean) if claim is None or not claim.n else cls(mean, claim.std, claim.n)


def _measured(model: Observed, target: _Target) -> Iterator[_Measured]:
    examined = model.examined or {}
    for trial in examined.get("trials") or ():
        tried = model.tried.get(trial["name"], Tried(None, "it was not tried"))
        yield _compared(model, target, _Measured(trial["name"], tuple(trial["causes"]), trial["details"], tried))
    for data in examined.get("estimates") or ():
        estimate = Tried(data["mean"], moved=np.inf)
        yield _compared(model, target, _Measured(data["name"], (data["cause"],), data["details"], estimate))


def _compared(model: Observed, target: _Target, found: _Measured) -> _Measured:
    """With what it says of the gap, if there is one."""
    goal, now, tried = target.mean, model.now, found.tried
    if tried.mean is None or goal is None or now is None or goal == now:
        return found
    gap = goal - now
    noise = np.hypot(tried.std / np.sqrt(tried.n or 1), (target.std or 0.0) / np.sqrt(target.n or 1))
    rest = abs(goal - tried.mean) / max(float(noise), _ROUNDING * abs(gap))
    moved = tried.mean - now if tried.moved == np.inf else tried.moved
    return replace(
        found,
        share=share_closed(goal, now, tried.mean),
        moved=moved / gap,
        rest=rest,
        surprise=rest**2 + _surprising_spread(target, tried.std, tried.n or 1),
    )


def _surprising_spread(target: _Target, std: float, n: int) -> float:
    """How badly two spreads fit each other: the logarithm of a standard deviation has the error ``1 / sqrt(2 n)``."""
    if not target.std or not target.n or not std:
        return 0.0
    return float(np.log(std / target.std) ** 2 / (0.5 / n + 0.5 / target.n))


def _candidates(model: Observed, probed: Sequence[Finding], measured: Sequence[_Measured]) -> dict[str, _Candidate]:
    candidates: dict[str, _Candidate] = {}
    for finding in [*map(Finding.from_dict, (model.examined or {}).get("findings", [])), *probed]:
        candidates.setdefault(finding.cause, _Candidate(finding.cause)).findings.append(finding)
    for tried in measured:
        if len(tried.causes) == 1:
            (cause,) = tried.causes
            candidates.setdefault(cause, _Candidate(cause)).trials.append(tried)
    alone = any(tried.explains for tried in measured if len(tried.causes) == 1)
    both = [tried for tried in measured if len(tried.causes) > 1 and _explains_together(tried, candidates)]
    if both and not alone:
        # The best pair: the one that more findings speak for, and among equals the one that closes more.
        best = max(both, key=lambda tried: (_spoken_for(tried, candidates), tried.share or 0.0))
        for cause in best.causes:
            candidates.setdefault(cause, _Candidate(cause)).together = best
    return candidates


def _explains_together(tried: _Measured, candidates: Mapping[str, _Candidate]) -> bool:
    enough = tried.share is not None and tried.share >= EXPLAINS_WITH_PROOF and tried.moved > 0.0
    return tried.explains or (enough and _spoken_for(tried, candidates) > 0)


def _spoken_for(tried: _Measured, candidates: Mapping[str, _Candidate]) -> int:
    return sum(candidates[cause].proven for cause in tried.causes if cause in candidates)


def _obstacles(verdict: str, judgement: Judgement | None, model: Observed) -> Iterator[Finding]:
    """What stands in the way of an answer, where it is not the model."""
    if verdict == "error":
        yield _found("not-runnable", model.failure)
    elif judgement is not None and verdict == "inconclusive":
        cause = _OBSTACLES.get(judgement.obstacle, "too-few-episodes")
        comparison, claim = judgement.comparison, judgement.claim
        if comparison is None:
            yield _found(cause, "there is no table, no evaluations.npz, no model card and no training episode")
        elif claim is not None and judgement.obstacle:
            n = "an unknown number of" if claim.n is None else f"{claim.n:,}"
            yield _found(cause, f"the claim is {claim.mean:.4g} over {n} episodes ({claim.where})")
        else:
            yield _found(
                cause,
                f"after {comparison.n_episodes} episodes the difference lies between {comparison.ci_low:.4g} and "
                f"{comparison.ci_high:.4g}; the margin is {comparison.margin:.4g}",
            )
        if judgement.obstacle == "claim_with_exploration":
            yield Finding("policy-mode", "claims", proof=False, evidence="in training, actions are stochastic")
    if model.divergence is not None and model.divergence.get("implies") == "numerics":
        yield _found("numerics", str(model.divergence["text"]))


def _found(cause: str, evidence: str) -> Finding:
    return Finding(cause, "claims", proof=True, evidence=evidence)


def _explained(candidate: _Candidate, goal: float | None, model: Observed) -> Explanation:
    cause = CAUSES[candidate.cause]
    evidence = [finding.evidence for finding in candidate.findings]
    tried = candidate.best
    if tried is not None:
        evidence.append(_said(tried, goal, model))
    if candidate.together is not None:
        evidence.append(f"two factors together: {_said(candidate.together, goal, model)}")
    return Explanation(
        cause=candidate.cause,
        explanation=cause.explanation,
        evidence=tuple(dict.fromkeys(evidence)),
        proven=candidate.proven,
        share=candidate.together.share if candidate.together is not None else candidate.share,
        fix=cause.fix_with({**model.context, **candidate.details}),
    )


def _said(found: _Measured, goal: float | None, model: Observed) -> str:
    now, mean = model.now, found.tried.mean
    if mean is None:
        return f"{found.name}: {found.tried.failure or 'nothing was measured'}"
    if now is None:
        return f"{found.name}: it runs, and earns {mean:.4g}"
    if mean == now or found.tried.moved == 0.0:
        return f"{found.name}: it earns {mean:.4g}, which is no change"
    earns = f"{found.name}: it earns {mean:.4g} instead of {now:.4g}"
    if goal is None or found.share is None:
        return earns
    if found.moved > 1.0 + _NEXT_TO_NOTHING:
        return f"{earns}, which goes beyond the gap (to {goal:.4g})"
    closed = f"{100 * found.share:.0f} % of the gap" if found.share >= _NEXT_TO_NOTHING else "next to nothing"
    return f"{earns}, which closes {closed} (to {goal:.4g})"


def _ruled_out(
    present: Sequence[_Candidate],
    measured: Sequence[_Measured],
    named: Sequence[_Candidate],
    goal: float | None,
    model: Observed,
    probed: Sequence[Finding] | None,
) -> Iterator[str]:
    for candidate in present:
        for finding in candidate.findings:
            yield f"{candidate.cause}: {finding.evidence}, but that is not what the reward is lost to"
    causes = {candidate.cause for candidate in named}
    for tried in measured:
        if len(tried.causes) == 1 and not causes & set(tried.causes):
            yield f"{tried.causes[0]}: {_said(tried, goal, model)}"
    both = [tried for tried in measured if len(tried.causes) > 1 and tried.share is not None]
    if both and not any(candidate.together for candidate in named):
        best = max(both, key=lambda tried: tried.share or 0.0)
        yield f"pairs of factors, {len(both)} in all; the one that closes most: {_said(best, goal, model)}"
    if (model.examined or {}).get("failure"):
        yield f"its files could not be examined: {(model.examined or {})['failure']}"
    checks, failed = model.checks
    if checks and not failed:
        yield f"files: what was loaded is what was saved, as far as it can be checked ({checks} in all)"
    if probed is not None and not probed:
        yield "environment: the probe found no hidden state and no randomness beyond the seed"


def _place(cause: str) -> int:
    return list(CAUSES).index(cause)
