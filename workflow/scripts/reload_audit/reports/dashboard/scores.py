"""Scores, which compare models of different environments: a random policy has 0, an environment's best model 1."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from reload_audit.reports.dashboard.entries import Entry

_USUAL = (-0.3, 1.2)
"""Scores beyond which so few models lie, as a rule, that these are drawn at the edge, as arrows."""

_FEW = 0.1
"""Part of the models that is few: where more lie beyond, they are shown as well."""

_FARTHEST = (-5.0, 10.0)
"""Scores beyond which even then there are arrows."""

_ALWAYS = (0.7, 1.05)
"""Scores that are shown whatever the models earn, so that a loss of some percent looks like one."""

_MARGIN = 0.05
"""Scores between the outermost points and the edges, at least."""

_ROOM = 1 / 20
"""The same, as a part of the scores between the outermost points: a point is as large on the page wherever it is."""

_INSIDE = 1 / 60
"""Distance from the edge at which a point that lies beyond it is drawn, as a part of what is shown."""

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


@dataclass(frozen=True)
class Window:
    """The scores that the chart shows: before reload from left to right, after reload from bottom to top."""

    left: float
    right: float
    bottom: float
    top: float


_Score = tuple[float, float | None]
"""Before, and after reload; None without reload reward."""


def window(models: Sequence[Entry]) -> Window:
    """What the chart shows, no more than the models need."""
    found = [score for score in _scores(models) if score is not None]
    beyond = sum(any(score is not None and not _USUAL[0] <= score <= _USUAL[1] for score in pair) for pair in found)
    bounds = _USUAL if beyond <= _FEW * len(found) else _FARTHEST
    before, after = [x for x, _ in found], [y for _, y in found if y is not None]
    return Window(*_edges(before, *bounds), *_edges(after, *bounds))


def _edges(scores: Sequence[float], least: float, most: float) -> tuple[float, float]:
    """From where to where scores are shown, with room beside the outermost of those within some bounds."""
    low, high = (min(max(edge([*_ALWAYS, *scores]), least), most) for edge in (min, max))
    room = max(_MARGIN, _ROOM * (high - low))
    return round(low - room, 4), round(high + room, 4)


def places(models: Sequence[Entry]) -> list[Place | None]:
    """A place for each model; None where it, or its environment, has no score."""
    shown = window(models)
    return [None if score is None else _place(score, shown) for score in _scores(models)]


def _scores(models: Sequence[Entry]) -> list[_Score | None]:
    members: dict[str, list[Entry]] = {}
    for entry in models:
        members.setdefault(entry.env_id, []).append(entry)
    scales = {environment: _scale(entries) for environment, entries in members.items()}
    return [_score(entry, scales[entry.env_id]) for entry in models]


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


def _score(entry: Entry, scale: tuple[float, float] | None) -> _Score | None:
    if scale is None or entry.claim_mean is None or not _is_usable(entry.claim_mean):
        return None
    zero, most = scale
    after = None if entry.reload_mean_reward is None else (entry.reload_mean_reward - zero) / most
    return (entry.claim_mean - zero) / most, after


def _place(score: _Score, shown: Window) -> Place:
    before, after = score
    left, right = _inside(shown.left, shown.right)
    bottom, top = _inside(shown.bottom, shown.top)
    x = round(min(max(before, left), right), 4)
    if after is None:
        return Place(x, round(bottom, 4), "nowhere")
    at = "below" if after < bottom else "above" if after > top else ""
    return Place(x, round(min(max(after, bottom), top), 4), at)


def _inside(low: float, high: float) -> tuple[float, float]:
    """Between where points are drawn, of the scores between two edges."""
    room = _INSIDE * (high - low)
    return low + room, high - room


def band(fraction: float, shown: Window) -> list[dict[str, float]]:
    """The margin about the diagonal, from edge to edge.

    No further: to cut off what lies beyond takes hundreds of MiB where the figure becomes a PNG.

    :param fraction: of what a model earns above a random policy
    """
    bend = [0.0] if shown.left < 0.0 < shown.right else []
    return [
        {"score": score, "low": score - fraction * abs(score), "high": score + fraction * abs(score)}
        for score in (shown.left, *bend, shown.right)
    ]
