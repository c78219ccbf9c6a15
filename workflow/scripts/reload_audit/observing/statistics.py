"""Whether a script shows the policy observations as training did: VecNormalize, its statistics, its switches."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from reload_audit.observing.acting_line import (
    normalized_as_trained,
    normalized_by_its_own,
    normalized_once,
    with_new_observation,
    without_rounding,
)
from reload_audit.observing.building_line import with_normalization, with_wrapper_in_place_of
from reload_audit.observing.changed_observations import changed, fitted, reordered, rounding
from reload_audit.observing.statement import Statement
from reload_audit.observing.subject import Subject, can_be_built
from reload_audit.reading.statistics import SavedStatistics, read_statistics
from reload_audit.records.digests import digest
from reload_audit.records.observation import Line, ObservedNormalization, View
from reload_audit.records.script_record import Figure, ScriptDifference
from reload_audit.records.specs import ExternalPolicy
from reload_audit.records.storage import plain

_CLOSE = 1e-3
"""How far a normalised observation may be off: scripts compute in single precision."""

_MOSTLY = 0.5
"""Part of all steps; in an episode of two steps that shows its first observation only, it is half of them."""


@dataclass(frozen=True)
class _Moments:
    """Statistics of observations as they are in views: the parts of a dictionary follow each other.

    :param normalized: of each number, whether statistics are kept of it
    """

    mean: np.ndarray
    var: np.ndarray
    normalized: np.ndarray

    @classmethod
    def of(cls, statistics: SavedStatistics, parts: Mapping[str, int]) -> _Moments | None:
        """The statistics of these parts; None where they are of others."""
        if not {*statistics.observations} <= {*parts}:
            return None
        means, variances, known = [], [], []
        for key, size in parts.items():
            own = statistics.observations.get(key)
            if own is not None and own.mean.size != size:
                return None
            means.append(np.zeros(size) if own is None else np.ravel(own.mean))
            variances.append(np.ones(size) if own is None else np.ravel(own.var))
            known.append(np.full(size, own is not None))
        return cls(np.concatenate(means), np.concatenate(variances), np.concatenate(known))


def statistics_differences(
    subject: Subject, figure: Figure | None, policy: ExternalPolicy
) -> Iterator[ScriptDifference]:
    """Compare a script's normalisation with the model's statistics."""
    number = subject.environment.normalization
    layer = None if number is None else subject.observation.normalizations[number]
    path = subject.spec.statistics
    own = subject.run.acts_by_itself
    stale = not own and _is_stale(subject.run.views)
    if stale:
        yield _not_updated(subject)
    yield from _of_rewards(layer, figure)
    if path is None:
        yield from _added(subject, layer) if layer is not None and layer.normalizing else ()
        yield from changed(subject) if not stale and not own else ()
        return
    statistics = read_statistics(path, policy.trust)
    if layer is not None and layer.normalizing:
        yield from _of_layer(layer, statistics, path)
        yield from _of_second_layer(subject, layer)
        if not stale:
            yield from [*_twice(subject, statistics)] or changed(subject)
    elif not stale and not own:
        yield from _by_hand(subject, layer, statistics, path)
    elif own and statistics.observations and not subject.observation.normalizations:
        yield from _by_itself(subject, path)


def _of_rewards(layer: ObservedNormalization | None, figure: Figure | None) -> Iterator[ScriptDifference]:
    """Whether rewards are on another scale than the environment's."""
    if layer is not None and layer.scaling and figure is not None and not np.allclose(figure.rewards, figure.earned):
        evidence = f"rewards are those that VecNormalize rescales ({layer.scaling:,} of {layer.steps:,} steps)"
        earned = np.mean(figure.earned)
        evidence += f": {np.mean(figure.rewards):.4g} on its scale is {earned:.4g} in the environment"
        yield ScriptDifference("reward-normalized", layer.line, evidence, _with(layer, norm_reward=False))


