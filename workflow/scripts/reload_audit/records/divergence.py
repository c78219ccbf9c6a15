"""The first place where two runs of the same episodes part, as it is recorded. ``evaluation.divergence`` finds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from reload_audit.records.plain_data import PlainData

Implied = Literal["reset", "dynamics", "reward", "end", "wrappers", "statistics", "policy", "numerics"]

DONE = "done"
"""The component that says whether, and how, an episode ended."""

ABSENT = "absent"
"""Stands for the value of a component that one of the two runs does not have."""


@dataclass(frozen=True)
class ComponentDifference(PlainData):
    """How one component of a step differs between two runs, as far as its values were kept.

    :param component: ``rewards``, ``raw_observations`` (what the environment gave), ``done``, ``policy_observations``
        (what the policy was given) or ``actions``; with the key, for a dictionary of observations
    :param reference: its value in the first run: a number or a short list, of a large array the first element that
        differs; None where it was not kept, ``absent`` where there is none
    :param reload: its value in the other run
    :param shape: of the array
    :param index: the first element that differs, for an array that is not shown whole
    :param largest: the largest absolute difference between elements
    :param last_bits: whether it is as small as rounding makes it; None where that is unknown
    """

    component: str
    reference: Any = None
    reload: Any = None
    shape: tuple[int, ...] | None = None
    index: tuple[int, ...] | None = None
    largest: float | None = None
    last_bits: bool | None = None


@dataclass(frozen=True)
class Divergence(PlainData):
    """The first difference between two runs of the same episodes.

    :param episode: index of the episode, reset with ``seed``
    :param step: the environment's step, 0 for what its reset gave; None where it was not kept
    :param after: where the step is unknown, the last one up to which nothing that was kept differs
    :param differences: one for each component that differs there, the earliest first; where the step is unknown, for
        each that differs anywhere in the episode
    :param implies: what these components say about the reason; None where they say nothing
    :param computed_on: the device and processor that the policy ran on in the two runs, where they differ and both are
        known
    """

    episode: int
    seed: int
    step: int | None
    after: int | None
    differences: tuple[ComponentDifference, ...]
    implies: Implied | None
    computed_on: tuple[str, str] | None = None

    @property
    def components(self) -> tuple[str, ...]:
        """The names of the components that differ, the earliest first."""
        return tuple(difference.component for difference in self.differences)
