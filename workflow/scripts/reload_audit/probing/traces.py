"""What an episode was, step by step, and where two episodes part. Needs NumPy only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from reload_audit.records.storage import Digest

_SHOWN = 256
"""Numbers of an observation that are kept to be shown; of what lies beyond, only whether it differs is known."""


@dataclass(frozen=True)
class Moment:
    """What ``reset`` or ``step`` returned.

    :param digests: of each component, in order: observation, reward, terminated, truncated
    :param values: by component, ``observation[3]`` for instance; an observation's first numbers only
    """

    digests: Mapping[str, str]
    values: Mapping[str, float]


@dataclass(frozen=True)
class Trace:
    """One episode: its reset, then every step."""

    seed: int
    actions: str
    moments: tuple[Moment, ...]


@dataclass(frozen=True)
class Difference:
    """The first place where two episodes with the same seed and actions differ.

    :param actions: whose: ``random`` or ``model``
    :param step: 0 for what ``reset`` returned
    :param component: ``observation[3]``, ``reward``, ``terminated``, ``truncated``, or ``length``
    :param expected: the value in the first of the two; None where it was not kept
    """

    seed: int
    actions: str
    step: int
    component: str
    expected: float | None
    found: float | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def moment(observation: Any, reward: Any = None, terminated: bool = False, truncated: bool = False) -> Moment:
    """Digest and keep what was returned."""
    values = {f"observation{path}": number for path, number in _numbers(observation)}
    digests = {"observation": Digest().add_observation(observation).hexdigest()}
    if reward is not None:
        rest = {"reward": float(reward), "terminated": bool(terminated), "truncated": bool(truncated)}
        digests |= {name: repr(value) for name, value in rest.items()}
        values |= {name: float(value) for name, value in rest.items()}
    return Moment(digests, values)


def first_difference(expected: Sequence[Trace], found: Sequence[Trace]) -> Difference | None:
    """Where the first pair of episodes that differs does so; None where every bit is the same."""
    for one, other in zip(expected, found, strict=True):
        if one != other:
            return _difference(one, other)
    return None


def _difference(one: Trace, other: Trace) -> Difference:
    for step, (moment_1, moment_2) in enumerate(zip(one.moments, other.moments, strict=False)):
        for component, digest in moment_1.digests.items():
            if moment_2.digests.get(component) != digest:
                return Difference(one.seed, one.actions, step, *_values(component, moment_1, moment_2))
    lengths = len(one.moments) - 1, len(other.moments) - 1
    return Difference(one.seed, one.actions, min(lengths), "length", *map(float, lengths))


def _values(component: str, one: Moment, other: Moment) -> tuple[str, float | None, float | None]:
    for name, value in one.values.items():
        if name.startswith(component) and repr(other.values.get(name)) != repr(value):
            return name, value, other.values.get(name)
    return component, None, None


def _numbers(observation: Any, path: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(observation, Mapping):
        for key in sorted(observation):
            yield from _numbers(observation[key], f"{path}[{key!r}]")
        return
    array = np.asarray(observation)
    if array.dtype.kind not in "biuf":
        return
    for index in list(np.ndindex(array.shape))[:_SHOWN] if array.size <= _SHOWN else _corner(array):
        place = ", ".join(map(str, index))
        yield f"{path}[{place}]" if index else path, float(array[index])


def _corner(array: np.ndarray) -> Iterator[tuple[int, ...]]:
    for flat in range(_SHOWN):
        yield tuple(int(part) for part in np.unravel_index(flat, array.shape))
