"""Judge a reload by what is claimed: which claim counts, and when it must not decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from reload_audit.judging.comparison import Comparison, claim_too_imprecise, compare_unpaired
from reload_audit.judging.criteria import Criteria, margin
from reload_audit.judging.judgement import Judgement, Obstacle, joint_cut, judge, obstacle_of_cut
from reload_audit.judging.spread import chance_of_spread
from reload_audit.records.episodes import Cut, Episode, TrainTime, rewards
from reload_audit.records.specs import Claim, ClaimKind

STRENGTH: tuple[ClaimKind, ...] = (
    "explicit",
    "evaluations",
    "model_card",
    "reported",
    "trend",
    "best",
    "last_evaluation",
    "training",
    "stated",
)
"""Kinds of claims, the strongest first."""

SAID_BY_SOMEBODY: tuple[ClaimKind, ...] = ("explicit", "model_card", "reported", "stated")
"""Kinds of claims that somebody makes, and not files that training itself wrote."""

_CERTAIN = 1e-4
"""P-value of a loss against training episodes from which on they cast doubt on a reference that was recorded."""

_EVALUATED_IN_TRAINING: tuple[ClaimKind, ...] = ("trend", "best", "last_evaluation")
"""Kinds of claims that are made of evaluations during training, of other weights or of luckily chosen ones."""

_NEVER_STOCHASTIC = ("ARS", "DDPG", "TD3")
"""Algorithms whose policies have no stochastic actions: in training, noise is added to them."""

_LIKELY = 0.25
"""P-value of the test "nothing is lost" below which a claim makes a loss likely, though it shows none."""

_USUAL_EPISODES = 10
"""Episodes that a claim is taken to rest on if it does not state their number: the default of ``evaluate_policy``."""

_FEWEST_EPISODES = 2
"""Episodes that a text is taken to speak of if it does not say how many."""

OBSTACLE_OF_KIND: dict[str, Obstacle] = {
    "best": "best_of_k",
    "last_evaluation": "before_last_update",
    "training": "claim_with_exploration",
    "stated": "claim_too_imprecise",
}
"""Kinds of claims that are biased, or say not how they were measured: they must not show a loss alone. Each with its
obstacle."""

_MAY_BE_TOO_LOW = ("trend", "last_evaluation", "training", "stated")
"""Kinds of claims below what the model earned: a chosen model is better than its neighbours, a later one has learned
more, exploration costs, and a text may speak of an earlier one. To earn more than such a claim is no gain."""


def judge_external(
    train_time: TrainTime | None,
    claims: Sequence[Claim],
    reload: Sequence[Episode],
    random_mean: float | None,
    criteria: Criteria,
    exploring: Sequence[Episode] = (),
) -> Judgement:
    """Judge a model by the episodes recorded when it was trained, or else by what is claimed of it.

    A recording may hold the reference alone, without episodes in place. Then only the last training episodes tell what
    the model earned in the environments trained in: a reload that certainly lost more than the margin of these has the
    obstacle ``claim_with_exploration``, even if it equals the reference.

    :param train_time: recorded episodes; None where there are none, or a claim of the user's replaces them
    :param claims: in any order
    :param reload: episodes of the canonical condition
    :param random_mean: mean episode reward of a random policy, for claims; None where it could not be measured
    :param exploring: episodes of the same model with stochastic actions, where they were run
    """
    if train_time is None:
        judged = judge_by_claims(claims, reload, random_mean, criteria)
        return _as_in_training(judged, claims, reload, exploring, random_mean, criteria) or judged
    judged = judge(train_time, reload, criteria)
    training = [claim for claim in claims if claim.kind == "training"]
    if train_time.in_place is not None or not training:
        return judged
    looks = criteria.up_to(len(train_time.quoted))
    by_claim = judge_by_claims(training, reload, train_time.random_mean, looks)
    if by_claim.obstacle != "claim_with_exploration" or _loss(by_claim) > _CERTAIN:
        return judged
    return replace(judged, comparison=by_claim.comparison, claim=by_claim.claim, obstacle=by_claim.obstacle)


def judge_by_claims(
    claims: Sequence[Claim], reload: Sequence[Episode], random_mean: float | None, criteria: Criteria
) -> Judgement:
    """Compare a reload with each claim of what the model earned, and let the strongest decide.

    Three kinds of claims are biased: a best-of-k claim is too high by selection, the last evaluation is of other
    weights than the last update left, training episodes are too low by exploration. None of them shows a loss alone.
    Where two such kinds both show one, it counts, and the more cautious of them is reported.

    Where there is a trend, it shows a loss, as it is not too high. That nothing is lost can be shown by an evaluation
    beside it: see :func:`_not_lost`.

    :param claims: in any order
    :param random_mean: mean episode reward of a random policy; None where it could not be measured
    """
    if not claims:
        return Judgement(None, obstacle="no_claim")
    earned, cut = rewards(reload), joint_cut(episode.cut for episode in reload)
    judged = [judge_by_claim(claim, earned, random_mean, criteria, cut) for claim in sorted(claims, key=_rank)]
    first = judged[0]
    kinds = {found.claim.kind: found for found in reversed(judged) if found.claim}
    weak = [found for kind, found in kinds.items() if kind in OBSTACLE_OF_KIND and kind != "stated"]
    biased = first.claim is not None and first.claim.kind in (*OBSTACLE_OF_KIND, "trend")
    together = biased and first.decision != "degraded" and len(weak) > 1
    if together and all(_loss(found) < 1.0 for found in weak):
        cautious = max(weak, key=_loss)
        return Judgement(cautious.comparison, cautious.claim)
    found = first
    if first.claim is not None and first.claim.kind == "trend" and first.decision != "degraded":
        found = _not_lost(first, kinds.get("best"), kinds.get("last_evaluation"))
    return replace(found, others_may_tell=together and _may_show_a_loss(weak, criteria))


def _may_show_a_loss(weak: Sequence[Judgement], criteria: Criteria) -> bool:
    """Whether some of these comparisons show a loss, and more episodes may let all the others show one, too."""
    open_ = [found.comparison for found in weak if _loss(found) == 1.0]
    within_reach = all(one is not None and one.within_reach({"degraded"}, criteria) for one in open_)
    return 0 < len(open_) < len(weak) and within_reach


def _as_in_training(
    judged: Judgement,
    claims: Sequence[Claim],
    reload: Sequence[Episode],
    exploring: Sequence[Episode],
    random_mean: float | None,
    criteria: Criteria,
) -> Judgement | None:
    """Whether a reload that explores as training did earns no less than the last training episodes.

    That comparison is fair where actions decide otherwise: both explore. Training went on after these episodes, so
    what they earned is the least that the model did. It counts where claims leave the verdict open, and do not make a
    loss likely either: of evaluations in training it takes one, as each is biased or imprecise in its own way.

    :param judged: by all claims, with the canonical condition
    :return: None where it does not count, or does not show that nothing is lost
    """
    training = strongest([claim for claim in claims if claim.kind == "training"])
    if training is None or not exploring or judged.claim is None or judged.decision not in (None, "consistent"):
        return None
    of_training = [claim for claim in claims if claim.kind in _EVALUATED_IN_TRAINING]
    others = of_training if judged.claim.kind in _EVALUATED_IN_TRAINING else [judged.claim]
    compared = [judge_by_claim(claim, rewards(reload), random_mean, criteria).comparison for claim in others]
    if judged.claim != training and all(found is None or found.p_lower < _LIKELY for found in compared):
        return None
    found = judge_by_claim(training, rewards(exploring), random_mean, criteria)
    return replace(found, exploring=True, obstacle="") if found.healthy else None


def exploring_may_tell(claims: Sequence[Claim], algo: str, *, deterministic: bool) -> bool:
    """Whether a reload that explores as training did may decide what claims leave open.

    It may where training episodes are known and actions are deterministic, but need not be.

    :param claims: of a model of which no episodes were recorded
    """
    return deterministic and algo not in _NEVER_STOCHASTIC and any(claim.kind == "training" for claim in claims)


def strongest(claims: Sequence[Claim]) -> Claim | None:
    """The claim whose kind comes first in :data:`STRENGTH`, which decides; None if there is no claim."""
    return min(claims, key=_rank, default=None)


def _rank(claim: Claim) -> int:
    """The position of a claim's kind in :data:`STRENGTH`: 0 is the strongest."""
    return STRENGTH.index(claim.kind)


