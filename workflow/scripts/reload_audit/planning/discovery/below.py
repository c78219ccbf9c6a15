"""Statistics and evaluations in a folder and below, known by what they hold; each file is read once, when needed."""

# Paths are texts here: there are many, and not all are Unicode.
# ruff: noqa: PTH118, PTH202

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from reload_audit.planning.discovery.allowance import ALLOWANCE
from reload_audit.planning.discovery.tree import Folder
from reload_audit.reading import files, limits
from reload_audit.reading.evaluations import Evaluations, begins_as_evaluations, read_evaluations
from reload_audit.reading.monitor_files import Monitored, read_monitor
from reload_audit.reading.outlines import StatisticsOutline, begins_as_statistics, outline_of_statistics
from reload_audit.reading.refusal import Unreadable

_Held = TypeVar("_Held", StatisticsOutline, Evaluations, Monitored)


@dataclass(frozen=True)
class Found(Generic[_Held]):
    """A file, and what it holds."""

    path: str
    held: _Held


class Below(Generic[_Held]):
    """The files of one kind in and below each folder of a tree.

    :param top: the tree
    :param may_be: whether a file's name leaves open that it is of the kind
    :param read: what a file holds; None where it is of another kind
    """

    def __init__(self, top: Folder, may_be: Callable[[str], bool], read: Callable[[str], _Held | None]) -> None:
        self._may_be = may_be
        self._read: Callable[[str], _Held | None] = read
        self._folders = {folder.relative: folder for folder in top.walk()}
        self._paths: dict[str, list[str]] = {}
        self._found: dict[str, list[Found[_Held]]] = {}
        self._once: dict[str, Found[_Held] | None] = {}

    def levels(self, folder: Folder) -> Iterator[list[Found[_Held]]]:
        """The files in and below a folder, then those in and below the folder that it is in, and so on up to the top.

        A level with very many files is left out: names of so many do not tell whose they are.
        """
        relative = folder.relative
        while True:
            yield self._below(self._folders[relative])
            if not relative:
                return
            relative = relative.rpartition("/")[0]

    def _below(self, folder: Folder) -> list[Found[_Held]]:
        if folder.relative not in self._found:
            paths = [path for inner in folder.walk() for path in self._in(inner)]
            read = map(self._held, paths) if len(paths) <= limits.JOINED_FILES else ()
            self._found[folder.relative] = [found for found in read if found is not None]
        return self._found[folder.relative]

    def _in(self, folder: Folder) -> list[str]:
        if folder.relative not in self._paths:
            try:
                self._paths[folder.relative] = self._paths_in(folder)
            except Exception:  # what nobody foresaw, of a folder that other models need not know of
                self._paths[folder.relative] = []
        return self._paths[folder.relative]

    def _paths_in(self, folder: Folder) -> list[str]:
        names = sorted(name for name in {*folder.files, *folder.others} if self._may_be(name) and folder.has(name))
        return [os.path.join(folder.path, name) for name in names]

    def _held(self, path: str) -> Found[_Held] | None:
        if path not in self._once:
            try:
                held = self._read(path)
            except Unreadable:
                held = None
            self._once[path] = None if held is None else Found(path, held)
        return self._once[path]


def statistics_below(top: Folder) -> Below[StatisticsOutline]:
    """Saved VecNormalizes, whatever they are called."""
    known = (".zip", ".yml", ".yaml", ".json", ".npz", ".csv", ".md", ".pth", ".pt", ".onnx")
    return Below(top, lambda name: not name.endswith(known), _statistics)


def evaluations_below(top: Folder) -> Below[Evaluations]:
    """What EvalCallback and SB3's loggers wrote."""
    return Below(top, _may_be_evaluations, _evaluations)


def monitors_below(top: Folder) -> Below[Monitored]:
    """What Monitors wrote of training episodes."""
    return Below(top, lambda name: name.endswith("monitor.csv"), _monitored)


def _monitored(path: str) -> Monitored | None:
    ALLOWANCE.take(path, os.path.getsize(path))
    return read_monitor(path)


def _may_be_evaluations(name: str) -> bool:
    is_table = name.endswith((".npz", ".csv")) and not name.endswith("monitor.csv")
    return is_table or name.startswith("events.out.tfevents.")


def _statistics(path: str) -> StatisticsOutline | None:
    if not begins_as_statistics(files.first_bytes(path)):
        return None
    content = files.read_bytes(path, limits.NEARBY_BYTES)
    ALLOWANCE.take(path, len(content))
    return outline_of_statistics(content)


def _evaluations(path: str) -> Evaluations | None:
    return read_evaluations(path) if begins_as_evaluations(path) else None
