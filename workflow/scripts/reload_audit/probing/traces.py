"""The trace of an episode, step by step, and where two traces first differ. Needs NumPy only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reload_audit.records.digests import Digest
from reload_audit.records.probe_record import Mismatch, Source

_KEPT = 256
"""Numbers of an observation that are kept; of those beyond, only whether they differ is known, by their digest."""


@dataclass(frozen=True)
class Moment:
    """What ``reset`` or ``step`` returned.

    :param digests: of each component, in order: observation, reward, terminated, truncated
    :param values: of each component its numbers, by name: ``observation[3]`` for instance, or ``reward``; an
        observation's first numbers only
    """

    digests: Mapping[str, str]
    values: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Trace:
    """What an episode's reset and each of its steps returned.

    :param actions: where the actions came from: drawn at random, or chosen by the model
    """

    seed: int
    actions: Source
    moments: tuple[Moment, ...]


def moment(observation: Any, reward: Any = None, terminated: bool = False, truncated: bool = False) -> Moment:
    """Digest what was returned, and keep its numbers.

    :param reward: None for what ``reset`` returned
    """
    values = {"observation": {f"observation{path}": number for path, number in _numbers(observation)}}
    digests = {"observation": Digest().add_observation(observation).hexdigest()}
    if reward is not None:
        rest = {"reward": float(reward), "terminated": bool(terminated), "truncated": bool(truncated)}
        digests |= {name: repr(value) for name, value in rest.items()}
        values |= {name: {name: float(value)} for name, value in rest.items()}
    return Moment(digests, values)


def first_mismatch(expected: Sequence[Trace], found: Sequence[Trace]) -> Mismatch | None:
    """Where the first pair of episodes that differs does so; None where every bit is the same."""
    for one, other in zip(expected, found, strict=True):
        if one != other:
            return _mismatch(one, other)
    return None


def _mismatch(one: Trace, other: Trace) -> Mismatch:
    for step, (moment_1, moment_2) in enumerate(zip(one.moments, other.moments, strict=False)):
        for component, digest in moment_1.digests.items():
            if moment_2.digests.get(component) != digest:
                return Mismatch(one.seed, one.actions, step, *_values(component, moment_1, moment_2))
    lengths = len(one.moments) - 1, len(other.moments) - 1
    return Mismatch(one.seed, one.actions, min(lengths), "length", *map(float, lengths))


def _values(component: str, one: Moment, other: Moment) -> tuple[str, float | None, float | None]:
    """The first number of a component that differs: its name, and the two values; None where it was not kept."""
    others = other.values.get(component, {})
    for name, value in one.values[component].items():
        if repr(others.get(name)) != repr(value):
            return name, value, others.get(name)
    return component, None, None


def _numbers(observation: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """The first numbers of an observation, with their indices: ``[0, 3]``, ``['camera'][7]``."""
    if isinstance(observation, Mapping):
        for key in sorted(observation):
            yield from _numbers(observation[key], f"{path}[{key!r}]")
        return
    array = np.asarray(observation)
    if array.dtype.kind not in "biuf":
        return
    for index in list(np.ndindex(array.shape))[:_KEPT] if array.size <= _KEPT else _first_indices(array):
        place = ", ".join(map(str, index))
        yield f"{path}[{place}]" if index else path, float(array[index])


def _first_indices(array: np.ndarray) -> Iterator[tuple[int, ...]]:
    for flat in range(_KEPT):
        yield tuple(int(part) for part in np.unravel_index(flat, array.shape))
