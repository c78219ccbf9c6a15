"""The spaces of actions and observations, as texts in which those are equal in which the same model can act."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

from reload_audit.records.observation import Spaces

_INFINITE = 1e38
"""A bound beyond it counts as infinite: gym wrote the largest float32 where Gymnasium writes infinity."""

_MOST_NUMBERS = 64
_MOST_SHOWN = 300


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
    if not isinstance(space, spaces.Box):
        return repr(space)[:_MOST_SHOWN]
    shape = tuple(sorted(space.shape)) if len(space.shape) == 3 else space.shape
    kind = "float" if space.dtype.kind == "f" else "integer"
    return f"Box({_bounds(space.low)}, {_bounds(space.high)}, {shape}, {kind})"


def _bounds(values: np.ndarray) -> str:
    """The bounds on one side: a number where all are the same."""
    flat = np.asarray(values, dtype=np.float64).ravel()
    flat = np.where(np.abs(flat) > _INFINITE, np.copysign(np.inf, flat), flat)
    said = [f"{value:.4g}" for value in flat[:_MOST_NUMBERS]]
    if flat.size and (flat == flat[0]).all():
        return said[0]
    return f"[{', '.join(said)}{', ...' if flat.size > _MOST_NUMBERS else ''}]"