def judge_by_claim(
    claim: Claim, earned: np.ndarray, random_mean: float | None, criteria: Criteria, cut: Cut = ""
) -> Judgement:
    """Compare a reload with one claim; a standard deviation that it does not state is taken from the reload.

    :param earned: reward of each episode of the reload, shape ``(n,)``
    :param cut: how their mean bounds that of whole episodes, where some were cut
    """
    mean, std = float(np.mean(earned)), float(np.std(earned))
    claim_std = std if claim.std is None else claim.std
    n = claim.n or (_FEWEST_EPISODES if claim.kind == "stated" else _USUAL_EPISODES)
    # A trend's is no spread of episodes: its size comes from how evaluations scatter.
    chance = 0.0 if claim.kind == "trend" else chance_of_spread(claim_std, n, earned) if claim_std < std else 1.0
    width = margin(claim.mean, std if claim.kind == "trend" else claim_std, random_mean, criteria)
    claimed = (claim.mean, claim_std, max(n, 2))
    comparison = compare_unpaired(claimed, (mean, std, len(earned)), width, criteria, chance)
    imprecise = claim_too_imprecise(comparison, n, criteria)
    return Judgement(
        comparison,
        claim,
        obstacle_of_cut(comparison, cut) or _obstacle(claim, comparison, imprecise, n),
        as_claimed=cut in ("", "lower") and _is_as_claimed(claim, comparison, imprecise, n, criteria),
        cut=cut,
    )


