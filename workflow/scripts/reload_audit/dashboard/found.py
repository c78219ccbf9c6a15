"""Models that others trained: grouped by the folder or table they were found by, each with its particulars."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reload_audit.dashboard.entries import TOGETHER, WORST_FIRST, Condition, Entry, worst_first
from reload_audit.dashboard.numbers import count, number, signed
from reload_audit.specs import CANONICAL


@dataclass(frozen=True)
class Group:
    """Models of one folder or table.

    :param sources: how they were found
    :param claims: how many are compared with each kind of claim, the most frequent first
    :param unloadable: how many a plain load would fail to load
    :param unread: of how many that is not known
    """

    name: str
    sources: str
    models: int
    verdicts: tuple[tuple[str, int], ...]
    claims: tuple[tuple[str, int], ...]
    unloadable: int
    unread: int


def groups(models: Sequence[Entry]) -> list[Group]:
    """A group for each folder or table, those with losses first."""
    found: dict[str, list[Entry]] = {}
    for entry in models:
        if entry.found:
            found.setdefault(entry.experiment, []).append(entry)
    return [_group(name, members) for name, members in worst_first(found)]


def particulars(entry: Entry, groups: int) -> list[tuple[str, str]]:
    """What the table of models has no column for, each under its title; whatever of it is known.

    Of a model trained here the rest of the page says it, but for remarks and what was tried to explain a verdict.

    :param groups: how many there are; which one it is of matters only among several
    """
    if not entry.found:
        tried = _conditions(c for c in entry.conditions if c.name not in ("in_place", "reference"))
        known = [("Other conditions", tried if entry.causes else ""), ("Remarks", entry.remarks)]
        return [(title, text) for title, text in known if text]
    algo = entry.algo or "ALGO"
    plain_load = "" if entry.plain_load_error is None else entry.plain_load_error or "would work"
    known = [
        ("Found by", entry.experiment if groups > 1 else ""),
        ("Claim", _claim(entry)),
        ("Needed to load it", entry.loaded_with),
        (f"A plain {algo}.load", f"would raise {plain_load}" if entry.plain_load_error else plain_load),
        ("Versions", entry.version_changes or _version(entry)),
        ("Other conditions", _conditions(entry.conditions)),
        ("Remarks", entry.remarks),
    ]
    return [(title, text) for title, text in known if text]


def _group(name: str, members: Sequence[Entry]) -> Group:
    verdicts = Counter(entry.verdict for entry in members)
    return Group(
        name=name,
        sources=", ".join(sorted({entry.source for entry in members})),
        models=len(members),
        verdicts=tuple((verdict, verdicts[verdict]) for verdict in reversed(WORST_FIRST) if verdicts[verdict]),
        claims=_most_common(entry.claim_kind for entry in members if entry.claim_kind),
        unloadable=sum(bool(entry.plain_load_error) for entry in members),
        unread=sum(entry.plain_load_error is None for entry in members),
    )


def _claim(entry: Entry) -> str:
    episodes = "" if entry.claim_n is None else f"over {count(entry.claim_n)} episodes"
    source = f"in {entry.claim_source}" if entry.claim_source else ""
    said = " ".join(filter(None, [episodes, source]))
    return f"{entry.claim_kind}, {said}" if said else ""


def _version(entry: Entry) -> str:
    saved = f"stable_baselines3 {entry.sb3_saved}" if entry.sb3_saved else ""
    return f"{saved}, as saved" if saved and entry.sb3_saved == entry.sb3_loaded else saved


def _conditions(conditions: Iterable[Condition]) -> str:
    """``n_envs=1 499.2 (+0.8), SubprocVecEnv failed``; differences are from the reload."""
    return ", ".join(
        f"{condition.name} failed"
        if condition.mean is None
        else f"{condition.name} {number(condition.mean)} ({signed(condition.difference)})"
        for condition in conditions
        if condition.name != CANONICAL and TOGETHER not in condition.name
    )


def _most_common(names: Iterable[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])))
