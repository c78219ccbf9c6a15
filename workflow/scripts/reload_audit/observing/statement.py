"""A statement of a script, and what stands in place of a part of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reload_audit.records.observation import Line

LEFT_OUT = "pass  # leave this line out"

_POSITIONS = {
    "predict": ("observation", "state", "episode_start", "deterministic"),
    "evaluate_policy": ("model", "env", "n_eval_episodes", "deterministic"),
    "forward": ("obs", "deterministic"),
    "_predict": ("observation", "deterministic"),
    "policy": ("obs", "deterministic"),
    "actor": ("obs", "deterministic"),
    "get_actions": ("deterministic",),
}
"""Of functions that scripts give arguments by their places, the names of these."""


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

    @property
    def value(self) -> ast.expr | None:
        """What the statement assigns; None for no assignment."""
        first = self.tree.body[0]
        return first.value if isinstance(first, ast.Assign) else None

    @property
    def made(self) -> ast.expr | None:
        """What the statement assigns to one target, or returns; None for anything else."""
        first = self.tree.body[0]
        if isinstance(first, ast.Return):
            return first.value
        return self.value if len(self.targets) == 1 else None

    @property
    def whole(self) -> ast.expr | None:
        """The expression that is all of the statement, or of what it assigns to one target; None for anything else."""
        first = self.tree.body[0]
        is_one = len(self.tree.body) == 1 and (not isinstance(first, ast.Assign) or len(first.targets) == 1)
        return first.value if is_one and isinstance(first, ast.Expr | ast.Assign) else None

    def with_targets(self, targets: str, after: str = "") -> str:
        """With other targets of its assignment.

        :param after: a statement that follows on the same line
        """
        first = self.tree.body[0]
        if not isinstance(first, ast.Assign) or len(first.targets) != 1 or len(self.tree.body) != 1:
            return ""
        made = self._edited([(first.targets[0], targets)])
        return f"{made}; {after}" if made and after else made

    def with_part(self, part: ast.expr, text: str, before: str = "") -> str:
        """With another text for a part.

        :param before: a statement that comes first on the same line
        """
        return _joined(before, self._edited([(part, text)]))

    def following(self, before: str) -> str:
        """With a statement before it, on the same line."""
        return _joined(before, self.code)

    def arguments_of(self, call: ast.Call) -> dict[str, ast.expr]:
        """The arguments of a call, by their names."""
        places = _POSITIONS.get(last_name(call.func), ())
        return dict(zip(places, call.args, strict=False)) | {one.arg: one.value for one in call.keywords if one.arg}

    def with_arguments(self, call: ast.Call, arguments: Mapping[str, str], before: str = "") -> str:
        """With other arguments of a call, by their names, whether they are there already or not."""
        given = self.arguments_of(call)
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


def parsed_file(folder: Path, line: Line) -> tuple[str, ast.Module] | None:
    """The file that a line stands in, as it is and parsed; None where it cannot be read, as cells of a notebook.

    :param folder: of the script
    """
    try:
        text = (folder / line.file).read_text()
        return text, ast.parse(text)
    except (OSError, ValueError, SyntaxError):
        return None


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


def owner(call: ast.Call) -> ast.expr | None:
    """What a method is called on; None for a function."""
    return call.func.value if isinstance(call.func, ast.Attribute) else None


def _place(part: ast.expr) -> tuple[int, int]:
    """First byte of a part of a statement of one line, and the one after its last."""
    assert part.end_col_offset is not None
    return part.col_offset, part.end_col_offset
