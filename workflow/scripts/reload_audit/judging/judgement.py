"""What the measurements of one model say together: those of train time and reload, or a claim and the reload."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from reload_audit.judging.comparison import (
    Comparison,
    Criteria,
    Decision,
    claim_too_imprecise,
    compare_paired,
    compare_unpaired,
    margin,
)
from reload_audit.records.episodes import Episode, TrainTime, first_difference, mean_reward, rewards, std_reward
from reload_audit.records.specs import Claim, ClaimKind

_NEXT_TO_NOTHING = 1e-3
"""Width of the bounds, in margins, below which the episodes are taken not to vary."""

_MANY_MODELS = 10_000_000
"""More models than any audit has."""

STRENGTH: tuple[ClaimKind, ...] = ("explicit", "evaluations", "model_card", "best", "last_evaluation", "training")
"""Kinds of claims, the strongest first."""

_USUAL_EPISODES = 10
"""Episodes behind a claim that does not say: the default of ``evaluate_policy``."""

Obstacle = Literal["", "no_claim", "claim_too_imprecise", "best_of_k", "before_last_update", "claim_with_exploration"]

OBSTACLE_OF_KIND: dict[str, Obstacle] = {
    "best": "best_of_k",
    "last_evaluation": "before_last_update",
    "training": "claim_with_exploration",
}
"""Kinds of claims that are biased, and so must not decide alone, each with its obstacle."""


@dataclass(frozen=True)
class Judgement:
    """What is known of one model.

    :param comparison: what decides: reload against in place, or against a claim; None without either
    :param claim: the claim that decides; None where episodes of train time do
    :param obstacle: why the comparison must not decide, or nothing
    :param environment_gap: reference against in place: only the environments are new; None where not measured
    :param process_gap: reload against reference: only process and files are new; None where not measured
    :param first_difference: the first bit that differs between reference and reload; None where none does
    """

    comparison: Comparison | None
    claim: Claim | None = None
    obstacle: Obstacle = ""
    environment_gap: Comparison | None = None
    process_gap: Comparison | None = None
    first_difference: str | None = None

    @property
    def decision(self) -> Decision | Literal["identical"] | None:
        """The verdict as far as this model alone can tell; None while it is open."""
        if self.comparison is None or self.obstacle:
            return None
        decision = self.comparison.decision
        identical = decision == "equivalent" and self.claim is None and self.first_difference is None
        return "identical" if identical else decision

    @property
    def healthy(self) -> bool:
        """Whether it is shown that nothing is lost, or gained."""
        return self.decision in ("identical", "equivalent")

    def settled(self, criteria: Criteria) -> bool:
        """Whether further episodes can be spared.

        Not while next to nothing varies, unless every bit is the same: twenty equal differences say little where one
        episode in twenty is lost. And a loss or gain must be so clear that it outlasts the correction for the
        number of models, which is not known here.
        """
        comparison = self.comparison
        if comparison is None:
            return True
        if self.obstacle == "claim_too_imprecise":
            hopeless = self.claim is not None and self.claim.n == 1
            return hopeless or comparison.difference > -comparison.margin  # a large loss could yet show
        wide = comparison.ci_high - comparison.ci_low > _NEXT_TO_NOTHING * comparison.margin
        telling = wide or comparison.n_episodes >= criteria.episodes_to_meet_a_rare_loss
        match "identical" if self.decision == "identical" else comparison.decision:
            case None:
                return False
            case "identical":
                return True
            case "equivalent":
                return telling
            case _:
                return telling and min(comparison.p_degraded, comparison.p_improved) <= criteria.fdr / _MANY_MODELS


def judge(train_time: TrainTime, reload: Sequence[Episode], criteria: Criteria) -> Judgement:
    """Compare a reload with what was measured at train time, over the episodes that it has run so far.

    The margin rests on all train-time episodes, so it is the same at every look.
    """
    n = len(reload)
    quoted, reference = train_time.quoted, train_time.reference[:n]
    width = margin(mean_reward(quoted), std_reward(quoted), train_time.random_mean, criteria)
    in_place = None if train_time.in_place is None else rewards(train_time.in_place[:n])
    return Judgement(
        comparison=compare_paired(rewards(reload) - rewards(quoted[:n]), width, criteria),
        environment_gap=None if in_place is None else compare_paired(rewards(reference) - in_place, width, criteria),
        process_gap=compare_paired(rewards(reload) - rewards(reference), width, criteria),
        first_difference=first_difference(reference, reload),
    )


def judge_external(
    train_time: TrainTime | None,
    claims: Sequence[Claim],
    reload: Sequence[Episode],
    random_mean: float | None,
    criteria: Criteria,
) -> Judgement:
    """Judge a model by what was recorded when it was trained, or else by what is said of it.

    A recording may be of freshly built environments only. Then nobody knows what the model earned where it was trained,
    but for its last training episodes: a reload that is like the reference, and earns less than those, is not known to
    be healthy.

    :param train_time: None where nothing was recorded, or the user's own words count for more
    """
    if train_time is None:
        return judge_by_claims(claims, reload, random_mean, criteria)
    judged = judge(train_time, reload, criteria)
    training = [claim for claim in claims if claim.kind == "training"]
    if train_time.in_place is not None or not training:
        return judged
    by_claim = judge_by_claims(training, reload, train_time.random_mean, criteria)
    if by_claim.obstacle != "claim_with_exploration" or _loss(by_claim) == 1.0:
        return judged
    return replace(judged, comparison=by_claim.comparison, claim=by_claim.claim, obstacle=by_claim.obstacle)


def judge_by_claims(
    claims: Sequence[Claim], reload: Sequence[Episode], random_mean: float | None, criteria: Criteria
) -> Judgement:
    """Compare a reload with what somebody says that the model earned. The strongest claim decides.

    A best-of-k claim is too high by selection, the last evaluation is of other weights than the last update left, one
    from training is too low by exploration: none of them makes a loss alone, only two kinds that agree do.

    :param claims: in any order
    :param random_mean: mean episode reward of a random policy; None where it could not be measured
    """
    if not claims:
        return Judgement(None, obstacle="no_claim")
    judged = [_judge_by_claim(claim, reload, random_mean, criteria) for claim in sorted(claims, key=_rank)]
    first = judged[0]
    weak = {
        found.claim.kind: found for found in reversed(judged) if found.claim and found.claim.kind in OBSTACLE_OF_KIND
    }
    all_lost = len(weak) > 1 and all(_loss(found) < 1.0 for found in weak.values())
    if all_lost and first.claim is not None and first.claim.kind in OBSTACLE_OF_KIND:
        cautious = max(weak.values(), key=_loss)
        return Judgement(cautious.comparison, cautious.claim)
    return first


def strongest(claims: Sequence[Claim]) -> Claim | None:
    """The claim that decides, if there is one."""
    return min(claims, key=_rank, default=None)


def _rank(claim: Claim) -> int:
    return STRENGTH.index(claim.kind)


def _judge_by_claim(
    claim: Claim, reload: Sequence[Episode], random_mean: float | None, criteria: Criteria
) -> Judgement:
    measured = mean_reward(reload), std_reward(reload), len(reload)
    std = measured[1] if claim.std is None else claim.std
    n = _USUAL_EPISODES if claim.n is None else claim.n
    width = margin(claim.mean, std, random_mean, criteria)
    comparison = compare_unpaired((claim.mean, std, max(n, 2)), measured, width, criteria)
    return Judgement(comparison, claim, _obstacle(claim, comparison, claim_too_imprecise(std, n, width, criteria), n))


def _obstacle(claim: Claim, comparison: Comparison, imprecise: bool, n: int) -> Obstacle:
    """An imprecise claim cannot show that nothing is lost, but may well show that much is."""
    if imprecise and (comparison.decision is None or n < 2):
        return "claim_too_imprecise"
    if comparison.decision == "degraded" and claim.kind in OBSTACLE_OF_KIND:
        return OBSTACLE_OF_KIND[claim.kind]
    if comparison.decision == "improved" and claim.kind in ("last_evaluation", "training"):
        return OBSTACLE_OF_KIND[claim.kind]
    return ""


def _loss(judgement: Judgement) -> float:
    """The p-value of a loss that the bounds show; 1 where they show none."""
    comparison = judgement.comparison
    return comparison.p_degraded if comparison is not None and comparison.decision == "degraded" else 1.0