def _added(subject: Subject, layer: ObservedNormalization) -> Iterator[ScriptDifference]:
    """A VecNormalize that normalises what a model is shown that was certainly trained without any."""
    if subject.spec.normalized is False:
        evidence = (
            f"VecNormalize normalises what the policy is given ({layer.normalizing:,} of {layer.steps:,} steps); the "
            "model was trained without"
        )
        frozen = {"statistics": "file", "statistics_file": layer.inputs} if layer.inputs else None
        changes = {"statistics": "new"} if layer.updating and layer.count < 1.0 else frozen
        yield ScriptDifference("observation-changed", layer.line, evidence, _with(layer, norm_obs=False), changes)


def _by_itself(subject: Subject, path: str) -> Iterator[ScriptDifference]:
    """Where the script's own code acts, and reads no statistics: whether it normalises in some way of its own."""
    found = subject.own_actions
    is_known = found is not None and found.are_of_the_model
    if is_known and found is not None and found.as_in_training:
        return
    evidence = f"nothing in it reads {Path(path).name}, the statistics of training: "
    evidence += (
        "its own actions are those that the model gives after raw observations"
        if is_known
        else "unless its own code normalises, the parameters act on raw observations"
    )
    line, instead = _normalized_around(subject, path)
    changes = {"statistics": "none"}
    yield ScriptDifference("statistics-not-loaded", line, evidence, instead, changes, in_doubt=not is_known)


def _is_stale(views: Sequence[View]) -> bool:
    """Whether a policy is mostly shown what was returned before, while each step returns something new."""
    steps = [(old, new) for old, new in pairwise(views) if old.returned != new.returned]
    returned = {view.returned for view in views}
    again = sum(old.given == new.given and new.given in returned for old, new in steps)
    return len(steps) > 1 and again > _MOSTLY * len(steps)


def _not_updated(subject: Subject) -> ScriptDifference:
    asked = subject.run.acts[0].line if subject.run.acts else None
    evidence = "the policy is shown the same observation over and over, and not what the last step returned"
    changes = {"environment": {"wrappers": [["reload_audit.evaluation.wrappers:FirstObservation", {}]]}}
    instead = with_new_observation(subject.run.step_line, asked)
    line = subject.run.step_line if instead else asked or subject.run.step_line
    return ScriptDifference("observation-not-updated", line, evidence, instead, changes)


def _twice(subject: Subject, statistics: SavedStatistics) -> Iterator[ScriptDifference]:
    """Whether what VecNormalize returned is normalised by hand once more."""
    views = [view for view in subject.run.views if len(view.returned) == len(view.given)]
    moments = _Moments.of(statistics, subject.run.parts)
    if not views or moments is None or len(views[0].given) != moments.mean.size:
        return
    changed = [view for view in views if not np.allclose(view.returned, view.given, rtol=_CLOSE, atol=_CLOSE)]
    again = [replace(view, raw=view.returned) for view in views]
    if changed and _as_given(again, lambda raw: _as_vec_normalize(raw, moments, statistics)):
        evidence = "what VecNormalize has normalised is normalised by hand once more"
        line = subject.run.acts[0].line
        yield ScriptDifference("vecnormalize-twice", line, evidence, normalized_once(line), {"statistics": "twice"})


def _of_second_layer(subject: Subject, outer: ObservedNormalization) -> Iterator[ScriptDifference]:
    """Whether there is a second VecNormalize inside the one whose statistics are compared."""
    number = subject.environment.inner_normalization
    if number is None:
        return
    inner = subject.observation.normalizations[number]
    lines = " and ".join(dict.fromkeys(str(layer.line) for layer in (inner, outer)))
    evidence = f"there are two VecNormalize, of {lines}, one inside the other: observations are normalised twice"
    statement = Statement.of(inner.line)
    call = None if statement is None else statement.call("VecNormalize")
    instead, changes = "", None
    if statement is not None and call is not None and call.args:
        instead = statement.with_part(call, statement.text(call.args[0]))
    if inner.inputs:
        moments, settings = (found := read_statistics(inner.inputs)).observations.get(""), found.settings
        if moments is not None:
            factors = 1.0 / np.sqrt(np.ravel(moments.var) + float(settings["epsilon"]))
            shifts, bound = -np.ravel(moments.mean) * factors, float(settings["clip_obs"])
            arguments = {"factors": factors.tolist(), "shifts": shifts.tolist(), "bound": bound}
            wrapper = ["reload_audit.evaluation.wrappers:ShiftedAndScaled", arguments]
            changes = {"environment": {"wrappers": [wrapper]}}
    yield ScriptDifference("vecnormalize-twice", inner.line, evidence, instead, changes)


