"""Whether a script loads one of a series of checkpoints, and not the last."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from reload_audit.planning.discovery.zips import settings
from reload_audit.reading.refusal import Unreadable
from reload_audit.records.observation import Line

_LAST_NUMBER = re.compile(r"\d+(?=\D*$)")
_MOST_FILES = 10_000


def later_of_its_series(line: Line | None, path: Path) -> Iterator[str]:
    """Say that a checkpoint which was trained for longer lies beside the one that is loaded.

    They are of one series where their names differ in the last number alone, and the later one was trained for more
    steps.
    """
    if line is None or f"{path.stem}" in line.code or not path.is_file():
        return  # a script that names it means it
    pattern = _LAST_NUMBER.sub("#", path.stem)
    files = [file for _, file in zip(range(_MOST_FILES), path.parent.glob("*.zip"), strict=False)]
    alike = [file for file in files if _LAST_NUMBER.sub("#", file.stem) == pattern]
    last = max(alike, key=lambda file: [*map(int, _LAST_NUMBER.findall(file.stem))], default=path)
    steps, more = _steps(path), _steps(last)
    if steps is not None and more is not None and more > steps:
        yield (
            f"{line} loads {path.name}, which was trained for {steps:,} steps; of the same series {last.name} lies "
            f"beside it, with {more:,}"
        )


def _steps(path: Path) -> int | None:
    try:
        found = (settings(str(path)) or {}).get("num_timesteps")
    except Unreadable:
        return None
    return found if isinstance(found, int) else None
