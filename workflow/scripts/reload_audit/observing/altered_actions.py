"""By what rule a script alters the actions of a policy before the environment gets them, if there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reload_audit.records.observation import ActionTaken

_FEWEST = 8
"""Actions below which any two numbers of each could be joined by a line."""
_MOST_REPLACED = 64
_CLOSE = 1e-4
_WRAPPERS = "reload_audit.evaluation.wrappers"


@dataclass(frozen=True)
class Rule:
    """What is done to every action.

    :param said: that in words, of each action
    :param wrapper: what does the same, by its name, and its arguments
    """

    said: str
    wrapper: tuple[str, dict[str, object]]


def rule_of(taken: Sequence[ActionTaken], space: str) -> Rule | None:
    """The rule that makes of the policy's actions those that the environment got; None where none is found.

    :param space: of the actions, as a text
    """
    pairs = [(one.chosen, one.taken) for one in taken if one.chosen is not None]
    if len(pairs) < _FEWEST or len({len(part) for pair in pairs for part in pair}) != 1:
        return None
    if space.startswith(("Discrete", "Multi")):
        return _replacing(pairs)
    return _scaling(*(np.asarray(part) for part in zip(*pairs, strict=True)))


def _replacing(pairs: Sequence[tuple[tuple[float, ...], tuple[float, ...]]]) -> Rule | None:
    found = dict(pairs)
    if len(found) > _MOST_REPLACED or any(found[chosen] != taken for chosen, taken in pairs):
        return None
    other = sorted((chosen, taken) for chosen, taken in found.items() if chosen != taken)
    said = ", ".join(f"{_listed(chosen)} becomes {_listed(taken)}" for chosen, taken in other)
    instead = [[[*map(int, chosen)], [*map(int, taken)]] for chosen, taken in other]
    return Rule(said, (f"{_WRAPPERS}:ReplacedActions", {"pairs": instead}))


def _scaling(chosen: np.ndarray, taken: np.ndarray) -> Rule | None:
    """A rule for continuous actions.

    :param chosen: shape ``(n, numbers of an action)``, as ``taken``
    """
    found = [_line(chosen[:, place], taken[:, place]) for place in range(chosen.shape[1])]
    lines = [one for one in found if one is not None]
    if len(lines) < len(found):
        return None
    names = ("factors", "shifts", "low", "high")
    numbers = dict(zip(names, zip(*lines, strict=True), strict=True))
    parts = []
    if not np.allclose(numbers["factors"], 1.0):
        parts.append(f"multiplied by {_listed(numbers['factors'])}")
    if not np.allclose(numbers["shifts"], 0.0, atol=_CLOSE):
        parts.append(f"moved by {_listed(numbers['shifts'])}")
    if np.isfinite([*numbers["low"], *numbers["high"]]).any():
        parts.append(f"clipped to between {_listed(numbers['low'])} and {_listed(numbers['high'])}")
    arguments: dict[str, object] = {name: [*values] for name, values in numbers.items()}
    return Rule(f"each is {', and '.join(parts)}", (f"{_WRAPPERS}:AlteredActions", arguments)) if parts else None


def _line(chosen: np.ndarray, taken: np.ndarray) -> tuple[float, float, float, float] | None:
    """Factor, shift and bounds by which one number of an action becomes another; None where it does so otherwise."""
    low, high = float(taken.min()), float(taken.max())
    allowed = _CLOSE * max(abs(low), abs(high), _CLOSE)
    for bounds in ((-np.inf, np.inf), (low, np.inf), (-np.inf, high), (low, high)):
        inside = (taken > bounds[0]) & (taken < bounds[1])
        x, y = chosen[inside], taken[inside]
        if x.size < 2:
            continue
        factor = float(np.cov(x, y)[0, 1] / x.var(ddof=1)) if np.ptp(x) > 0.0 else 0.0
        shift = float(y.mean() - factor * x.mean())
        shift = shift if abs(shift) > allowed else 0.0
        if (np.abs(np.clip(factor * chosen + shift, *bounds) - taken) <= allowed).all():
            return factor, shift, *bounds
    return None


def _listed(numbers: Sequence[float]) -> str:
    """Numbers in a few digits; one for all where they are the same."""
    texts = [f"{number:.4g}" for number in numbers]
    return texts[0] if len({*texts}) == 1 else f"({', '.join(texts)})"
