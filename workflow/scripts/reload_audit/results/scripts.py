"""From the record of a script to what ``audit.json`` says of it: what it earns, and which of its lines cost what."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from reload_audit.diagnosis.effects import ConditionResult
from reload_audit.diagnosis.gap import STANDARD_ERRORS
from reload_audit.records.model_record import Measurement
from reload_audit.records.script_entry import ScriptCause, ScriptEntry
from reload_audit.records.script_record import (
    AS_MODEL,
    AS_SCRIPT,
    Counting,
    ScriptDifference,
    ScriptRecord,
    alone,
    put_right,
)

_NEXT_TO_NOTHING = 0.05
"""Part of the gap below which what a line costs is not worth naming."""


def script_entry(record: ScriptRecord) -> ScriptEntry:
    """What is to be said of a script."""
    observation, compared = record.observation, record.compared
    figure = None if compared is None else compared.figure
    earned = np.empty(0) if figure is None else np.asarray(figure.earned)
    model, script = _measured(record, AS_MODEL), _reproduced(record)
    gap, differs = None, False
    if model is not None and earned.size:
        gap = float(model.mean() - earned.mean())
        differs = abs(gap) > STANDARD_ERRORS * _error(model, earned)
        expected = _expected(record)
        if not differs and expected is not None and abs(expected) > _NEXT_TO_NOTHING * abs(float(model.mean())):
            gap, differs = expected, True
    causes, harmless = _ranked(record, gap if differs else None)
    return ScriptEntry(
        name=record.spec.name,
        model="" if compared is None else compared.model,
        mean=None if figure is None else figure.mean,
        std=None if figure is None else figure.std,
        n=None if figure is None else figure.n,
        where="" if figure is None or figure.where is None else str(figure.where),
        earned=float(earned.mean()) if earned.size else None,
        model_mean=None if model is None else float(model.mean()),
        model_std=None if model is None else float(model.std()),
        reproduced=None if script is None else float(script.mean()),
        together=None if script is None or model is None else float(model.mean() - script.mean()),
        agrees=None if script is None or not earned.size else _agree(script, earned),
        gap=gap,
        differs=differs,
        causes=tuple(causes),
        harmless=tuple(harmless),
        problem=_problem(record),
        raised="" if observation is None else observation.raised,
        raised_at="" if observation is None or observation.raised_at is None else str(observation.raised_at),
        stopped="" if observation is None else observation.stopped,
        remarks=(*(() if observation is None else observation.said), *(() if compared is None else compared.remarks)),
    )


def _problem(record: ScriptRecord) -> str:
    if record.failure is not None:
        return record.failure.message
    if record.compared is not None and record.compared.problem:
        return record.compared.problem
    model = record.conditions.get(AS_MODEL)
    return "" if model is None or not model.reason else f"its model could not be evaluated: {model.reason}"


def _measured(record: ScriptRecord, name: str) -> np.ndarray | None:
    """Rewards under a condition, on the environment's scale; None where there are none."""
    found = record.conditions.get(name)
    return None if found is None or not found.episodes else found.rewards


def _reproduced(record: ScriptRecord) -> np.ndarray | None:
    """Rewards of the model where it is evaluated and counted as the script does; None where that is not known."""
    found = record.conditions.get(AS_SCRIPT) or record.conditions.get(AS_MODEL)
    compared = record.compared
    if found is None or not found.episodes or compared is None or compared.figure is None or not compared.differences:
        return None
    counting = next((one.counting for one in compared.differences if one.counting), None)
    if counting is None:
        return _measured(record, AS_SCRIPT)
    return counted(found, counting, compared.n_envs, len(compared.figure.rewards))


def _expected(record: ScriptRecord) -> float | None:
    """What a script costs, by what its model earns under conditions; None where that may be chance."""
    model, script, reproduced = record.conditions.get(AS_MODEL), record.conditions.get(AS_SCRIPT), _reproduced(record)
    if model is None or reproduced is None:
        return None
    found = _gained(script, model)
    certain = found is not None and abs(found.effect) > STANDARD_ERRORS * found.error
    counts = record.compared is not None and any(one.counting for one in record.compared.differences)
    return float(model.rewards.mean() - reproduced.mean()) if certain or counts else None


def _error(one: np.ndarray, other: np.ndarray) -> float:
    """The standard error of the difference of two means."""
    parts = [values.var(ddof=1) / values.size if values.size > 1 else 0.0 for values in (one, other)]
    return math.sqrt(sum(parts))


