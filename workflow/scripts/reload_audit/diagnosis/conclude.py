"""From a verdict to a ranked list of causes, each with its evidence and its fix.

A cause is named only with evidence: files or a contrast that show it, or a condition that closes most of the gap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reload_audit.causes.catalogue import CAUSES, UNEXPLAINED, cause_of_obstacle
from reload_audit.causes.finding import Finding
from reload_audit.causes.migrations import known_between
from reload_audit.diagnosis.evidence import Evidence, Target, TrialResult, compared
from reload_audit.diagnosis.ranking import NEXT_TO_NOTHING, Ranking, Suspect, rank, suspects
from reload_audit.judging.criteria import AS_BEFORE
from reload_audit.judging.judgement import Judgement


@dataclass(frozen=True)
class Explanation:
    """One cause, as it is reported.

    :param evidence: sentences with numbers
    :param proven: whether files or a contrast show it by themselves
    :param share: how much of the gap its trial closes; None where that was not measured
    :param fix: code to paste
    """

    cause: str
    explanation: str
    evidence: tuple[str, ...]
    proven: bool
    share: float | None
    fix: str


@dataclass(frozen=True)
class Diagnosis:
    """What explains a verdict, the best explanation first, and what was ruled out."""

    causes: tuple[Explanation, ...] = ()
    ruled_out: tuple[str, ...] = ()


def conclude(
    evidence: Evidence, verdict: str, gap: str, judgement: Judgement | None, probed: Sequence[Finding] | None
) -> Diagnosis:
    """Name the causes of a verdict that says that the model is not as before.

    :param gap: between which measurements the difference lies; empty where that is not known
    :param probed: what the probe found in the model's environment; None where it was not probed
    """
    if verdict in AS_BEFORE:
        return Diagnosis()
    target = Target.of(evidence, judgement)
    trials = [compared(trial, evidence.reward, target) for trial in evidence.trials]
    # What an environment draws or keeps changes rewards; it makes nothing fail.
    blamed = [finding for finding in probed or () if (verdict == "error") == CAUSES[finding.cause].prevents_running]
    found = suspects([*evidence.findings, *blamed], trials)
    for finding in (*_obstacles(verdict, judgement, evidence), *_another_version(judgement, evidence)):
        found.setdefault(finding.cause, Suspect(finding.cause)).findings.append(finding)
    ranking = rank(found.values(), trials, gap, judgement)
    explanations = [_explained(suspect, target.mean, evidence) for suspect in ranking.named]
    ruled_out = tuple(_ruled_out(ranking, trials, target.mean, evidence, probed))
    if not explanations:
        cause, said = CAUSES[UNEXPLAINED], f"{len(ruled_out)} explanations were ruled out"
        fix = cause.fix_with(evidence.context)
        explanations = [Explanation(UNEXPLAINED, cause.explanation, (said,), False, None, fix)]
    return Diagnosis(tuple(explanations), ruled_out)


def _obstacles(verdict: str, judgement: Judgement | None, evidence: Evidence) -> Iterator[Finding]:
    """What keeps the rewards from being compared, or the comparison from deciding."""
    if verdict == "error":
        yield _seen("not-runnable", evidence.failure)
    elif judgement is not None and verdict == "inconclusive":
        cause = cause_of_obstacle(judgement.obstacle)
        comparison, claim = judgement.comparison, judgement.claim
        if comparison is None:
            yield _seen(cause, "there is no table, no evaluations.npz, no model card and no training episode")
        elif claim is not None and judgement.obstacle:
            n = "an unknown number of" if claim.n is None else f"{claim.n:,}"
            yield _seen(cause, f"the claim is {claim.mean:.4g} over {n} episodes ({claim.where})")
        else:
            yield _seen(
                cause,
                f"after {comparison.n_episodes} episodes the difference lies between {comparison.ci_low:.4g} and "
                f"{comparison.ci_high:.4g}; the margin is {comparison.margin:.4g}",
            )
        if judgement.obstacle == "claim_with_exploration":
            yield Finding("policy-mode", "claims", proof=False, evidence="in training, actions are stochastic")
    if evidence.last_bits:
        yield _seen("numerics", evidence.last_bits)


def _another_version(judgement: Judgement | None, evidence: Evidence) -> Iterator[Finding]:
    """That another version of the model's environment ran, where a loss is shown."""
    known = known_between(evidence.context.get("env", ""), evidence.context.get("env_ran", ""))
    harmless = bool(known) and all(difference.harmless for difference in known)
    if evidence.ran_as and not harmless and judgement is not None and judgement.decision == "degraded":
        yield Finding("env-version", "claims", proof=False, evidence=evidence.ran_as)
        for difference in known:
            yield Finding("env-version", "claims", proof=False, evidence=f"between them, {difference.changed}")


