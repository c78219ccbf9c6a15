"""Take a class out of a notebook or a script that would train as soon as it is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from reload_audit.repository.scripts import Script

_WORKS = {"learn", "make", "parse_args", "reset", "step", "render", "save", "load", "run", "main"}
"""Methods that do something, where a module calls them as soon as it is imported."""

_KEPT = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Assign, ast.AnnAssign)


def needs_extraction(script: Script) -> bool:
    """Whether classes in it cannot be imported, or only together with a training."""
    return script.is_notebook or any(_works(statement) for statement in _statements(script))


def extracted(script: Script, names: Iterable[str]) -> str:
    """The text of a module with some of a script's classes and functions, and with what these need of the script.

    :param names: of the classes and functions
    """
    statements = [statement for statement in _statements(script) if isinstance(statement, _KEPT)]
    wanted, kept = set(names), set[int]()
    while True:
        more = [
            index
            for index, statement in enumerate(statements)
            if index not in kept and not wanted.isdisjoint(_defined(statement)) and not _works(statement)
        ]
        if not more:
            break
        kept.update(more)
        wanted |= {node.id for index in more for node in ast.walk(statements[index]) if isinstance(node, ast.Name)}
    text = "\n\n".join(ast.unparse(statements[index]) for index in sorted(kept))
    return f'"""Taken from {script.path}, without what would run there."""\n\n{text}\n'


def _statements(script: Script) -> Iterator[ast.stmt]:
    return (statement for cell in script.cells for statement in cell.tree.body)


def _works(statement: ast.stmt) -> bool:
    """Whether a statement at the top of a module does something beyond defining names."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or _is_of_main(statement):
        return False
    return any(
        isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in _WORKS
        for node in ast.walk(statement)
    )


def _is_of_main(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and any(
        isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(statement.test)
    )


def _defined(statement: ast.stmt) -> set[str]:
    """Names that a statement at the top of a module defines."""
    match statement:
        case ast.Import(names=aliases):
            return {(alias.asname or alias.name).partition(".")[0] for alias in aliases}
        case ast.ImportFrom(names=aliases):
            return {alias.asname or alias.name for alias in aliases}
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return {name}
        case ast.Assign(targets=targets):
            return {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
    return set()
