"""Experiments: mean rewards by number of environments in training and condition of evaluation, and seed by seed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from reload_audit.records.conditions import CANONICAL, joined
from reload_audit.reports.audited_model import STAGES, ConditionRow
from reload_audit.reports.dashboard.entries import Entry, worst_first
from reload_audit.reports.dashboard.number_format import number, signed

_TITLES = {"in_place": "in place"}

MARGINS_SHOWN = 3.0
"""Margins at which a cell has its full colour."""

MOST = 60
"""Experiments that are drawn, those with losses first."""

_MOST_PANELS = 24
_MOST_NAMES = 4
_LONGEST_TITLE = 60
_MOST_MARGINS = 1e9


@dataclass(frozen=True)
class Cell:
    """What models that were trained alike but for their seeds earned under one condition.

    :param group: name of the experiment
    :param experiment: the same as a title, which may be shortened
    :param rank: place of the experiment among all
    :param n_envs: in training
    :param place: place of the condition among all
    :param condition: its title
    :param mean: mean reward over models, as text
    :param difference: mean difference from the reference, as text; empty where there is none
    :param differences: the same, with the range over models
    :param margins: the mean difference in mean margins; None where there is none
    :param margin: the mean margin, as text
    :param episodes: how many were run of each model, as text, which says where every bit is as after reload
    :param models: how many were evaluated of how many, as text
    """

    group: str
    experiment: str
    rank: int
    n_envs: int
    place: int
    condition: str
    mean: str
    difference: str
    differences: str
    margins: float | None
    margin: str
    episodes: str
    models: str


@dataclass(frozen=True)
class SeedMean:
    """What a model earned at one stage: in place, as reference or after reload; or several that earned the same at all.

    :param group: name of the experiment
    :param panel: title of the panel that it is drawn in
    :param rank: place of the panel among all
    :param model: its name, or those of several
    :param reward: its mean reward as text
    :param label: after the reload, how many models it stands for, if several
    """

    group: str
    panel: str
    rank: int
    model: str
    verdict: str
    stage: str
    mean: float
    reward: str
    label: str = ""


@dataclass(frozen=True)
class _Row:
    """The models of one experiment that were trained in the same number of environments."""

    experiment: str
    rank: int
    n_envs: int
    models: Sequence[Entry]

    @property
    def complete(self) -> Sequence[Entry]:
        """Those that were reloaded, so that means before and after are of the same models; all where none was."""
        return [entry for entry in self.models if entry.reload_mean_reward is not None] or self.models


def experiments(models: Iterable[Entry]) -> dict[str, Sequence[Entry]]:
    """The models that the workflow trained, by experiment, those with losses first; without those that never ran."""
    found: dict[str, list[Entry]] = {}
    for entry in models:
        if not entry.is_external and entry.conditions:
            found.setdefault(entry.experiment, []).append(entry)
    return dict(worst_first(found)[:MOST])


def cells(models: Iterable[Entry]) -> list[Cell]:
    """A cell for each experiment, n_envs in training and condition, averaged over seeds."""
    found = []
    for rank, (experiment, members) in enumerate(experiments(models).items()):
        names = _condition_names(members)
        for n_envs, alike in _by_n_envs(members):
            row = _Row(experiment, rank, n_envs, alike)
            found += [_cell(row, place, name) for place, name in enumerate(names)]
    return found


def seeds(models: Iterable[Entry]) -> list[SeedMean]:
    """Three rows for each model, with what it earned in place, as reference and after reload.

    Models with the same verdict that earned the same at all stages have one line, which says how many it stands for.
    """
    rows: list[SeedMean] = []
    panels = 0
    for experiment, members in experiments(models).items():
        for n_envs, alike in _by_n_envs(members):
            panels += 1
            if panels > _MOST_PANELS:
                return rows
            title = f"{_title(experiment)}, n_envs={n_envs}"
            lines: dict[tuple[str, tuple[tuple[str, float], ...]], list[str]] = {}
            for entry in alike:
                lines.setdefault((entry.verdict, tuple(_stages(entry))), []).append(entry.name)
            for (verdict, stages), names in lines.items():
                model, label = _names(names), f"×{len(names)}" if len(names) > 1 else ""
                drawn = [
                    SeedMean(experiment, title, panels, model, verdict, stage, mean, number(mean))
                    for stage, mean in stages
                ]
                rows += [*drawn[:-1], *(replace(last, label=label) for last in drawn[-1:])]
    return rows


def _names(names: Sequence[str]) -> str:
    """A few names, and how many more there are."""
    left = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {left} more" if left > 0 else "")


def _by_n_envs(members: Sequence[Entry]) -> list[tuple[int, list[Entry]]]:
    """Models by their number of environments in training, the smallest first."""
    found: dict[int, list[Entry]] = {}
    for entry in members:
        found.setdefault(entry.train_n_envs or 0, []).append(entry)
    return sorted(found.items())


def _title(experiment: str) -> str:
    return experiment if len(experiment) <= _LONGEST_TITLE else f"{experiment[: _LONGEST_TITLE - 1]}…"


def _stages(entry: Entry) -> list[tuple[str, float]]:
    means = {
        "in place": entry.train_mean_reward,
        "reference": entry.reference_mean_reward,
        "reload": entry.reload_mean_reward,
    }
    return [(stage, mean) for stage, mean in means.items() if mean is not None]


def _condition_names(members: Sequence[Entry]) -> list[str]:
    """In place, reference, reload, other numbers of environments by size, then what else every model was tried under.

    What was tried on some models to find a cause is among their own details.
    """
    tried = [[condition.name for condition in entry.conditions] for entry in members]
    names = dict.fromkeys(name for own in tried for name in own)
    pairs = {joined(one, other) for one, other in product(names, repeat=2)}
    sizes = {name: size for entry in members for name, size in _other_slots(entry)}
    places = sizes | {name: place - len(STAGES) for place, name in enumerate(STAGES)}
    asked = [name for name in names if name in places or all(name in own for own in tried)]
    return sorted((name for name in asked if name not in pairs), key=lambda name: places.get(name, math.inf))


def _other_slots(entry: Entry) -> Iterator[tuple[str, float]]:
    """Conditions that differ from the canonical one in how environments run, with their number if that is other."""
    canonical = next((condition for condition in entry.conditions if condition.name == CANONICAL), None)
    for condition in entry.conditions:
        if canonical is None or condition.name in STAGES:
            continue
        if condition.n_envs is not None and condition.n_envs != canonical.n_envs:
            yield condition.name, condition.n_envs
        elif condition.vec_env != canonical.vec_env:
            yield condition.name, math.inf


def _cell(row: _Row, place: int, name: str) -> Cell:
    """What the models of a row earned under one condition.

    :param place: of the condition among all
    :param name: of the condition
    """
    evaluated = [
        condition
        for entry in row.complete
        for condition in (_on_the_same_episodes(entry, one) for one in entry.conditions if one.name == name)
        if condition.mean_reward is not None
    ]
    differences = [condition.difference for condition in evaluated if condition.difference is not None]
    margin = _mean(entry.margin for entry in row.complete)
    difference = _mean(differences) if name != "reference" else None
    said = signed(difference) if difference is not None else ""
    if len(differences) > 1 and min(differences) != max(differences):
        said += f", {signed(min(differences))} to {signed(max(differences))}"
    return Cell(
        group=row.experiment,
        experiment=_title(row.experiment),
        rank=row.rank,
        n_envs=row.n_envs,
        place=place,
        condition=_TITLES.get(name, name),
        mean=number(_mean(condition.mean_reward for condition in evaluated)),
        difference=signed(difference) if difference is not None else "",
        differences=said,
        margins=_in_margins(difference, margin),
        margin=number(margin),
        episodes=_episodes(evaluated),
        models=f"{len(evaluated)} of {len(row.models)}",
    )


def _on_the_same_episodes(entry: Entry, condition: ConditionRow) -> ConditionRow:
    """What was measured in place and as reference, cut to the episodes that the reload ran.

    The condition itself holds all train-time episodes; their mean differs from the first few that the reload
    was compared with, and that would look like a loss. So would that of a condition which ended early because every bit
    is as after reload: the mean after reload stands for it.
    """
    if condition.spared == "same":
        return replace(condition, mean_reward=entry.reload_mean_reward)
    in_place, reference = entry.train_mean_reward, entry.reference_mean_reward
    if entry.n_episodes is None or in_place is None or reference is None:
        return condition
    if condition.name == "in_place":
        difference = in_place - reference
        return replace(condition, mean_reward=in_place, difference=difference, n_episodes=entry.n_episodes)
    if condition.name == "reference":
        return replace(condition, mean_reward=reference, n_episodes=entry.n_episodes)
    return condition


def _episodes(evaluated: Sequence[ConditionRow]) -> str:
    """How many episodes were run of each model."""
    numbers = sorted({condition.n_episodes for condition in evaluated if condition.n_episodes is not None})
    said = " to ".join(f"{number:,}" for number in dict.fromkeys((*numbers[:1], *numbers[-1:])))
    alike = sum(condition.spared == "same" for condition in evaluated)
    of = "" if alike == len(evaluated) else f" of {alike} of {len(evaluated)} models"
    return f"{said}; every bit{of} as after reload, whose mean is shown" if alike else said


def _in_margins(difference: float | None, margin: float | None) -> float | None:
    if difference is None or margin is None:
        return None
    if margin == 0.0 or abs(difference) / _MOST_MARGINS > margin:
        return 0.0 if difference == 0.0 else math.copysign(_MOST_MARGINS, difference)
    return round(difference / margin, 3)


def _mean(values: Iterable[float | None]) -> float | None:
    """The mean of those that are known."""
    found = [value for value in values if value is not None]
    return math.fsum(value / len(found) for value in found) if found else None
