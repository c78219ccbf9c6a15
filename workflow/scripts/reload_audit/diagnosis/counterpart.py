"""Which two episodes of a model show best where its reload parts from what it did before.

The reference itself cannot be run again: it ran in a process, and in generators, that are gone. What stands for it is a
condition that went as it did, or else the one that closes most of the gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reload_audit.diagnosis.effects import Goal, effect_of
from reload_audit.diagnosis.gap import NEXT_TO_NOTHING
from reload_audit.records.conditions import CANONICAL
from reload_audit.records.episodes import Episode
from reload_audit.records.examination import Examination
from reload_audit.records.model_record import Measurement, ModelRecord


class NoCounterpart(Exception):
    """There are no two episodes to show beside each other; the message says why."""


@dataclass(frozen=True)
class Pair:
    """Two episodes with the same seed, the first ones that part.

    :param before: the condition that stands for the reference, with all that it gave
    :param after: the canonical condition
    :param episode: their index
    :param closes: how much of the gap the condition of ``before`` closes, 1 for all; None where its episode went step
        for step as the reference's
    """

    before: Measurement
    after: Measurement
    episode: int
    closes: float | None


def pair_of(model: ModelRecord) -> Pair:
    """The two episodes of a model that part first.

    :raises NoCounterpart: there are none, or no condition stands for the reference
    """
    after = model.canonical
    if after is None or not after.episodes or not after.paired:
        raise NoCounterpart("it ran no episodes after its reload")
    others = [found for name, found in model.conditions.items() if name != CANONICAL and found.paired]
    reference = () if model.train_time is None else model.train_time.reference
    parting = _first_parting(reference, after.episodes)
    if parting is not None:
        for found in others:
            if _went_alike(reference, found.episodes, parting):
                return Pair(found, after, parting, closes=None)
    closest, closes = _closing_most(model, after, others)
    parting = None if closest is None else _first_parting(closest.episodes, after.episodes)
    if closest is None or parting is None:
        raise NoCounterpart(_NOTHING_STANDS_FOR_IT)
    return Pair(closest, after, parting, closes)


_NOTHING_STANDS_FOR_IT = (
    "no condition went as the reference did, and none with other episodes brings the reward back, so nothing "
    "stands for what was before"
)


def _first_parting(one: Iterable[Episode], other: Iterable[Episode]) -> int | None:
    """The index of the first episode of which two runs differ in a bit; None where they do not, or are not known."""
    known = {episode.episode: episode.trace for episode in other if episode.trace}
    partings = (
        episode.episode
        for episode in one
        if episode.trace and episode.episode in known and known[episode.episode] != episode.trace
    )
    return min(partings, default=None)


def _went_alike(one: Sequence[Episode], other: Sequence[Episode], index: int) -> bool:
    """Whether the environment gave the same in two runs of an episode."""
    traces = [episode.trace for episode in (*one, *other) if episode.episode == index]
    if len(traces) != 2 or not all(traces):
        return False
    return all(traces[0].get(part) == traces[1].get(part) for part in ("raw_observations", "rewards"))


def _closing_most(
    model: ModelRecord, after: Measurement, others: Sequence[Measurement]
) -> tuple[Measurement | None, float]:
    """What the condition gave that closes most of the gap, and how much that is; None where none closes any of it."""
    best: Measurement | None = None
    most = NEXT_TO_NOTHING
    examination = model.examination or Examination()
    goal = Goal(examination.target, examination.target_std)
    by_name = {found.condition.name: found for found in others}
    for trial in examination.trials:
        found = by_name.get(trial.condition.name)
        effect = effect_of(trial, found, after, goal) if trial.causes else None
        if effect is not None and effect.helps and effect.share is not None and effect.share > most:
            best, most = found, effect.share
    return best, most
