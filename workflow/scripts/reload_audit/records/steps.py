"""The first steps of the first episodes, kept so that two runs can be compared step by step.

Of every step there are two bytes a component: enough to find where two runs part, little enough to lie beside every
model. Of a few there are the values themselves, so that it can be said by how much they differ.

Steps are the environment's own: step 0 is what ``reset`` gave, step *t* what the *t*-th action led to. The policy's
observation and action of step *t* are what it was given at that step, and what it chose there.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from reload_audit.reading.files import open_zip, read_bytes, read_member
from reload_audit.reading.refusal import Unreadable, refusing
from reload_audit.records.storage import atomic_path

STEPS = 128
"""Steps of an episode that are kept one by one."""
MARK_EVERY = 64
"""After the first :data:`STEPS`, the environment's observations are kept of every step that this number divides."""
EPISODES = 40
"""Episodes of which steps are kept."""

ASKED_AT = "asked_at"
"""Name of an array that is no component: the step at which each action was chosen, where wrappers add steps."""

MARKS = STEPS + 64
"""Digests of an episode's observations that are kept at most."""

_MAX_BYTES = 2**22
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
    """The steps of a run's first episodes, by their index. An empty one is filled by ``run_episodes``."""

    episodes: dict[int, EpisodeSteps] = field(default_factory=dict)

    def add(self, episode: int, *parts: EpisodeSteps) -> None:
        """Add one episode from what several recorders kept of it; components with an unusual name are left out."""
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
        """All episodes in few arrays, because each costs some hundred bytes: sorted by component, then by episode."""
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
            if counts.dtype != np.uint16 or counts.shape != (len(names), count) or counts.max(initial=0) > MARKS:
                raise Unreadable(f"{kind}: expected at most {MARKS} steps of each component and episode")
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
    """Read one array, after checking the size in its header: memory is allocated before anything is read."""
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
