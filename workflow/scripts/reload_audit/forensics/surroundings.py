"""Whether a model's spaces are those of the environment: actions on another range, frames not stacked, another type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space

from reload_audit.causes.finding import Finding
from reload_audit.reading.statistics import SavedStatistics

_INFINITE = 1e38
"""A bound beyond it counts as infinite: gym wrote the largest float32 where Gymnasium writes infinity."""


def compare_actions(model: spaces.Space | None, environment: spaces.Space | None) -> list[Finding]:
    """A finding where finite bounds of actions differ: a policy scales its actions, or cuts them off, at its own."""
    if not isinstance(model, spaces.Box) or not isinstance(environment, spaces.Box) or model.shape != environment.shape:
        return []
    pairs = [(model.low, environment.low), (model.high, environment.high)]
    if all(_agree(one, other) for one, other in pairs) or not _is_bounded(model):
        return []
    evidence = f"The model acts within {_bounds(model)}, the environment takes actions within {_bounds(environment)}."
    details = {"low": _number_or_list(model.low), "high": _number_or_list(model.high)}
    return [Finding("action-space-rescaled", "forensics", True, evidence, details)]


def compare_observations(
    model: spaces.Space | None, environment: spaces.Space | None, statistics: SavedStatistics | None
) -> list[Finding]:
    """Findings where observations have another number of frames, or other types of numbers, than in training.

    :param environment: its observations as a policy meets them, but not normalised
    """
    findings = []
    for key, trained, offered in _boxes(model, environment):
        findings += _frames(trained, offered)
        if _same_shape(trained, offered) and (statistics is None or key not in statistics.observations):
            findings += _kinds(key, trained, offered)
    return findings[:1]


def _boxes(model: Any, environment: Any) -> Iterator[tuple[str, spaces.Box, spaces.Box]]:
    """Pairs of boxes to compare, by the key of a dictionary or ``""``; nothing for other kinds of spaces."""
    if isinstance(model, spaces.Dict) and isinstance(environment, spaces.Dict):
        both = [(key, model[key], environment[key]) for key in model if key in environment.spaces]
    else:
        both = [("", model, environment)]
    for key, trained, offered in both:
        if isinstance(trained, spaces.Box) and isinstance(offered, spaces.Box):
            yield key, trained, offered


def _frames(trained: spaces.Box, offered: spaces.Box) -> list[Finding]:
    """A finding where the model observes several times as many numbers along the axis that VecFrameStack stacks on.

    That is the channels of images, and else the last axis. It is proved for images, and where the bounds are repeated
    as VecFrameStack repeats them; otherwise the environment may have become another one.
    """
    if not trained.shape or not offered.shape:
        return []
    axis = 0 if is_image_space(offered) and min(offered.shape) == offered.shape[0] else len(offered.shape) - 1
    k = _times(trained.shape, offered.shape, axis)
    if k is None:
        return []
    low, high = (np.repeat(bound, k, axis=axis) for bound in (offered.low, offered.high))
    told = len(np.unique(offered.low)) > 1 or len(np.unique(offered.high)) > 1
    repeated = told and np.array_equal(low, trained.low) and np.array_equal(high, trained.high)
    evidence = (
        f"The model observes shape {trained.shape}, which is {k} times the environment's {offered.shape} along one axis"
    )
    proof = is_image_space(offered) or repeated
    evidence += ", with the bounds repeated" if repeated else ""
    return [Finding("frame-stack-missing", "forensics", proof, f"{evidence}.", {"k": k})]


def _times(trained: tuple[int, ...], offered: tuple[int, ...], axis: int) -> int | None:
    """How many times as long one shape is along an axis; None unless it is a multiple and all other axes agree."""
    if len(trained) != len(offered) or not offered[axis] or trained[axis] % offered[axis]:
        return None
    others_agree = all(
        one == other for place, (one, other) in enumerate(zip(trained, offered, strict=True)) if place != axis
    )
    k = trained[axis] // offered[axis]
    return k if others_agree and k > 1 else None


def _kinds(key: str, trained: spaces.Box, offered: spaces.Box) -> list[Finding]:
    """A finding where observations are whole numbers instead of floating ones, or the other way round.

    Floating numbers of another precision make no difference.

    :param key: of a dictionary, or ``""``
    """
    if (trained.dtype.kind == "f") == (offered.dtype.kind == "f"):
        return []
    divided = "; the policy divides by 255" if is_image_space(trained) else ""
    evidence = (
        f"The model was trained on observations of {trained.dtype} within {_bounds(trained)}{divided}, "
        f"the environment's are {offered.dtype} within {_bounds(offered)}."
    )
    bounds = {"low": _number_or_list(trained.low), "high": _number_or_list(trained.high)}
    finite = {name: bound for name, bound in bounds.items() if isinstance(bound, float) and abs(bound) < _INFINITE}
    return [
        Finding(
            "observation-dtype",
            "forensics",
            True,
            evidence,
            {"dtype": str(trained.dtype), **({"key": key} if key else {}), **finite},
        )
    ]


def _same_shape(trained: spaces.Box, offered: spaces.Box) -> bool:
    """Whether shapes are equal, or differ as they do where SB3 has moved an image's channels to the front."""
    if len(trained.shape) != 3 or len(offered.shape) != 3:
        return trained.shape == offered.shape
    first = [(*shape[-1:], *shape[:-1]) for shape in (trained.shape, offered.shape)]
    return trained.shape in (offered.shape, first[1]) or offered.shape == first[0]


def _agree(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays of bounds are the same wherever both are finite."""
    one, other = (np.asarray(bound, dtype=np.float64) for bound in (one, other))
    bounded = (np.abs(one) < _INFINITE) & (np.abs(other) < _INFINITE)
    return bool(np.allclose(one[bounded], other[bounded], rtol=1e-5, atol=1e-8))


def _is_bounded(space: spaces.Box) -> bool:
    return bool((np.abs(space.low) < _INFINITE).all() and (np.abs(space.high) < _INFINITE).all())


def _bounds(space: spaces.Box) -> str:
    low, high = space.low.ravel(), space.high.ravel()
    first = f"{low[0]:.6g} to {high[0]:.6g}" if low.size else "nothing"
    same = (low == low[:1]).all() and (high == high[:1]).all()
    return first if same else f"{low.min():.6g} to {high.max():.6g}"


def _number_or_list(bound: np.ndarray) -> Any:
    """A bound as JSON has it: one number where all are the same, else nested lists."""
    values = [float(value) for value in bound.ravel()]
    return values[0] if values and len(set(values)) == 1 else np.asarray(bound, dtype=np.float64).tolist()
