"""Values that JSON can hold, from files that anybody may have written."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reload_audit.reading.files import MIB, read_bytes
from reload_audit.reading.refusal import Unreadable, shown

_MOST_VALUES = 10_000
_DEEPEST = 50


def read_json(path: str | Path, limit: int = MIB) -> Any:
    """Read JSON of at most ``limit`` bytes.

    :raises Unreadable: it is missing, too large, or no JSON
    """
    content = read_bytes(path, limit)
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{shown(str(path))}: expected JSON, found: {error!s:.200}") from None


def plain_data(value: Any) -> Any:
    """A copy of a value from a file, which may hold only what JSON can hold.

    :raises ValueError: JSON cannot hold it, or it is very large
    """
    return _plain(value, iter(range(_MOST_VALUES)), 0)


def mapping(value: Any) -> dict[str, Any]:
    """The entries of a mapping whose keys are texts; none if the value is no mapping."""
    return {key: item for key, item in value.items() if isinstance(key, str)} if isinstance(value, dict) else {}


def _plain(value: Any, budget: Iterator[int], depth: int) -> Any:
    if next(budget, None) is None or depth > _DEEPEST:
        raise ValueError("expected a small value, found a very large or deep one")
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise ValueError("expected texts for keys, found others")
        "".join(value).encode()  # raises where it is no Unicode
        return {key: _plain(item, budget, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, budget, depth + 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"expected finite numbers, found {value}")
    if isinstance(value, str):
        value.encode()
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise ValueError(f"expected plain values, found one of type {type(value).__name__}")
