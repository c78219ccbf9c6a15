"""What OmegaConf makes of settings: one of several merged, and texts with ``${env.name}`` filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from reload_audit.reading import limits
from reload_audit.repository.values import HOLE, UNKNOWN, Value, as_text

_REFERENCE = re.compile(r"\$\{([^${}]*)\}")


def merged(settings: Sequence[Any]) -> Any:
    """Settings of which the later ones count more; those that are not known change nothing."""
    known = [one for one in settings if isinstance(one, dict)]
    result: Any = known[0] if known else UNKNOWN
    for one in known[1:]:
        result = _within(result, one, limits.PLAIN_LEVELS)
    return result


def _within(one: Mapping[str, Value], other: Mapping[str, Value], levels: int) -> dict[str, Value]:
    both = {
        key: _within(one[key], value, levels - 1)
        for key, value in other.items()
        if levels and isinstance(value, dict) and isinstance(one.get(key), dict)
    }
    return {**one, **other, **both}


def interpolated(settings: Any) -> Any:
    """Settings with each ``${...}`` replaced by what it refers to, or by a hole."""
    return _filled(settings, settings, limits.PLAIN_LEVELS)


def _filled(value: Any, root: Any, levels: int) -> Any:
    if not levels:
        return UNKNOWN
    if isinstance(value, dict):
        return {key: _filled(item, root, levels - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, root, levels - 1) for item in value]
    if not isinstance(value, str) or "${" not in value:
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole:
        return _referred(whole[1], root)
    return _REFERENCE.sub(lambda found: as_text(_referred(found[1], root)), value)[: limits.SCRIPT_CHARACTERS]


def _referred(path: str, root: Any) -> Any:
    """What a reference leads to, if that is a plain value itself."""
    for part in path.strip().split("."):
        root = root.get(part, HOLE) if isinstance(root, dict) else HOLE
    return HOLE if isinstance(root, str) and "${" in root else root