def _of_layer(layer: ObservedNormalization, statistics: SavedStatistics, path: str) -> Iterator[ScriptDifference]:
    """What is other about the VecNormalize of a script."""
    own = {key: [part.mean.tolist(), part.var.tolist()] for key, part in statistics.observations.items()}
    if layer.moments == digest(plain(own)):
        if layer.updating:
            evidence = (
                f"the statistics go on changing while it is evaluated: {layer.updating:,} steps with training=True, "
                f"from {layer.count:,.0f} samples to {layer.count_last:,.0f}"
            )
            changes = {"statistics": "updating"}
            yield ScriptDifference("training-mode", layer.line, evidence, _with(layer, training=False), changes)
        yield from _of_settings(layer, statistics)
    elif layer.made == "constructed" and layer.count < 1.0:
        moving = f" and go on changing ({layer.updating:,} steps)" if layer.updating else ""
        evidence = f"a new VecNormalize, whose statistics start empty{moving}: those of training are not loaded"
        frozen = {"statistics": "file", "statistics_file": layer.inputs}  # which clips, if nothing else
        changes = {"statistics": "new"} if layer.updating else frozen
        yield ScriptDifference("statistics-not-loaded", layer.line, evidence, _loading(layer, path), changes)
    elif layer.path is None:
        evidence = (
            f"its VecNormalize begins with statistics of {layer.count:,.0f} samples that are not the model's: "
            f"{Path(path).name} is not loaded"
        )
        changes = {"statistics": "file", "statistics_file": layer.inputs}
        yield ScriptDifference("statistics-not-loaded", layer.line, evidence, _loading(layer, path), changes)
    else:
        evidence = f"the statistics are those of {layer.path}, which are not the model's: {path}"
        changes = {"statistics": "file", "statistics_file": layer.path}
        yield ScriptDifference("statistics-not-loaded", layer.line, evidence, _loading(layer, path), changes)


def _of_settings(layer: ObservedNormalization, statistics: SavedStatistics) -> Iterator[ScriptDifference]:
    """What is other about how a VecNormalize with the statistics of training makes numbers of observations."""
    own = read_statistics(layer.inputs).settings
    other = [name for name in ("clip_obs", "epsilon") if own[name] != statistics.settings[name]]
    if not other:
        return
    found, due = (", ".join(f"{name}={values[name]:g}" for name in other) for values in (own, statistics.settings))
    evidence = f"VecNormalize has {found}; in training it had {due}"
    switches = {name: f"{statistics.settings[name]:g}" for name in other}
    changes = {"statistics": "file", "statistics_file": layer.inputs}
    yield ScriptDifference("normalizer-not-equivalent", layer.line, evidence, _with(layer, **switches), changes)


def _assigned(line: Line | None) -> tuple[str, str]:
    """The name that the line which makes a layer gives to it, and what it assigns; empty where it names none."""
    code = "" if line is None else line.code
    found = re.fullmatch(r"([A-Za-z_][\w.]*)\s*=(?!=)\s*(.+)", code)
    return (found[1], found[2]) if found else ("", "")


def _with(layer: ObservedNormalization, **attributes: object) -> str:
    """The line that makes a VecNormalize, with some of its attributes set."""
    name, value = _assigned(layer.line)
    sets = "; ".join(f"{name}.{attribute} = {setting}" for attribute, setting in attributes.items())
    return f"{name} = {value}; {sets}" if name else ""


