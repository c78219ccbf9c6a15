"""Scores, which compare models of different environments: a random policy has 0, an environment's best model 1."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from reload_audit.reports.dashboard.entries import Entry

SCORES_SHOWN = (-0.3, 1.2)
"""Scores that fit into the chart; what lies beyond is drawn at the edge, as an arrow."""

BEFORE_SHOWN = 1.1
"""The highest score before reload that is shown: 1 is the best."""

_INSIDE = 0.025
"""Distance from the edge at which a point that lies beyond it is drawn, in scores."""

_LARGEST = 1e100
"""A reward that is larger is left out: a file that claims it would leave nothing to see of the others."""


@dataclass(frozen=True)
class Place:
    """Where a model is drawn.

    :param x: score at train time, or as claimed
    :param y: score after reload, moved to the edge if it lies beyond
    :param at: how it is drawn there: ``below`` or ``above`` what is shown, ``nowhere`` without reload reward, or as is
    """

    x: float
    y: float
    at: str = ""


def places(models: Sequence[Entry]) -> list[Place | None]:
    """A place for each model; None where it, or its environment, has no score."""
    members: dict[str, list[Entry]] = {}
    for entry in models:
        members.setdefault(entry.env_id, []).append(entry)
    scales = {environment: _scale(entries) for environment, entries in members.items()}
    return [_place(entry, scales[entry.env_id]) for entry in models]


def _scale(members: Sequence[Entry]) -> tuple[float, float] | None:
    """What a random policy earns in an environment, and how much more its best model earned."""
    random = [entry.random_mean_reward for entry in members if _is_usable(entry.random_mean_reward)]
    before = [entry.claim_mean for entry in members if _is_usable(entry.claim_mean)]
    if not random or not before:
        return None
    zero = statistics.median(reward for reward in random if reward is not None)
    most = max(reward for reward in before if reward is not None) - zero
    return (zero, most) if most > 0.0 else None


def _is_usable(reward: float | None) -> bool:
    return reward is not None and abs(reward) < _LARGEST


def _place(entry: Entry, scale: tuple[float, float] | None) -> Place | None:
    if scale is None or entry.claim_mean is None or not _is_usable(entry.claim_mean):
        return None
    low, high = SCORES_SHOWN
    zero, most = scale
    x = min(max((entry.claim_mean - zero) / most, low), high)
    if entry.reload_mean_reward is None:
        return Place(round(x, 4), round(low + _INSIDE, 4), "nowhere")
    y = (entry.reload_mean_reward - zero) / most
    at = "below" if y < low else "above" if y > high else ""
    y = low + _INSIDE if at == "below" else high - _INSIDE if at == "above" else y
    return Place(round(x, 4), round(y, 4), at)


def band(fraction: float) -> list[dict[str, float]]:
    """The margin about the diagonal, from edge to edge.

    :param fraction: of what a model earns above a random policy
    """
    low, high = SCORES_SHOWN
    return [
        {"score": score, "low": score - fraction * abs(score), "high": score + fraction * abs(score)}
        for score in (low, 0.0, high)
    ]


def left_edge(placed: Sequence[Place]) -> float:
    """The score at which the x axis (scores before reload) begins: hardly any model was as bad as a random policy."""
    leftmost = min([0.7, *(place.x for place in placed)])
    return max(SCORES_SHOWN[0], leftmost - 0.05)
