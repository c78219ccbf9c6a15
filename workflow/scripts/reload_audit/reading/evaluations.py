"""Evaluations during training, without NumPy: what EvalCallback and SB3's loggers wrote, by step.

EvalCallback writes ``evaluations.npz``; loggers write the same means into ``progress.csv`` and into event files
of TensorBoard, as ``eval/mean_reward``.
"""

from __future__ import annotations

import csv
import math
import struct
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reload_audit.reading import limits
from reload_audit.reading.event_files import scalars
from reload_audit.reading.files import first_bytes, open_zip, read_bytes, read_member
from reload_audit.reading.literals import literal
from reload_audit.reading.refusal import Unreadable, refusing

_ZIP = b"PK\x03\x04"
_EVENTS, _EVENTS_WITHIN = b"brain.Event:", 64
"""What the first event of an event file says, its version, and within how many bytes."""

_NPY = b"\x93NUMPY"
_MEAN, _STEPS = "eval/mean_reward", "time/total_timesteps"
_MEMBERS = ("timesteps.npy", "results.npy")
_CODES = {"i4": "i", "i8": "q", "f4": "f", "f8": "d"}


@dataclass(frozen=True)
class Evaluations:
    """Evaluations of one training run.

    :param steps: when each was made, increasing
    :param means: the mean episode reward of each
    """

    steps: tuple[int, ...]
    means: tuple[float, ...]


def begins_as_evaluations(path: str | Path) -> bool:
    """Whether a file may hold evaluations, by its first bytes: a zip, an event file, or a table with a column of them.

    :raises Unreadable: it cannot be read
    """
    head = first_bytes(path, 4096)
    return head.startswith(_ZIP) or _EVENTS in head[:_EVENTS_WITHIN] or _MEAN.encode() in head.partition(b"\n")[0]


@refusing("damaged evaluations")
def read_evaluations(path: str | Path) -> Evaluations | None:
    """The evaluations that a file holds; None where it holds something else.

    :raises Unreadable: it is damaged
    """
    content = read_bytes(path, limits.NEARBY_BYTES)
    if content.startswith(_ZIP):
        return _from_npz(content)
    if _EVENTS in content[:_EVENTS_WITHIN]:
        return _ordered((one.step, one.value) for one in scalars(content) if one.tag == _MEAN)
    return _from_table(content.decode("utf-8", "replace"))


def _from_npz(content: bytes) -> Evaluations | None:
    with open_zip(content) as archive:
        if not set(_MEMBERS) <= set(archive.namelist()):
            return None
        steps, results = (_array(_member(archive, name)) for name in _MEMBERS)
    rows = len(steps)
    each = len(results) // rows if rows else 0
    if not each or len(results) != rows * each:
        return None
    means = (math.fsum(results[each * row : each * (row + 1)]) / each for row in range(rows))
    return _ordered(zip(map(int, steps), means, strict=True))


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    member = archive.getinfo(name)
    if member.file_size > limits.NEARBY_BYTES:
        raise Unreadable(f"{name} of more than {limits.NEARBY_BYTES:,} bytes")
    return read_member(archive, member)


def _array(content: bytes) -> tuple[Any, ...]:
    """The numbers of an array in NumPy's format, as they lie in the file, row by row.

    :raises Unreadable: it is in Fortran's order, or of anything but integers and floats
    """
    if not content.startswith(_NPY):
        raise Unreadable("expected an array of NumPy")
    wide = content[6] > 1
    (length,) = struct.unpack_from("<I" if wide else "<H", content, 8)
    begin = (12 if wide else 10) + length
    header = literal(content[begin - length : begin].decode("latin1"))
    order, kind = header["descr"][:1], _CODES.get(header["descr"][1:])
    if kind is None or order not in "<>" or header["fortran_order"]:
        raise Unreadable(f"expected an array of numbers, found the data type {header['descr']!r:.50}")
    count = (len(content) - begin) // struct.calcsize(f"={kind}")
    return struct.unpack_from(f"{order}{count}{kind}", content, begin)


def _from_table(text: str) -> Evaluations | None:
    rows = csv.DictReader(text.splitlines())
    if not {_MEAN, _STEPS} <= set(rows.fieldnames or ()):
        return None
    return _ordered((int(float(row[_STEPS])), float(row[_MEAN])) for row in rows if row[_MEAN] and row[_STEPS])


def _ordered(pairs: Iterable[tuple[int, float]]) -> Evaluations | None:
    """Evaluations in the order of their steps, without those whose mean is no reward; None where none is left."""
    kept = sorted({step: mean for step, mean in pairs if abs(mean) < limits.LARGEST_REWARD}.items())
    return Evaluations(*map(tuple, zip(*kept, strict=True))) if kept else None
