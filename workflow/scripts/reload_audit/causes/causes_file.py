"""Read ``causes.yaml`` as plain data, whole or only what decides what is measured.

The file's sentences decide nothing that is measured: editing one makes no model run again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

CAUSES_FILE = Path(__file__).with_name("causes.yaml")

_MEASURED = ("subject", "trials")
"""The keys of a cause that decide what is measured."""


class CausesError(ValueError):
    """``causes.yaml`` or ``migrations.yaml`` has something wrong; the message says where, and what was expected."""


def measured_part(path: Path = CAUSES_FILE) -> dict[str, dict[str, Any]]:
    """The part of ``causes.yaml`` that decides what is measured, by cause: no explanations and no fixes.

    Plain data, for a digest: editing any sentence of the file leaves it as it is.
    """
    return {
        name: {key: cause[key] for key in _MEASURED if key in cause}
        for _, name, cause in entries(path)
        if any(key in cause for key in _MEASURED)
    }


def entries(path: Path = CAUSES_FILE) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Group, name and content of every cause in the file, in its order.

    :raises CausesError: it is not groups of causes
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # several times as fast, where PyYAML was built with it
    groups = yaml.load(path.read_text(encoding="utf-8"), loader)  # noqa: S506
    for group, causes in keys_of(groups, path.name).items():
        for name, cause in keys_of(causes, f"{path.name}, {group}").items():
            yield group, name, dict(keys_of(cause, f"{path.name}, {name}"))


def check_keys(where: str, found: Iterable[str], known: Iterable[str], needed: Iterable[str] = ()) -> None:
    """Refuse a mapping that has other keys than it may have, or lacks one.

    :param where: what to call the place in a message
    :raises CausesError: a key is unknown, or one that is needed is not there
    """
    found, known = set(found), set(known)
    if unknown := sorted(map(str, found - known)):
        raise CausesError(f"{where}: expected no other keys than {', '.join(sorted(known))}, found {unknown[0]!r}")
    if missing := sorted(set(needed) - found):
        raise CausesError(f"{where}: expected the key {missing[0]!r}, which is not there")


def keys_of(value: Any, where: str) -> Mapping[str, Any]:
    """A value of the file that has to be keys with values.

    :param where: what to call the place in a message
    :raises CausesError: it is something else
    """
    if not isinstance(value, dict):
        raise CausesError(f"{where}: expected keys with values, found {value!r:.60}")
    return value
