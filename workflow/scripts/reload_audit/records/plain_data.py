"""Dataclasses as plain data, which JSON and Snakemake's parameters can hold, and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Self, Union, get_args, get_origin, get_type_hints

BESIDE = {"beside": True}
"""Metadata of a field that holds a dataclass: its entries are written among those of the outer one, not as a mapping.

An optional field is read as None where none of these entries is there.
"""

Read = Callable[[Any], Any]


class PlainData:
    """A dataclass that can be written as plain data and read again.

    Tuples become lists. Numbers that JSON does not know become the texts ``nan``, ``inf`` and ``-inf``.
    """

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_dict` gives; what is missing gets its default.

        :raises TypeError: a key is unknown, or one without a default is missing
        """
        values = dict(data)
        kind: Any = cls
        for part in _parts(kind):
            if part.beside:
                there = {key: values.pop(key) for key in part.beside if key in values}
                values[part.name] = part.read(there or None) if part.optional else part.read(there)
            elif part.name in values and part.read is not _as_it_is:
                values[part.name] = part.read(values[part.name])
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """As plain data, in the order of the fields."""
        content: dict[str, Any] = {}
        kind: Any = type(self)
        for part in _parts(kind):
            value = _plain(getattr(self, part.name))
            content |= (value or {}) if part.beside else {part.name: value}
        return content


@dataclass(frozen=True)
class _Part:
    """How one field is read.

    :param beside: the keys of the entries to read it from, where the field is marked with :data:`BESIDE`
    :param optional: whether it may be None
    """

    name: str
    read: Read
    beside: tuple[str, ...]
    optional: bool


@cache
def _parts(kind: Any) -> tuple[_Part, ...]:
    hints = get_type_hints(kind)
    parts = []
    for field in fields(kind):
        hint = hints[field.name]
        kinds = get_args(hint) or (hint,)
        keys = _keys(kinds[0]) if field.metadata == BESIDE else ()
        parts.append(_Part(field.name, _reader(hint), keys, NoneType in kinds))
    return tuple(parts)


def _keys(kind: Any) -> tuple[str, ...]:
    return tuple(key for part in _parts(kind) for key in (part.beside or (part.name,)))


def _reader(kind: Any) -> Read:
    """A function that makes a value of a type from plain data."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        others = [read for read in map(_reader, arguments) if read is not _as_it_is]
        return _unless_none(others[0]) if NoneType in arguments and others else _as_it_is
    if origin in (tuple, Sequence):
        read = _reader(arguments[0])
        return lambda data: tuple(map(read, data))
    if isinstance(kind, type) and issubclass(kind, PlainData):
        return kind.from_dict
    if isinstance(kind, type) and is_dataclass(kind):
        return lambda data: kind(**data)
    return _number if kind is float else _as_it_is


def _unless_none(read: Read) -> Read:
    return lambda data: None if data is None else read(data)


def _number(data: Any) -> Any:
    return float(data) if isinstance(data, str) else data


def _as_it_is(data: Any) -> Any:
    return data


_ATOMS = frozenset({str, int, bool, NoneType})
"""Types that are plain already. They are checked first, because planning writes the specs of thousands of models."""


def _plain(value: Any) -> Any:
    if type(value) in _ATOMS:
        return value
    if isinstance(value, PlainData):
        return value.to_dict()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
