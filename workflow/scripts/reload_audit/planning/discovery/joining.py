"""Join models with statistics and evaluations that lie elsewhere in their run's folder, by what these hold.

First those are looked at that lie nearest: in the model's own folder and below, then in the folder above it, and so on
up to the folder that the user named. Statistics are a model's where shapes of observations fit and as many steps were
counted; evaluations, where one was made at the model's own steps, or training ended before another would have been;
monitor files, where environments were made before training began and their episodes took its steps.
Where several fit, or one fits several runs, names decide; where they do not, nothing is taken, and that is said.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from reload_audit.planning.discovery import zips
from reload_audit.planning.discovery.below import (
    Below,
    Found,
    evaluations_below,
    monitors_below,
    statistics_below,
)
from reload_audit.planning.discovery.candidate import Candidate
from reload_audit.planning.discovery.tree import Folder
from reload_audit.reading.evaluations import Evaluations
from reload_audit.reading.monitor_files import Monitored
from reload_audit.reading.outlines import Shapes, StatisticsOutline
from reload_audit.reading.refusal import Unreadable, shown

_WORD = re.compile(r"[a-z]+|\d+")
_MOST_NAMED = 5

_Held = TypeVar("_Held", StatisticsOutline, Evaluations)
_Taken = Mapping[str, set[object]]
"""By the name of each file that models have already: the runs of these models."""


def join(top: Folder, models: Sequence[Candidate]) -> None:
    """Give models their files that lie elsewhere below a folder; a remark says where whose they are cannot be told.

    :param top: the folder that the user named
    :param models: what discovery found in it
    """
    known = [model for model in models if model.folder is not None and not model.problem and not model.recording]
    unnormalized = [model for model in known if _wants_statistics(model)]
    if unnormalized:
        statistics, taken = statistics_below(top), _taken(models, "statistics")
        fitting = [(model, _statistics_of(model, statistics, taken)) for model in unnormalized]
        _give(top, fitting, "statistics", _normalize)
    unevaluated = [model for model in known if model.evaluations is None and model.trained.steps is not None]
    if unevaluated:
        evaluations, taken = evaluations_below(top), _taken(models, "evaluations")
        found = [(model, _evaluations_of(model, evaluations, taken)) for model in unevaluated]
        _give(top, found, "evaluations", _evaluate)
    _share(known)
    unmonitored = [model for model in known if not model.monitors and model.role == "final" and model.trained.steps]
    if unmonitored:
        monitored = monitors_below(top)
        for model in unmonitored:
            _monitor(model, monitored)


# --- Which files may be a model's ----------------------------------------------------------------------------------


def _wants_statistics(model: Candidate) -> bool:
    return model.statistics is None and model.normalized is not False and model.trained.normalized is not False


def _taken(models: Iterable[Candidate], what: str) -> _Taken:
    taken = defaultdict(set)
    for model in models:
        path = getattr(model, what)
        if path is not None:
            taken[path].add(_run(model))
    return taken


def _run(model: Candidate) -> object:
    """The same for all models that one call of ``learn`` left, as far as is known."""
    return model.trained.started or model.run


def _free(level: Iterable[Found[_Held]], model: Candidate, taken: _Taken) -> list[Found[_Held]]:
    """The files that no model of another run has already."""
    return [file for file in level if file.path not in taken or _run(model) in taken[file.path]]


def _statistics_of(
    model: Candidate, below: Below[StatisticsOutline], taken: _Taken
) -> Sequence[Found[StatisticsOutline]]:
    """Statistics with as many steps as a model; else those that lie nearest to a model which certainly had some.

    In other folders than the model's own only those count that may be of its training: of its last step or a later one.
    """
    assert model.folder is not None
    nearest: list[Found[StatisticsOutline]] = []
    shapes: list[Shapes | None] = []
    for away, level in enumerate(below.levels(model.folder)):
        free = _free(level, model, taken)
        if free and not shapes:
            shapes = [_shapes(model)]
        fitting = [file for file in free if _fits(file.held.shapes, shapes[0])]
        exact = [file for file in fitting if file.held.steps is not None and file.held.steps == model.trained.steps]
        if exact:
            return exact
        possible = [file for file in fitting if not away or not _is_before(file.held.steps, model.trained.steps)]
        nearest = nearest or possible
    return nearest if model.normalized or model.trained.normalized else []


def _is_before(counted: int | None, steps: int | None) -> bool:
    """Whether statistics that counted so many steps are of an earlier moment than the model, or of other training."""
    return counted is not None and steps is not None and counted < steps


def _shapes(model: Candidate) -> Shapes | None:
    try:
        return zips.observed_shapes(model.path)
    except Unreadable:
        return None


def _fits(statistics: Shapes, model: Shapes | None) -> bool:
    """Whether statistics may be of a model's observations, which may be several that were stacked."""
    if model is None or not statistics:
        return True
    if (list(statistics) == [""]) != (list(model) == [""]):
        return False
    return all(key in model and _is_multiple(model[key], shape) for key, shape in statistics.items())


