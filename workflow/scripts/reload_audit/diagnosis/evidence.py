"""What was seen of one model that may explain its verdict: findings, and in numbers what each trial gave."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reload_audit.causes.finding import Finding
from reload_audit.causes.fixes import ANY_MODEL, ModelToFix
from reload_audit.diagnosis.contradiction import contradiction
from reload_audit.diagnosis.effects import ConditionResult, TrialResult, spread
from reload_audit.diagnosis.gap import STANDARD_ERRORS
from reload_audit.diagnosis.model_to_fix import model_to_fix
from reload_audit.judging.divergence_wording import divergence_sentence
from reload_audit.judging.judgement import Judgement
from reload_audit.records.conditions import EXPLORING
from reload_audit.records.divergence import Divergence, Implied
from reload_audit.records.episodes import RANDOM_POLICY_EPISODES, limit_paid_alike, mean_reward
from reload_audit.records.examination import Examination
from reload_audit.records.manifest import ExternalManifest
from reload_audit.records.model_record import ModelRecord


@dataclass(frozen=True)
class Evidence:
    """All that is known of one model that may explain its verdict, without its episodes: an audit may hold thousands.

    :param reward: mean reward under the canonical condition; None where it failed
    :param failure: why there are no rewards; empty if there are
    :param checks: how many checks there were, and how many failed
    :param std: standard deviation (ddof 1) of the ``n`` episodes under the canonical condition
    :param findings: what examining its files found, and where a claim contradicts them
    :param trials: those that were planned, then the estimates
    :param examination_failure: why it could not be examined; empty if it could
    :param model: what every fix may name
    :param last_bits: where reload and reference first differ, as a sentence, if only last bits do; otherwise empty
    :param random: mean reward of a random policy in its environment; None where that was not measured
    :param ran_as: a sentence on which other version of its environment it ran in; empty where it ran in its own
    :param paid_alike: steps of its time limit, where all its episodes last so long and pay the same at the same steps,
        although their observations differ, and no step pays less than 0; 0 where that is not so
    :param implied: what the first difference between reload and reference implies; None where that is not known
    """

    reward: float | None
    failure: str
    checks: tuple[int, int]
    std: float = 0.0
    n: int = 0
    findings: tuple[Finding, ...] = ()
    trials: tuple[TrialResult, ...] = ()
    examination_failure: str = ""
    model: ModelToFix = ANY_MODEL
    last_bits: str = ""
    random: float | None = None
    ran_as: str = ""
    implied: Implied | None = None
    paid_alike: int = 0

    @property
    def less_than_random(self) -> bool:
        """Whether it earns less than a random policy, beyond noise: both are taken to vary as its own episodes do."""
        if self.reward is None or self.random is None or not self.n:
            return False
        error = self.std * math.sqrt(1 / self.n + 1 / RANDOM_POLICY_EPISODES)
        return self.random - self.reward > STANDARD_ERRORS * error

    @classmethod
    def of(cls, model: ModelRecord, judgement: Judgement | None, results: Path) -> Evidence:
        """What a record says of its model.

        :param judgement: of this record; None where nothing was measured
        :param results: the folder that holds ``trained``, as the user writes it
        """
        canonical = model.canonical
        examination = model.examination or Examination()
        return cls(
            reward=mean_reward(canonical.episodes) if canonical is not None and canonical.episodes else None,
            std=0.0 if canonical is None else spread(canonical.rewards),
            n=0 if canonical is None else len(canonical.episodes),
            failure=model.failure,
            checks=(0, 0) if canonical is None else (len(canonical.checks), len(canonical.checks_failed)),
            findings=(*examination.findings, *_contradictions(model, judgement)),
            trials=_trial_results(examination, model),
            examination_failure=examination.failure,
            model=model_to_fix(model, results),
            last_bits="" if canonical is None else only_last_bits(canonical.divergence),
            random=model.random_mean,
            ran_as=_ran_as(model),
            implied=None if canonical is None or canonical.divergence is None else canonical.divergence.implies,
            paid_alike=0 if canonical is None else limit_paid_alike(canonical.episodes),
        )


def only_last_bits(divergence: Divergence | None) -> str:
    """The sentence on a divergence that rounding alone explains; empty for any other."""
    return divergence_sentence(divergence) if divergence is not None and divergence.implies == "numerics" else ""


def _contradictions(model: ModelRecord, judgement: Judgement | None) -> Iterator[Finding]:
    """A finding where the claim that shows a loss or gain contradicts the model's own files and the reload."""
    canonical, explored = model.canonical, model.measurements.get(EXPLORING)
    if canonical is not None and not canonical.condition.deterministic:
        explored = canonical
    if judgement is None or judgement.claim is None or judgement.decision not in ("degraded", "improved"):
        return
    if canonical is not None and explored is not None and explored.episodes:
        found = contradiction(model.claims, judgement.claim, canonical.rewards, explored.rewards)
        if found is not None:
            yield found


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
        gave = ConditionResult(estimate.mean)
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
