"""What is made of readings: ratios with their spread, targets, and the tables that show them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Target:
    """What a ratio should be.

    :param at_least: whether the limit is the least that it may be, or the most
    """

    limit: float
    at_least: bool = True

    def met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}"


@dataclass(frozen=True)
class Ratio:
    """How two things compare.

    :param values: one for each repetition
    :param target: what it should be; None for what is only told
    """

    name: str
    values: tuple[float, ...]
    target: Target | None = None

    @property
    def value(self) -> float:
        return median(self.values)

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        return "met" if self.target.met(self.value) else "**missed**"


def ratio(name: str, above: Sequence[float], below: Sequence[float], target: Target | None = None) -> Ratio:
    """Repetition by repetition, because a busy minute slows down both: its median is then the ratio."""
    return Ratio(name, tuple(a / b for a, b in zip(above, below, strict=True)), target)


@dataclass(frozen=True)
class Part:
    """What one part of the benchmark has to say.

    :param details: Markdown, below the table of ratios
    """

    title: str
    ratios: Sequence[Ratio]
    details: Sequence[str] = field(default=())


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def ratios_table(parts: Iterable[Part]) -> str:
    """All ratios, part by part."""
    rows = [
        (part.title, one.name, number(one.value), _spread(one.values), str(one.target or ""), one.verdict)
        for part in parts
        for one in part.ratios
    ]
    return table(("part", "ratio", "median", "from – to", "target", ""), rows)


def number(value: float) -> str:
    """Three digits that count."""
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def per_core_hour(models: int, seconds: float, cores: int) -> float:
    """Models in an hour of one core."""
    return 3600 * models / (seconds * cores)


def _spread(values: Sequence[float]) -> str:
    return f"{number(min(values))} – {number(max(values))}" if len(values) > 1 else ""