def _agree(reproduced: np.ndarray, earned: np.ndarray) -> bool:
    difference = abs(float(reproduced.mean() - earned.mean()))
    return difference <= max(STANDARD_ERRORS * _error(reproduced, earned), 1e-6 * abs(float(earned.mean())))


def _ranked(record: ScriptRecord, gap: float | None) -> tuple[list[ScriptCause], list[ScriptCause]]:
    """The causes of a gap, the dearest first, and the differences that cost nothing that can be seen.

    :param gap: None where there is none beyond chance: then only those are causes that make the figure another one
    """
    named: list[ScriptCause] = []
    harmless: list[ScriptCause] = []
    differences = () if record.compared is None else record.compared.differences
    tried = [one for one in differences if one.changes is not None]
    for one in differences:
        cause, counts = _weighed(record, one, gap, only_one=len(tried) == 1)
        unmeasurable = one.changes is None and not one.counting
        (named if counts or unmeasurable else harmless).append(cause)
    return sorted(named, key=lambda cause: -(math.inf if cause.share is None else cause.share)), harmless


_REPEATED = 400


def counted(measured: Measurement, counting: Counting, n_envs: int, n: int) -> np.ndarray:
    """What a script would find that counts only some of the episodes of environments side by side.

    Resampled from measured episodes, with their lengths.

    :param n: episodes that it counts
    :return: mean rewards of repeated evaluations, shape ``(400,)``
    """
    generator = np.random.default_rng(0)
    rewards = measured.rewards
    lengths = np.asarray([episode.length for episode in measured.episodes])
    drawn = generator.integers(rewards.size, size=(_REPEATED, n_envs, n))
    if counting == "rounds":  # all begin anew when the first is over
        first = lengths[drawn] == lengths[drawn].min(axis=1, keepdims=True)
        return np.asarray((rewards[drawn] * first).sum(axis=(1, 2)) / first.sum(axis=(1, 2)))
    over = lengths[drawn].cumsum(axis=2).reshape(_REPEATED, -1)
    order = np.argsort(over, axis=1, kind="stable")[:, :n]
    return np.asarray(np.take_along_axis(rewards[drawn].reshape(_REPEATED, -1), order, axis=1).mean(axis=1))


def _weighed(
    record: ScriptRecord, one: ScriptDifference, gap: float | None, *, only_one: bool
) -> tuple[ScriptCause, bool]:
    """A difference with its cost, and whether that is a part of the gap beyond chance."""
    line = one.line
    cause = ScriptCause(
        one.cause, "" if line is None else str(line), "" if line is None else line.code, one.evidence, one.instead
    )
    if one.counting:
        return _weighed_by_counting(record, cause, one.counting, gap)
    if one.changes is None or gap is None:
        return cause, False
    measured = record.conditions
    model, script = measured.get(AS_MODEL), measured.get(AS_SCRIPT)
    costs = _gained(script if only_one else measured.get(alone(one.cause)), model)
    restored = costs if only_one else _gained(script, measured.get(put_right(one.cause)))
    known = [found for found in (costs, restored) if found is not None and found.mean is not None]
    shares = [
        found.effect / gap for found in known if found.effect and abs(found.effect) > STANDARD_ERRORS * found.error
    ]
    share = max(shares, default=None)
    weighed = replace(
        cause,
        cost=None if costs is None else costs.effect,
        restores=None if restored is None else restored.effect,
        share=share,
    )
    return weighed, not known or (share is not None and abs(share) > _NEXT_TO_NOTHING)


def _weighed_by_counting(
    record: ScriptRecord, cause: ScriptCause, counting: Counting, gap: float | None
) -> tuple[ScriptCause, bool]:
    """A difference in which episodes count, with what that makes of the model's episodes."""
    model, compared = record.conditions.get(AS_MODEL), record.compared
    if gap is None or model is None or not model.episodes or compared is None or compared.figure is None:
        return cause, False
    found = counted(model, counting, compared.n_envs, len(compared.figure.rewards))
    cost = float(model.rewards.mean() - found.mean())
    share = cost / gap
    return replace(cause, cost=cost, restores=cost, share=share), share > _NEXT_TO_NOTHING


def _gained(base: Measurement | None, found: Measurement | None) -> ConditionResult | None:
    """What one condition earns more than another; None where either has no episodes."""
    if found is None or base is None or not found.episodes or not base.episodes:
        return None
    return ConditionResult.of(found, base)
