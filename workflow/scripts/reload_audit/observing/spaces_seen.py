"""The spaces of actions and observations, as texts in which those are equal in which the same model can act."""

from __future__ import annotations

import re

import numpy as np
from gymnasium import spaces

from reload_audit.records.observation import Spaces

_INFINITE = 1e38
"""A bound beyond it counts as infinite: gym wrote the largest float32 where Gymnasium writes infinity."""

_MOST_NUMBERS = 64
_MOST_SHOWN = 300

_BOX = re.compile(r"Box\((\[.*?\]|[^,]+), (\[.*?\]|[^,]+), (\(.*\), \w+)\)")
_DISCRETE = re.compile(r"Discrete\((\d+)(?:, start=(-?\d+))?\)")


def spaces_of(actions: spaces.Space | None, observations: spaces.Space | None) -> Spaces:
    """The spaces of an environment, or those that a model was trained in; None for one that is not known."""
    return Spaces(space_said(actions), space_said(observations))


def space_said(space: spaces.Space | None) -> str:
    """A space as a text: ``Box(-1, 1, (1,), float)``.

    It is the same for numbers of another width, for infinity and the largest float, and for images whose channels come
    first or last, all of which SB3 sees to.
    """
    if isinstance(space, spaces.Dict):
        return "Dict(" + ", ".join(f"{key}: {space_said(space[key])}" for key in sorted(space)) + ")"
    if space is None:
        return ""
    if isinstance(space, spaces.Tuple):
        return f"Tuple({', '.join(map(space_said, space))})"[:_MOST_SHOWN]
    if not isinstance(space, spaces.Box):
        return _countable(space)[:_MOST_SHOWN]
    shape = tuple(sorted(space.shape)) if len(space.shape) == 3 else space.shape
    kind = "float" if space.dtype.kind == "f" else "integer"
    return f"Box({_bounds(space.low)}, {_bounds(space.high)}, {shape}, {kind})"


def contains(outer: str, inner: str) -> bool:
    """Whether a space holds all of another one, both as texts; False where that is not known."""
    discrete = [_DISCRETE.fullmatch(one) for one in (outer, inner)]
    if all(discrete):
        (n, start), (own_n, own_start) = (map(int, found.groups("0")) for found in discrete if found)
        return start <= own_start and own_start + own_n <= start + n
    boxes = [_BOX.fullmatch(one) for one in (outer, inner)]
    if not all(boxes) or "..." in outer + inner:
        return False
    (low, high, shape), (own_low, own_high, own_shape) = (found.groups() for found in boxes if found)
    wider = (_numbers(low) <= _numbers(own_low)).all() and (_numbers(own_high) <= _numbers(high)).all()
    return shape == own_shape and bool(wider)


def takes_any_number(space: str) -> bool:
    """Whether a space is a Box without bounds, such as that which ClipAction announces."""
    return space.startswith("Box(-inf, inf, ")


def _numbers(bounds: str) -> np.ndarray:
    return np.asarray([float(number) for number in bounds.strip("[]").split(", ")])


def _countable(space: spaces.Space) -> str:
    """A space other than a Box, whichever type its numbers have."""
    start = np.asarray(getattr(space, "start", 0))
    begins = f", start={start.tolist()}" if start.any() else ""
    if isinstance(space, spaces.Discrete):
        return f"Discrete({int(space.n)}{begins})"
    if isinstance(space, spaces.MultiDiscrete):
        return f"MultiDiscrete({np.asarray(space.nvec).tolist()}{begins})"
    return repr(space)


def _bounds(values: np.ndarray) -> str:
    """The bounds on one side: a number where all are the same."""
    flat = np.asarray(values, dtype=np.float64).ravel()
    flat = np.where(np.abs(flat) > _INFINITE, np.copysign(np.inf, flat), flat)
    said = [f"{value:.4g}" for value in flat[:_MOST_NUMBERS]]
    if flat.size and (flat == flat[0]).all():
        return said[0]
    return f"[{', '.join(said)}{', ...' if flat.size > _MOST_NUMBERS else ''}]"
