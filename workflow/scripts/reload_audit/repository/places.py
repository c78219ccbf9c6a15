"""Where in a repository something is said."""

from __future__ import annotations

from dataclasses import dataclass

from reload_audit.reading.refusal import shown


@dataclass(frozen=True, order=True)
class Place:
    """A line of a file, or of a cell of a notebook.

    :param path: relative to the repository's folder
    :param cell: counted from 1, code and text alike; None for a file that has no cells
    """

    path: str
    line: int
    cell: int | None = None

    def __str__(self) -> str:
        path = shown(self.path)
        return f"{path}:{self.line}" if self.cell is None else f"{path}, cell {self.cell}, line {self.line}"
