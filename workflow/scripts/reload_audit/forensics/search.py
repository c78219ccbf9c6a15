"""Find VecNormalize statistics near a model that are its own, so that a fix can name their file."""

from __future__ import annotations

import os
import re
from pathlib import Path

from reload_audit.forensics.model_files import FoundStatistics
from reload_audit.forensics.pairing import counts_of, pairing
from reload_audit.forensics.statistics import excluded
from reload_audit.forensics.traces import traces_of
from reload_audit.reading import limits
from reload_audit.reading.files import first_bytes
from reload_audit.reading.model_zip import SavedModel
from reload_audit.reading.outlines import begins_as_statistics
from reload_audit.reading.refusal import Unreadable
from reload_audit.reading.statistics import read_statistics

# Endings of what lies in great numbers beside models, and is never a pickle of statistics.
_OTHERS = (
    ".zip",
    ".py",
    ".pyc",
    ".json",
    ".csv",
    ".npz",
    ".yml",
    ".yaml",
    ".md",
    ".txt",
    ".png",
    ".jpg",
    ".mp4",
    ".log",
)


def find_statistics(path: str | Path, saved: SavedModel, algo: str = "") -> list[FoundStatistics]:
    """Statistics in a model's folder, or in the folders beside and above it, that are its own by bits or by counts.

    :return: proved ones first; nothing where none fits, or where the model was trained without any
    """
    traces = traces_of(saved, algo, None)
    if traces.never_normalized:
        return []
    found = []
    for candidate in _nearby(Path(path), traces.num_timesteps):
        try:
            statistics = read_statistics(candidate)
        except Unreadable:
            continue
        paired, counts = pairing(traces, statistics), counts_of(statistics)
        fits = paired == "unknown" and counts is not None and counts.steps == traces.num_timesteps
        if paired == "own" or (fits and not excluded(saved, statistics, traces)):
            found.append(FoundStatistics(str(candidate), paired == "own"))
    return sorted(found, key=lambda one: not one.proved)


def _nearby(path: Path, steps: int | None) -> list[Path]:
    """Files that begin as statistics do: in the model's folder, folders in it, and the one above.

    Those that have the model's name in theirs, or its number of steps, come first.
    """
    folder = path.parent
    places = [folder, *_entries(folder, folders=True)[: limits.NEARBY_FOLDERS], folder.parent]
    files = [file for place in places for file in _entries(place, folders=False)]
    files.sort(key=lambda file: not has_name_of(file, path) and f"_{steps}_" not in file.name)
    statistics = filter(_begins_as_statistics, files[: limits.NEARBY_LOOKED_INTO])
    return [file for _, file in zip(range(limits.NEARBY_FILES), statistics, strict=False)]


def has_name_of(file: Path, model: Path) -> bool:
    """Whether a model's name stands in that of a file, and no letter or digit beside it: ppo_10.pkl is not ppo_1's."""
    return re.search(rf"(?<![^\W_]){re.escape(model.stem)}(?![^\W_])", file.name) is not None


def _begins_as_statistics(file: Path) -> bool:
    try:
        return begins_as_statistics(first_bytes(file))
    except Unreadable:
        return False


def _entries(folder: Path, *, folders: bool) -> list[Path]:
    """The folders in a folder, or its files that may be statistics; none where it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            first = [entry for _, entry in zip(range(limits.NEARBY_ENTRIES), entries, strict=False)]
            return sorted(Path(entry.path) for entry in first if _is_wanted(entry, folders))
    except OSError:
        return []


def _is_wanted(entry: os.DirEntry[str], folders: bool) -> bool:
    if folders:
        return entry.is_dir(follow_symlinks=False)
    name = entry.name.lower()
    if not name.isprintable():  # nor is it UTF-8, perhaps: no fix could name it
        return False
    return not name.endswith(_OTHERS) and entry.is_file() and entry.stat().st_size <= limits.NEARBY_BYTES
