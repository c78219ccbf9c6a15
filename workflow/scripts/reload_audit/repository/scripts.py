"""Parse scripts and notebooks that anybody may have written into syntax trees. Nothing is executed."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from reload_audit.reading import limits
from reload_audit.reading.files import read_bytes
from reload_audit.reading.plain_values import mapping, parse_json
from reload_audit.reading.refusal import Unreadable


@dataclass(frozen=True)
class Cell:
    """A part of a script that is parsed by itself: a cell of a notebook, or a whole file.

    :param number: counted from 1; None for a whole file
    :param outputs: texts that it printed when it last ran
    """

    tree: ast.Module
    text: str
    number: int | None = None
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Script:
    """A script or a notebook.

    :param path: relative to the repository's folder
    :param cells: those that can be parsed, in their order
    :param texts: for each cell of a notebook that is text its number and what it says
    """

    path: str
    cells: tuple[Cell, ...]
    texts: tuple[tuple[int, str], ...] = ()

    @property
    def speaks_of_models(self) -> bool:
        """Whether it imports SB3."""
        return any("stable_baselines3" in cell.text or "sb3_contrib" in cell.text for cell in self.cells)

    @property
    def is_notebook(self) -> bool:
        return self.path.endswith(".ipynb")


def read_script(path: str, file: str) -> Script:
    """Read a script or notebook; a part that is no Python of today is left out.

    :param path: relative to the repository's folder
    :param file: the file to open
    :raises Unreadable: it cannot be read
    """
    if path.endswith(".ipynb"):
        return _notebook(path, read_bytes(file, limits.NOTEBOOK_BYTES))
    text = read_bytes(file).decode("utf-8-sig", "replace")
    tree = _parsed(text)
    return Script(path, (Cell(_parsed_in_parts(text) if tree is None else tree, text),))


def _notebook(path: str, content: bytes) -> Script:
    try:
        cells = mapping(parse_json(content)).get("cells")
    except ValueError as error:
        raise Unreadable(f"{path}: expected a notebook, found: {error!s:.200}") from None
    code, texts = [], []
    for number, cell in enumerate(map(mapping, cells if isinstance(cells, list) else ()), start=1):
        text = _text(cell.get("source"))
        if cell.get("cell_type") == "markdown":
            texts.append((number, text))
        if cell.get("cell_type") != "code":
            continue
        tree = _parsed(_MAGIC_LINES.sub(r"\1pass", text))
        if tree is not None:
            code.append(Cell(tree, text, number, tuple(_outputs(cell.get("outputs")))))
    return Script(path, tuple(code), tuple(texts))


_MAGIC_LINES = re.compile(r"^([ \t]*)[%!?][^\n]*$", re.MULTILINE)


def _outputs(outputs: Any) -> Iterable[str]:
    for output in map(mapping, outputs if isinstance(outputs, list) else ()):
        yield _text(output.get("text") or mapping(output.get("data")).get("text/plain"))


def _text(value: Any) -> str:
    """A notebook keeps texts as lists of lines, or whole."""
    if isinstance(value, list):
        return "".join(line for line in value if isinstance(line, str))
    return value if isinstance(value, str) else ""


def _parsed_in_parts(text: str) -> ast.Module:
    """The syntax tree of those parts of a script that can be parsed: one begins with each line that is not indented."""
    starts = [found.start() for found in re.finditer(r"^[^\s#)\]}]", text, re.MULTILINE)]
    whole, line, before = ast.Module([], []), 0, 0
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        line, before = line + text.count("\n", before, start), start
        tree = _parsed(text[start:end])
        whole.body += [] if tree is None else [ast.increment_lineno(statement, line) for statement in tree.body]
    return whole


def _parsed(text: str) -> ast.Module | None:
    """The syntax tree; None where the text is no Python, or nested too deeply to be worked through."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the text's syntax: nobody here can change it
            return ast.parse(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