def _loading(layer: ObservedNormalization, path: str) -> str:
    """The line that makes a VecNormalize, with the statistics of training loaded instead."""
    name, value = _assigned(layer.line)
    for maker, place in (("VecNormalize(", 0), ("VecNormalize.load(", 1)):
        if value.startswith(maker) and value.endswith(")"):
            given = _arguments(value[len(maker) : -1])
            if len(given) > place:
                load = f"VecNormalize.load({path!r}, {given[place]})"
                return f"{name} = {load}; {name}.training = {name}.norm_reward = False"
    return ""


def _loading_around(line: Line | None, path: str) -> str:
    """The line that makes a VecEnv, with a VecNormalize of the statistics of training around it."""
    name, value = _assigned(line)
    if not value.startswith(_MAKERS) or not value.endswith(")"):
        return ""
    load = f"{name} = VecNormalize.load({path!r}, {value}); {name}.training = {name}.norm_reward = False"
    return f"from stable_baselines3.common.vec_env import VecNormalize; {load}"


def _normalized_around(subject: Subject, path: str) -> tuple[Line | None, str]:
    """The line that makes a script's environment, and what to write there for it to be normalised as in training."""
    seen = subject.environment
    instead = _loading_around(seen.vec_line, path)
    if instead:
        return seen.vec_line, instead
    around, instead = with_normalization(seen, path) if not seen.stacks_frames else (None, "")
    return (around, instead) if instead else (seen.line or subject.run.step_line, "")


_MAKERS = ("make_vec_env(", "DummyVecEnv(", "SubprocVecEnv(", "VecMonitor(")


def _arguments(text: str) -> list[str]:
    """The arguments of a call, cut at its outermost commas."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def _by_hand(
    subject: Subject, layer: ObservedNormalization | None, statistics: SavedStatistics, path: str
) -> Iterator[ScriptDifference]:
    """Without VecNormalize: whether observations are as they are, normalised by hand, or in some other way."""
    if not statistics.observations:
        return
    views = [view for view in subject.run.views if len(view.raw) == len(view.given)]
    if subject.normalizing is not None:
        views = [replace(view, raw=view.inner) for view in views if view.inner is not None]
    moments = _Moments.of(statistics, subject.run.parts)
    if not views or moments is None or len(views[0].raw) != moments.mean.size:
        return
    inside = [replace(view, raw=view.inner) for view in views if view.inner is not None]
    alike = [one for one in inside if len(one.raw) == len(one.given)]
    for own in (views, alike):  # by the script, or by a wrapper of its own
        if own and _as_given(own, lambda raw: _as_vec_normalize(raw, moments, statistics)):
            return
    if _as_given(views, lambda raw: raw):
        evidence = "observations reach the policy as the environment gives them: "
        if layer is None:
            evidence += f"its statistics, {Path(path).name}, are not loaded"
            line, instead = _normalized_around(subject, path)
        else:
            line, instead = layer.line, _loading(layer, path) if layer.made == "constructed" else ""
            evidence += "its VecNormalize has norm_obs=False"
        changes = {"statistics": "none"}
        yield ScriptDifference("statistics-not-loaded", line, evidence, instead, changes)
    else:
        yield _normalized_by_hand(subject, views, moments, statistics, path)


def _normalized_by_hand(
    subject: Subject, views: Sequence[View], moments: _Moments, statistics: SavedStatistics, path: str
) -> ScriptDifference:
    """Observations that are normalised in some other way than VecNormalize's, or in another order."""
    moved = reordered(subject, views, lambda observation: _as_vec_normalize(observation, moments, statistics))
    if moved is not None:
        return moved
    acts = subject.run.acts
    line = acts[0].line if acts else subject.run.step_line
    raw = np.asarray(views[0].raw)
    due, given = _as_vec_normalize(raw, moments, statistics), np.asarray(views[0].given)
    worst = int(np.abs(due - given).argmax())
    evidence = (
        f"observations are normalised by hand, and not as VecNormalize does: {raw[worst]:.4g} at place {worst} becomes "
        f"{given[worst]:.4g}, and not {due[worst]:.4g}{_formula(views, moments)}"
    )
    if subject.normalizing is not None:
        wrapper, own = subject.normalizing.wrapper, subject.normalizing.wrapper.spec
        if subject.normalizing.others:
            names = [one.spec.name.rpartition(":")[2] for one in (*subject.normalizing.others, wrapper)]
            evidence += f"; which of the wrappers {', '.join(names)} does so is not known"
            return ScriptDifference("normalizer-not-equivalent", None, evidence, in_doubt=True)
        changes: dict[str, object] | None = _normalizing([own.name, dict(own.kwargs)])
        if subject.normalizing.of_vec_env:
            changes = {"statistics": "none", "environment": {"vec_wrappers": [own.to_plain()]}}
        changes = changes if can_be_built(own) else None
        instead = with_wrapper_in_place_of(wrapper, path, of_vec_env=subject.normalizing.of_vec_env)
        in_doubt = changes is None
        return ScriptDifference(
            "normalizer-not-equivalent", wrapper.line, evidence, instead, changes, in_doubt=in_doubt
        )
    posted = lambda raw: (raw - moments.mean) / (np.sqrt(moments.var) + 1e-8)  # noqa: E731
    instead, formula = normalized_as_trained(line, subject.run.step_line), subject.run.formula_line
    if formula is not None and (by_its_own := normalized_by_its_own(formula)):
        line, instead = formula, by_its_own
    if [*subject.run.parts] == [""] and _as_given(views, posted):
        posts: dict[str, object] = {"statistics": "posted wrapper"}
        return ScriptDifference("normalizer-not-equivalent", line, evidence, instead, posts)
    fits = _as_fitted(views) if [*subject.run.parts] == [""] else None
    rounded = rounding(views, lambda observation: _as_vec_normalize(observation, moments, statistics))
    if rounded is not None:
        said, fits = rounded
        evidence, instead = f"{evidence}: {said}", without_rounding(line)
    is_due = any(_as_given([view], lambda one: _as_vec_normalize(one, moments, statistics)) for view in views)
    in_doubt = fits is None and is_due  # then it does so in some of its steps alone, which may be meant
    return ScriptDifference("normalizer-not-equivalent", line, evidence, instead, fits, in_doubt=in_doubt)


