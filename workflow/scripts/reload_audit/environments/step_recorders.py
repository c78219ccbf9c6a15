"""Record the steps of an episode while it runs: what the environment gives, and what the policy sees and does.

What they collect is stored by :mod:`reload_audit.records.steps`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from reload_audit.records.digests import Digest
from reload_audit.records.steps import ASKED_AT, MARK_EVERY, MARKS, STEPS, EpisodeSteps

_MOST_WAITING = 64
_MOST_WAITING_BYTES = 2**16
_VALUE_BYTES = 2**14  # of the first episode; half as many with each further one
_NUMBERS = (np.ndarray, np.generic, int, float)


class EnvironmentSteps:
    """Collects what an environment gives in one episode: a digest of all observations, and the first of them.

    Arrays are copied at once, because environments may reuse theirs, and digested many at a time.

    :param keep: whether steps are kept one by one
    """

    def __init__(self, episode: int, keep: bool) -> None:
        self._keep = keep
        self._room = _VALUE_BYTES >> episode if keep else 0
        self._digest = Digest()
        self._observed = 0
        self._digests: list[bytes] = []
        self._values: list[dict[str, np.ndarray]] = []
        self._asked_at: list[int] = []
        self._waiting: list[bytes] = []
        self._most_waiting = 0
        self._dtype: np.dtype | None = None
        self._shape: tuple[int, ...] = ()

    def observe(self, observation: Any) -> None:
        """Add an observation that ``reset`` or ``step`` gave."""
        of_a_kind = type(observation) is np.ndarray and observation.dtype is self._dtype
        if not (of_a_kind and observation.shape == self._shape) and not self._begins_a_kind(observation):
            self._observe_other(observation)
            return
        self._observed += 1
        self._waiting.append(observation.tobytes())
        if len(self._waiting) == self._most_waiting:
            self._digest_waiting()

    def _begins_a_kind(self, observation: Any) -> bool:
        """Whether it is an array of numbers; if of another kind than the one before, those that wait are digested."""
        if type(observation) is not np.ndarray or observation.dtype.hasobject:
            return False
        if observation.dtype != self._dtype or observation.shape != self._shape:
            self._digest_waiting()
            self._dtype, self._shape = observation.dtype, observation.shape
            self._most_waiting = min(max(1, _MOST_WAITING_BYTES // max(1, observation.nbytes)), _MOST_WAITING)
        return True

    def policy_acts(self) -> None:
        """Note that the policy has chosen an action for the observation that came last."""
        if self._keep and len(self._asked_at) < STEPS:
            self._asked_at.append(min(self._observed - 1, np.iinfo(np.uint16).max))

    def finish(self, rewards: Sequence[float]) -> tuple[str, EpisodeSteps | None]:
        """End the episode.

        :param rewards: of all its steps
        :return: the digest of its observations, and its first steps if they are kept
        """
        self._digest_waiting()
        if not self._keep:
            return self._digest.hexdigest(), None
        earned = np.asarray(rewards[:STEPS], dtype=np.float64)
        observed = np.frombuffer(b"".join(self._digests), dtype=">u2").astype(np.uint16)
        digests = {"raw_observations": observed, "rewards": step_digests(earned)}
        if self._asked_at != list(range(len(self._asked_at))):
            digests[ASKED_AT] = np.asarray(self._asked_at, dtype=np.uint16)
        values = _stacked(self._values)
        kept = max((len(rows) for rows in values.values()), default=0)
        return self._digest.hexdigest(), EpisodeSteps(digests, values | {"rewards": earned[: max(0, kept - 1)]})

    def _observe_other(self, observation: Any) -> None:
        """Add an observation that is no array of numbers."""
        self._digest_waiting()
        self._digest.add_observation(observation)
        step = self._observed
        self._observed += 1
        if self._keep and (step < STEPS or (step % MARK_EVERY == 0 and len(self._digests) < MARKS)):
            self._digests.append(self._digest.start())
            if self._room:
                self._keep_values(observation)

    def _digest_waiting(self) -> None:
        contents, self._waiting = self._waiting, []
        step = self._observed - len(contents)
        while contents:
            assert self._dtype is not None
            if not self._keep:
                taken = len(contents)
                self._digest.add_arrays(self._dtype, self._shape, contents)
            elif step < STEPS:
                taken = min(len(contents), STEPS - step)
                self._digests += self._digest.add_each(self._dtype, self._shape, contents[:taken])
                self._keep_arrays(contents[:taken])
            else:
                marked = -(-step // MARK_EVERY) * MARK_EVERY
                taken = min(len(contents), marked + 1 - step)
                self._digest.add_arrays(self._dtype, self._shape, contents[:taken])
                if step + taken > marked and len(self._digests) < MARKS:
                    self._digests.append(self._digest.start())
                    self._keep_arrays(contents[taken - 1 : taken])
            contents = contents[taken:]
            step += taken

    def _keep_arrays(self, contents: Sequence[bytes]) -> None:
        for content in contents:
            if not self._room:
                return
            self._keep_values(np.ndarray(self._shape, self._dtype, content))

    def _keep_values(self, observation: Any) -> None:
        """Keep the values while there is room for them."""
        arrays = _copies(observation)
        self._room -= sum(array.nbytes for array in arrays.values()) + 8
        if self._room < 0 or not arrays:
            self._room = 0
        else:
            self._values.append(arrays)


class PolicySteps:
    """Collects what a policy sees and does in one episode."""

    def __init__(self, episode: int) -> None:
        self._room = _VALUE_BYTES >> episode
        self._left = STEPS
        self._digests: dict[str, list[np.ndarray]] = {}
        self._values: dict[str, list[np.ndarray]] = {}

    def add(self, rows: Mapping[str, np.ndarray]) -> None:
        """Add what the policy saw and did in some steps.

        :param rows: by component, shape ``(steps, *shape)``
        """
        taken = {name: array[: self._left] for name, array in rows.items()}
        count = min(len(array) for array in taken.values())
        self._left -= count
        if count == 0:
            return
        for name, array in taken.items():
            self._digests.setdefault(name, []).append(step_digests(array))
        size = sum(array[0].nbytes for array in taken.values())
        fitting = min(count, self._room // max(1, size))
        self._room = self._room - fitting * size if fitting == count else 0
        if fitting:
            for name, array in taken.items():
                self._values.setdefault(name, []).append(array[:fitting].copy())

    def finish(self) -> EpisodeSteps:
        """End the episode and return its first steps."""
        digests, values = (
            {name: np.concatenate(arrays) for name, arrays in kept.items()} for kept in (self._digests, self._values)
        )
        return EpisodeSteps(digests, values)


def step_digests(rows: np.ndarray) -> np.ndarray:
    """Digest each row in two bytes: rows that differ have the same digest in one case of 65,000.

    A sum of products with fixed odd numbers, because a cryptographic digest of every row takes ten times as long.

    :param rows: shape ``(n, ...)``
    :return: ``uint16`` of shape ``(n,)``
    """
    if rows.size == 0:
        return np.zeros(len(rows), dtype=np.uint16)
    content = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), -1)
    content = np.pad(content, ((0, 0), (0, -content.shape[1] % 8))) if content.shape[1] % 8 else content
    lanes = np.ascontiguousarray(content).view(np.uint64)
    sums: np.ndarray = lanes @ _factors(lanes.shape[1])
    return (sums >> np.uint64(48)).astype(np.uint16)


@functools.lru_cache(maxsize=32)
def _factors(count: int) -> np.ndarray:
    """Odd pseudo-random numbers, from the generator splitmix64: NumPy's own may change with its version."""
    numbers = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        numbers = (numbers ^ (numbers >> np.uint64(shift))) * np.uint64(factor)
    return (numbers ^ (numbers >> np.uint64(31))) | np.uint64(1)


def _copies(observation: Any) -> dict[str, np.ndarray]:
    """The arrays and numbers of an observation, by component; none where it holds anything else."""
    if isinstance(observation, _NUMBERS):
        return {"raw_observations": np.array(observation)}
    if not isinstance(observation, Mapping) or not all(isinstance(part, _NUMBERS) for part in observation.values()):
        return {}
    return {f"raw_observations.{key}": np.array(part) for key, part in observation.items()}


def _stacked(steps: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Arrays of all steps by component, up to the first that is of another kind; none where they hold no numbers."""
    if not steps or any(array.dtype.kind not in "biuf" for array in steps[0].values()):
        return {}
    first = _kinds(steps[0])
    alike = list(itertools.takewhile(lambda step: _kinds(step) == first, steps))
    return {name: np.stack([step[name] for step in alike]) for name in first}


def _kinds(step: Mapping[str, np.ndarray]) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
    return {name: (array.dtype, array.shape) for name, array in step.items()}
