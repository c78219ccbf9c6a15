"""The line of a script that decides how often it steps an environment."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reload_audit.observing.statement import Statement, last_name, parsed_file
from reload_audit.records.observation import Line

_ENDLESS = ("count", "cycle", "repeat", "iter")
"""Functions that a loop without an end of its own goes through."""

_Loop = ast.For | ast.While


@dataclass(frozen=True)
class _Around:
    """The innermost loop around a line, in the same function.

    :param text: of the file
    :param body: of that function, or of the file
    """

    file: str
    text: str
    loop: _Loop
    body: Sequence[ast.stmt]

    def head(self, node: _Loop | ast.If) -> Line | None:
        """The line of the head of a loop or an ``if``; None where it is more than that line, or less."""
        test = node.iter if isinstance(node, ast.For) else node.test
        if node.lineno != test.end_lineno or node.body[0].lineno == node.lineno:
            return None
        return Line(self.file, node.lineno, " ".join(self.text.splitlines()[node.lineno - 1].split()))


def what_stops(folder: Path, step: Line | None, limit: int | None = None) -> tuple[Line | None, str]:
    """The line that stops steps for another reason than the end of an episode, and what to write there.

    It is the head of the innermost loop around them, or an ``if`` in it that leaves it.

    :param folder: of the script
    :param limit: steps after which they stop; None where that is not known
    :return: the line that steps, and nothing, where that is not plain
    """
    around = None if step is None else _around(folder, step)
    if around is None:
        return step, ""
    loop = around.loop
    leaving = [node for node in _inside(loop) if _leaves(node)]
    counting = [node for node in leaving if isinstance(node, ast.If) and _counts(node.test)]
    counts = _goes_round(loop, limit) if isinstance(loop, ast.For) else _counts(loop.test)
    if counts:
        head = around.head(loop)
        return (step, "") if head is None else (head, _until_the_end(around, step))
    if len(counting) == 1:
        head = around.head(counting[0])
        return (step, "") if head is None else (head, "")
    return step, ""


def _around(folder: Path, step: Line) -> _Around | None:
    parsed = parsed_file(folder, step)
    if parsed is None:
        return None
    text, tree = parsed
    loop: _Loop | None = None
    body: Sequence[ast.stmt] = tree.body
    for node in _above(tree, step.line):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            loop, body = None, node.body
        elif isinstance(node, ast.For | ast.While):
            loop = node
    return None if loop is None else _Around(step.file, text, loop, body)


def _above(tree: ast.AST, line: int) -> Iterator[ast.AST]:
    """The statements around a line, the outermost first."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno):
            yield node
            yield from _above(node, line)


def _inside(loop: ast.AST) -> Iterator[ast.AST]:
    """What stands in a loop, but not in one, or in a function, that stands in it."""
    for node in ast.iter_child_nodes(loop):
        if not isinstance(node, ast.For | ast.While | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from _inside(node)


def _leaves(node: ast.AST) -> bool:
    """Whether an ``if`` leaves the loop that it stands in."""
    return isinstance(node, ast.If) and any(isinstance(one, ast.Break | ast.Return) for one in node.body)


def _counts(test: ast.expr) -> bool:
    """Whether a condition compares a number."""
    compared = (node for node in ast.walk(test) if isinstance(node, ast.Compare))
    return any(isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE | ast.Eq) for one in compared for op in one.ops)


def _goes_round(loop: ast.For, limit: int | None) -> bool:
    """Whether a loop goes round a number of times that may be the limit."""
    through = loop.iter
    if not isinstance(through, ast.Call):
        return True
    last = through.args[-1] if len(through.args) in (1, 2) and last_name(through.func) in ("range", "trange") else None
    is_other = limit is not None and isinstance(last, ast.Constant) and last.value != limit
    return last_name(through.func) not in _ENDLESS and not is_other


def _until_the_end(around: _Around, step: Line | None) -> str:
    """The head of a loop that goes round until the episode is over; empty where names for that are not there before."""
    statement = Statement.of(step)
    names = [] if statement is None else statement.targets
    over = names[2:-1]
    loop, before = around.loop, (one for one in around.body if one.lineno < around.loop.lineno)
    if len(names) not in (4, 5) or "_" in over:
        return ""
    known = {
        node.id
        for one in before
        for node in ast.walk(one)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.lineno < loop.lineno
    }
    used = {node.id for one in loop.body for node in ast.walk(one) if isinstance(node, ast.Name)} - {"_"}
    counter = loop.target.id if isinstance(loop, ast.For) and isinstance(loop.target, ast.Name) else ""
    if not {*over} <= known or loop.orelse or counter in used or (isinstance(loop, ast.For) and not counter):
        return ""
    return f"while not {over[0]}:" if len(over) == 1 else f"while not ({' or '.join(over)}):"
