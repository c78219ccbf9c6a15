"""What counts as a difference, and how sure the audit has to be: verdicts, error rates, and the margin."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from reload_audit.judging.spending import Looks
from reload_audit.records.specs import stops

Decision = Literal["degraded", "improved", "equivalent", "retained"]
Verdict = Literal[
    "identical",
    "equivalent",
    "retained",
    "improved",
    "consistent",
    "inconclusive",
    "degraded",
    "error",
]

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
"""All verdicts, the best first."""

OTHER_WORDS = ("suspect", "environment", "script", "regressed", "candidate", "candidate_open")
"""What ``gate.fail_on`` may name besides verdicts."""

WORST_FIRST: tuple[Verdict, ...] = (
    "error",
    "degraded",
    "inconclusive",
    "consistent",
    "improved",
    "retained",
    "equivalent",
    "identical",
)
"""All verdicts, in the order in which models are listed."""

NOTHING_LOST: tuple[Verdict, ...] = ("identical", "equivalent", "retained")
"""Verdicts of reloads that are shown to lose no more than the margin, and of which no gain is known."""

AS_BEFORE: tuple[Verdict, ...] = (*NOTHING_LOST, "consistent")
"""Verdicts of reloads that earn what they earned, as far as can be told: nothing is to be explained."""


@dataclass(frozen=True)
class Criteria:
    """What counts as a difference, and how sure the audit has to be.

    :param alpha: one-sided error rate of a model's test over all looks together
    :param fdr: false discovery rate over all models, for ``degraded`` and for ``improved``
    :param margin_fraction: part of the margin, as a fraction of ``|train reward - random reward|``
    :param margin_std: part of the margin, in standard deviations of the train-time reward
    :param looks: numbers of episodes at which a decision is tried, increasing
    :param further_looks: those at which it is tried after these, for a model that is judged by a claim, is still
        undecided and whose episodes are cheap; all of ``alpha`` is spent at the last of all
    :param seconds: processor time of a model's episodes, or a fifth of their wall time if that is more, beyond which
        none of the further looks begins
    :param stop_when_retained: whether a model that is shown to have lost nothing ends there, though further episodes
        might show that it is equivalent, or has gained
    :param to_last_look: whether all looks are run, whatever they show: another model is compared with this one
    """

    alpha: float
    fdr: float
    margin_fraction: float
    margin_std: float
    looks: tuple[int, ...]
    further_looks: tuple[int, ...] = ()
    seconds: float = 90.0
    stop_when_retained: bool = False
    to_last_look: bool = False

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Criteria:
        """Read the section ``verdict`` of the configuration; further looks before the last of the others are none."""
        looks = tuple(data["looks"])
        further = tuple(look for look in data["further_looks"] if look > max(looks, default=0))
        return cls(**{**data, "looks": looks, "further_looks": further})

    @property
    def planned(self) -> Looks:
        """All looks, as the error rate is spent over them."""
        return Looks(self.looks, self.further_looks)

    def up_to(self, episodes: int) -> Criteria:
        """The same for a model of which so many episodes are recorded: its last look is at all of them."""
        return replace(self, looks=stops(self.looks, episodes), further_looks=())

    def must_go_on(self, episodes: int) -> bool:
        """Whether further episodes run after so many, whatever these show."""
        return self.to_last_look and episodes < self.looks[-1]

    def too_slow(self, episodes: int, seconds: float) -> bool:
        """Whether the look after so many episodes is the last that the time for a model allows.

        :param seconds: that these episodes took
        """
        later = [look for look in self.further_looks if look > episodes]
        return episodes >= self.looks[-1] and bool(later) and seconds / episodes * later[0] > self.seconds

    @property
    def episodes_to_meet_a_rare_loss(self) -> float:
        """After how many equal episodes in a row a loss beyond the margin has become improbable.

        A loss that reaches the margin on average, but takes all that was learned when it happens, happens in at least
        ``margin_fraction`` of the episodes. It hides in ``n`` of them with a chance of at most
        ``(1 - margin_fraction)**n``.
        """
        if not 0.0 < self.margin_fraction < 1.0:
            return math.inf
        return math.log(self.alpha) / math.log1p(-self.margin_fraction)


def margin(train_mean: float, train_std: float, random_mean: float | None, criteria: Criteria) -> float:
    """The largest difference in mean reward that does not count.

    It is a fraction of what was learned, or a part of the noise, whichever is larger.

    :param train_mean: mean train-time episode reward
    :param train_std: its standard deviation (ddof 0)
    :param random_mean: mean episode reward of a random policy; None where it could not be measured,
        then the noise part stands alone
    :raises ValueError: a number that is not finite, or becomes so
    """
    learned = 0.0 if random_mean is None else abs(train_mean - random_mean)
    width = max(criteria.margin_fraction * learned, criteria.margin_std * train_std)
    if not math.isfinite(width):
        raise ValueError(f"expected rewards of which a spread can be computed, found {train_mean:g} ± {train_std:g}")
    # Never 0: rounding, of a claim or of a sum, would decide.
    return width or criteria.margin_fraction * abs(train_mean)
