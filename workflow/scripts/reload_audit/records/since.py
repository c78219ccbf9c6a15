"""What ``audit.json`` says of changes since an earlier audit, and of candidates against shipping models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from reload_audit.records.plain_data import PlainData

State = Literal["regressed", "recovered", "changed", "same", "new", "gone"]
"""What has become of a model since the baseline; ``changed``: another verdict, which chance alone may explain."""

Earns = Literal["", "identical", "same", "less", "more", "open"]
"""What a model earns, compared with then: the same bits; no more and no less than the margin; shown to be less, or
more; open. Empty where there is nothing to compare."""

Paired = Literal["", "seeds", "means"]
"""How rewards are compared: episodes with the same seeds in pairs, or means and standard deviations; empty for not."""


@dataclass(frozen=True)
class ModelSince(PlainData):
    """One model, then and now.

    :param verdict_then: empty for a new model
    :param verdict: empty for one that is gone
    :param n: episodes that are compared, on the side with fewer
    :param difference: mean episode reward now, minus then
    :param ci_low: with ``ci_high``, one-sided bounds of the difference as those of a verdict
    :param margin: the largest difference that does not count
    :param q: p-value of a loss or gain beyond the margin, corrected for the number of models
    """

    model: str
    state: State
    verdict_then: str
    verdict: str
    earns: Earns = ""
    paired: Paired = ""
    n: int | None = None
    mean_then: float | None = None
    mean: float | None = None
    difference: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    margin: float | None = None
    q: float | None = None


@dataclass(frozen=True)
class CandidateResult(PlainData):
    """A candidate compared with the model that is shipping, in one audit.

    :param environment: id of the environment of both
    :param earns: what the candidate earns, compared with the one that is shipping
    :param n: episodes that are compared, on the side with fewer
    :param difference: mean episode reward of the candidate, minus that of the other one
    :param smallest: the smallest loss that would have shown with a probability of 80 %, in reward
    """

    candidate: str
    shipping: str
    environment: str
    earns: Earns = ""
    paired: Paired = ""
    n: int | None = None
    difference: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    margin: float | None = None
    q: float | None = None
    smallest: float | None = None


@dataclass(frozen=True)
class PackageSince(PlainData):
    """A package whose versions differ; several versions are joined by commas, none is empty."""

    package: str
    then: str
    now: str


@dataclass(frozen=True)
class Since(PlainData):
    """What has changed since a baseline.

    :param baseline: its ``audit.json``, as the user names it
    :param date: when the baseline ran its last process, as ``2026-11-20``; empty where the table of its processes is
        not beside it
    :param models: those of both audits, in the order of this one, then those that are gone
    :param remarks: what could not be compared, and why, one sentence each
    """

    baseline: str
    date: str
    models: tuple[ModelSince, ...]
    packages: tuple[PackageSince, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def states(self) -> dict[str, State]:
        """What has become of each model, by name."""
        return {model.model: model.state for model in self.models}