def _is_multiple(shape: Sequence[int], of: Sequence[int]) -> bool:
    return math.prod(of) > 0 and math.prod(shape) % math.prod(of) == 0


def _evaluations_of(model: Candidate, below: Below[Evaluations], taken: _Taken) -> Sequence[Found[Evaluations]]:
    """Evaluations of which one was made at a model's steps, or the last shortly before it was saved."""
    assert model.folder is not None
    for level in below.levels(model.folder):
        fitting = [file for file in _free(level, model, taken) if belongs(file.held, model)]
        if fitting:
            tables = [[file for file in fitting if file.path.endswith(ending)] for ending in (".npz", ".csv")]
            return next(filter(None, tables), fitting)  # the first have every episode, the second every digit
    return []


def belongs(evaluations: Evaluations, model: Candidate) -> bool:
    """Whether evaluations may be of a model's training, by its steps."""
    steps, own = evaluations.steps, model.trained.steps or 0
    if own in steps:
        mean = evaluations.means[steps.index(own)]
        return model.role != "best" or all(before < mean for before in evaluations.means[: steps.index(own)])
    every = steps[-1] - steps[-2] if len(steps) > 1 else steps[-1]
    return model.role == "final" and steps[-1] < own < steps[-1] + every


# --- Which of them are -----------------------------------------------------------------------------------------------


def _give(
    top: Folder,
    wanting: Sequence[tuple[Candidate, Sequence[Found[_Held]]]],
    what: str,
    take: Callable[[Candidate, Found[_Held]], None],
) -> None:
    """Give each model the file that fits it alone, by steps or by names; a remark says what could not be told.

    :param wanting: models, each with the files that fit
    """
    chosen = [(model, _by_name(top, model, found)) for model, found in wanting]
    in_common: dict[str, dict[object, int]] = defaultdict(dict)
    for model, found in chosen:
        for file in found:
            runs = in_common[file.path]
            runs[_run(model)] = max(runs.get(_run(model), 0), _in_common(top, model.path, file.path))
    for model, found in chosen:
        if len(found) == 1 and _is_first(_run(model), in_common[found[0].path]):
            take(model, found[0])
        elif found:
            paths = ", ".join(shown(file.path) for file in found[:_MOST_NAMED])
            fit = "fits several runs" if len(found) == 1 else f"{'and more ' if found[_MOST_NAMED:] else ''}fit"
            model.remarks.append(f"which {what} are its own cannot be told: {paths} {fit}; name them as its `{what}`")


def _is_first(run: object, in_common: Mapping[object, int]) -> bool:
    """Whether one run has more names in common with a file than any other run."""
    return all(count < in_common[run] for other, count in in_common.items() if other != run)


