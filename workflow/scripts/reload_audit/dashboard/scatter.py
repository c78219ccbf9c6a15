"""Train-time or claimed reward against reload reward: one square panel an environment, as rewards differ in scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from reload_audit.dashboard.entries import WORST_FIRST, Entry, worst_first
from reload_audit.dashboard.numbers import MINUS
from reload_audit.summary import reward_name

SIZE = 240
"""Side of a panel's square, in its own units."""

_LARGEST = 1e100
"""No reward is larger; a file that says so would leave nothing to see of the others."""


@dataclass(frozen=True)
class Tick:
    """A labelled position on either axis, counted from the square's left or bottom."""

    position: float
    label: str


@dataclass(frozen=True)
class Mark:
    """A model's place in the square; a model without reload reward stands on the lower edge."""

    anchor: str
    verdict: str
    x: float
    y: float
    reloaded: bool


@dataclass(frozen=True)
class Panel:
    """One environment.

    :param reward: what its models' reloads are compared with
    :param marks: in drawing order, so that the worst lie on top
    :param margins: an SVG path with every model's own margin, up and down from the diagonal
    :param unplaced: number of models without such a reward
    """

    environment: str
    reward: str
    models: int
    ticks: tuple[Tick, ...]
    marks: tuple[Mark, ...]
    margins: str
    unplaced: int


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float

    def __call__(self, value: float) -> float:
        return round((value - self.low) / (self.high - self.low) * SIZE, 1)


def panels(models: Sequence[Entry]) -> list[Panel]:
    """A panel for each environment, those with losses first, those without anything to draw last."""
    environments: dict[str, list[Entry]] = {}
    for entry in models:
        environments.setdefault(entry.environment, []).append(entry)
    drawn = [_panel(environment, members) for environment, members in worst_first(environments)]
    return sorted(drawn, key=lambda panel: not panel.marks)


def _panel(environment: str, members: Sequence[Entry]) -> Panel:
    placed = [entry for entry in members if _is_placed(entry)]
    scale = _scale(placed)
    drawn = sorted(placed, key=lambda entry: -WORST_FIRST.index(entry.verdict))
    return Panel(
        environment=environment,
        reward=reward_name(entry.measured for entry in placed or members),
        models=len(members),
        ticks=_ticks(scale) if placed else (),
        marks=tuple(_mark(entry, scale) for entry in drawn),
        margins="".join(_margin(entry, scale) for entry in drawn),
        unplaced=len(members) - len(placed),
    )


def _is_placed(entry: Entry) -> bool:
    values = (entry.claim_mean, entry.margin or 0.0, entry.reload_mean or 0.0)
    return all(value is not None and abs(value) < _LARGEST for value in values)


def _scale(placed: Sequence[Entry]) -> _Scale:
    """The same for both axes, so that the diagonal means "as before"."""
    values = [entry.reload_mean for entry in placed if entry.reload_mean is not None]
    for entry in placed:
        assert entry.claim_mean is not None
        values += [entry.claim_mean - (entry.margin or 0.0), entry.claim_mean + (entry.margin or 0.0)]
    low, high = min(values, default=0.0), max(values, default=1.0)
    padding = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return _Scale(low - padding, high + padding)


def _mark(entry: Entry, scale: _Scale) -> Mark:
    assert entry.claim_mean is not None
    reloaded = entry.reload_mean is not None
    y = 0.0 if entry.reload_mean is None else scale(entry.reload_mean)
    return Mark(entry.anchor, entry.verdict, scale(entry.claim_mean), round(SIZE - y, 1), reloaded)


def _margin(entry: Entry, scale: _Scale) -> str:
    if not entry.margin or entry.claim_mean is None:
        return ""
    bottom, top = (round(SIZE - scale(entry.claim_mean + side * entry.margin), 1) for side in (-1, 1))
    return f"M{scale(entry.claim_mean)} {bottom}V{top}"


def _ticks(scale: _Scale) -> tuple[Tick, ...]:
    """A handful of round numbers within the scale."""
    rough = (scale.high - scale.low) / 5.5
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= rough)
    decimals = max(0, -math.floor(math.log10(step)))
    first, last = math.ceil(scale.low / step), math.floor(scale.high / step)
    return tuple(Tick(scale(k * step), _label(k * step, decimals)) for k in range(first, last + 1))


def _label(value: float, decimals: int) -> str:
    if decimals > 4 or abs(value) >= 1e6:
        return f"{value:.3g}".replace("-", MINUS)
    return f"{value:,.{decimals}f}".replace("-", MINUS)
