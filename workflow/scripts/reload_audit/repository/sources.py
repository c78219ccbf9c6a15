"""Which files of a repository are read, and how much of them."""

# Paths are texts here: there are many, and not all are Unicode.
# ruff: noqa: PTH113, PTH117, PTH118, PTH120

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from reload_audit.reading import limits

_OTHERS = re.compile(
    r"(?:^|/)(?:site-packages|dist-packages|node_modules|__pycache__|venv|virtualenv|\.(?!hydra/)[^/]+)/"
)
"""Folders with files that are not the owner's."""

ENDINGS = (
    ".py",
    ".ipynb",
    ".yaml",
    ".yml",
    ".json",
    ".csv",
    ".md",
    ".txt",
    ".rst",
    ".sh",
    ".toml",
    ".ini",
    ".cfg",
    "Makefile",
)


@dataclass(frozen=True)
class Source:
    """A file of a repository.

    :param path: relative to the repository's folder
    :param file: the file to open
    """

    path: str
    file: str

    def is_one_of(self, *endings: str) -> bool:
        return self.path.endswith(endings)


def folder_with(root: str, folder: str, path: str) -> str:
    """The folder from which a script can open a file: its own, or one above it in the repository; empty for none.

    :param folder: the script's, relative to the repository's
    :param path: as the script has it; empty for the repository's folder itself
    """
    while not os.path.isabs(path):
        there = os.path.normpath(os.path.join(root, folder, path))
        if there.startswith(os.path.join(root, "")) and os.path.isfile(there):
            return os.path.normpath(os.path.join(root, folder))
        if not folder:
            return "" if path else root
        folder = os.path.dirname(folder)
    return ""


def chosen(files: Iterable[Source]) -> list[Source]:
    """The owner's own files, the outermost first, as many as are read."""
    own = [file for file in files if file.is_one_of(*ENDINGS) and not _OTHERS.search(file.path)]
    own.sort(key=lambda file: (not file.is_one_of(".py", ".ipynb"), file.path.count("/"), file.path))
    return own[: limits.REPOSITORY_FILES]
