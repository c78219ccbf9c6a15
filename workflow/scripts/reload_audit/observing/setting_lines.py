"""Which line of a script gives a model other parameters than those that were loaded."""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import torch

from reload_audit.observing.statement import LEFT_OUT, Statement, last_name, owner
from reload_audit.observing.subject import Subject
from reload_audit.records.observation import Line, ObservedModel

_SETTERS = {"load_state_dict", "load_from_vector", "vector_to_parameters", "reset_parameters"}
"""Functions and methods of PyTorch and SB3 that change parameters; others change tensors, and end in ``_``."""

_CHANGE_NO_NUMBER = {"requires_grad_", "detach_", "share_memory_", "retain_grad_"}
_PARTS = re.compile(
    r"\.(?:data|weight|bias|log_std|action_net|mlp_extractor|features_extractor|q_net|actor|mu)(?:$|[.\[])"
)
"""Attributes of policies and their layers that hold parameters."""

_Changing = ast.Expr | ast.Assign | ast.AugAssign


def line_that_sets(subject: Subject, acting: ObservedModel) -> tuple[Line | None, str, str]:
    """The line that gave a model other parameters before it acted, what to write there, and who did it, in words.

    One that calls a method of SB3 or of the policy was seen; what changes tensors in place is looked for in the code.
    """
    if acting.set_line is not None:
        return acting.set_line, _left_out(acting.set_line), f"{acting.set_line} sets others"
    found = [*_changing(subject, acting)]
    if len(found) == 1:
        (line,) = found
        return line, _left_out(line), f"something sets them anew, and only {line} is seen to change parameters"
    listed = f": {' or '.join(map(str, found))}" if found else ""
    return acting.line, "", f"something sets them anew{listed}"


def _left_out(line: Line) -> str:
    """What to write in place of a line that does nothing but change parameters."""
    statement = Statement.of(line)
    first = None if statement is None or len(statement.tree.body) != 1 else statement.tree.body[0]
    changes = isinstance(first, ast.Expr | ast.AugAssign) or (
        isinstance(first, ast.Assign) and not any(isinstance(one, ast.Name | ast.Tuple) for one in first.targets)
    )
    return LEFT_OUT if changes else ""


def _changing(subject: Subject, acting: ObservedModel) -> Iterator[Line]:
    """The lines of a script, and of its own modules beside it, that change parameters in place."""
    folder, made = Path(subject.script.script).parent, Statement.of(acting.line)
    names = [] if made is None else made.targets
    for file in dict.fromkeys((Path(subject.script.script).name, *_modules(subject, folder))):
        with contextlib.suppress(OSError, ValueError, SyntaxError):
            text = (folder / file).read_text(encoding="utf-8")
            tree = ast.parse(text)
            loops = (node for node in ast.walk(tree) if isinstance(node, ast.For))
            parts = {ast.unparse(loop.target) for loop in loops if "parameters()" in ast.unparse(loop.iter)}
            for node in ast.walk(tree):
                if isinstance(node, _Changing) and _changes(node, names, parts):
                    code = " ".join((ast.get_source_segment(text, node) or "").split())
                    yield Line(file, node.lineno, code)


def _modules(subject: Subject, folder: Path) -> Iterator[str]:
    names = (f"{name}.py" for name in subject.observation.own_packages)
    return (name for name in names if (folder / name).is_file())


def _changes(statement: _Changing, models: list[str], parts: set[str]) -> bool:
    """Whether a statement changes parameters.

    :param models: names of the model
    :param parts: names that go through parameters
    """
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AugAssign):
        targets = [statement.target]
        if ast.unparse(statement.target) in parts:
            return True
    for target in map(ast.unparse, targets):
        if (_PARTS.search(target) or target in {f"{model}.policy" for model in models}) and "optim" not in target:
            return True
    return any(_is_setter(node) for node in ast.walk(statement) if isinstance(node, ast.Call))


def _is_setter(call: ast.Call) -> bool:
    name, of = last_name(call.func), owner(call)
    of_torch = hasattr(torch.Tensor, name) or hasattr(torch.nn.init, name)
    in_place = of_torch and name.endswith("_") and not name.startswith("_") and name not in _CHANGE_NO_NUMBER
    return (name in _SETTERS or in_place) and (of is None or "optim" not in ast.unparse(of))
