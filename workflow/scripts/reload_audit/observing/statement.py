"""A statement of a script, and what stands in place of a part of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from reload_audit.records.observation import Line

LEFT_OUT = "pass  # leave this line out"


@dataclass(frozen=True)
class Statement:
    """The code of one line, parsed.

    What its methods return is that code with a part replaced; empty where the outcome would be no Python.
    """

    code: str
    tree: ast.Module

    @classmethod
    def of(cls, line: Line | None) -> Statement | None:
        """The statement on a line; None where there is none, or it is only the head of one, such as of a loop."""
        code = "" if line is None else line.code
        try:
            tree = ast.parse(code)
        except (SyntaxError, ValueError):
            return None
        return cls(code, tree) if tree.body else None

    def call(self, *names: str) -> ast.Call | None:
        """The outermost call of a function or method with one of these names."""
        return next((call for call in self._calls() if last_name(call.func) in names), None)

    def _calls(self) -> Iterator[ast.Call]:
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.Call))

    def text(self, node: ast.expr) -> str:
        """The text of a part."""
        return ast.get_source_segment(self.code, node) or ""

    @property
    def targets(self) -> list[str]:
        """The names that the statement assigns what it computes to, in their order; empty for no assignment."""
        first = self.tree.body[0]
        if not isinstance(first, ast.Assign) or len(first.targets) != 1:
            return []
        target = first.targets[0]
        parts = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
        return [self.text(part) for part in parts]

    def with_part(self, part: ast.expr, text: str, before: str = "") -> str:
        """With another text for a part.

        :param before: a statement that comes first on the same line
        """
        return _joined(before, self._edited([(part, text)]))

    def with_arguments(self, call: ast.Call, arguments: Mapping[str, str], before: str = "") -> str:
        """With other arguments of a call, by their names, whether they are there already or not."""
        given = {one.arg: one.value for one in call.keywords if one.arg}
        edits = [(given[name], value) for name, value in arguments.items() if name in given]
        new = ", ".join(f"{name}={value}" for name, value in arguments.items() if name not in given)
        return _joined(before, self._edited(edits, (call, new) if new else None))

    def _edited(self, edits: Sequence[tuple[ast.expr, str]], added: tuple[ast.Call, str] | None = None) -> str:
        """The code with parts of it replaced, and text put in before the closing bracket of a call."""
        code = self.code.encode()
        spans = [(*_place(part), text) for part, text in edits]
        if added is not None:
            call, text = added
            end = _place(call)[1] - 1
            inside = code[_place(call.func)[1] + 1 : end].strip()
            spans.append((end, end, f"{'' if not inside else ' ' if inside.endswith(b',') else ', '}{text}"))
        for start, end, text in sorted(spans, reverse=True):
            code = code[:start] + text.encode() + code[end:]
        return _joined("", code.decode())


def _joined(before: str, made: str) -> str:
    """A line, with a statement before it; empty where that is no Python."""
    joined = f"{before}; {made}" if made and before else made
    try:
        ast.parse(joined)
    except SyntaxError:
        return ""
    return joined


def last_name(function: ast.expr) -> str:
    """``load`` of ``PPO.load``; empty for what has no name."""
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _place(part: ast.expr) -> tuple[int, int]:
    """First byte of a part of a statement of one line, and the one after its last."""
    assert part.end_col_offset is not None
    return part.col_offset, part.end_col_offset
