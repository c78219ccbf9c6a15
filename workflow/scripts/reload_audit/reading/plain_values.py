"""Values that JSON can hold, from files that anybody may have written."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reload_audit.reading import limits
from reload_audit.reading.files import read_bytes
from reload_audit.reading.refusal import Unreadable, shown

_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_OBJECT = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_BRACKET = re.compile(rb"[][{}]")


def read_json(path: str | Path, limit: int = limits.FILE_BYTES) -> Any:
    """Read JSON of at most ``limit`` bytes.

    :raises Unreadable: it is missing, too large, nested too deeply, or no JSON
    """
    content = read_bytes(path, limit)
    try:
        return parse_json(content)
    except ValueError as error:
        raise Unreadable(f"{shown(str(path))}: expected JSON, found: {error!s:.200}") from None


def parse_json(content: bytes, values: int = limits.JSON_VALUES) -> Any:
    """The value of a JSON text.

    :param values: that there may be in it, as far as commas tell
    :raises ValueError: it is no JSON, or very many values or levels
    """
    if content.count(b",") >= values:
        raise ValueError(f"more than {values:,} values")
    begun = content.count(b"[") + content.count(b"{")  # most texts have too few for too many levels
    if begun > limits.PLAIN_LEVELS and _levels(content) > limits.PLAIN_LEVELS:
        raise ValueError(f"more than {limits.PLAIN_LEVELS} levels")
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("more levels than can be read") from None


def _levels(content: bytes) -> int:
    """How many lists and mappings stand in each other in a JSON text."""
    level = deepest = 0
    for bracket in _BRACKET.findall(_TEXT.sub(b"", content)):
        level += 1 if bracket in b"[{" else -1
        deepest = max(deepest, level)
    return deepest


def plain_data(value: Any) -> Any:
    """A copy of a value from a file, which may hold only what JSON can hold.

    :raises ValueError: JSON cannot hold it, or it is very large
    """
    return _plain(value, _Left(), 0)


def mapping(value: Any) -> dict[str, Any]:
    """The entries of a mapping whose keys are texts; none if the value is no mapping."""
    return {key: item for key, item in value.items() if isinstance(key, str)} if isinstance(value, dict) else {}


def names_object(value: Any) -> bool:
    """Whether a value stands for a Python object: ``{object: "module:Name"}``, with its ``arguments`` or without."""
    named = value.get("object") if isinstance(value, Mapping) else None
    is_object = isinstance(named, str) and is_object_name(named)
    return is_object and value.keys() <= {"object", "arguments"}


def is_object_name(text: str) -> bool:
    """Whether a text names a Python object: ``module:Name``."""
    return _OBJECT.fullmatch(text) is not None


_CALLED = re.compile(r"(^|_)(fn|func|function|callable|callback|class|cls)$")


def takes_function(argument: str) -> bool:
    """Whether an argument takes something to call, going by its name."""
    return _CALLED.search(argument) is not None


def objects_in(value: Any) -> Iterator[str]:
    """The names of the Python objects that a plain value stands for, wherever they are in it."""
    if names_object(value):
        yield value["object"]
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    for part in parts:
        yield from objects_in(part)


@dataclass
class _Left:
    """How much a value may still hold: further values, and characters of their texts."""

    values: int = limits.PLAIN_VALUES
    characters: int = limits.PLAIN_CHARACTERS

    def take(self, text: str = "") -> None:
        """Take a value, and the characters of its text.

        :raises ValueError: there are too many, or it is no Unicode
        """
        self.values -= 1
        self.characters -= len(text)
        if self.values < 0 or self.characters < 0:
            raise ValueError("expected a small value, found a very large or deep one")
        text.encode()


def _plain(value: Any, left: _Left, depth: int) -> Any:
    left.take(value if isinstance(value, str) else "")
    if depth > limits.PLAIN_LEVELS:
        raise ValueError("expected a small value, found a very large or deep one")
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise ValueError("expected texts for keys, found others")
            left.take(key)
        return {key: _plain(item, left, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, left, depth + 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"expected finite numbers, found {value}")
    if isinstance(value, int) and abs(value) >= limits.LARGEST_INTEGER:
        raise ValueError("expected integers of at most 63 bits, found a larger one")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise ValueError(f"expected plain values, found one of type {type(value).__name__}")
