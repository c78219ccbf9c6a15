"""How often and for how long a model was trained, as its files tell, and which of these steps its statistics counted.

``learn`` sets ``num_timesteps`` back to zero unless told otherwise. What it never sets back: the number of updates,
DQN's number of calls, and the counts of a VecNormalize that goes on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from reload_audit.forensics.pairing import Counts, Pairing, counts_of, environments_of, pairing, setting
from reload_audit.forensics.traces import Traces, whole
from reload_audit.reading.model_zip import SavedModel
from reload_audit.reading.pickles import Call
from reload_audit.reading.statistics import SavedStatistics

Counted = Literal["same", "last learn", "part", "more", "frozen", "later", "other"]
"""Which steps of a model its statistics have counted.

``same``: as many as ``num_timesteps``; ``last learn``: those of the last call of ``learn``, which had new statistics;
``part``: some earlier ones, too, but not all; ``more``: also those before ``num_timesteps`` was set back to zero;
``frozen``: fewer, and they were saved frozen; ``later``: more, of a model that was saved before training ended;
``other``: another number, for which there is no such reason.
"""


@dataclass(frozen=True)
class History:
    """What a zip tells of a model's training.

    :param counted: ``num_timesteps``
    :param last_learn: steps of the last call of ``learn``; None where that is not in the zip
    :param earlier: whether it was trained before ``num_timesteps`` was last set back; None where that is not certain
    :param total: all steps that it was ever trained for, about; None where that is not known
    """

    counted: int
    last_learn: int | None
    earlier: bool | None
    total: int | None


def history_of(saved: SavedModel, traces: Traces) -> History | None:
    """What a zip tells of a model's training; None where it has no number of steps."""
    counted = traces.num_timesteps
    if counted is None:
        return None
    last = None if traces.began_at is None or traces.began_at > counted else counted - traces.began_at
    total, least = _total(saved, traces, counted)
    if total is None:
        return History(counted, last, None, None)
    earlier = total > counted + least
    known = earlier or total >= counted - least
    return History(counted, last, earlier if known else None, total if earlier else counted if known else None)


