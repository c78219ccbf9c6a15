"""Join the runs of a script that does the same again and again, with a model and an environment made anew each time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from reload_audit.observing.tracking import MOST_VIEWS
from reload_audit.records.observation import Observation, ObservedActs, ObservedEpisode, ObservedEvaluation, ObservedRun


def with_alike_joined(observation: Observation) -> Observation:
    """Join runs whose models, environments and ways of acting are the same, as of a function that is called many times.

    Joined runs are of the last one's model and environment.
    """
    groups: dict[str, list[ObservedRun]] = {}
    for run in observation.runs:
        key = _said(observation, run)
        groups[key] = [*groups.pop(key, []), run]
    if len(groups) == len(observation.runs):
        return observation
    runs, evaluations = [], list(observation.evaluations)
    for group in groups.values():
        n_envs = observation.environments[group[-1].environment].n_envs
        runs.append(group[0] if len(group) == 1 else _joined(group, n_envs))
        if len(group) > 1:
            evaluations = _of_joined(evaluations, group)
    return replace(observation, runs=runs, evaluations=evaluations)


def _said(observation: Observation, run: ObservedRun) -> str:
    """What two runs have in common if they are to be joined, as text."""
    environment = observation.environments[run.environment]
    model = None if run.model is None else observation.models[run.model]
    layer = None if environment.normalization is None else observation.normalizations[environment.normalization]
    of_model = model and (
        model.algo,
        model.made,
        model.line,
        model.path,
        model.set_from,
        model.learned,
        model.weights_acting,
    )
    of_layer = layer and (
        *(layer.made, layer.line, layer.path, layer.moments),
        *(bool(layer.updating), bool(layer.scaling), bool(layer.normalizing)),
    )
    acts = {(act.how, act.line, act.deterministic) for act in run.acts}
    return repr((of_model, of_layer, replace(environment, normalization=None), sorted(map(repr, acts))))


def _joined(runs: Sequence[ObservedRun], n_envs: int) -> ObservedRun:
    acts: Counter[ObservedActs] = Counter()
    for run in runs:
        for act in run.acts:
            acts[replace(act, count=0)] += act.count
    return replace(
        runs[-1],
        acts=[replace(act, count=count) for act, count in acts.items()],
        episodes=[episode for run in runs for episode in _episodes(run, last=run is runs[-1], n_envs=n_envs)],
        views=[view for run in runs for view in run.views][:MOST_VIEWS],
        until_any=[one for run in runs for one in run.until_any],
        taken=[action for run in runs for action in run.taken][:MOST_VIEWS],
        outside=sum(run.outside for run in runs),
        begins=sum(run.begins for run in runs),
        masks_again=sum(run.masks_again for run in runs),
        changed=sum(run.changed for run in runs),
        unasked=sum(run.unasked for run in runs),
        again=sum(run.again for run in runs),
        most_in_a_row=max(run.most_in_a_row for run in runs),
        steps=sum(run.steps for run in runs),
        together=next((run.together for run in reversed(runs) if run.together), ()),
    )


def _episodes(run: ObservedRun, *, last: bool, n_envs: int) -> Iterable[ObservedEpisode]:
    """Episodes of a run; one that the script left for its next environment was cut short by it."""
    left = n_envs == 1 and not last
    return (replace(one, ending="cut") if left and one.ending == "open" else one for one in run.episodes)


def _of_joined(evaluations: Sequence[ObservedEvaluation], runs: Sequence[ObservedRun]) -> list[ObservedEvaluation]:
    """Evaluations, those in joined runs put together where each run has one of the same episodes."""
    last = runs[-1]
    belong = {(run.model, run.environment) for run in runs}
    own = [one for one in evaluations if (one.model, one.environment) in belong]
    others = [one for one in evaluations if one not in own]
    if not own:
        return others
    alike = len(own) == len(runs) and len({(one.line, one.episodes, one.deterministic) for one in own}) == 1
    if not alike:
        offset = sum(len(run.episodes) for run in runs[:-1])
        one = own[-1]
        return [*others, replace(one, model=last.model, environment=last.environment, first=one.first + offset)]
    means, stds = (np.asarray([getattr(one, name) for one in own]) for name in ("mean", "std"))
    spread = float(np.sqrt((stds**2 + (means - means.mean()) ** 2).mean()))
    episodes = sum(one.episodes for one in own)
    of_all = replace(own[-1], first=0, episodes=episodes, mean=float(means.mean()), std=spread)
    return [*others, of_all]
