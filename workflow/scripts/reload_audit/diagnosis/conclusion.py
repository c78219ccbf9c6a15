"""From a verdict, and all that was seen, to a ranked list of causes, each with its evidence and its fix.

A cause is named only with evidence: files or a contrast that show it, or a condition that closes most of the gap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from reload_audit.causes import CAUSES, UNEXPLAINED
from reload_audit.diagnosis.trials import EXPLAINS, Trial, share_closed
from reload_audit.episodes import mean_reward
from reload_audit.finding import Finding
from reload_audit.judgement import Judgement
from reload_audit.model_record import ModelRecord
from reload_audit.specs import Condition

_EXPLAINS_WITH_PROOF = 0.7
"""Share of the gap that is enough where files or probe show the cause."""

_EXPLAINS_BUT_FOR_NOISE = 0.6
_STANDARD_ERRORS = 3.0
"""Or this share, where the rest of the gap is no more than so many standard errors."""

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
class Observed:
    """What is kept of a model's record to explain its verdict: numbers, no episodes.

    :param now: mean reward under the canonical condition; None where it failed
    :param failure: why there are no rewards, or nothing
    :param checks: how many checks there were, and how many failed
    :param examined: what examining its files found; None where it was not examined
    :param means: for each condition its mean reward, as it counts it, and why there is none
    :param spreads: for each condition the standard deviation of its rewards (ddof 1), and how many there are
    :param context: what every fix may name: ``algo`` and, if it is registered, ``env``
    """

    now: float | None
    failure: str
    checks: tuple[int, int]
    examined: Mapping[str, Any] | None
    means: Mapping[str, tuple[float | None, str]]
    spreads: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    context: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, model: ModelRecord) -> Observed:
        canonical = model.canonical
        return cls(
            now=mean_reward(canonical.episodes) if canonical is not None and canonical.episodes else None,
            failure=model.failure,
            checks=(0, 0) if canonical is None else (len(canonical.checks), len(canonical.checks_failed)),
            examined=model.diagnosis,
            means={name: (_mean(found.rewards), found.failure) for name, found in model.measurements.items()},
            spreads={
                name: (float(found.rewards.std(ddof=1)), found.rewards.size)
                for name, found in model.measurements.items()
                if found.rewards.size > 1
            },
            context=_context(model),
        )


def _context(model: ModelRecord) -> dict[str, str]:
    spec = model.manifest["spec"] if model.external is None else model.external
    env = spec["environment"]["env"]
    module, colon, name = env.partition(":")
    if not colon:
        return {"algo": spec["algo"], "env": env, "env_code": f'"{env}"'}
    if name.isidentifier():
        return {"algo": spec["algo"], "env_code": name, "env_import": f"from {module} import {name}"}
    return {"algo": spec["algo"], "env_code": f'"{env}"'}


def _mean(rewards: np.ndarray) -> float | None:
    return float(rewards.mean()) if rewards.size and np.isfinite(rewards).all() else None


@dataclass(frozen=True)
class _Measured:
    """What a trial gave.

    :param moved: how far it moved the reward towards the target, 1 for all the way, more for beyond
    :param rest: what is left of the gap, in standard errors
    :param surprise: how badly mean and spread fit the target's; a sum of squares of standard normal numbers
    """

    trial: Trial
    mean: float | None
    failure: str
    share: float | None = None
    moved: float = 0.0
    rest: float = np.inf
    surprise: float = np.inf

    @property
    def explains(self) -> bool:
        if self.share is None:
            return False
        return self.share >= EXPLAINS or (self.share >= _EXPLAINS_BUT_FOR_NOISE and self.rest <= _STANDARD_ERRORS)


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
        ran = [tried for tried in self.trials if tried.mean is not None]
        return max(ran, key=lambda tried: -np.inf if tried.share is None else tried.share, default=None)

    @property
    def share(self) -> float | None:
        return None if self.best is None else self.best.share

    @property
    def details(self) -> dict[str, Any]:
        known: dict[str, Any] = {}
        for finding in reversed(self.findings):
            known |= finding.details
        return known | (dict(self.best.trial.details) if self.best is not None else {})


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
    blamed = [finding for finding in probed or () if verdict != "error" or finding.cause == "not-runnable"]
    candidates = _candidates(model, blamed, measured)
    for candidate in _obstacles(verdict, judgement, model):
        candidates.setdefault(candidate.cause, candidate).findings.extend(candidate.findings)
    least = min((tried.surprise for tried in measured if len(tried.trial.causes) == 1), default=np.inf)
    ranked = sorted(
        ((_weight(candidate, gap, least, runs=judgement is not None), candidate) for candidate in candidates.values()),
        key=lambda item: (-item[0], _surprise(item[1]), -(item[1].share or 0.0), _place(item[1].cause)),
    )
    named = [candidate for weight, candidate in ranked if weight >= _NAMED]
    named = [candidate for candidate in named if candidate.cause not in _LAST_RESORTS] or named[:1]
    said = [_explained(candidate, goal, model) for candidate in named]
    present = [candidate for weight, candidate in ranked if weight < _NAMED]
    ruled_out = tuple(_ruled_out(present, measured, named, goal, model, probed))
    if not said:
        cause, evidence = CAUSES[UNEXPLAINED], f"{len(ruled_out)} explanations were ruled out"
        said = [Explanation(UNEXPLAINED, cause.explanation, (evidence,), False, None, cause.fix_with(model.context))]
    return Diagnosis(tuple(said), ruled_out)


_NAMED = 2.0


_AS_GOOD = 9.0
"""Surprises that differ by no more say the same."""


def _surprise(candidate: _Candidate) -> float:
    return np.inf if candidate.best is None else candidate.best.surprise


def _weight(candidate: _Candidate, gap: str, least: float, *, runs: bool) -> float:
    """How much speaks for a candidate; below :data:`_NAMED` it is no cause.

    :param least: the least surprise of any single trial. Where nothing else speaks for a candidate, only trials that
        fit as well count: many a wrong way to measure comes near a reward that is lost altogether
    :param runs: whether the model was measured as it is
    """
    best = candidate.best
    if candidate.together is not None:
        return 3.8
    if best is not None and best.share is not None:
        if candidate.proven:
            effect = max(tried.moved for tried in candidate.trials)
            return 5.0 if best.share >= _EXPLAINS_WITH_PROOF else 3.5 if effect >= _NEXT_TO_NOTHING else 1.0
        if not best.explains:
            return 1.0
        as_good = best.surprise == least or best.surprise <= least + _AS_GOOD
        return 4.2 if candidate.findings else 4.0 if as_good else 1.0
    if best is not None and not runs:
        return 5.0  # with its remedy the model runs, without it does not
    if not candidate.proven:
        return 2.4 if candidate.findings and candidate.cause in _UNTESTED else 0.0
    if candidate.cause in _LAST_RESORTS:
        return _LAST_RESORTS[candidate.cause]
    excluded = (gap == "environment" and candidate.cause in _ONLY_IN_A_FRESH_PROCESS) or (
        gap == "process" and candidate.cause in _ONLY_ON_NEW_ENVIRONMENTS
    )
    return 2.0 if excluded else 4.5


_LAST_RESORTS = {
    "best-of-k": 3.0,
    "before-last-update": 3.0,
    "training-episodes": 3.0,
    "claim-too-imprecise": 3.0,
    "not-runnable": 2.5,
    "no-claim": 2.2,
    "too-few-episodes": 2.1,
}
"""What explains a verdict only where nothing about the model does."""


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
    for data in examined.get("trials", []):
        trial = Trial.from_dict(data)
        name = trial.condition.name
        mean, failure = model.means.get(name, (None, "it was not tried"))
        yield _compared(model, target, _Measured(trial, mean, failure), model.spreads.get(name))
    for data in examined.get("estimates", []):
        trial = Trial(Condition(data["name"], 0), (data["cause"],), data["details"])
        yield _compared(model, target, _Measured(trial, data["mean"], ""), None)


def _compared(model: Observed, target: _Target, found: _Measured, spread: tuple[float, int] | None) -> _Measured:
    """With what it says of the gap, if there is one."""
    goal, now, mean = target.mean, model.now, found.mean
    if mean is None or goal is None or now is None or goal == now:
        return found
    std, n = spread or (0.0, 1)
    error = float(np.hypot(std / np.sqrt(n), (target.std or 0.0) / np.sqrt(target.n or 1)))
    rest = abs(goal - mean) / error if error else np.inf
    return replace(
        found,
        share=share_closed(goal, now, mean),
        moved=(mean - now) / (goal - now),
        rest=rest,
        surprise=rest**2 + _surprising_spread(target, std, n),
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
        if len(tried.trial.causes) == 1:
            (cause,) = tried.trial.causes
            candidates.setdefault(cause, _Candidate(cause)).trials.append(tried)
    alone = any(tried.explains for tried in measured if len(tried.trial.causes) == 1)
    both = [tried for tried in measured if len(tried.trial.causes) > 1 and _explains_together(tried, candidates)]
    if both and not alone:
        # The best pair; among equals the one that more findings speak for.
        best = max(both, key=lambda tried: (_spoken_for(tried, candidates), tried.share or 0.0))
        for cause in best.trial.causes:
            candidates.setdefault(cause, _Candidate(cause)).together = best
    return candidates


def _explains_together(tried: _Measured, candidates: Mapping[str, _Candidate]) -> bool:
    proven = tried.share is not None and tried.share >= _EXPLAINS_WITH_PROOF and _spoken_for(tried, candidates) > 0
    return proven or tried.explains


def _spoken_for(tried: _Measured, candidates: Mapping[str, _Candidate]) -> int:
    return sum(candidates[cause].proven for cause in tried.trial.causes if cause in candidates)


def _obstacles(verdict: str, judgement: Judgement | None, model: Observed) -> Iterator[_Candidate]:
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


def _found(cause: str, evidence: str) -> _Candidate:
    return _Candidate(cause, [Finding(cause, "claims", proof=True, evidence=evidence)])


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


def _said(tried: _Measured, goal: float | None, model: Observed) -> str:
    name, now = tried.trial.condition.name, model.now
    if tried.mean is None:
        return f"{name}: {tried.failure or 'nothing was measured'}"
    if now is None:
        return f"{name}: it runs, and earns {tried.mean:.4g}"
    if tried.mean == now:
        return f"{name}: it still earns {now:.4g}"
    if goal is None or tried.share is None:
        return f"{name}: it earns {tried.mean:.4g} instead of {now:.4g}"
    if tried.moved > 1.0 + _NEXT_TO_NOTHING:
        return f"{name}: it earns {tried.mean:.4g} instead of {now:.4g}, which goes beyond the gap (to {goal:.4g})"
    closed = f"{100 * max(tried.share, 0.0):.0f} % of the gap" if tried.share >= _NEXT_TO_NOTHING else "next to nothing"
    return f"{name}: it earns {tried.mean:.4g} instead of {now:.4g}, which closes {closed} (to {goal:.4g})"


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
        if len(tried.trial.causes) == 1 and not causes & set(tried.trial.causes):
            yield f"{tried.trial.causes[0]}: {_said(tried, goal, model)}"
    both = [tried for tried in measured if len(tried.trial.causes) > 1 and tried.share is not None]
    if both and not any(candidate.together for candidate in named):
        best = max(both, key=lambda tried: tried.share or 0.0)
        yield f"pairs of factors, {len(both)} in all; the one that closes most: {_said(best, goal, model)}"
    checks, failed = model.checks
    if checks and not failed:
        yield f"files: what was loaded is what was saved, as far as it can be checked ({checks} in all)"
    if probed is not None and not probed:
        yield "environment: the probe found no hidden state and no randomness beyond the seed"


def _place(cause: str) -> int:
    return list(CAUSES).index(cause)
