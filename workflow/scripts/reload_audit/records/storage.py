"""Content digests of arrays and plain values, and files that are written completely or not at all."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
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
        """Add an array with its data type and shape."""
        if array.dtype.hasobject:
            return self.add(array.tolist())
        self._hash.update(_array_mark(array.dtype, array.shape) + array.tobytes())
        return self

    def add_arrays(self, dtype: np.dtype, shape: tuple[int, ...], contents: Sequence[bytes]) -> Digest:
        """Add arrays of one kind by their bytes, as ``add_array`` does one by one."""
        mark = _array_mark(dtype, shape)
        self._hash.update(mark + mark.join(contents))
        return self

    def add_each(self, dtype: np.dtype, shape: tuple[int, ...], contents: Sequence[bytes]) -> list[bytes]:
        """Add arrays as :meth:`add_arrays` does, and return what :meth:`start` gives after each of them."""
        mark = _array_mark(dtype, shape)
        update, current = self._hash.update, self._hash.digest
        starts = []
        for content in contents:
            update(mark + content)
            starts.append(current()[:2])
        return starts

    def add_bytes(self, array: np.ndarray) -> Digest:
        """Add an array's bytes without data type and shape: rows added at once or one by one give the same digest."""
        self._hash.update(array.tobytes())
        return self

    def add_observation(self, observation: Any) -> Digest:
        """Add what an environment returned: an array, a number or a dictionary of them."""
        if type(observation) is np.ndarray:  # in every step of nearly every environment
            return self.add_array(observation)
        if isinstance(observation, Mapping):
            self._mark(f"{{{len(observation)}")
            for key in sorted(observation):
                self._mark(str(key))
                self.add_observation(observation[key])
            return self
        return self.add_array(np.asarray(observation))

    def add(self, value: Any) -> Digest:
        """Add anything that state dictionaries hold: tensors, arrays, numbers, texts, lists, dictionaries."""
        if isinstance(value, str | int | float):  # the usual case first: the other checks take longer
            self._mark(repr(value))
        elif isinstance(value, Mapping):
            self._mark(f"{{{len(value)}")
            for key in sorted(value, key=str):
                self._mark(repr(key))
                self.add(value[key])
        elif isinstance(value, list | tuple):
            self._mark(f"[{len(value)}")
            for item in value:
                self.add(item)
        elif hasattr(value, "detach"):
            self.add_array(_tensor_content(value))
        elif isinstance(value, np.ndarray):
            self.add_array(value)
        else:
            self._mark(repr(value))
        return self

    def hexdigest(self) -> str:
        return self._hash.hexdigest()

    def start(self) -> bytes:
        """The first two bytes of the digest."""
        return self._hash.digest()[:2]

    def _mark(self, text: str) -> None:
        """Add a text after its length, so that it cannot be confused with parts of its neighbours."""
        self._hash.update(_mark(text))


def _mark(text: str) -> bytes:
    content = text.encode("utf-8", "surrogatepass")
    return b"%d:" % len(content) + content


@functools.lru_cache(maxsize=1000)
def _array_mark(dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    return _mark(f"{dtype.str}{shape}")


def digest(value: Any) -> str:
    """The content digest of a value: see :class:`Digest`."""
    return Digest().add(value).hexdigest()


def folder_digest(folder: Path) -> str:
    """A digest of the names and contents of a folder's files, but for hidden ones."""
    content = hashlib.sha256()
    for file in _files(folder):
        content.update(f"{file.relative_to(folder)}\n".encode())
        with open(file, "rb") as opened:
            content.update(hashlib.file_digest(opened, "sha256").digest())
    return content.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _files(path)
        elif not path.name.startswith("."):
            yield path


_UNFINISHED = ".unfinished"
"""How names of temporary files end, which begin with a dot."""

_HOURS_UNFINISHED = 1.0
"""After so long nobody writes a temporary file any more: its process was killed."""


@functools.lru_cache(maxsize=100)
def _remove_leftovers(folder: Path) -> None:
    """Remove what processes left in a folder when they were killed; it is looked through once a process."""
    oldest = time.time() - _HOURS_UNFINISHED * 3600
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        names = [entry for entry in entries if entry.name.startswith(".") and entry.name.endswith(_UNFINISHED)]
        for entry in names:
            if entry.stat(follow_symlinks=False).st_mtime < oldest:
                Path(entry).unlink()


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Any:
    """A temporary path beside ``path`` to write to; moved over it when the block ends, removed when it raises."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path.parent)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=_UNFINISHED, dir=path.parent)
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
    write_text(path, json_text(content, indent=indent))


def json_text(content: Any, *, indent: int | None = None) -> str:
    """What :func:`write_json` writes.

    :raises ValueError: it holds an integer of thousands of digits
    :raises RecursionError: it is nested without end
    """
    return json.dumps(plain(content), allow_nan=False, indent=indent) + "\n"


class DamagedFileError(Exception):
    """A file that the audit wrote is no longer what was written."""

    def __init__(self, path: str | Path, damage: object) -> None:
        super().__init__(
            f"{path} is no longer what the audit wrote there: {damage}. "
            "Delete it (of a trained model: its folder) and run snakemake again, which makes it again."
        )


def read_json(path: str | Path) -> Any:
    """Read what :func:`write_json` wrote.

    :raises DamagedFileError: if it is not JSON any more
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise DamagedFileError(path, error) from None


def _tensor_content(tensor: Any) -> np.ndarray:
    """A PyTorch tensor as an array; NumPy has no bfloat16, but float32 holds every one of its numbers."""
    detached = tensor.detach().cpu()
    content: np.ndarray = (detached.float() if str(detached.dtype) == "torch.bfloat16" else detached).numpy()
    return content


_PLAIN = frozenset({str, int, bool, type(None)})
"""Types that JSON holds as they are. They are looked for first: an audit of thousands of models has millions."""


def plain(value: Any) -> Any:
    """Reduce to what JSON can hold: NumPy numbers and arrays become Python's, anything else its ``repr``."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return [plain(item) for item in sorted(value, key=repr)]
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value] if value.ndim else plain(value[()])
    if isinstance(value, np.generic):
        return plain(float(value) if isinstance(value, np.floating) else value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, int | str):
        return value
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return f"{value.__module__}.{value.__qualname__}"
    return repr(value)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
