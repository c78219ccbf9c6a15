"""What an ``audit.json`` says that is compared with another one, and reading one that another audit has written."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reload_audit.reading.refusal import brief, shown

SCHEMA_VERSION = 5


class NotComparableError(Exception):
    """A file is no ``audit.json`` that can be compared; the message says what was expected, found, and what to do."""


@dataclass(frozen=True)
class ComparedRow:
    """What is compared of a model's row; None where a number is not known or not finite.

    :param mean: mean episode reward after reload, of ``n`` episodes with the standard deviation ``std`` (ddof 0)
    :param difference: from what it was compared with; as much as ``margin`` does not count
    """

    name: str
    verdict: str
    mean: float | None
    std: float | None
    n: int | None
    random_mean: float | None
    environment: str = ""
    difference: float | None = None
    margin: float | None = None


@dataclass(frozen=True)
class AuditFile:
    """What is compared of an audit.

    :param models: by name; without rows that cannot be used
    :param versions: of each package all versions with which models were reloaded
    :param verdict: the section of the configuration, as ``Criteria.from_dict`` reads it
    """

    models: Mapping[str, ComparedRow]
    versions: Mapping[str, Sequence[str]]
    verdict: Mapping[str, Any]

    @classmethod
    def from_json(cls, content: Any) -> AuditFile:
        """From the content of ``audit.json``."""
        rows = [row for row in content["models"] if isinstance(row, dict) and {"model", "verdict"} <= row.keys()]
        tool = str((content.get("tool") or {}).get("version") or "")
        found = [
            ComparedRow(
                str(row["model"]),
                str(row["verdict"]),
                _number(row.get("reload_mean_reward")),
                _number(row.get("reload_std_reward")),
                row["n_episodes"] if isinstance(row.get("n_episodes"), int) else None,
                _number(row.get("random_mean_reward")),
                str(row.get("env_id") or ""),
                _number(row.get("difference")),
                _number(row.get("margin")),
            )
            for row in rows
        ]
        return cls(
            models={row.name: row for row in found},
            versions={**(content.get("reloaded_with") or {}), **({"reload-audit": [tool]} if tool else {})},
            verdict=(content.get("settings") or {}).get("verdict") or {},
        )


def read_earlier(path: Path) -> AuditFile:
    """Read an ``audit.json`` that may be of another time, machine or version.

    :raises NotComparableError: there is none, it is no JSON, or it is of another version of the schema
    """
    name = shown(str(path))
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotComparableError(f"{name}: expected an audit.json, cannot read it: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise NotComparableError(f"{name}: expected an audit.json, found what is no JSON: {error}") from None
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version is None or not isinstance(content.get("models"), list):
        raise NotComparableError(f"{name}: expected an audit.json, found JSON without a schema_version and models")
    if version != SCHEMA_VERSION:
        raise NotComparableError(
            f"{name}: expected an audit.json of schema version {SCHEMA_VERSION}, found {brief(version)}: "
            "it was written by another version of reload-audit; run that audit again with this one"
        )
    return AuditFile.from_json(content)


def _number(value: object) -> float | None:
    """A finite number; None for anything else."""
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    return number if math.isfinite(number) else None
