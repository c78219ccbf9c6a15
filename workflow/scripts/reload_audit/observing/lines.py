"""Which lines of the user's own code a call came from."""

from __future__ import annotations

import ast
import linecache
import os
import re
import sys
import sysconfig
import textwrap
import tokenize
from collections.abc import Collection, Iterable, Mapping
from functools import cache, cached_property
from pathlib import Path
from types import FrameType, ModuleType, TracebackType

from reload_audit.reading.trust import can_be_trusted
from reload_audit.records.observation import Line

_INSTALLED = ("site-packages", "dist-packages")

_WRITERS = re.compile(
    r"(?:absl|click|colorama|fire|icecream|json|logging|loguru|pprint|rich|structlog|termcolor|tqdm|typer)(?:\.|$)"
)
"""Modules that write nothing but what they are given."""


class UserLines:
    """The user's code: the script, and what it imports from its own folder, from its working directory and the like.

    :param script: path of the script
    :param folders: that hold the user's own modules
    """

    def __init__(self, script: Path, folders: Iterable[Path]) -> None:
        self._script = str(script)
        self._folder = script.parent
        self._of_cells = f"{script.name} In ["
        self._folders = [str(folder) + "/" for folder in folders]
        self._libraries = (sysconfig.get_paths()["stdlib"] + "/", str(Path(__file__).parents[1]) + "/")
        self._is_user: dict[str, bool] = {}
        self._path = frozenset(sys.path)

    def place(self, *, in_script: bool = False) -> tuple[str, int] | None:
        """File and number of the line of the user's code that is being carried out; None where there is none.

        :param in_script: whether only the script itself counts
        """
        frame: FrameType | None = sys._getframe(2)
        is_user = self._is_user
        while frame is not None:
            name = frame.f_code.co_filename
            known = is_user.get(name)
            if known is None:
                known = is_user[name] = self._lies_in_user_code(name)
            if known and (not in_script or name == self._script or name.startswith(self._of_cells)):
                return name, frame.f_lineno
            frame = frame.f_back
        return None

    def writing(self) -> tuple[str, int] | None:
        """File and number of the user's line that writes a text, also through a library that only hands it on.

        None where another library writes it.
        """
        frame: FrameType | None = sys._getframe(2)
        while frame is not None and not self._lies_in_user_code(frame.f_code.co_filename):
            frame = frame.f_back if _hands_texts_on(frame) else None
        return None if frame is None else (frame.f_code.co_filename, frame.f_lineno)

    def at(self, place: tuple[str, int] | None) -> Line | None:
        """A line by its file's path and number."""
        if place is None:
            return None
        file, number = place
        statements = _statements(file)
        code = " ".join(statements.at(number).split())[:300]
        return Line(self._shown(file), number, code, statements.scope_of(number))

    def formula_of(self, place: tuple[str, int] | None) -> Line | None:
        """The last line before another that computes the name which a call there is given first, by a formula.

        :return: None where that call is given something else, or the name is computed in another way
        """
        if place is None:
            return None
        number = _statements(place[0]).formula_of(place[1])
        return None if number is None else self.at((place[0], number))

    def of_traceback(self, trace: TracebackType | None) -> Line | None:
        """The last line of the user's code that an exception came through."""
        place = None
        while trace is not None:
            name = trace.tb_frame.f_code.co_filename
            if self._lies_in_user_code(name):
                place = (name, trace.tb_lineno)
            trace = trace.tb_next
        return self.at(place)

    def packages(self) -> tuple[str, ...]:
        """The user's own packages, and modules of none, that are imported by now."""
        files = {name: _file_of(module) for name, module in [*sys.modules.items()]}
        own = {name.partition(".")[0] for name, file in files.items() if self._lies_in_user_code(file)}
        return tuple(sorted(filter(can_be_trusted, own)))

    def _lies_in_user_code(self, name: str) -> bool:
        if name == self._script or name.startswith(self._of_cells):
            return True
        if name.startswith(self._libraries) or any(f"/{part}/" in name for part in _INSTALLED):
            return False
        return any(name.startswith(folder) for folder in (*self._folders, *(f"{one}/" for one in self.folders_added())))

    def folders_added(self) -> tuple[str, ...]:
        """The folders that the script has put on ``sys.path`` itself."""
        added = (os.path.realpath(entry) for entry in sys.path if isinstance(entry, str) and entry not in self._path)
        return tuple(one for one in dict.fromkeys(added) if _holds_own_code(one) and f"{one}/" not in self._folders)

    def _shown(self, file: str) -> str:
        path = Path(file)
        return str(path.relative_to(self._folder)) if path.is_relative_to(self._folder) else path.name


