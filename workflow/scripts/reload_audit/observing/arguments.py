"""Arguments that a script's environments and wrappers were made with, as data from which they can be made again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import numpy as np

from reload_audit.reading.plain_values import names_object
from reload_audit.records.storage import plain

MODULE = "classes_of_script"
"""Name of the module that stands for a script's own classes, and for what its arguments are that is no plain data."""

LOST = {"object": "__main__:argument"}
"""Stands for an argument that cannot be taken out of the script."""

_MOST_NUMBERS = 4096
_PLAIN = (bool, int, float, str)
"""Types of what is plain data: not what inherits from them, as members of an ``IntEnum`` do."""


def as_data(value: Any, otherwise: Callable[[Any], Any] = lambda value: value) -> Any:
    """An argument as :func:`reload_audit.processes.imports.with_objects` reads it.

    :param otherwise: of what is no plain data, no array, and nothing that can be imported
    """
    if value is None or type(value) in _PLAIN:
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf" and value.size <= _MOST_NUMBERS:
        return {"object": "numpy:asarray", "arguments": {"a": value.tolist(), "dtype": value.dtype.name}}
    if type(value) in (list, tuple):
        return type(value)(as_data(item, otherwise) for item in value)
    if type(value) is dict and all(isinstance(key, str) for key in value):
        return {key: as_data(item, otherwise) for key, item in value.items()}
    if isinstance(value, Enum):
        kind, number = as_data(type(value), lambda _: None), as_data(value.value, lambda _: None)
        is_data = kind is not None and type(number) in _PLAIN
        return {**kind, "arguments": {"value": number}} if is_data else otherwise(value)
    name, module = getattr(value, "__qualname__", ""), getattr(value, "__module__", None)
    if name.isidentifier() and module not in (None, "__main__") and callable(value):
        return {"object": f"{module}:{name}"}
    return otherwise(value)


def is_lost(arguments: Any) -> bool:
    """Whether one of several arguments, or a part of it, cannot be taken out of the script."""
    if isinstance(arguments, Mapping):
        return arguments == LOST or any(map(is_lost, arguments.values()))
    return isinstance(arguments, list | tuple) and any(map(is_lost, arguments))


def may_be_same(own: object, expected: object) -> bool:
    """Whether two arguments are the same, or cannot be compared, as objects without a name.

    ``module:Name`` and ``module.Name`` are the same, as are tuples and lists, an array and its numbers, and a member of
    an ``Enum`` and its value.
    """
    one, other = (shown(value).replace(":", ".") for value in (own, expected))
    of_one, of_other = (shown(_with_values(plain(value))).replace(":", ".") for value in (own, expected))
    unnamed = any(f"{MODULE}." in said or " at 0x" in said for said in (one, other))
    return one in (other, of_other) or of_one == other or unnamed or is_lost(own)


def shown(value: object) -> str:
    """An argument as code would name it."""
    return repr(_without_makers(plain(value)))


def _without_makers(value: Any) -> Any:
    """Plain data with an array's numbers, or an object's name and what makes it, for an object."""
    if names_object(value):
        name, given = value["object"], value.get("arguments")
        if given is None or name == "numpy:asarray":
            return name if given is None else given["a"]
        return f"{name}({', '.join(f'{key}={shown(item)}' for key, item in given.items())})"
    if isinstance(value, Mapping):
        return {key: _without_makers(item) for key, item in value.items()}
    return [_without_makers(item) for item in value] if isinstance(value, list) else value


def _with_values(value: Any) -> Any:
    """Plain data with its value in place of what may be a member of an ``Enum``."""
    if names_object(value) and [*value.get("arguments", {})] == ["value"]:
        return value["arguments"]["value"]
    if isinstance(value, Mapping):
        return {key: _with_values(item) for key, item in value.items()}
    return [_with_values(item) for item in value] if isinstance(value, list) else value
