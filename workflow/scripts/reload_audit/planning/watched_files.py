"""Which files of external models are watched: a change of one makes the audit of its model run again."""

# Paths are texts here: there are many, and not all are Unicode.
# ruff: noqa: PTH116, PTH118

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from reload_audit.records.specs import ExternalSpec

_RECORDED = ("manifest.json", "evaluations.json", "steps.npz")  # the last is not in older recordings
_ODD_CHARACTERS = frozenset("{}<>")


@dataclass(frozen=True)
class WatchedFiles:
    """The files of external models, split into those that Snakemake can watch and the others.

    :param inputs: paths that Snakemake watches, as inputs of a job
    :param unwatched: path, size in bytes and time stamp in nanoseconds of the others. They belong to a job's params,
        whose change makes it run again: Snakemake reads braces and angle brackets in a path as its own, prints paths
        as they are, control characters too, and refuses outputs that are older than an input
    """

    inputs: tuple[str, ...]
    unwatched: tuple[tuple[str, int, int], ...]


def files_of(model: ExternalSpec) -> list[str]:
    """The paths of an external model's files that are there, each once."""
    return [path for path, _ in found_files(model)]


def found_files(model: ExternalSpec) -> Iterator[tuple[str, os.stat_result]]:
    """The paths of an external model's files that are there, each once, with what the file system says of them."""
    recorded = [os.path.join(model.recording, name) for name in _RECORDED] if model.recording else []
    single = [model.path, model.statistics, model.evaluations, model.model_card, model.results]
    candidates = [*(path for path in single if path), *model.monitors, *recorded]
    for path in dict.fromkeys(candidates):
        try:
            found = os.stat(path)
        except (OSError, ValueError):  # it is not there, or not any more
            continue
        if stat.S_ISREG(found.st_mode):
            yield path, found


def watched_files(models: Iterable[ExternalSpec], now: float) -> WatchedFiles:
    """The files of models, told apart by whether Snakemake can watch them.

    :param now: seconds since 1970; a file that is stamped later cannot be watched
    """
    inputs: list[str] = []
    unwatched: list[tuple[str, int, int]] = []
    for model in models:
        for file, found in found_files(model):
            if file.isprintable() and _ODD_CHARACTERS.isdisjoint(file) and found.st_mtime <= now:
                inputs.append(file)
            else:
                unwatched.append((file, found.st_size, found.st_mtime_ns))
    return WatchedFiles(tuple(inputs), tuple(unwatched))
