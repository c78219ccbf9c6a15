"""The code cells of a notebook as Python, without what only IPython understands."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_OF_PYTHON = ("capture", "time", "timeit", "prun")
"""Cell magics whose cells are Python; those of others are not run."""

_ASSIGNED = re.compile(r"(\s*[A-Za-z_][\w., ]*=\s*)[!%]")
_ASKS = re.compile(r"\s*(\?{1,2}\s*[A-Za-z_]|[\w.]+\?{1,2}\s*$)")


@dataclass(frozen=True)
class Cell:
    """A code cell.

    :param name: ``enjoy.ipynb In [3]``, by the number that the notebook shows, or its place among the code cells
    :param source: as Python, line by line as in the notebook
    """

    name: str
    source: str


def cells_of(path: Path) -> list[Cell]:
    """The code cells of a notebook in their order.

    :raises ValueError: it is no notebook
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, Mapping) or not isinstance(content.get("cells"), list):
        raise ValueError(f"{path.name}: expected a notebook with `cells`, of version 4; open and save it in Jupyter")
    found = [cell for cell in content["cells"] if cell.get("cell_type") == "code"]
    return [
        Cell(f"{path.name} In [{cell.get('execution_count') or place}]", _as_python("".join(cell.get("source", ""))))
        for place, cell in enumerate(found, 1)
    ]


def names_of_notebooks() -> dict[str, object]:
    """What IPython defines for every notebook: ``display`` prints, and what ``get_ipython()`` is asked is left out."""
    return {"display": print, "get_ipython": _NoIPython}


def _as_python(source: str) -> str:
    lines = source.splitlines()
    magic = re.match(r"%%(\w+)", lines[0].strip()) if lines else None
    if magic is not None and magic[1] not in _OF_PYTHON:
        return "\n".join(f"# {line}" for line in lines)
    return "\n".join(_without_commands(lines))


def _without_commands(lines: list[str]) -> Iterator[str]:
    """Lines for the shell (``!``) and for IPython (``%``, ``?``) become comments, with those that continue them."""
    continued = False
    for line in lines:
        assigned = _ASSIGNED.match(line)
        if continued:
            yield f"# {line}"
        elif assigned:
            yield f"{assigned[1]}[]  # {line.strip()}"
        elif line.lstrip().startswith(("!", "%")) or _ASKS.match(line):
            indent = line[: len(line) - len(line.lstrip())]
            yield f"{indent}pass  # {line.strip()}"
        else:
            yield line
            continue
        continued = line.rstrip().endswith("\\")


class _NoIPython:
    """Stands for the shell of a notebook: whatever is asked of it does nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_args, **_kwargs: None
