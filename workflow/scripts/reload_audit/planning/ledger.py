"""What the outputs were when a run ended, so that one that was truncated or edited since is noticed.

Snakemake looks at time stamps alone: it takes a damaged output for a new one, and trusts the clock that stamped it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

_READERS = 8
"""Threads that read files: on a network file system each file is a wait."""

_APART = 0.001
"""Seconds between the new time stamps of two outputs."""


class Entry(TypedDict):
    """What an output was when it was recorded.

    :param stamp: size in bytes and time stamp in nanoseconds of each of its files
    :param size: bytes of all of them
    :param digest: of their names and contents
    """

    stamp: list[list[int]]
    size: int
    digest: str


@dataclass(frozen=True)
class Damage:
    """What has become of outputs since they were written.

    :param changed: outputs with other content, each with how it differs
    :param late: how many were stamped later than now, and are stamped anew
    :param unknown: why it is not known whether outputs have changed; empty where it is
    """

    changed: dict[str, str]
    late: int
    unknown: str = ""

    def __str__(self) -> str:
        """What to tell the user; empty if there is nothing to tell."""
        lines = [self.unknown] if self.unknown else []
        if self.changed:
            lines.append("Changed since they were written, so they are made again (to keep them as they are: --touch):")
            lines += [f"  {output}: {difference}" for output, difference in self.changed.items()]
        if self.late:
            lines.append(
                f"Results that a clock which was ahead has stamped later than now: {self.late}. They are stamped now."
            )
        return "\n".join(lines)


class Ledger:
    """The sizes, time stamps and digests of outputs: files, or folders of files.

    :param path: the file that keeps them; it is not there while a run goes on, which changes the outputs
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        read = _read(path)
        self._entries = read or {}
        self._is_damaged = read is None

    def changed(self, outputs: Iterable[str]) -> dict[str, str]:
        """The outputs that are not what they were, and in what; Snakemake itself notices those that are missing.

        Only outputs with another time stamp are read. Content decides: in a copy all stamps differ, and nothing else.
        """
        if not self._path.exists():
            return {}
        now = self._describe(output for output in outputs if output in self._entries)
        changed = {output: entry for output, entry in now.items() if entry["digest"] != self._entries[output]["digest"]}
        differences = {output: _difference(self._entries[output], entry) for output, entry in changed.items()}
        self._write({output: entry for output, entry in now.items() if output not in changed})
        return differences

    def inspect(self, outputs: Sequence[str], now: float, *, dry_run: bool) -> Damage:
        """Find outputs that were truncated or edited, and correct time stamps that lie in the future.

        :param now: seconds since 1970
        :param dry_run: whether time stamps are to stay as they are
        """
        unknown = f"{self._path} is no longer what the audit wrote there: no change of its results can be seen."
        return Damage(
            self.changed(outputs),
            late=0 if dry_run else bring_back(outputs, now),
            unknown=unknown if self._is_damaged else "",
        )

    def close(self) -> None:
        """Delete the file as a run begins, so that nothing false is known of the outputs if the run is killed."""
        self._path.unlink(missing_ok=True)

    def write(self, outputs: Iterable[str]) -> None:
        """Record what the outputs are now. What this object knows of other outputs is kept."""
        self._write(self._describe(outputs))

    def _describe(self, outputs: Iterable[str]) -> dict[str, Entry]:
        """The entries of outputs that are unknown, or have another time stamp than the known one."""
        stamps = {output: _stamp(output) for output in outputs}
        new = [path for path, stamp in stamps.items() if stamp and stamp != self._known_stamp(path)]
        with ThreadPoolExecutor(_READERS) as pool:
            return {path: entry for path, entry in zip(new, pool.map(_entry, new), strict=True) if entry is not None}

    def _known_stamp(self, output: str) -> list[list[int]] | None:
        entry = self._entries.get(output)
        return None if entry is None else entry["stamp"]

    def _write(self, entries: Mapping[str, Entry]) -> None:
        """Add entries to the file. Where it cannot be written (a full disk, say), nothing is known of outputs later."""
        if not entries and self._path.exists():
            return
        self._entries |= entries
        complete = self._path.with_name(f"{self._path.name}.new")
        with contextlib.suppress(OSError):
            complete.write_text(json.dumps(self._entries), encoding="utf-8")
            complete.replace(self._path)


def bring_back(outputs: Iterable[str], now: float) -> int:
    """Stamp outputs that are stamped later than now anew, in their order: some clock was ahead when they were written.

    Snakemake refuses whatever is made from them, until that time has come.

    :param now: seconds since 1970
    :return: how many there were
    """
    carriers = [_stamped(Path(output)) for output in outputs]
    late = sorted((path for path in carriers if path.exists() and path.stat().st_mtime > now), key=_time)
    for number, path in enumerate(late, 1):
        moment = now - (len(late) - number) * _APART
        os.utime(path, (moment, moment))
    return len(late)


def _stamped(output: Path) -> Path:
    """The file whose time stamp Snakemake looks at: for a folder, one that Snakemake puts into it."""
    inside = output / ".snakemake_timestamp"
    return inside if inside.exists() else output


def _time(path: Path) -> float:
    return path.stat().st_mtime


def _read(path: Path) -> dict[str, Entry] | None:
    """The entries in a file; none where there is no file, None where it holds something else."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        return None
    is_ledger = isinstance(entries, dict) and all(map(_is_entry, entries.values()))
    return entries if is_ledger else None


def _is_entry(value: object) -> bool:
    if not isinstance(value, dict) or not isinstance(stamps := value.get("stamp"), list):
        return False
    pairs = all(isinstance(pair, list) and all(type(number) is int for number in pair) for pair in stamps)
    return pairs and type(value.get("size")) is int and isinstance(value.get("digest"), str)


def _entry(output: str) -> Entry | None:
    """The entry of an output; None if it went away or cannot be read."""
    content, size = hashlib.sha256(), 0
    try:
        for file, _ in _files(output):
            with open(file, "rb") as opened:
                size += os.fstat(opened.fileno()).st_size
                content.update(f"{file.removeprefix(output)}\n".encode("utf-8", "surrogateescape"))
                content.update(hashlib.file_digest(opened, "sha256").digest())
        return {"stamp": _stamp(output), "size": size, "digest": content.hexdigest()}
    except OSError:
        return None


def _stamp(output: str) -> list[list[int]]:
    """Size and time stamp of every file; nothing where there is none."""
    try:
        return [[found.st_size, found.st_mtime_ns] for _, found in _files(output)]
    except OSError:
        return []


def _files(output: str) -> Iterator[tuple[str, os.stat_result]]:
    """The file itself, or those of a folder, but for Snakemake's own, whose names begin with a dot."""
    found = Path(output).stat()
    if stat.S_ISREG(found.st_mode):
        yield output, found
        return
    for entry in sorted(os.scandir(output), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _files(entry.path)
        elif not entry.name.startswith("."):
            yield entry.path, entry.stat()


def _difference(then: Entry, now: Entry) -> str:
    if then["size"] == now["size"]:
        return "other content than was written"
    return f"{now['size']:,} bytes instead of {then['size']:,}"
