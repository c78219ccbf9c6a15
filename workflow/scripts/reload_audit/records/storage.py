"""Plain values as JSON, and files that are written completely or not at all.

NumPy is not imported: most processes that read and write such files have nothing of it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


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
    if (numpy := sys.modules.get("numpy")) is not None and isinstance(value, numpy.ndarray | numpy.generic):
        return plain(float(value) if isinstance(value, numpy.floating) else value.tolist())
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
