"""Which files of a repository are read, and how much of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from reload_audit.reading import limits

_OTHERS = re.compile(r"(?:^|/)(?:site-packages|dist-packages|node_modules|__pycache__|venv|virtualenv|\.[^/]+)/")
"""Folders with files that are not the owner's."""

ENDINGS = (".py", ".ipynb", ".yaml", ".yml", ".json", ".csv", ".md", ".txt", ".rst", ".sh")


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


def chosen(files: Iterable[Source]) -> list[Source]:
    """The owner's own files, the outermost first, as many as are read."""
    own = [file for file in files if file.is_one_of(*ENDINGS) and not _OTHERS.search(file.path)]
    own.sort(key=lambda file: (not file.is_one_of(".py", ".ipynb"), file.path.count("/"), file.path))
    return own[: limits.REPOSITORY_FILES]
