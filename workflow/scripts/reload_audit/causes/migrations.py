"""Known differences between versions of an environment that matter to a model of an older one, and what undoes them.

They are data, in ``migrations.yaml``. Of it, the migrations decide what is measured; the rest is for people.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from reload_audit.causes.causes_file import CausesError, check_keys, keys_of
from reload_audit.causes.finding import Detail

MIGRATIONS_FILE = Path(__file__).with_name("migrations.yaml")

_VERSIONED = re.compile(r"^(?P<name>.+)-v(?P<version>\d+)$")

_NEEDED = ("environments", "from", "to", "changed", "sources")
_OPTIONAL = ("harmless", "migration")

Ranges = Sequence[Sequence[int]]
"""Pairs of the first index and the one after the last, such as ``[[27, 111]]``."""


@dataclass(frozen=True)
class Migration:
    """How an environment is built to be as an older version of it was.

    :param name: what is done, as a phrase after "with"
    :param insert_zeros: where zeros are to be put among its observations, directly around the environment
    :param zero_observations: which of the observations are to be zero after that
    """

    name: str
    env_kwargs: Mapping[str, Detail] = field(default_factory=dict)
    insert_zeros: Ranges = ()
    zero_observations: Ranges = ()

    @property
    def wrappers(self) -> list[tuple[str, Ranges]]:
        """Names of what is put around the environment, the innermost first, and of each what it takes as ``at``."""
        both = [("insert_zeros", self.insert_zeros), ("zero_observations", self.zero_observations)]
        return [(name, at) for name, at in both if at]


@dataclass(frozen=True)
class Difference:
    """A known difference between versions of one or more environments.

    :param environments: their names without versions
    :param old: versions before the difference
    :param new: versions after it
    :param changed: what, as a clause after "between them, ..."
    :param sources: addresses of where that is documented
    :param harmless: whether it cannot change a reward of a model of the older version
    :param migration: how the newer version is built to be as the older one was; None where that is not known
    """

    environments: Sequence[str]
    old: Sequence[int]
    new: Sequence[int]
    changed: str
    sources: Sequence[str]
    harmless: bool = False
    migration: Migration | None = None

    def lies_between(self, env: str, ran: str) -> bool:
        """Whether it is a difference between two ids of environments, such as ``Ant-v3`` and ``Ant-v4``."""
        one, other = _VERSIONED.match(env), _VERSIONED.match(ran)
        return (
            one is not None
            and other is not None
            and one["name"] == other["name"]
            and one["name"] in self.environments
            and int(one["version"]) in self.old
            and int(other["version"]) in self.new
        )


def read_differences(path: Path = MIGRATIONS_FILE) -> tuple[Difference, ...]:
    """Every known difference in a file, in its order.

    :raises CausesError: a key or value is unknown, or something that is needed is not there
    """
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(entries, list):
        raise CausesError(f"{path.name}: expected a list, found {entries!r:.60}")
    return tuple(_difference(f"{path.name}, entry {number}", entry) for number, entry in enumerate(entries, 1))


def measured_migrations(path: Path = MIGRATIONS_FILE) -> list[dict[str, Any]]:
    """The part of the file that decides what is measured, as plain data for a digest: no sentences and no sources."""
    return [
        {"environments": [*known.environments], "old": known.old, "new": known.new, **asdict(known.migration)}
        for known in read_differences(path)
        if known.migration is not None
    ]


@cache
def differences() -> tuple[Difference, ...]:
    """All known differences, in the file's order."""
    return read_differences()


def known_between(env: str, ran: str) -> list[Difference]:
    """All that is known of the differences between two versions of an environment, by their ids."""
    return [known for known in differences() if known.lies_between(env, ran)]


def migrations(env: str, ran: str) -> dict[str, Migration]:
    """Ways to build the environment ``ran`` so that it is as ``env`` was, by name, in the order to try them."""
    return {known.migration.name: known.migration for known in known_between(env, ran) if known.migration}


def _difference(where: str, data: Any) -> Difference:
    entry = keys_of(data, where)
    check_keys(where, entry, (*_NEEDED, *_OPTIONAL), _NEEDED)
    kinds = {"environments": str, "from": int, "to": int, "sources": str}
    for key, kind in kinds.items():
        if not isinstance(entry[key], list) or not entry[key] or not all(type(item) is kind for item in entry[key]):
            raise CausesError(f"{where}, {key}: expected a list of {kind.__name__}, found {entry[key]!r:.60}")
    if max(entry["from"]) >= min(entry["to"]):
        raise CausesError(f"{where}: expected versions in 'to' that are higher than those in 'from', found others")
    if unsourced := [source for source in entry["sources"] if not source.startswith("https://")]:
        raise CausesError(f"{where}, sources: expected addresses, found {unsourced[0]!r:.60}")
    if not isinstance(entry["changed"], str) or entry.get("harmless", True) is not True:
        raise CausesError(f"{where}: expected a text in 'changed', and true in 'harmless' or no such key")
    migration = entry.get("migration")
    return Difference(
        environments=entry["environments"],
        old=entry["from"],
        new=entry["to"],
        changed=entry["changed"],
        sources=entry["sources"],
        harmless="harmless" in entry,
        migration=None if migration is None else _migration(f"{where}, migration", migration),
    )


def _migration(where: str, data: Any) -> Migration:
    entry = keys_of(data, where)
    check_keys(where, entry, (known.name for known in fields(Migration)), ("name",))
    keys_of(entry.get("env_kwargs", {}), f"{where}, env_kwargs")
    migration = Migration(**entry)
    for name, at in migration.wrappers:
        if not all(isinstance(pair, list) and len(pair) == 2 and 0 <= pair[0] < pair[1] for pair in at):
            raise CausesError(f"{where}, {name}: expected pairs of indices, found {at!r:.60}")
    return migration
