"""The attributes of an object of a dataclass: from arguments by position or by name, or from defaults."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from reload_audit.repository.values import Class, External, Made, Scope, Value

_FIELDS = {"field", "Field"}
"""Functions of ``dataclasses``, ``attrs`` and ``pydantic`` that describe a field."""


class _Make(Protocol):
    def __call__(self, function: Any, *, kwargs: Mapping[str, Value]) -> Any: ...


def attributes(
    found: Class,
    args: Sequence[Any],
    kwargs: Mapping[str, Value],
    make: _Make,
    value: Callable[[ast.expr, Scope], Any],
) -> dict[str, Value]:
    """The attributes of an object of a class without a constructor of its own.

    :param make: calls something with arguments by name, and returns the result
    :param value: returns the value of an expression
    """
    classes = [one for one in found.lineage() if isinstance(one, Class)]
    names: list[str] = []
    for one in reversed(classes):
        annotated = [node.target for node in one.node.body if isinstance(node, ast.AnnAssign)]
        names += [target.id for target in annotated if isinstance(target, ast.Name) and target.id not in names]
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    if any(isinstance(one, External) and one.package == "pydantic" for one in found.lineage()):
        kinds = {key: value(kind, one.scope) for one in reversed(classes) for key, kind in _kinds(one) if key in given}
        made = {key: make(kind, kwargs=given[key]) for key, kind in kinds.items() if _is_told(kind, given[key])}
        given |= made
    usual = {name: value for one in reversed(classes) for name, value in one.scope.names.items() if name in names}
    said = {name: _default(value, make) for name, value in usual.items() if name not in given}
    return {**said, **given}


def _kinds(found: Class) -> Iterator[tuple[str, ast.expr]]:
    """The annotated names of a class, and what they are said to be."""
    for node in found.node.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, node.annotation


def _is_told(kind: Any, value: Any) -> bool:
    """Whether a value is a mapping of arguments for a class of the repository."""
    return isinstance(kind, Class) and isinstance(value, dict) and all(isinstance(key, str) for key in value)


def _default(value: Any, make: _Make) -> Any:
    """The default of a field: the value itself, or what ``field(default=...)`` or ``default_factory`` says."""
    if not isinstance(value, Made) or value.maker.last not in _FIELDS:
        return value
    if "default_factory" in value.kwargs:
        return make(value.kwargs["default_factory"], kwargs={})
    return value.kwargs.get("default", value.args[0] if value.args else value)
