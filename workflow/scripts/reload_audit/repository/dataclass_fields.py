"""What an object of a dataclass is given: by position, by name, or by default."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reload_audit.repository.values import Class, Made, Value

_FIELDS = {"field", "Field"}
"""What says more of a field than its default: of ``dataclasses``, ``attrs`` and ``pydantic``."""


def attributes(
    found: Class, args: Sequence[Any], kwargs: Mapping[str, Value], make: Callable[[Any], Any]
) -> dict[str, Value]:
    """The attributes of an object of a class without a constructor of its own.

    :param make: gives what calling something without arguments gives
    """
    classes = [one for one in found.lineage() if isinstance(one, Class)]
    names: list[str] = []
    for one in reversed(classes):
        annotated = [node.target for node in one.node.body if isinstance(node, ast.AnnAssign)]
        names += [target.id for target in annotated if isinstance(target, ast.Name) and target.id not in names]
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    usual = {name: value for one in reversed(classes) for name, value in one.scope.names.items() if name in names}
    said = {name: _default(value, make) for name, value in usual.items() if name not in given}
    return {**said, **given}


def _default(value: Any, make: Callable[[Any], Any]) -> Any:
    """The default of a field: itself, or as ``field(default_factory=...)`` says it."""
    if not isinstance(value, Made) or value.maker.last not in _FIELDS:
        return value
    if "default_factory" in value.kwargs:
        return make(value.kwargs["default_factory"])
    return value.kwargs.get("default", value.args[0] if value.args else value)