def _obstacle(claim: Claim, comparison: Comparison, imprecise: bool, n: int) -> Obstacle:
    """Why a claim must not decide; empty if it may.

    An imprecise claim cannot show that nothing is lost, but it can show a large loss.

    :param imprecise: whether the claim's own error reaches the margin
    :param n: episodes behind it
    """
    if imprecise and (comparison.decision is None or n < 2):
        return "claim_too_imprecise"
    if comparison.decision == "degraded" and claim.kind in OBSTACLE_OF_KIND:
        return OBSTACLE_OF_KIND[claim.kind]
    return ""


def _is_as_claimed(claim: Claim, comparison: Comparison, imprecise: bool, n: int, criteria: Criteria) -> bool:
    """Whether a claim predicts what the reload earns, but is too weak or too imprecise to show that nothing is lost.

    It predicts that unless the reload earns less with an error probability of at most ``alpha``.

    :param imprecise: whether the claim's own error reaches the margin
    :param n: episodes behind it
    """
    if comparison.decision == "improved" and claim.kind in _MAY_BE_TOO_LOW:
        return True
    weak = imprecise or claim.kind == "trend" or claim.kind in OBSTACLE_OF_KIND
    undecided = comparison.decision is None or n < 2
    return undecided and weak and comparison.p_lower > criteria.alpha


def _not_lost(trend: Judgement, best: Judgement | None, last: Judgement | None) -> Judgement:
    """What the evaluations of a run say together of a model for which their trend shows no loss.

    A model that was chosen for its evaluation may be truly better than the trend, so only that evaluation, which is
    too high rather than too low, shows that nothing is lost. A final model is none of those that were evaluated: the
    trend is as fair to it as the last evaluation. Where both only predict what it earns, that one counts which leaves
    the smaller loss possible.

    :param best: by the evaluation that the model was chosen for, if it was
    :param last: by the last evaluation, for a final model
    """
    if best is not None:
        if best.healthy or trend.decision is None:
            return best if best.healthy else trend
        return replace(trend, obstacle="best_of_k", as_claimed=True)
    if last is None or last.comparison is None or trend.comparison is None:
        return trend
    both_open = last.decision == trend.decision == "consistent"
    narrower = both_open and last.comparison.ci_low > trend.comparison.ci_low
    return last if last.decision == "equivalent" or narrower else trend


def _loss(judgement: Judgement) -> float:
    """The p-value of a loss that the bounds show; 1 where they show none."""
    comparison = judgement.comparison
    return comparison.p_degraded if comparison is not None and comparison.decision == "degraded" else 1.0
