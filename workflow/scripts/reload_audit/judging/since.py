"""What a model earns now against what it earned in an earlier audit, with the statistics of verdicts.

Each number of episodes that both audits may end with is a look, so the bounds hold whichever episodes there are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from reload_audit.judging.comparison import Comparison, compare_paired, compare_unpaired
from reload_audit.judging.criteria import NOTHING_LOST, Criteria, margin
from reload_audit.judging.judgement import Judgement, obstacle_of_cut
from reload_audit.judging.verdicts import JudgedVerdict
from reload_audit.records.episodes import UNSEEDED, Cut
from reload_audit.records.since import Earns, State

SHOWN_TO_EARN = (*NOTHING_LOST, "improved")
"""Verdicts that show that nothing is lost."""


@dataclass(frozen=True)
class Episodes:
    """Episodes of one model, arrays of shape ``(n,)``.

    :param traces: for each episode a digest of all that happened in it, as text
    :param cut: whether it had not ended after ``evaluation.max_episode_steps``
    """

    seeds: np.ndarray
    rewards: np.ndarray
    traces: np.ndarray
    cut: np.ndarray

    def at(self, places: Sequence[int]) -> Episodes:
        """The episodes at these positions, in this order."""
        index = np.asarray(places, dtype=np.intp)
        return Episodes(self.seeds[index], self.rewards[index], self.traces[index], self.cut[index])


@dataclass(frozen=True)
class Earned:
    """What a model earned in an audit.

    :param std: ddof 0
    :param episodes: None where single episodes are not known
    """

    mean: float
    std: float
    n: int
    episodes: Episodes | None = None


def judge_since(then: Earned, now: Earned, random_mean: float | None, criteria: Criteria) -> tuple[Judgement, bool]:
    """Compare what a model earns now with what it earned then.

    Episodes that were reset with the same seeds are compared in pairs; where there are none, means are.

    :param random_mean: what a random policy earns
    :return: the judgement, and whether it is of pairs
    :raises ValueError: fewer than two episodes on a side, or a number that is not finite
    """
    pairs = None if then.episodes is None or now.episodes is None else _pairs(then.episodes, now.episodes)
    if pairs is None:
        width = margin(then.mean, then.std, random_mean, criteria)
        one, other = ((side.mean, side.std, side.n) for side in (then, now))
        comparison = compare_unpaired(one, other, width, criteria)
        return Judgement(comparison, first_difference="single episodes are not compared"), False
    before, after = pairs
    width = margin(float(before.rewards.mean()), float(before.rewards.std()), random_mean, criteria)
    comparison = compare_paired(after.rewards - before.rewards, width, criteria)
    cut: Cut = "open" if bool((before.cut != after.cut).any()) else ""
    obstacle = obstacle_of_cut(comparison, cut)
    return Judgement(comparison, cut=cut, obstacle=obstacle, first_difference=_first_difference(before, after)), True


def earns(judged: JudgedVerdict) -> Earns:
    """What a verdict over the comparison of then and now says of what a model earns."""
    said: dict[str, Earns] = {"identical": "identical", "equivalent": "same", "degraded": "less", "improved": "more"}
    return said.get(judged.verdict, "open")


def state(verdict_then: str, verdict: str, earned: Earns) -> State:
    """What has become of a model: ``docs/since.md`` says why, and how often chance alone gives it.

    :param earned: what it earns, compared with then
    """
    failed_then, failed = verdict_then == "error", verdict == "error"
    if failed or failed_then:
        return "same" if failed and failed_then else "regressed" if failed else "recovered"
    if earned == "identical":  # what it is compared with is another one, or the settings are
        return "changed" if verdict_then != verdict else "same"
    if earned == "less" or (verdict_then in SHOWN_TO_EARN and verdict == "degraded"):
        return "regressed"
    if earned == "more" or (verdict_then == "degraded" and verdict in SHOWN_TO_EARN):
        return "recovered"
    return "changed" if verdict_then != verdict else "same"


POWER = 0.8
"""With what probability the smallest difference shows that is said to show."""


def smallest_shown(comparison: Comparison, criteria: Criteria) -> float:
    """The smallest loss that such episodes show to be beyond the margin, with probability :data:`POWER`, in reward.

    :param comparison: of which the spread and the number of episodes are taken
    """
    width = comparison.half_width(comparison.n_episodes, criteria)
    error = math.hypot(comparison.reload_error, comparison.claim_error)
    return comparison.margin + width + NormalDist().inv_cdf(POWER) * error


def smallest_planned(n: int, criteria: Criteria) -> float:
    """How far a loss has to exceed the margin to show with probability :data:`POWER` in ``n`` pairs of episodes.

    :return: in standard deviations of the difference of a pair
    """
    comparison = Comparison(n, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, reload_error=1.0 / math.sqrt(n))
    return smallest_shown(comparison, criteria)


def _pairs(then: Episodes, now: Episodes) -> tuple[Episodes, Episodes] | None:
    """The episodes that both have seeds of; None where there are fewer than two."""
    place = {int(seed): index for index, seed in enumerate(then.seeds) if seed != UNSEEDED}
    shared = [(place[int(seed)], index) for index, seed in enumerate(now.seeds) if int(seed) in place]
    if len(shared) < 2:
        return None
    before, after = zip(*shared, strict=True)
    return then.at(before), now.at(after)


def _first_difference(then: Episodes, now: Episodes) -> str | None:
    differ = (then.traces != now.traces) | (then.rewards != now.rewards)
    return f"the episode with seed {int(then.seeds[int(np.argmax(differ))])}" if differ.any() else None
