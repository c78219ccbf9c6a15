"""Notes that a job leaves while it runs, for those who watch: how far it is, and what became of each of its models.

They are lines of JSON in a file beside the job's log, so that they reach those who watch over a shared file system.
A line is written at once and whole; one that a kill has cut off is no note.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

_LONGEST = 1000
_MOST_READ = 2**20


@dataclass(frozen=True)
class Note:
    """One thing that a job says while it runs.

    :param model: what it works on from now on, or where ``ended``, has finished; empty where that has not changed
    :param doing: what it does, such as ``training``
    :param done: how many ``unit`` of ``total`` it has done; 0 where that is not counted
    :param total: 0 where it is not known
    :param ended: whether it has finished with the model
    :param verdict: of that model, as far as it alone can tell; ``error`` where it could not be run; empty for none
    :param said: why, for an error
    :param difference: what the model earns more on reload than it did, where a loss or gain is its verdict
    :param p: the p-value of that
    """

    model: str = ""
    doing: str = ""
    done: float = 0
    total: float = 0
    unit: str = ""
    ended: bool = False
    verdict: str = ""
    said: str = ""
    difference: float | None = None
    p: float | None = None


_EMPTY = asdict(Note())
_TYPES = {field.name: (str, bool) if isinstance(field.default, str | bool) else (int, float) for field in fields(Note)}


def notes_file(log: Path) -> Path:
    """Where the job with a log leaves its notes."""
    return log.with_suffix(".notes")


def leave(log: Path, *notes: Note) -> None:
    """Leave notes beside a job's log. Where they cannot be written (a full disk, say), the work goes on without."""
    lines = [json.dumps({key: value for key, value in asdict(note).items() if value != _EMPTY[key]}) for note in notes]
    with contextlib.suppress(OSError), open(notes_file(log), "a", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))


def begin(log: Path) -> None:
    """Remove the notes of an earlier attempt. A reader sees that the file is another one."""
    file = notes_file(log)
    with contextlib.suppress(OSError):
        if file.exists():
            empty = file.with_suffix(".empty")
            empty.touch()
            empty.replace(file)  # the number of a file that was deleted would be given to the next


def remove(log: Path) -> None:
    """Remove the notes of a job that has ended: nobody needs them any more."""
    with contextlib.suppress(OSError):
        notes_file(log).unlink()


class NotesReader:
    """Reads the notes of one job, each once.

    :param log: the job's log
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        self._path = notes_file(log)
        self._read, self._file = 0, 0

    def new(self) -> list[Note]:
        """The notes that were left since the last call."""
        try:
            with open(self._path, "rb") as file:
                found = self._path.stat()
                if found.st_ino != self._file or found.st_size < self._read:  # another attempt has begun
                    self._file, self._read = found.st_ino, 0
                file.seek(self._read)
                content = file.read(_MOST_READ)
        except OSError:
            return []
        whole = content[: content.rfind(b"\n") + 1]
        self._read += len(whole) or (len(content) if len(content) == _MOST_READ else 0)
        return [*_notes(whole.split(b"\n"))]


def _notes(lines: Iterable[bytes]) -> Iterable[Note]:
    for line in lines:
        try:
            content: Any = json.loads(line)
            known = {key: _checked(key, value) for key, value in content.items() if key in _TYPES}
        except (ValueError, TypeError, AttributeError, RecursionError):
            continue
        yield Note(**known)


def _checked(key: str, value: Any) -> Any:
    if not isinstance(value, _TYPES[key]):
        raise TypeError(key)
    return value[:_LONGEST] if isinstance(value, str) else value