@cache
def _holds_own_code(folder: str) -> bool:
    """Whether there is a folder, and none that packages are installed into."""
    return Path(folder).is_dir() and not any(Path(folder).glob("*.dist-info"))


def _file_of(module: object) -> str:
    """The file of a module; empty for none, as of an object that stands for a module and answers to any name."""
    file = vars(module).get("__file__") if isinstance(module, ModuleType) else None
    return file if isinstance(file, str) else ""


def _hands_texts_on(frame: FrameType) -> bool:
    return bool(_WRITERS.match(str(frame.f_globals.get("__name__"))))


class _Statements:
    """The statements of a file, by the lines that they cover."""

    def __init__(self, file: str) -> None:
        self._lines = linecache.getlines(file)

    @cached_property
    def _nodes(self) -> list[ast.AST]:
        """All parts of the file, parsed; none where it is no Python."""
        try:
            return [*ast.walk(ast.parse("".join(self._lines)))]
        except (SyntaxError, ValueError):
            return []

    @cached_property
    def _simple(self) -> Mapping[int, tuple[int, int]]:
        """Of each line the first and last line of the smallest statement around it that holds no other."""
        found: dict[int, tuple[int, int]] = {}
        for node in self._nodes:
            if isinstance(node, ast.stmt) and not hasattr(node, "body"):
                for line in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                    found[line] = (node.lineno, node.end_lineno or node.lineno)
        return found

    @cached_property
    def _scopes(self) -> list[tuple[range, str]]:
        """The lines of each function and class with its name, the outer ones first."""
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        defined = (node for node in self._nodes if isinstance(node, kinds))
        return [(range(node.lineno, (node.end_lineno or node.lineno) + 1), node.name) for node in defined]

    def scope_of(self, number: int) -> str:
        """The functions and classes that a line stands in, the outer ones first, with dots between them."""
        return ".".join(name for lines, name in self._scopes if number in lines)

    def formula_of(self, number: int) -> int | None:
        """The line of the formula for what a call on a line is given first; None where there is none."""
        calls = [node for node in self._nodes if isinstance(node, ast.Call) and node.lineno == number and node.args]
        given = {node.args[0].id for node in calls if isinstance(node.args[0], ast.Name)}
        asked = {node.func.id for node in calls if isinstance(node.func, ast.Name)}
        found = [
            node
            for node in self._nodes
            if isinstance(node, ast.Assign) and node.lineno < number and _assigns_one_of(node, given)
        ]
        last = self._return_of(asked) or max(found, key=lambda node: node.lineno, default=None)
        computes = last is not None and last.value and any(isinstance(node, ast.BinOp) for node in ast.walk(last.value))
        return last.lineno if last is not None and computes else None

    def _return_of(self, names: Collection[str]) -> ast.Return | None:
        """What the one function of these that the file defines returns in its one ``return``; None for none."""
        own = [node for node in self._nodes if isinstance(node, ast.FunctionDef) and node.name in names]
        returns = [part for node in own for part in ast.walk(node) if isinstance(part, ast.Return)]
        return returns[0] if len(own) == len(returns) == 1 else None

    def at(self, number: int) -> str:
        first, last = self._simple.get(number, (number, number))
        text = "".join(self._lines[first - 1 : last])
        return _without_comment(text) if first == last else _on_one_line(text)


def _assigns_one_of(statement: ast.Assign, names: Collection[str]) -> bool:
    return len(statement.targets) == 1 and any(
        isinstance(node, ast.Name) and node.id in names for node in ast.walk(statement.targets[0])
    )


def _without_comment(line: str) -> str:
    """A line without the comment at its end."""
    if "#" not in line:
        return line
    try:
        for token in tokenize.generate_tokens(iter([line.lstrip()]).__next__):
            if token.type == tokenize.COMMENT:
                return line.lstrip()[: token.start[1]]
    except (tokenize.TokenError, IndentationError):  # it goes on in the next line
        pass
    return line


def _on_one_line(statement: str) -> str:
    """A statement of several lines, without the comments in it."""
    try:
        return ast.unparse(ast.parse(textwrap.dedent(statement)))
    except SyntaxError:  # it begins on the line of another
        return statement


_FILES: dict[str, _Statements] = {}


def _statements(file: str) -> _Statements:
    if file not in _FILES:
        _FILES[file] = _Statements(file)
    return _FILES[file]
