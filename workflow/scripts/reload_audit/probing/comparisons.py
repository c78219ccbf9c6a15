"""What differs between two processes that ran the same episodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from reload_audit.probing.scenario import Leaf, Result
from reload_audit.probing.traces import first_mismatch
from reload_audit.records.probe_record import Change, Mismatch


def mismatch(result: Result, baseline: Result) -> Mismatch | None:
    """Where episodes first differ: within the process that ran each of them twice, else from the baseline's."""
    found = first_mismatch(result.firsts, result.traces) if result.firsts else None
    return found or first_mismatch(baseline.traces[: len(result.traces)], result.traces)


def changes(before: Sequence[Mapping[str, Leaf]], after: Sequence[Mapping[str, Leaf]]) -> tuple[Change, ...]:
    """What differs between two processes, with its values where it first does so.

    :param before: what an environment carries along in the one process, by path, for each episode
    :param after: what it carries along in the other process, alike
    """
    found: dict[str, Change] = {}
    for one, other in zip(before, after, strict=False):
        for path, leaf in other.items():
            if path in one and one[path].digest != leaf.digest:
                found.setdefault(path, change(path, one[path], leaf))
            elif path not in one and leaf.kind != "cache":
                found.setdefault(path, replace(change(path, leaf, leaf), expected="nothing"))
    return tuple(sorted(found.values(), key=lambda change: (change.scope != "instance", change.kind != "generator")))


def change(path: str, one: Leaf, other: Leaf) -> Change:
    return Change(path, other.root, other.scope, other.kind, one.text, other.text)


def generators_changed(one: Result, other: Result) -> bool:
    """Whether a generator that the environment carries along is in another state after ``reset``."""
    return any(change.kind == "generator" for change in changes(one.after, other.after))


def histories(of: Iterable[Change], known: Mapping[str, Sequence[float]]) -> dict[str, tuple[float, ...]]:
    """Of what changed, the numbers whose values before each episode are known."""
    return {change.attribute: tuple(known[change.attribute]) for change in of if change.attribute in known}


def grows(history: Sequence[float]) -> bool:
    """Whether a number moves in one direction only, and more than once."""
    steps = [later - earlier for earlier, later in pairwise(history)]
    moved = [step for step in steps if step != 0]
    return len(moved) > 1 and (min(moved) > 0 or max(moved) < 0)