def _by_name(top: Folder, model: Candidate, found: Sequence[Found[_Held]]) -> Sequence[Found[_Held]]:
    """Those of some files whose names have most in common with the model's."""
    if len(found) < 2:
        return found
    scores = [_in_common(top, model.path, file.path) for file in found]
    return [file for file, score in zip(found, scores, strict=True) if score == max(scores)]


def _in_common(top: Folder, one: str, other: str) -> int:
    """How many words and numbers of one path the other has too, below a folder that both lie in."""
    words = [{*_WORD.findall(path.removeprefix(top.path).lower())} for path in (one, other)]
    return len(words[0] & words[1])


def _normalize(model: Candidate, file: Found[StatisticsOutline]) -> None:
    model.statistics = file.path
    model.answer(["vecnormalize"])
    counted, steps = (f"{count:,}" if count else "unknown" for count in (file.held.steps, model.trained.steps))
    as_many = f"as many steps as the model, {steps}" if counted == steps else f"{counted} steps, the model {steps}"
    model.remarks.append(f"its statistics are taken to be {shown(file.path)}, which have counted {as_many}")


def _evaluate(model: Candidate, file: Found[Evaluations]) -> None:
    model.evaluations = file.path
    last, steps = file.held.steps[-1], model.trained.steps or 0
    fit = f"one at its {steps:,} steps" if steps in file.held.steps else f"the last at {last:,} of its {steps:,} steps"
    model.remarks.append(f"its evaluations are taken to be {shown(file.path)}, with {fit}")


def _monitor(model: Candidate, below: Below[Monitored]) -> None:
    """Give a model the monitor files of one folder whose episodes are those of its training, by steps and times."""
    assert model.folder is not None
    for level in below.levels(model.folder):
        folders: dict[str, list[Found[Monitored]]] = defaultdict(list)
        for file in level:
            folders[file.path.rpartition("/")[0]].append(file)
        fitting = [files for files in folders.values() if _may_be_episodes_of(model, [file.held for file in files])]
        if len(fitting) == 1:
            model.monitors = sorted(file.path for file in fitting[0])
            held = sum(file.held.steps for file in fitting[0])
            said = f"of {held:,} of its {model.trained.steps or 0:,} steps"
            model.remarks.append(f"its training episodes are taken to be in {shown(model.monitors[0])}, {said}")
        elif fitting:
            paths = ", ".join(shown(files[0].path) for files in fitting[:_MOST_NAMED])
            model.remarks.append(f"which monitor files are of its training cannot be told: {paths} fit")
        if fitting:
            return


def _may_be_episodes_of(model: Candidate, episodes: Sequence[Monitored]) -> bool:
    """Whether episodes began before a model's training, and took its steps, but for those that had not ended."""
    left = (model.trained.steps or 0) - sum(one.steps for one in episodes)
    if len(episodes) != (model.n_envs or len(episodes)) or not 0 <= left <= sum(one.longest for one in episodes):
        return False
    started = model.trained.started
    if started is None:
        return True
    seconds = started / 1e9 if started > _NANOSECONDS else started
    return all(one.started <= seconds + 1.0 and seconds - one.started < _SECONDS_BEFORE for one in episodes)


_NANOSECONDS = 1e14
"""A time from which on it is in nanoseconds."""

_SECONDS_BEFORE = 86_400.0
"""How long before training its environments are made, at most."""


def _share(models: Sequence[Candidate]) -> None:
    """Give all models that one call of ``learn`` left the evaluations of one of them."""
    of_run: dict[float, set[str]] = defaultdict(set)
    for model in models:
        if model.trained.started and model.evaluations:
            of_run[model.trained.started].add(model.evaluations)
    for model in models:
        shared = of_run.get(model.trained.started or 0.0, set())
        if model.evaluations is None and len(shared) == 1:
            (model.evaluations,) = shared
            model.remarks.append(f"its evaluations are taken to be {shown(model.evaluations)}, of the same training")
