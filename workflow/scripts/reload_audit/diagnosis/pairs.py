"""Which conditions are tried two at a time: two mistakes can mask each other.

Needs no numerical library: the job that starts the processes plans the pairs itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from reload_audit.records.conditions import Condition, joined
from reload_audit.records.examination import Trial

MAX_PAIRS = 30


def pairs(canonical: Condition, trials: Sequence[Trial]) -> list[Trial]:
    """Trials of two factors at once, made of the trials that speak for a cause and do not exclude each other."""
    paired = []
    for one, other in combinations([trial for trial in trials if trial.causes and not _is_long(trial)], 2):
        changed = one.condition.changes(canonical), other.condition.changes(canonical)
        if one.causes == other.causes or set(changed[0]) & set(changed[1]) or _senseless({**changed[0], **changed[1]}):
            continue
        name = joined(one.condition.name, other.condition.name)
        both = replace(canonical, name=name, **changed[0], **changed[1])
        paired.append(Trial(both, (*one.causes, *other.causes), {**one.details, **other.details}))
    return paired[:MAX_PAIRS]


def _is_long(trial: Trial) -> bool:
    """Whether many episodes are run before those that count."""
    return trial.condition.episodes_before > 0


def _senseless(changes: Mapping[str, object]) -> bool:
    """Whether normalised rewards are asked for without VecNormalize."""
    return "reward" in changes and changes.get("statistics") in ("none", "wrapper", "posted wrapper")
