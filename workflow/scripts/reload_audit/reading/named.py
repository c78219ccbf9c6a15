"""Paths as people write them: too long for any file, or below the home folder of nobody. Asking raises nothing."""

from __future__ import annotations

import os
from pathlib import Path


def at_home(path: str | Path) -> Path:
    """The path with the home folder for ``~``; as it is where there is no such home."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  pathlib raises there


def is_there(path: str | Path) -> bool:
    """Whether there is anything; False also where the system cannot look."""
    return os.path.exists(path)  # noqa: PTH110  pathlib raises for names that are too long


def is_file(path: str | Path) -> bool:
    """Whether there is a file; False also where the system cannot look."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: str | Path) -> bool:
    """Whether there is a folder; False also where the system cannot look."""
    return os.path.isdir(path)  # noqa: PTH112
