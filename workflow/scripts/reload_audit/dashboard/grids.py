"""Mean rewards of an experiment: number of environments in training by condition of evaluation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from reload_audit.dashboard.entries import TOGETHER, WORST_FIRST, Condition, Entry, worst_first
from reload_audit.dashboard.numbers import signed

_FIRST = ("in_place", "reference", "reload")
_TITLES = {"in_place": "in place"}


@dataclass(frozen=True)
class Cell:
    """Models that differ in their seed only, averaged.

    :param tone: ``less`` or ``more`` than the reference by over the margin, or nothing
    :param heat: how much so, 0 to 1
    :param details: a sentence for who wants to know more
    """

    mean: float | None
    difference: float | None
    evaluated: int
    models: int
    tone: str = ""
    heat: float = 0.0
    details: str = ""


@dataclass(frozen=True)
class Column:
    """One condition: its title, and what it means in small print."""

    title: str
    subtitle: str


@dataclass(frozen=True)
class Row:
    """Models trained with the same number of environments.

    :param margin: the mean of theirs, which decides what is coloured
    """

    n_envs: int
    margin: float | None
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Grid:
    """One experiment."""

    experiment: str
    subject: str
    verdicts: tuple[tuple[str, int], ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def grids(models: Sequence[Entry]) -> list[Grid]:
    """A grid for each experiment that the workflow trained, those with losses first."""
    experiments: dict[str, list[Entry]] = {}
    for entry in models:
        if entry.found:
            continue
        experiments.setdefault(entry.experiment, []).append(entry)
    return [_grid(experiment, members) for experiment, members in worst_first(experiments)]


def _grid(experiment: str, members: Sequence[Entry]) -> Grid:
    names = _condition_names(members)
    counted = Counter(entry.verdict for entry in members)
    subjects = sorted({f"{entry.algo} on {entry.environment}" for entry in members})
    rows = []
    for n_envs in sorted({entry.n_envs for entry in members}):
        trained_alike = [entry for entry in members if entry.n_envs == n_envs]
        margin = _mean(entry.margin for entry in trained_alike if entry.margin is not None)
        rows.append(Row(n_envs, margin, tuple(_cell(trained_alike, name, margin) for name in names)))
    return Grid(
        experiment=experiment,
        subject=", ".join(subjects),
        verdicts=tuple((verdict, counted[verdict]) for verdict in reversed(WORST_FIRST) if counted[verdict]),
        columns=tuple(_column(members, name) for name in names),
        rows=tuple(rows),
    )


def _condition_names(members: Sequence[Entry]) -> list[str]:
    """In place, reference, reload, then ``n_envs=k`` by number, then whatever else every model was tried under.

    What was tried on some models to find a cause is among their own details.
    """

    def place(name: str) -> tuple[float, int]:
        if name in _FIRST:
            return -math.inf, _FIRST.index(name)
        key, _, value = name.partition("=")
        return (float(value), 0) if key == "n_envs" and value.isdecimal() else (math.inf, 0)

    tried = [[condition.name for condition in entry.conditions] for entry in members if entry.conditions]
    names = dict.fromkeys(name for own in tried for name in own if TOGETHER not in name)
    asked = [name for name in names if _is_asked_for(name) or all(name in own for own in tried)]
    return sorted(asked, key=place)


def _is_asked_for(name: str) -> bool:
    """Whether the configuration asks for a condition, of all models that run."""
    return name in (*_FIRST, "SubprocVecEnv") or name.startswith("n_envs=")


def _column(members: Iterable[Entry], name: str) -> Column:
    slots = {c.n_envs for entry in members for c in entry.conditions if c.name == name and c.n_envs is not None}
    match name:
        case "in_place":
            subtitle = "as trained"
        case "reference" | "reload" | "SubprocVecEnv" if len(slots) == 1:
            subtitle = f"n_envs={slots.pop()}"
        case _:
            subtitle = ""
    return Column(_TITLES.get(name, name), subtitle)


def _cell(models: Sequence[Entry], name: str, margin: float | None) -> Cell:
    measured = [
        _measured(entry, condition) for entry in models for condition in entry.conditions if condition.name == name
    ]
    evaluated = [condition for condition in measured if condition.mean is not None]
    differences = [condition.difference for condition in evaluated if condition.difference is not None]
    cell = Cell(
        mean=_mean(condition.mean for condition in evaluated if condition.mean is not None),
        difference=_mean(differences) if name != "reference" else None,
        evaluated=len(evaluated),
        models=len(models),
        details=_details(evaluated, differences),
    )
    return _heated(cell, margin)


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


def _heated(cell: Cell, margin: float | None) -> Cell:
    """Coloured where the mean difference leaves the margin, fully at five margins."""
    if cell.difference is None or margin is None or abs(cell.difference) <= margin:
        return cell
    heat = 1.0 if margin == 0.0 else min(1.0, abs(cell.difference) / margin / 5)
    return replace(cell, tone="less" if cell.difference < 0 else "more", heat=round(heat, 2))


def _details(evaluated: Sequence[Condition], differences: Sequence[float]) -> str:
    """On how many episodes a cell rests, and what its average hides."""
    lengths = [condition.n_episodes for condition in evaluated if condition.n_episodes is not None]
    if not lengths:
        return "no episodes"
    few, many = min(lengths), max(lengths)
    text = f"{few} episodes a model" if few == many else f"{few} to {many} episodes a model"
    if len(differences) > 1 and min(differences) != max(differences):
        text += f"; differences from {signed(min(differences))} to {signed(max(differences))}"
    return text


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return math.fsum(found) / len(found) if found else None
