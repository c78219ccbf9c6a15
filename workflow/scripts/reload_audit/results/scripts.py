"""From the record of a script to what ``audit.json`` says of it: what it earns, and which of its lines cost what."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from reload_audit.diagnosis.chance import WORTH_NAMING, differ, is_reproduced
from reload_audit.diagnosis.effects import ConditionResult
from reload_audit.diagnosis.gap import STANDARD_ERRORS
from reload_audit.diagnosis.joint_effects import gained, together
from reload_audit.records.model_record import Measurement
from reload_audit.records.script_entry import ScriptCause, ScriptEntry
from reload_audit.records.script_record import (
    AS_MODEL,
    AS_SCRIPT,
    Comparison,
    Counting,
    ScriptDifference,
    ScriptRecord,
    alone,
    only,
    put_right,
)

_PART_OF_CHANCE = 0.1
"""Part of a gap from which it is said that chance makes it another one than what the script's lines cost."""


def script_entries(record: ScriptRecord) -> list[ScriptEntry]:
    """What is to be said of a script, with each model that acted in it."""
    comparisons = _told_apart(record.comparisons)
    return [_entry(record, one, several=len(comparisons) > 1) for one in comparisons] or [
        _entry(record, None, several=False)
    ]


def _told_apart(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Comparisons with models, those of the same name with as much of their paths as tells them apart."""
    paths = [(*Path(one.compared.path).parts[:-1], one.compared.model) for one in comparisons]
    told = []
    for own, one in zip(paths, comparisons, strict=True):
        others = {path for path in paths if path != own}
        n = next((n for n in range(1, len(own)) if all(path[-n:] != own[-n:] for path in others)), 1)
        told.append(replace(one, compared=replace(one.compared, model="/".join(own[-n:]))))
    return told


def _entry(record: ScriptRecord, comparison: Comparison | None, *, several: bool) -> ScriptEntry:
    observation, compared = record.observation, None if comparison is None else comparison.compared
    figure = None if compared is None else compared.figure
    earned = np.empty(0) if figure is None else np.asarray(figure.earned)
    model, script = _measured(comparison, AS_MODEL), _reproduced(comparison)
    gap, differs = None, False
    usual = _measured(comparison, AS_SCRIPT)
    alike = model is not None and _are_alike(earned, model if usual is None else usual)
    drawn = earned if figure is None else earned[:1] if alike else figure.drawn
    if model is not None and earned.size:
        gap = float(model.mean() - earned.mean())
        differs = differ(drawn, model)
        expected = _expected(comparison)
        if not differs and expected is not None and abs(expected) > WORTH_NAMING * abs(float(model.mean())):
            gap, differs = expected, True
    agrees = None if script is None or not earned.size else _agrees(comparison, drawn, script)
    together = None if script is None or model is None else float(model.mean() - script.mean())
    causes, harmless = _ranked(comparison, gap if differs else None, explained=agrees is True)
    if gap is not None and differs:
        missed = script if agrees is False and not _is_estimate(comparison) else None
        causes = with_unexplained(causes, gap, missed, float(earned.mean()))
    causes = one_text_a_line(causes)
    remarks = [*(() if observation is None else observation.said), *(() if compared is None else compared.remarks)]
    if compared is not None:
        doubtful = (one for one in compared.differences if one.in_doubt)
        remarks += [one.evidence for one in doubtful if one.cause not in {cause.cause for cause in causes}]
    if differs and agrees and model is not None and together is not None:
        remarks += _by_chance(float(model.mean() - earned.mean()) - together, together)
    if alike:
        remarks.append(f"its {earned.size} episodes are the same one over and over, as with one seed for each reset")
    elif figure is not None and figure.one_seed and model is not None and float(np.ptp(model)) > 0.0:
        remarks.append(
            f"its {earned.size} episodes all begin with one and the same seed: they are no more than one start"
        )
    return ScriptEntry(
        name=f"{record.spec.name} ({compared.model})" if several and compared is not None else record.spec.name,
        model="" if compared is None else compared.model,
        mean=None if figure is None else figure.mean,
        std=None if figure is None or figure.printed else figure.std,
        n=None if figure is None else figure.n,
        where="" if figure is None or figure.where is None else str(figure.where),
        earned=float(earned.mean()) if earned.size else None,
        model_mean=None if model is None else float(model.mean()),
        model_std=None if model is None else float(model.std()),
        model_n=None if model is None else model.size,
        shown="" if compared is None else compared.shown,
        reproduced=None if script is None else float(script.mean()),
        together=together,
        contradicted="" if compared is None else compared.contradicted,
        agrees=agrees,
        gap=gap,
        differs=differs,
        causes=tuple(causes),
        harmless=tuple(harmless),
        problem=_problem(record, comparison),
        raised="" if observation is None else observation.raised,
        raised_at="" if observation is None or observation.raised_at is None else str(observation.raised_at),
        stopped="" if observation is None else observation.stopped,
        remarks=tuple(remarks),
    )


def _by_chance(rest: float, together: float) -> list[str]:
    """What is to be said of the part of a gap that episodes drawn anew do not have."""
    if abs(rest) <= _PART_OF_CHANCE * abs(together):
        return []
    return [
        f"in equal episodes all that it does otherwise makes {abs(together):.3g}; another {abs(rest):.3g} between the "
        "two figures is no more than the chance of which episodes each has"
    ]


def _problem(record: ScriptRecord, comparison: Comparison | None) -> str:
    if record.failure is not None:
        return record.failure.message
    if comparison is None:
        return ""
    if comparison.compared.problem:
        return comparison.compared.problem
    model = comparison.conditions.get(AS_MODEL)
    return "" if model is None or not model.reason else f"its model could not be evaluated: {model.reason}"


def _measured(comparison: Comparison | None, name: str) -> np.ndarray | None:
    """Rewards under a condition, on the environment's scale; None where there are none."""
    found = None if comparison is None else comparison.conditions.get(name)
    return None if found is None or not found.episodes else found.rewards


def _reproduced(comparison: Comparison | None) -> np.ndarray | None:
    """Rewards of the model where it is evaluated and counted as the script does; None where that is not known."""
    if comparison is None:
        return None
    found = comparison.conditions.get(AS_SCRIPT) or comparison.conditions.get(AS_MODEL)
    compared = comparison.compared
    if found is None or not found.episodes or compared.figure is None or not compared.differences:
        return None
    counting = next((one.counting for one in compared.differences if one.counting), None)
    if counting is None:
        return _measured(comparison, AS_SCRIPT)
    return counted(found, counting, compared.n_envs, len(compared.figure.rewards))


def _agrees(comparison: Comparison | None, drawn: np.ndarray, script: np.ndarray) -> bool:
    """Whether the audit gets what the script gets, but for chance.

    :param script: as :func:`_reproduced` gives it
    """
    measured = None if comparison is None or _is_estimate(comparison) else comparison.conditions.get(AS_SCRIPT)
    return not differ(drawn, script) if measured is None else is_reproduced(drawn, measured)


def _is_estimate(comparison: Comparison | None) -> bool:
    """Whether what a script does is computed from the lengths and rewards of episodes, and not run."""
    return comparison is not None and any(one.counting for one in comparison.compared.differences)


def _expected(comparison: Comparison | None) -> float | None:
    """What a script costs, by what its model earns under conditions; None where that may be chance."""
    if comparison is None:
        return None
    model, script, reproduced = (
        comparison.conditions.get(AS_MODEL),
        comparison.conditions.get(AS_SCRIPT),
        _reproduced(comparison),
    )
    if model is None or reproduced is None:
        return None
    found = gained(script, model)
    certain = found is not None and abs(found.effect) > STANDARD_ERRORS * found.error
    certain = certain or _is_estimate(comparison)
    return float(model.rewards.mean() - reproduced.mean()) if certain else None


def _are_alike(earned: np.ndarray, usual: np.ndarray) -> bool:
    """Whether all episodes of a script are one, where those of its model differ that acts as in the script."""
    return earned.size > 2 and float(np.ptp(earned)) == 0.0 < float(np.ptp(usual))


def with_unexplained(
    causes: Sequence[ScriptCause], gap: float, reproduced: np.ndarray | None, earned: float
) -> list[ScriptCause]:
    """The causes of a gap, with what of it they do not explain.

    Where the audit does the same as the script and gets something else altogether, that is said first, and what each
    cause costs is not known: its numbers are of another thing.

    :param reproduced: where the audit does the same as the script, and does not get what it gets; None otherwise
    """
    if any(cause.share is None and cause.cost is None and cause.cause not in _IN_THE_FIGURE for cause in causes):
        return [*causes]
    if all(cause.cause in _IN_THE_FIGURE for cause in causes):
        evidence = f"nothing that was seen of it explains the difference of {gap:.3g}"
        return [*causes, ScriptCause("unexplained", "", "", evidence, "")]
    left = None if reproduced is None else float(reproduced.mean()) - earned
    if reproduced is None or left is None or abs(left) < WORTH_NAMING * abs(gap):
        return [*causes]
    same = f"where the audit does the same as the script, its model earns {reproduced.mean():.4g}, and not {earned:.4g}"
    if abs(left) < _NOT_REPRODUCED * abs(gap):
        evidence = f"{same}: {abs(left):.3g} of the difference of {gap:.3g} are not explained"
        return [*causes, ScriptCause("unexplained", "", "", evidence, "")]
    evidence = f"{same}: what the lines below cost is therefore not known, nor whether they are all"
    without = [replace(cause, cost=None, restores=None, share=None, together_with=()) for cause in causes]
    return [ScriptCause("unexplained", "", "", evidence, ""), *without]


_IN_THE_FIGURE = ("reward-normalized", "episodes-counted-wrongly")
"""Causes that change nothing of what episodes earn: the script makes another number of it."""

_NOT_REPRODUCED = 0.25
"""Part of a gap by which the audit may miss what the script gets, and still say what each line costs."""


def one_text_a_line(causes: Sequence[ScriptCause]) -> list[ScriptCause]:
    """Causes, those of one line with one text in place of it, that puts all of them right.

    The text is that of the first, followed by what others set after the same statement. Where another one changes the
    statement itself, it has no text: the line has to be put right first.
    """
    made: list[ScriptCause] = []
    for cause in causes:
        beside = [one for one in causes if one.where == cause.where and one.instead and cause.instead]
        made.append(cause if len(beside) < 2 else replace(cause, instead=_in_one(beside)))
    return made


def _in_one(causes: Sequence[ScriptCause]) -> str:
    """One text in place of a line for several causes, the dearest first."""
    text = causes[0].instead
    for cause in causes[1:]:
        first, _, sets = cause.instead.partition("; ")
        if first != cause.code or not sets:  # it changes the statement, as the dearest may
            continue
        given = _targets(text)
        text += "".join(f"; {one}" for one in sets.split("; ") if not _targets(one) <= given)
    return text


def _targets(code: str) -> set[str]:
    """What the statements on a line assign to; nothing for what is no Python, such as the head of a loop."""
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return set()
    return {ast.unparse(target) for node in ast.walk(tree) if isinstance(node, ast.Assign) for target in node.targets}


def _ranked(
    comparison: Comparison | None, gap: float | None, *, explained: bool
) -> tuple[list[ScriptCause], list[ScriptCause]]:
    """The causes of a gap, the dearest first, and the differences that cost nothing that can be seen.

    :param gap: None where there is none beyond chance: then only those are causes that make the figure another one, or
        are faults whatever they cost
    :param explained: whether the audit gets what the script gets where it does the same
    """
    named: list[ScriptCause] = []
    harmless: list[ScriptCause] = []
    if comparison is None:
        return named, harmless
    differences = comparison.compared.differences
    tried = [one for one in differences if one.changes is not None]
    for one in differences:
        cause, counts = _weighed(comparison, one, gap, only_one=len(tried) == 1)
        unmeasurable = one.changes is None and not one.counting
        if one.in_doubt and (gap is None or (explained and one.changes is None)):
            continue
        (named if counts or unmeasurable or one.certain else harmless).append(cause)
    return sorted(named, key=lambda cause: (cause.share is None, -(cause.share or 0.0))), harmless


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
    comparison: Comparison, one: ScriptDifference, gap: float | None, *, only_one: bool
) -> tuple[ScriptCause, bool]:
    """A difference with its cost, and whether that is a part of the gap beyond chance."""
    line = one.line
    cause = ScriptCause(
        one.cause, "" if line is None else str(line), "" if line is None else line.code, one.evidence, one.instead
    )
    if one.counting:
        return _weighed_by_counting(comparison, cause, one.counting, gap)
    if one.changes is None or (gap is None and not one.certain):
        return cause, False
    measured = comparison.conditions
    model, script = measured.get(AS_MODEL), measured.get(AS_SCRIPT)
    costs = gained(script if only_one else measured.get(alone(one.cause)), model)
    restored = costs if only_one else gained(script, measured.get(put_right(one.cause)))
    known = [found for found in (costs, restored) if found is not None and found.mean is not None]
    if gap is None:
        return replace(cause, cost=None if costs is None else costs.effect), False
    shares = [
        found.effect / gap for found in known if found.effect and abs(found.effect) > STANDARD_ERRORS * found.error
    ]
    share = max(shares, default=None)
    causes = [*dict.fromkeys(each.cause for each in comparison.compared.differences if each.changes is not None)]
    group = together(measured, causes).get(one.cause)
    if group is not None:
        return _weighed_together(cause, gained(measured.get(only(group, causes)), model), group, gap)
    weighed = replace(
        cause,
        cost=None if costs is None else costs.effect,
        restores=None if restored is None else restored.effect,
        share=share,
    )
    return weighed, not known or (share is not None and abs(share) > WORTH_NAMING)


def _weighed_together(
    cause: ScriptCause, costs: ConditionResult | None, group: Sequence[str], gap: float
) -> tuple[ScriptCause, bool]:
    """A difference that costs something only together with others, with what all of them cost."""
    cost = 0.0 if costs is None else costs.effect
    others = tuple(other for other in group if other != cause.cause)
    share = cost / gap
    return replace(cause, cost=cost, share=share, together_with=others), abs(share) > WORTH_NAMING


def _weighed_by_counting(
    comparison: Comparison, cause: ScriptCause, counting: Counting, gap: float | None
) -> tuple[ScriptCause, bool]:
    """A difference in which episodes count, with what that makes of the model's episodes."""
    model, compared = comparison.conditions.get(AS_MODEL), comparison.compared
    if gap is None or model is None or not model.episodes or compared.figure is None:
        return cause, False
    found = counted(model, counting, compared.n_envs, len(compared.figure.rewards))
    cost = float(model.rewards.mean() - found.mean())
    share = cost / gap
    return replace(cause, cost=cost, restores=cost, share=share), share > WORTH_NAMING