def _seen(cause: str, evidence: str) -> Finding:
    return Finding(cause, "claims", proof=True, evidence=evidence)


def _explained(suspect: Suspect, goal: float | None, evidence: Evidence) -> Explanation:
    """The explanation by one suspect, with its evidence and fix.

    :param goal: mean reward that is to be explained; None where it is not known
    """
    cause, best, together = suspect.cause, suspect.best, suspect.together
    said = [finding.evidence for finding in suspect.findings]
    if best is not None:
        said.append(_what_it_earns(best, goal, evidence.reward))
    if together is not None:
        said.append(f"two factors together: {_what_it_earns(together, goal, evidence.reward)}")
    return Explanation(
        cause=suspect.name,
        explanation=cause.explanation,
        evidence=tuple(dict.fromkeys(said)),
        proven=suspect.proven,
        share=suspect.share if together is None else together.share,
        fix=cause.fix_with({**evidence.context, **suspect.details}),
    )


def _what_it_earns(trial: TrialResult, goal: float | None, reward: float | None) -> str:
    """What a trial gave, as a clause of a sentence.

    :param goal: mean reward that is to be explained; None where it is not known
    :param reward: mean reward under the canonical condition; None where it failed
    """
    mean = trial.result.mean
    if mean is None:
        return f"{trial.name}: {trial.result.failure or 'nothing was measured'}"
    if reward is None:
        return f"{trial.name}: it runs, and earns {mean:.4g}"
    if mean == reward or trial.result.moved == 0.0:
        return f"{trial.name}: it earns {mean:.4g}, which is no change"
    earns = f"{trial.name}: it earns {mean:.4g} instead of {reward:.4g}"
    if goal is None or trial.share is None:
        return earns
    if trial.moved > 1.0 + NEXT_TO_NOTHING:
        return f"{earns}, which goes beyond the gap (to {goal:.4g})"
    closed = f"{100 * trial.share:.0f} % of the gap" if trial.share >= NEXT_TO_NOTHING else "next to nothing"
    return f"{earns}, which closes {closed} (to {goal:.4g})"


def _ruled_out(
    ranking: Ranking,
    trials: Sequence[TrialResult],
    goal: float | None,
    evidence: Evidence,
    probed: Sequence[Finding] | None,
) -> Iterator[str]:
    """One sentence for everything that was seen or tried and does not explain the verdict."""
    for suspect in ranking.cleared:
        for finding in suspect.findings:
            yield f"{suspect.name}: {finding.evidence}, but that is not what the reward is lost to"
    named = {suspect.name for suspect in ranking.named}
    for trial in trials:
        if len(trial.causes) == 1 and not named & set(trial.causes):
            yield f"{trial.causes[0]}: {_what_it_earns(trial, goal, evidence.reward)}"
    both = [trial for trial in trials if len(trial.causes) > 1 and trial.share is not None]
    if both and not any(suspect.together for suspect in ranking.named):
        best = max(both, key=lambda trial: trial.share or 0.0)
        said = _what_it_earns(best, goal, evidence.reward)
        yield f"pairs of factors, {len(both)} in all; the one that closes most: {said}"
    if evidence.examination_failure:
        yield f"its files could not be examined: {evidence.examination_failure}"
    checks, failed = evidence.checks
    if checks and not failed:
        yield f"files: what was loaded is what was saved, as far as it can be checked ({checks} in all)"
    if probed is not None and not probed:
        yield "environment: the probe found no hidden state and no randomness beyond the seed"
