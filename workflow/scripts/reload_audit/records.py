"""What is written and how: content digests, JSON that appears complete or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


class Digest:
    """A running content digest of arrays and plain values; equal exactly where every bit is.

    Dictionary order does not count. ``-0.0`` and ``0.0`` differ, so do data types and shapes.
    """

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=8)

    def add_array(self, array: np.ndarray) -> Digest:
        self._hash.update(f"{array.dtype.str}{array.shape}".encode())
        self._hash.update(array.tobytes())
        return self

    def add_bytes(self, array: np.ndarray) -> Digest:
        """Add an array's bytes alone: many at once then give what one by one gives."""
        self._hash.update(array.tobytes())
        return self

    def add_observation(self, observation: Any) -> Digest:
        """Add what an environment returned: an array, a number or a dictionary of them."""
        if isinstance(observation, Mapping):
            for key in sorted(observation):
                self._hash.update(str(key).encode())
                self.add_observation(observation[key])
            return self
        return self.add_array(np.asarray(observation))

    def add(self, value: Any) -> Digest:
        """Add anything that state dictionaries hold: tensors, arrays, numbers, texts, lists, dictionaries."""
        if isinstance(value, Mapping):
            self._hash.update(b"{%d" % len(value))
            for key in sorted(value, key=str):
                self._hash.update(repr(key).encode())
                self.add(value[key])
        elif isinstance(value, list | tuple):
            self._hash.update(b"[%d" % len(value))
            for item in value:
                self.add(item)
        elif hasattr(value, "detach"):
            self.add_array(value.detach().cpu().numpy())
        elif isinstance(value, np.ndarray):
            self.add_array(value)
        else:
            self._hash.update(repr(value).encode())
        return self

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def digest(value: Any) -> str:
    """The content digest of a value: see :class:`Digest`."""
    return Digest().add(value).hexdigest()


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Any:
    """A temporary path beside ``path`` to write to; moved over it when the block ends, removed when it raises."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: Any, *, indent: int | None = None) -> None:
    """Write JSON, atomically.

    Numbers that JSON does not know become the texts ``nan``, ``inf`` and ``-inf``, which ``float`` reads back.
    """
    write_text(path, json.dumps(plain(content), allow_nan=False, indent=indent) + "\n")


def read_json(path: str | Path) -> Any:
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def plain(value: Any) -> Any:
    """Reduce to what JSON can hold: NumPy numbers and arrays become Python's, anything else its ``repr``."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return f"{value.__module__}.{value.__qualname__}"
    return repr(value)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
