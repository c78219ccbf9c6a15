"""Read TOML that anybody may have written, bounded in size and depth."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from reload_audit.reading import limits

_OPENED = re.compile(rb"[\[{.]")


def parse_toml(content: bytes) -> Any:
    """The value of a TOML text.

    :raises ValueError: it is no TOML, or it has very many values or levels
    """
    if max(content.count(b"="), content.count(b",")) >= limits.YAML_VALUES:
        raise ValueError(f"more than {limits.YAML_VALUES:,} values")
    if any(len(_OPENED.findall(line)) > limits.PLAIN_LEVELS for line in content.splitlines()):
        raise ValueError(f"more than {limits.PLAIN_LEVELS} levels in a line")
    try:
        return tomllib.loads(content.decode("utf-8", "replace"))
    except RecursionError:
        raise ValueError("more levels than can be read") from None
