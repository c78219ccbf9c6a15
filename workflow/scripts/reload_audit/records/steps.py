"""The first steps of the first episodes, kept so that two runs can be compared step by step.

Of every step there are two bytes a component: enough to find where two runs part, little enough to lie beside every
model. Of a few there are the values themselves, so that it can be said by how much they differ.

Steps are the environment's own: step 0 is what ``reset`` gave, step *t* what the *t*-th action led to. The policy's
observation and action of step *t* are what it saw there and did about it.
"""

from __future__ import annotations

import functools
import io
import itertools
import math
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from reload_audit.reading.files import open_zip, read_bytes, read_member
from reload_audit.reading.refusal import Unreadable, refusing
from reload_audit.records.storage import Digest, atomic_path

STEPS = 128
"""Steps of an episode that are kept one by one."""
MARK_EVERY = 64
"""Beyond them, of which steps the environment's observations are kept."""
EPISODES = 40
"""Episodes of which steps are kept."""

ASKED_AT = "asked_at"
"""Not a component: at which step each action was chosen, where wrappers make steps of their own."""

_MARKS = STEPS + 64
_MOST_WAITING = 64
_MOST_WAITING_BYTES = 2**16
_VALUE_BYTES = 2**14  # of the first episode; half as many of every further one
_MAX_BYTES = 2**22
_NUMBERS = (np.ndarray, np.generic, int, float)
_MOST_COMPONENTS = 100
_COMPONENT = re.compile(r"asked_at|rewards|actions|(raw|policy)_observations(\.[\w .:/-]{1,100})?")


@dataclass(frozen=True)
class EpisodeSteps:
    """What is kept of one episode, by component.

    :param digests: two bytes a step, ``uint16`` of shape ``(steps,)``. Those of ``raw_observations`` are of all steps
        so far, and go on beyond the first :data:`STEPS` with every :data:`MARK_EVERY`-th; all others are of one step
    :param values: of fewer steps, shape ``(steps, *shape)``; raw observations of a dictionary have a component a key
    """

    digests: Mapping[str, np.ndarray]
    values: Mapping[str, np.ndarray]


@dataclass
class Steps:
    """The steps of a run's first episodes, by their index. An empty one can be given to ``run_episodes`` to fill."""

    episodes: dict[int, EpisodeSteps] = field(default_factory=dict)

    def add(self, episode: int, *parts: EpisodeSteps) -> None:
        """Add what was seen of an episode in several places. What a file could not name is left out."""
        digests, values = (
            {name: array for part in parts for name, array in getattr(part, kind).items() if _COMPONENT.fullmatch(name)}
            for kind in ("digests", "values")
        )
        self.episodes[episode] = EpisodeSteps(digests, values)

    def save(self, path: str | Path) -> None:
        """Write a compressed ``npz`` without pickles, atomically: equal steps give equal bytes."""
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, allow_pickle=False, **self._arrays())

    def _arrays(self) -> dict[str, np.ndarray]:
        """Few arrays, because each costs some hundred bytes: components one after the other, in them the episodes."""
        episodes = [self.episodes.get(index, _NOTHING) for index in range(max(self.episodes, default=-1) + 1)]
        names = sorted({name for episode in episodes for name in (*episode.digests, *episode.values)})
        digests = [[episode.digests.get(name, _NO_DIGESTS) for episode in episodes] for name in names]
        values = [[episode.values.get(name, _NO_DIGESTS) for episode in episodes] for name in names]
        arrays = {
            "components": np.asarray(names, dtype=np.str_),
            "digest_counts": _counts(digests, len(episodes)),
            "digests": np.concatenate([_NO_DIGESTS, *(array for row in digests for array in row)]),
            "value_counts": _counts(values, len(episodes)),
        }
        kept = [[array for array in row if len(array)] for row in values]
        return arrays | {f"values_{index}": np.concatenate(row) for index, row in enumerate(kept) if row}


_NOTHING = EpisodeSteps({}, {})
_NO_DIGESTS = np.zeros(0, dtype=np.uint16)


