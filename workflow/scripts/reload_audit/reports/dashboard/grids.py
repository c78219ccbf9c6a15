"""Experiments: mean rewards by number of environments in training and condition of evaluation, and seed by seed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from reload_audit.reports.dashboard.entries import TOGETHER, Condition, Entry, worst_first
from reload_audit.reports.dashboard.number_format import number, signed

_FIRST = ("in_place", "reference", "reload")
_TITLES = {"in_place": "in place"}

MOST = 12
"""Experiments that are drawn, those with losses first."""

_MOST_PANELS = 24
_LONGEST_TITLE = 60
_MOST_MARGINS = 1e9

Row = dict[str, Any]


def experiments(models: Iterable[Entry]) -> dict[str, Sequence[Entry]]:
    """The models that the workflow trained, by experiment, those with losses first; without those that never ran."""
    found: dict[str, list[Entry]] = {}
    for entry in models:
        if not entry.found and entry.conditions:
            found.setdefault(entry.experiment, []).append(entry)
    return dict(worst_first(found)[:MOST])


def cells(models: Iterable[Entry]) -> list[Row]:
    """A row for each experiment, n_envs in training and condition, averaged over seeds.

    :return: ``margins``: the mean difference from the reference, in mean margins; None where there is none
    """
    rows = []
    for rank, (experiment, members) in enumerate(experiments(models).items()):
        for n_envs in sorted({entry.n_envs for entry in members}):
            alike = [entry for entry in members if entry.n_envs == n_envs]
            # Means before and after are of the same models.
            complete = [entry for entry in alike if entry.reload_mean is not None] or alike
            for place, name in enumerate(_condition_names(members)):
                row = _cell(complete, name, of=len(alike))
                known = {"group": experiment, "experiment": _title(experiment), "rank": rank}
                rows.append({**known, "n_envs": n_envs, "place": place, **row})
    return rows


def seeds(models: Iterable[Entry]) -> list[Row]:
    """Three rows for each model, with what it earned in place, as reference and after reload."""
    rows: list[Row] = []
    panels: set[tuple[str, int]] = set()
    for experiment, members in experiments(models).items():
        for n_envs in sorted({entry.n_envs for entry in members}):
            panels.add((experiment, n_envs))
            if len(panels) > _MOST_PANELS:
                return rows
            panel = f"{_title(experiment)}, n_envs={n_envs}"
            for entry in members:
                if entry.n_envs == n_envs:
                    known = {"group": experiment, "panel": panel, "rank": len(panels)}
                    rows += [known | stage for stage in _stages(entry)]
    return rows


def _title(experiment: str) -> str:
    return experiment if len(experiment) <= _LONGEST_TITLE else f"{experiment[: _LONGEST_TITLE - 1]}…"


def _stages(entry: Entry) -> list[Row]:
    means = {"in place": entry.train_mean, "reference": entry.reference_mean, "reload": entry.reload_mean}
    return [
        {"model": entry.name, "verdict": entry.verdict, "stage": stage, "mean": mean, "reward": number(mean)}
        for stage, mean in means.items()
        if mean is not None
    ]


def _condition_names(members: Sequence[Entry]) -> list[str]:
    """In place, reference, reload, then ``n_envs=k`` by number, then whatever else every model was tried under.

    What was tried on some models to find a cause is among their own details.
    """

    def place(name: str) -> tuple[float, int]:
        if name in _FIRST:
            return -math.inf, _FIRST.index(name)
        key, _, value = name.partition("=")
        return (float(value), 0) if key == "n_envs" and value.isdecimal() else (math.inf, 0)

    tried = [[condition.name for condition in entry.conditions] for entry in members]
    names = dict.fromkeys(name for own in tried for name in own if TOGETHER not in name)
    asked = [name for name in names if _is_asked_for(name) or all(name in own for own in tried)]
    return sorted(asked, key=place)


def _is_asked_for(name: str) -> bool:
    """Whether the configuration asks for a condition, of all models that run."""
    return name in (*_FIRST, "SubprocVecEnv") or name.startswith("n_envs=")


def _cell(models: Sequence[Entry], name: str, of: int) -> Row:
    measured = [_measured(entry, found) for entry in models for found in entry.conditions if found.name == name]
    evaluated = [condition for condition in measured if condition.mean is not None]
    differences = [condition.difference for condition in evaluated if condition.difference is not None]
    margin = _mean(entry.margin for entry in models if entry.margin is not None)
    difference = _mean(differences) if name != "reference" else None
    said = signed(difference) if difference is not None else ""
    if len(differences) > 1 and min(differences) != max(differences):
        said += f", {signed(min(differences))} to {signed(max(differences))}"
    return {
        "condition": _TITLES.get(name, name),
        "mean": number(_mean(condition.mean for condition in evaluated if condition.mean is not None)),
        "difference": signed(difference) if difference is not None else "",
        "differences": said,
        "margins": _in_margins(difference, margin),
        "margin": number(margin),
        "models": f"{len(evaluated)} of {of}",
    }


def _measured(entry: Entry, condition: Condition) -> Condition:
    """What was measured in place and as reference, cut to the episodes that the reload ran.

    The condition itself holds all train-time episodes; their mean differs from the first few that the reload
    was compared with, and that would look like a loss.
    """
    if entry.n_episodes is None or entry.train_mean is None or entry.reference_mean is None:
        return condition
    if condition.name == "in_place":
        difference = entry.train_mean - entry.reference_mean
        return replace(condition, mean=entry.train_mean, difference=difference, n_episodes=entry.n_episodes)
    if condition.name == "reference":
        return replace(condition, mean=entry.reference_mean, n_episodes=entry.n_episodes)
    return condition


def _in_margins(difference: float | None, margin: float | None) -> float | None:
    if difference is None or margin is None:
        return None
    if margin == 0.0 or abs(difference) / _MOST_MARGINS > margin:
        return 0.0 if difference == 0.0 else math.copysign(_MOST_MARGINS, difference)
    return round(difference / margin, 3)


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return math.fsum(value / len(found) for value in found) if found else None
