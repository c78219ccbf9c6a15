"""From a verdict to a ranked list of causes, each with its evidence and its fix.

A cause is named only with evidence: files or a contrast that show it, or a condition that closes most of the gap. A
fault of the environment is a cause only where a loss or gain is shown, or where the same episodes came out differently
though their seeds are the same; of any other model it is a remark.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reload_audit.causes.catalogue import CAUSES, UNEXPLAINED
from reload_audit.causes.finding import Finding
from reload_audit.causes.migrations import known_between
from reload_audit.diagnosis.contradiction import CONTRADICTED
from reload_audit.diagnosis.effects import Goal, TrialResult, compared
from reload_audit.diagnosis.evidence import Evidence
from reload_audit.diagnosis.obstacles import obstacles, without_luck
from reload_audit.diagnosis.ranking import Level, Suspect, rank, suspects
from reload_audit.diagnosis.wording import what_it_earns
from reload_audit.judging.comparison import Comparison
from reload_audit.judging.criteria import AS_BEFORE
from reload_audit.judging.judgement import Judgement

_NOT_OF_ENVIRONMENTS = ("wrappers", "statistics", "policy", "numerics")
"""What a divergence may imply that no fault of an environment explains."""


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
    """What explains a verdict, the best explanation first, and what does not.

    :param ruled_out: what was looked at or tried and does not explain it, one sentence each
    :param not_excluded: what was tried and may explain some of it, though it is not shown to
    :param remarks: what was found, where nothing is shown that it would explain
    """

    causes: tuple[Explanation, ...] = ()
    ruled_out: tuple[str, ...] = ()
    not_excluded: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def conclude(
    evidence: Evidence, verdict: str, gap: str, judgement: Judgement | None, probed: Sequence[Finding] | None
) -> Diagnosis:
    """Name the causes of a verdict under which something may be lost or gained, or the model does not run.

    :param gap: between which measurements the difference lies; empty where that is not known
    :param probed: what the probe found in the model's environment; None where it was not probed
    """
    if verdict in ("identical", "equivalent"):
        return Diagnosis()
    # What an environment draws or keeps changes rewards; it makes nothing fail.
    faults = [finding for finding in probed or () if (verdict == "error") == CAUSES[finding.cause].prevents_running]
    judgement, findings, unlucky = without_luck(judgement, evidence)
    gap = gap or _where(judgement)
    blamed = verdict == "error" or _may_be_blamed(judgement, gap, evidence)
    damage = [finding for finding in findings if finding.proof] if verdict == "consistent" else []
    remarks = tuple(_remarks([] if blamed and verdict not in AS_BEFORE else faults, damage))
    if verdict in AS_BEFORE:
        return Diagnosis(remarks=remarks)
    target = Goal.of(evidence.reward, judgement)
    trials = [compared(trial, evidence.reward, target) for trial in evidence.trials]
    found = suspects([*findings, *(faults if blamed else ())], trials)
    in_the_way = () if unlucky else obstacles(verdict, judgement, evidence)
    for finding in (*in_the_way, *_another_environment(judgement, evidence)):
        found.setdefault(finding.cause, Suspect(finding.cause)).findings.append(finding)
    ranking = rank(found.values(), trials, gap, judgement)
    explanations = [_explained(suspect, target.mean, evidence) for suspect in ranking.named]
    others = [(_is_open(suspect.trials), _said_of(suspect, target.mean, evidence)) for suspect in _seen(ranking.others)]
    pairs = [trial for trial in trials if len(trial.causes) > 1 and trial.share is not None]
    if pairs and not any(suspect.together for suspect in ranking.named):
        others.append((_is_open(pairs), _said_of_pairs(pairs, target.mean, evidence)))
    not_excluded = tuple(said for is_open, said in others if is_open)
    ruled_out = (*unlucky, *(said for is_open, said in others if not is_open), *_in_order(evidence, probed))
    if not explanations:
        explanations = [_unexplained(evidence, len(ruled_out), not_excluded)]
    return Diagnosis(tuple(explanations), ruled_out, not_excluded, remarks)


def _may_be_blamed(judgement: Judgement | None, gap: str, evidence: Evidence) -> bool:
    """Whether a loss or gain to a claim is shown, or recorded episodes differ as an environment may make them.

    :param gap: between which measurements recorded episodes differ
    """
    if judgement is None:
        return False
    if judgement.claim is not None:
        return judgement.decision in ("degraded", "improved")
    return gap != "" and not (gap == "process" and evidence.implied in _NOT_OF_ENVIRONMENTS)


def _another_environment(judgement: Judgement | None, evidence: Evidence) -> Iterator[Finding]:
    """What speaks for another environment than that of training, where a loss is shown, and not only to a claim.

    Another version of it that ran; or, where it ran in its own, that the model earns less there than random actions do,
    or all that can be earned by lasting.
    """
    known = known_between(evidence.model.env_named, evidence.model.env_id)
    contradicted = any(finding.cause == CONTRADICTED for finding in evidence.findings)
    if judgement is None or judgement.decision != "degraded" or contradicted:
        return
    if evidence.ran_as and not (known and all(difference.harmless for difference in known)):
        yield Finding("env-version", "claims", proof=False, evidence=evidence.ran_as)
        for difference in known:
            yield Finding("env-version", "claims", proof=False, evidence=f"between them, {difference.changed}")
    elif judgement.claim is not None and evidence.less_than_random:
        said = (
            f"it earns {evidence.reward:.4g}, and random actions earn {evidence.random:.4g}: observations, actions or "
            "rewards may mean something else than in training"
        )
        yield Finding("env-changed", "claims", proof=False, evidence=said)
    elif judgement.claim is not None and evidence.paid_alike:
        said = (
            f"all its {evidence.n:,} episodes last to the time limit of {evidence.paid_alike:,} steps and are paid "
            f"alike, whatever is observed: where lasting alone is paid, no policy earns more than "
            f"{evidence.reward:.4g} today, and {judgement.claim.mean:.4g} are claimed"
        )
        yield Finding("env-changed", "claims", proof=False, evidence=said)


def _where(judgement: Judgement | None) -> str:
    """Between which measurements recorded episodes came out differently; empty where they did not."""
    if judgement is None or judgement.claim is not None or judgement.comparison is None:
        return ""
    in_environment = judgement.environment_gap is not None and _differs(judgement.environment_gap)
    parts = {"environment": in_environment, "process": judgement.first_difference is not None}
    return " and ".join(name for name, differs in parts.items() if differs)


def _differs(comparison: Comparison) -> bool:
    return (comparison.difference, comparison.ci_low, comparison.ci_high) != (0.0, 0.0, 0.0)


def _remarks(faults: Sequence[Finding], damage: Sequence[Finding]) -> Iterator[str]:
    """One sentence on what was found of an environment, and one on what files prove that a claim cannot confirm."""
    if faults:
        yield f"seen in its environment, though no loss or gain is shown that it would explain: {_listed(faults)}"
    if damage:
        yield f"seen in its files, though the claim cannot tell what is lost by it: {_listed(damage)}"


def _listed(findings: Sequence[Finding]) -> str:
    return "; ".join(f"{finding.cause} ({finding.evidence.rstrip('.')})" for finding in findings)


def _explained(suspect: Suspect, goal: float | None, evidence: Evidence) -> Explanation:
    """The explanation by one suspect, with its evidence and fix.

    :param goal: mean reward that is to be explained; None where it is not known
    """
    cause, best, together = suspect.cause, suspect.best, suspect.together
    said = [finding.evidence for finding in suspect.findings]
    if best is not None:
        said.append(what_it_earns(best, goal, evidence.reward))
    if together is not None:
        said.append(f"two factors together: {what_it_earns(together, goal, evidence.reward)}")
    if suspect.level is Level.FAULT_OF_THE_ENVIRONMENT:
        said.append("How much of the difference it explains was not measured.")
    return Explanation(
        cause=suspect.name,
        explanation=cause.explanation,
        evidence=tuple(dict.fromkeys(said)),
        proven=suspect.proven and suspect.level is not Level.FAULT_OF_THE_ENVIRONMENT,
        share=suspect.share if together is None else together.share,
        fix=cause.fix_for(evidence.model, suspect.details),
    )


def _unexplained(evidence: Evidence, ruled_out: int, not_excluded: Sequence[str]) -> Explanation:
    cause = CAUSES[UNEXPLAINED]
    said = (f"explanations that were ruled out: {ruled_out}", *not_excluded)
    return Explanation(UNEXPLAINED, cause.explanation, said, False, None, cause.fix_for(evidence.model, {}))


def _seen(others: Sequence[Suspect]) -> list[Suspect]:
    """Those of which a trial was to explain something, or a finding was seen that counts for nothing."""
    return [
        one
        for one in others
        if any(trial.share is not None for trial in one.trials) or (one.findings and one.level is Level.NO_CAUSE)
    ]


def _is_open(trials: Sequence[TrialResult]) -> bool:
    """Whether one of these trials may have closed more than next to nothing of the gap."""
    return any(trial.share is not None and not trial.excluded for trial in trials)


def _said_of(suspect: Suspect, goal: float | None, evidence: Evidence) -> str:
    """What was seen and tried of a cause that is not named."""
    said = [finding.evidence.rstrip(".") for finding in suspect.findings]
    said += [what_it_earns(trial, goal, evidence.reward) for trial in suspect.trials]
    if not suspect.trials:
        said.append("that is not where the reward changes" if suspect.proven else "that alone is no proof")
    return f"{suspect.name}: {'; '.join(dict.fromkeys(said))}"


def _said_of_pairs(pairs: Sequence[TrialResult], goal: float | None, evidence: Evidence) -> str:
    best = max(pairs, key=lambda trial: trial.share or 0.0)
    said = what_it_earns(best, goal, evidence.reward)
    return f"pairs of factors, {len(pairs)} in all; the one that closes most: {said}"


def _in_order(evidence: Evidence, probed: Sequence[Finding] | None) -> Iterator[str]:
    """What was looked at and found in order, or could not be looked at."""
    if evidence.examination_failure:
        yield f"its files could not be examined: {evidence.examination_failure}"
    checks, failed = evidence.checks
    if checks and not failed:
        yield f"files: what was loaded is what was saved, as far as it can be checked ({checks} in all)"
    if probed is not None and not probed:
        yield "environment: the probe found no hidden state and no randomness beyond the seed"