def _total(saved: SavedModel, traces: Traces, counted: int) -> tuple[int | None, int]:
    """All steps that a model was ever trained for, and what this may be wrong by where it was trained once.

    It is right where the number of environments, and how many steps there are between two updates, never changed.
    """
    if traces.on_policy:
        if traces.trained_steps is None or traces.rollout is None:
            return None, 0
        # What was collected since the last update is not in the number of updates.
        since = max(0, counted - traces.trained_steps)
        return traces.trained_steps + (since if since <= traces.rollout else 0), traces.rollout
    calls = whole(saved.settings.get("_n_calls"))
    if calls is not None and traces.n_envs:
        return calls * traces.n_envs, traces.n_envs
    updates, each = whole(saved.settings.get("_n_updates")), steps_between_updates(saved, traces.n_envs)
    starts = whole(saved.settings.get("learning_starts"))
    if updates is None or each is None or starts is None:
        return None, 0
    steps, made = each
    once = made * max(0, counted // steps - starts // steps)
    beyond = (updates - once) // made * steps
    return counted + beyond, steps


def steps_between_updates(saved: SavedModel, n_envs: int | None) -> tuple[int, int] | None:
    """Of an off-policy model: environment steps between two calls of ``train``, and how many updates each call makes.

    None where it trains after every episode, so that both vary, or where the zip does not tell.
    """
    frequency, gradient_steps = train_frequency(saved), saved.settings.get("gradient_steps")
    if frequency is None or frequency[1] != "step" or not n_envs or type(gradient_steps) is not int:
        return None
    steps = frequency[0] * n_envs
    made = gradient_steps if gradient_steps >= 0 else steps
    return (steps, made) if steps > 0 and made > 0 else None


def train_frequency(saved: SavedModel) -> tuple[int, str] | None:
    """SB3's ``TrainFreq``, by its numbers and texts alone: how many, and whether of a ``step`` or an ``episode``."""
    parsed = saved.pickled.get("train_freq")
    if parsed is None:
        number = whole(saved.settings.get("train_freq"))
        return None if number is None else (number, "step")
    parts = _plain_parts(parsed.value)
    numbers = [part for part in parts if isinstance(part, int)]
    units = [part for part in parts if isinstance(part, str)]
    return (numbers[0], units[0]) if len(numbers) == len(units) == 1 and units[0] in ("step", "episode") else None


def _plain_parts(value: Any, depth: int = 4) -> list[int | str]:
    """All numbers and texts among the arguments of a call and of calls inside it."""
    if isinstance(value, int | str):
        return [value]
    inside = value.args if isinstance(value, Call) else value
    if depth == 0 or not isinstance(inside, list | tuple):
        return []
    return [part for item in inside for part in _plain_parts(item, depth - 1)]


def counted_by(
    history: History, statistics: SavedStatistics, traces: Traces, role: str, paired: Pairing | None = None
) -> Counted | None:
    """Which of a model's steps its statistics have counted; None where they do not say how many.

    :param role: ``final``, ``best`` or ``checkpoint``
    :param paired: what :func:`reload_audit.forensics.pairing.pairing` says, where it is known already
    """
    counts = counts_of(statistics)
    if counts is None:
        return None
    envs = traces.n_envs or 0
    if counts.steps in (history.counted, history.counted + envs):  # learn() was interrupted within a step
        return "same"
    if history.last_learn in (counts.steps, counts.steps - envs) and history.last_learn:
        return "last learn"
    own = (pairing(traces, statistics) if paired is None else paired) == "own"
    if counts.steps > history.counted:
        if own or (history.earlier is not False and _resets_again(counts, statistics, envs)):
            return "more"
        return "later" if role != "final" or _saved_in_between(history, traces, counts) else "other"
    if own or (history.last_learn is not None and history.last_learn < counts.steps):
        return "part"
    return "frozen" if setting(statistics, "training") is False else "other"


def _saved_in_between(history: History, traces: Traces, counts: Counts) -> bool:
    """Whether a model was saved before the training ended that its statistics were saved after."""
    return counts.resets == traces.n_envs and history.counted < (traces.planned or 0)


def _resets_again(counts: Counts, statistics: SavedStatistics, envs: int) -> bool:
    """Whether environments were reset more often than once, as they are where ``learn`` begins to count again."""
    return counts.resets > (envs or environments_of(statistics) or math.inf)


def remarks_on_training(
    saved: SavedModel, statistics: SavedStatistics | None, traces: Traces, role: str
) -> tuple[str, ...]:
    """What a user should know of how a model was trained: that training went on, and whose statistics it has."""
    history = history_of(saved, traces)
    if history is None:
        return ()
    counts = None if statistics is None else counts_of(statistics)
    if statistics is None or counts is None:
        return (_trained_before(history),) if history.earlier else ()
    match counted_by(history, statistics, traces, role):
        case "last learn":
            said = f"learn() was called again with new statistics: they have counted its last {counts.steps:,} steps"
            return (f"{said}, num_timesteps is {history.counted:,}",)
        case "part":
            said = "learn() was called again with new statistics, which were saved with it"
            return (f"{said}: they have counted {counts.steps:,} steps, num_timesteps is {history.counted:,}",)
        case "more":
            said = f"{_trained_before(history)}; its statistics went on, and have counted {counts.steps:,} steps"
            return (said,)
        case "same" if history.earlier and pairing(traces, statistics) == "own":
            return (f"{_trained_before(history)}, with new statistics since: they have counted {counts.steps:,} steps",)
        case "same" if history.earlier:
            said = f"its statistics have counted {counts.steps:,} steps, too: of the same call, or of one before"
            return (f"{_trained_before(history)}; {said}",)
        case "later":
            said = f"the model was saved at {history.counted:,} steps, its statistics at {counts.steps:,}"
            return (f"{said}: SB3 saves a best model without any, and a checkpoint unless told to",)
    return ()


def _trained_before(history: History) -> str:
    total = "" if history.total is None or not history.earlier else f" of about {history.total:,} in all"
    return f"learn() was called again: num_timesteps counts its last {history.counted:,} steps{total}"
