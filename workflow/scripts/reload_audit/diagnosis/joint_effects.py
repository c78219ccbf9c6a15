"""Which differences of a script cost something only together, while another one hides that.

Two differences that cost nothing alone may cost much together; and where a third ruins everything by itself, putting
either right gives nothing back. So where several show no effect, they are tried together, and if that has one, by twos.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations

from reload_audit.diagnosis.effects import ConditionResult
from reload_audit.diagnosis.gap import STANDARD_ERRORS
from reload_audit.records.model_record import Measurement
from reload_audit.records.script_record import AS_MODEL, AS_SCRIPT, alone, only, put_right

MOST_PAIRS = 6


def gained(base: Measurement | None, found: Measurement | None) -> ConditionResult | None:
    """What one condition earns more than another; None where either has no episodes."""
    if found is None or base is None or not found.episodes or not base.episodes:
        return None
    return ConditionResult.of(found, base)


def is_certain(found: ConditionResult | None) -> bool:
    """Whether an effect is more than chance."""
    return found is not None and found.mean is not None and abs(found.effect) > STANDARD_ERRORS * found.error


def without_effect(measured: Mapping[str, Measurement], causes: Collection[str]) -> list[str]:
    """The causes that change no reward beyond chance, neither when they alone are there nor when they alone are not."""
    model, script = measured.get(AS_MODEL), measured.get(AS_SCRIPT)
    if len(causes) < 3 or not is_certain(gained(model, script)):
        return []
    return [
        cause
        for cause in causes
        if not is_certain(gained(model, measured.get(alone(cause))))
        and not is_certain(gained(measured.get(put_right(cause)), script))
    ]


def next_to_try(measured: Mapping[str, Measurement], causes: Sequence[str]) -> list[tuple[str, ...]]:
    """What to try now of causes without an effect: all of them together; then, if that has one, two at a time.

    :return: groups of causes that were not tried yet; none at the end
    """
    quiet = without_effect(measured, causes)
    groups: list[tuple[str, ...]] = [tuple(quiet)] if len(quiet) > 1 else []
    if groups and is_certain(_effect(measured, quiet, causes)):
        groups += [*combinations(quiet, 2)][:MOST_PAIRS]
    return [group for group in groups if only(group, causes) not in measured]


def together(measured: Mapping[str, Measurement], causes: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """For each cause without an effect of its own the pair that it has one in; where no pair has, all such causes."""
    quiet = tuple(without_effect(measured, causes))
    pairs = [pair for pair in combinations(quiet, 2) if is_certain(_effect(measured, pair, causes))]
    if pairs:
        return {cause: pair for pair in reversed(pairs) for cause in pair}
    return dict.fromkeys(quiet, quiet) if len(quiet) > 1 and is_certain(_effect(measured, quiet, causes)) else {}


def _effect(measured: Mapping[str, Measurement], group: Sequence[str], causes: Sequence[str]) -> ConditionResult | None:
    return gained(measured.get(AS_MODEL), measured.get(only(group, causes)))