def _formula(views: Sequence[View], moments: _Moments) -> str:
    """What somebody's own formula does, where it is a common one; empty where it is not known."""
    mean, var = moments.mean, moments.var
    known: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "it divides by the variance, and not by its root": lambda raw: (raw - mean) / (var + 1e-8),
        "it does not take off the mean": lambda raw: raw / np.sqrt(var + 1e-8),
        "it takes off the mean, and divides by nothing": lambda raw: raw - mean,
        "it does not clip": lambda raw: (raw - mean) / np.sqrt(var + 1e-8),
    }
    for said, formula in known.items():
        for bound in (np.inf, 10.0):
            if _as_given(views, lambda raw, f=formula, b=bound: np.clip(f(raw), -b, b)):  # type: ignore[misc]
                return f": {said}"
    return ""


def _as_fitted(views: Sequence[View]) -> dict[str, object] | None:
    """The changes to a condition that make of observations what the policy was given; None where none are known."""
    numbers = fitted(views)
    return None if numbers is None else _normalizing(["reload_audit.evaluation.wrappers:ShiftedAndScaled", numbers])


def _normalizing(wrapper: list[object]) -> dict[str, object]:
    """The changes to a condition in which a wrapper normalises, by its name and arguments."""
    return {"statistics": "none", "environment": {"wrappers": [wrapper]}}


def _as_vec_normalize(raw: np.ndarray, moments: _Moments, statistics: SavedStatistics) -> np.ndarray:
    clip = float(statistics.settings["clip_obs"])
    normal = (raw - moments.mean) / np.sqrt(moments.var + float(statistics.settings["epsilon"]))
    return np.where(moments.normalized, np.clip(normal, -clip, clip), raw)


def _as_given(views: Sequence[View], formula: Callable[[np.ndarray], np.ndarray]) -> bool:
    return all(
        np.allclose(formula(np.asarray(view.raw)).ravel(), view.given, rtol=_CLOSE, atol=_CLOSE) for view in views
    )