def read_steps(path: str | Path) -> Steps:
    """Read what :meth:`Steps.save` wrote, or whatever somebody put in its place.

    :raises Unreadable: it is missing, or not what is written
    """
    content = read_bytes(path, _MAX_BYTES)
    with refusing(f"{path}: no steps"):
        arrays = _read_arrays(content)
        names = [str(name) for name in arrays["components"].tolist()]
        if len(names) > _MOST_COMPONENTS or not all(_COMPONENT.fullmatch(name) for name in names):
            raise Unreadable("unknown components")
        count = arrays["digest_counts"].shape[1]
        for kind in ("digest_counts", "value_counts"):
            counts = arrays[kind]
            if counts.dtype != np.uint16 or counts.shape != (len(names), count) or counts.max(initial=0) > _MARKS:
                raise Unreadable(f"{kind}: expected at most {_MARKS} steps of each component and episode")
        if count > EPISODES or arrays["digests"].dtype != np.uint16:
            raise Unreadable(f"expected digests of at most {EPISODES} episodes")
        digests = _split(arrays["digests"], arrays["digest_counts"].ravel())
        values = [
            _split(arrays.get(f"values_{index}", _NO_DIGESTS), row) for index, row in enumerate(arrays["value_counts"])
        ]
        return Steps(
            {
                episode: EpisodeSteps(
                    {name: digests[index * count + episode] for index, name in enumerate(names)},
                    {name: values[index][episode] for index, name in enumerate(names) if len(values[index][episode])},
                )
                for episode in range(count)
            }
        )


class EnvironmentSteps:
    """Collects what an environment gives in one episode: a digest of all observations, and the first of them.

    Arrays are copied at once, because environments write to theirs again, and digested many at a time.

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
        """Add what ``reset`` or ``step`` gave."""
        if type(observation) is not np.ndarray or observation.dtype.hasobject:
            self._observe_other(observation)
            return
        if observation.dtype != self._dtype or observation.shape != self._shape:
            self._digest_waiting()
            self._dtype, self._shape = observation.dtype, observation.shape
            self._most_waiting = min(max(1, _MOST_WAITING_BYTES // max(1, observation.nbytes)), _MOST_WAITING)
        self._observed += 1
        self._waiting.append(observation.tobytes())
        if len(self._waiting) == self._most_waiting:
            self._digest_waiting()

    def policy_acts(self) -> None:
        """The policy has chosen an action for what was observed last."""
        if self._keep and len(self._asked_at) < STEPS:
            self._asked_at.append(min(self._observed - 1, np.iinfo(np.uint16).max))

    def finish(self, rewards: Sequence[float]) -> tuple[str, EpisodeSteps | None]:
        """The episode is over.

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
        """Numbers, dictionaries, and whatever else environments give."""
        self._digest_waiting()
        self._digest.add_observation(observation)
        step = self._observed
        self._observed += 1
        if self._keep and (step < STEPS or (step % MARK_EVERY == 0 and len(self._digests) < _MARKS)):
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
                if step + taken > marked and len(self._digests) < _MARKS:
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
        """Add some steps.

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
        """The episode is over."""
        digests, values = (
            {name: np.concatenate(arrays) for name, arrays in kept.items()} for kept in (self._digests, self._values)
        )
        return EpisodeSteps(digests, values)


def step_digests(rows: np.ndarray) -> np.ndarray:
    """Two bytes for each row, shape ``(n,)``: other bits give other ones, but for one case in 65,000.

    A sum of products with fixed odd numbers, because a cryptographic digest of every row takes ten times as long.
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
    """Odd numbers that look random and are the same in every version of NumPy (the generator splitmix64)."""
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


def _counts(arrays: Sequence[Sequence[np.ndarray]], episodes: int) -> np.ndarray:
    return np.asarray([[len(array) for array in row] for row in arrays], dtype=np.uint16).reshape(len(arrays), episodes)


def _split(array: np.ndarray, counts: np.ndarray) -> list[np.ndarray]:
    ends = np.cumsum(counts.astype(np.int64))
    if len(array) != (ends[-1] if len(ends) else 0):
        raise Unreadable("expected as many steps as are counted")
    return np.split(array, ends[:-1]) if len(ends) else []


def _read_arrays(content: bytes) -> dict[str, np.ndarray]:
    with open_zip(content) as archive:
        members = archive.infolist()
        if len(members) > _MOST_COMPONENTS + 4 or sum(member.file_size for member in members) > _MAX_BYTES:
            raise Unreadable(f"more than {_MAX_BYTES:,} bytes")
        return {member.filename.removesuffix(".npy"): _read_array(archive, member) for member in members}


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """One array, after a look at what its header says: room is made before anything is read."""
    file = io.BytesIO(read_member(archive, member))
    if np.lib.format.read_magic(file) != (1, 0):
        raise Unreadable("an array of another format")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    size = math.prod(shape) * dtype.itemsize
    kinds = "U" if member.filename == "components.npy" else "biuf"
    if dtype.kind not in kinds or not shape or size > _MAX_BYTES:
        raise Unreadable(f"{member.filename[:100]}: expected an array of numbers")
    file.seek(0)
    array: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
    return array
