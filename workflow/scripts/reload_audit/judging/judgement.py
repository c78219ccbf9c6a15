"""Judge the reload of one model by the episodes recorded at train time, without regard to other models.

Models of which there are only claims are judged in ``claims``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from reload_audit.judging.comparison import Comparison, compare_paired, compare_unpaired
from reload_audit.judging.criteria import Criteria, Decision, margin
from reload_audit.records.episodes import (
    UNSEEDED,
    Cut,
    Episode,
    TrainTime,
    first_difference,
    mean_reward,
    rewards,
    std_reward,
    with_bounds,
)
from reload_audit.records.specs import Claim

_NEXT_TO_NOTHING = 1e-3
"""Width of the bounds, in margins, below which the episodes are taken not to vary."""

_MANY_MODELS = 10_000_000
"""More models than any audit has: the correction for their number is assumed to be by at most this factor."""

_LARGE_FLEET = 10_000
"""More models than nearly all audits have: a loss that is the only one of so many, and yet outlasts the correction for
their number, need not become much clearer."""

_LITTLE_CLEARER = 10.0
"""By what factor a p-value has to become less for that, at least."""

Obstacle = Literal[
    "",
    "no_claim",
    "claim_too_imprecise",
    "best_of_k",
    "before_last_update",
    "claim_with_exploration",
    "episodes_cut",
]

Gap = Literal["", "environment", "process", "environment and process"]


@dataclass(frozen=True)
class Judgement:
    """What the measurements of one model say of its reload, before the correction for the number of models.

    :param comparison: the one that decides: reload against in place (against the reference where nothing was recorded
        in place), or against a claim; None without either
    :param claim: the claim that decides; None where episodes of train time do
    :param obstacle: why the comparison must not decide; empty if it may
    :param cut: how the difference bounds the one that there would be if no episode were cut; empty where none is, or
        where it was cut at the same step on both sides
    :param as_claimed: whether a claim that is too weak or too imprecise to show more predicts what the reload earns
    :param exploring: whether it is the reload with stochastic actions that is compared, with training episodes: what
        these earned is the least that the model did, so that more is no gain
    :param environment_gap: reference against in place: only the environments are new; None where not measured
    :param process_gap: reload against reference: only process and files are new; None where not measured
    :param first_difference: the first bit that differs between reference and reload; None where none does
    :param others_may_tell: whether more episodes may let biased claims show a loss together, which this one does not
    """

    comparison: Comparison | None
    claim: Claim | None = None
    obstacle: Obstacle = ""
    environment_gap: Comparison | None = None
    process_gap: Comparison | None = None
    first_difference: str | None = None
    as_claimed: bool = False
    exploring: bool = False
    cut: Cut = ""
    others_may_tell: bool = False

    @property
    def decision(self) -> Decision | Literal["identical", "consistent"] | None:
        """The verdict as far as this model alone can tell; None while it is open."""
        if self.comparison is None:
            return None
        decision = self.comparison.decision
        if decision is None:
            return "consistent" if self.as_claimed else None
        if self.obstacle:
            return "consistent" if self.as_claimed else None
        gain_is_open = decision == "equivalent" and self.cut
        if self.exploring or gain_is_open or (decision == "improved" and self.as_claimed):
            return "retained"
        identical = decision == "equivalent" and self.claim is None and self.first_difference is None
        return "identical" if identical else decision

    @property
    def gap(self) -> Gap:
        """Between which measurements the difference lies; empty where they were not all made.

        ``environment``: in place and on new environments; ``process``: on new environments and in the fresh process.
        """
        environment, process = self.environment_gap, self.process_gap
        if process is None:
            return ""
        if environment is None:
            return "process"
        in_environment, in_process = (one.decision in ("degraded", "improved") for one in (environment, process))
        if in_environment and in_process:
            return "environment and process"
        if in_environment or in_process:
            return "environment" if in_environment else "process"
        return "environment" if abs(environment.difference) >= abs(process.difference) else "process"

    @property
    def healthy(self) -> bool:
        """Whether the episodes show that nothing is lost beyond the margin."""
        return self.decision in ("identical", "equivalent", "retained")

    def settled(self, criteria: Criteria) -> bool:
        """Whether further episodes can be spared.

        They can be spared where no later look is likely to say more; not while rewards hardly vary, unless every bit is
        the same: twenty equal differences say little about a loss that happens in one episode of twenty. And a loss or
        gain must be so clear that it outlasts the correction for the number of models, which is not known here; or as
        clear as its claim lets it become.
        """
        comparison = self.comparison
        if comparison is None or self.decision == "identical" or self.obstacle == "episodes_cut":
            return True
        if self.others_may_tell:
            return False
        wide = comparison.ci_high - comparison.ci_low > _NEXT_TO_NOTHING * comparison.margin
        telling = wide or comparison.n_episodes >= criteria.episodes_to_meet_a_rare_loss
        match comparison.decision:
            case None:
                return not comparison.within_reach({"degraded", "improved", "equivalent", "retained"}, criteria)
            case "retained":
                open_ = comparison.within_reach({"equivalent", "improved"}, criteria)
                return telling and (criteria.stop_when_retained or not open_)
            case "equivalent":
                return telling
            case "improved" if self.as_claimed:
                return telling
        return telling and is_clear(comparison, criteria)


def is_clear(comparison: Comparison, criteria: Criteria) -> bool:
    """Whether a loss or gain is as clear as any number of models asks for, or nearly as its claim lets it become."""
    p = min(comparison.p_degraded, comparison.p_improved)
    if p <= criteria.fdr / _MANY_MODELS:
        return True
    final = comparison.final_p(criteria)
    # At the last look they are the same number, computed in two ways.
    return p <= final or math.isclose(p, final) or p <= min(_LITTLE_CLEARER * final, criteria.fdr / _LARGE_FLEET)


def judge(train_time: TrainTime, reload: Sequence[Episode], criteria: Criteria) -> Judgement:
    """Compare a reload with what was measured at train time, over the episodes that it has run so far.

    The margin rests on all train-time episodes, so it is the same at every look; they are the last look.
    """
    n = len(reload)
    quoted, reference = train_time.quoted, train_time.reference[:n]
    cut = _cut(reload, with_bounds(quoted[:n], train_time.paid))
    criteria = criteria.up_to(len(quoted))
    width = margin(mean_reward(quoted), std_reward(quoted), train_time.random_mean, criteria)
    in_place = None if train_time.in_place is None else quoted[:n]
    comparison = _compared(quoted[:n], reload, width, criteria)
    return Judgement(
        comparison=comparison,
        obstacle=obstacle_of_cut(comparison, cut),
        cut=cut,
        environment_gap=None if in_place is None else _compared(in_place, reference, width, criteria),
        process_gap=_compared(reference, reload, width, criteria),
        first_difference=first_difference(reference, reload),
    )


def _compared(before: Sequence[Episode], after: Sequence[Episode], width: float, criteria: Criteria) -> Comparison:
    """Compare as many episodes as both have: in pairs, unless they have no seeds and are not the same in every bit."""
    paired = all(episode.seed != UNSEEDED for episode in (*before, *after))
    if paired or first_difference(before, after) is None:
        return compare_paired(rewards(after) - rewards(before), width, criteria)
    (one, other) = ((mean_reward(runs), std_reward(runs), len(runs)) for runs in (before, after))
    return compare_unpaired(one, other, width, criteria)


_OTHER_SIDE: dict[Cut, Cut] = {"": "", "lower": "upper", "upper": "lower", "open": "open"}


def _cut(reload: Sequence[Episode], quoted: Sequence[Episode]) -> Cut:
    """How the differences of episodes bound those of whole ones, where some were cut on one side only."""
    pairs = [pair for pair in zip(reload, quoted, strict=False) if bool(pair[0].cut) != bool(pair[1].cut)]
    return joint_cut([one.cut or _OTHER_SIDE[other.cut] for one, other in pairs])


def joint_cut(cuts: Iterable[Cut]) -> Cut:
    """How a mean bounds the mean that there would be if no episode were cut."""
    kinds = {*cuts} - {""}
    return "open" if len(kinds) > 1 else next(iter(kinds), "")


def obstacle_of_cut(comparison: Comparison, cut: Cut) -> Obstacle:
    """What keeps a comparison from deciding where episodes were cut: they may have gone on to earn the difference."""
    decisions: dict[Cut, tuple[Decision, ...]] = {
        "": ("degraded", "improved", "equivalent", "retained"),
        "lower": ("improved", "equivalent", "retained"),
        "upper": ("degraded",),
        "open": (),
    }
    return "" if comparison.decision is None or comparison.decision in decisions[cut] else "episodes_cut"
