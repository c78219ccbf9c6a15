"""What a script does otherwise than an audit of its model would, and than training did."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from reload_audit.observing.actions import BY_ITSELF, action_differences
from reload_audit.observing.alike import with_alike_joined
from reload_audit.observing.arguments import shown
from reload_audit.observing.counting import counting_differences
from reload_audit.observing.environment import environment_differences
from reload_audit.observing.figure import figure_of
from reload_audit.observing.frames import frames_of_training, stacked_said, with_frames_stacked
from reload_audit.observing.normalizing_wrapper import with_normalizing_wrapper
from reload_audit.observing.of_training import claim_said, of_training
from reload_audit.observing.own_actions import own_actions
from reload_audit.observing.own_classes import with_kept_classes
from reload_audit.observing.paths import as_written
from reload_audit.observing.printed import number_that_is_no_mean
from reload_audit.observing.series import best_of_its_training, later_of_its_series
from reload_audit.observing.statement import Statement, last_name
from reload_audit.observing.statistics import statistics_differences
from reload_audit.observing.subject import (
    NoSubject,
    Subject,
    in_environments_of_its_line,
    is_in_both_modes,
    runs_of_models,
    subject_of,
)
from reload_audit.observing.weights import is_untrained, load_that_failed, untrained, weights_differences
from reload_audit.processes.imports import extend_path
from reload_audit.reading.refusal import Unreadable
from reload_audit.records.observation import Line, Observation, ObservedRun
from reload_audit.records.script_record import Compared, Figure, Found, ScriptDifference
from reload_audit.records.specs import ExternalPolicy, ExternalSpec, ScriptSpec

_SHAPES = (
    re.compile(r"Unexpected observation shape (?P<given>\([^)]*\)) for .*?please use (?P<expected>\([^)]*\))"),
    re.compile(r"spaces must have the same shape: (?P<expected>\([^)]*\)) != (?P<given>\([^)]*\))"),
    re.compile(
        r"Observation spaces do not match: Box\([^()]*(?P<expected>\([^)]*\)).* != Box\([^()]*(?P<given>\([^)]*\))"
    ),
)
"""How SB3 says which shape observations have, and which they should have."""

_OTHER_SPACES = ("Observation spaces do not match", "Action spaces do not match", "spaces must have the same shape")
_MOST_MODELS = 8
"""Models of one script that are compared: each is evaluated under several conditions."""

_ONLY_THE_SCRIPT = "only the script says in which environment the model was trained"
_UNSEEN = "which environment its worker processes make is not seen: it is taken to be that of training"
_TUPLE = "You have passed a tuple to the predict() function"


def compared_with_models(
    observation: Observation, script: ScriptSpec, models: Sequence[ExternalSpec], policy: ExternalPolicy, folder: str
) -> list[Found]:
    """Compare what a script did, with each model that acted in it, with what is known of that model.

    :param models: those of the audit
    :param folder: where the observer left what the script acted with
    """
    observation = with_alike_joined(with_kept_classes(observation))
    script = replace(script, python_path=(*script.python_path, *observation.python_path))
    raised = (*_raised(observation), *_of_other_spaces(observation))
    meant = next((one.path for one in models if one.model == script.model), script.model)
    runs = runs_of_models(observation, meant)
    if not runs:
        found = (*raised, *load_that_failed(observation))
        return [Found(Compared("", "", None, found, problem=_no_episode(observation)), None)]
    extend_path(script.python_path)
    compare = partial(_compared, models=models, policy=policy, folder=folder)
    compared = [
        replace(
            _compared_as_trained(
                observation, run, partial(compare, script=script, raised=raised if run is runs[-1] else ())
            ),
            beside=tuple(
                _where_meant(_compared_as_trained(observation, run, partial(compare, script=meaning)), why)
                for meaning, why in _meaning_others(observation, run, script)
            ),
        )
        for run in runs[-_MOST_MODELS:]
    ]
    if len(runs) > _MOST_MODELS:
        last = compared[-1].compared
        remark = f"{len(runs)} models act in it; the last {_MOST_MODELS} are compared"
        compared[-1] = replace(compared[-1], compared=replace(last, remarks=(*last.remarks, remark)))
    return compared


def _compared_as_trained(observation: Observation, run: ObservedRun, compare: Callable[..., Found]) -> Found:
    """A run compared; one with the arguments of training instead where one line makes environments with several.

    :param compare: :func:`_compared`, for a run
    """
    found = compare(observation, run)
    if not _has_other_arguments(found):
        return found
    tried = (compare(observation, one) for one in in_environments_of_its_line(observation, run))
    return next((one for one in tried if one.model is not None and not _has_other_arguments(one)), found)


def _has_other_arguments(found: Found) -> bool:
    compared = found.compared if found.stated is None else found.stated.compared
    return any(one.cause == "env-kwargs" for one in compared.differences)


def _meaning_others(observation: Observation, run: ObservedRun, script: ScriptSpec) -> Iterator[tuple[ScriptSpec, str]]:
    """The script, about models that it may have meant in place of the one that it loads, each with why."""
    acting = None if run.model is None else observation.models[run.model]
    if script.model or acting is None or acting.line is None or not acting.path or acting.learned:
        return
    path = Path(acting.path)
    others = (looked_for(script, acting.line, path) for looked_for in (later_of_its_series, best_of_its_training))
    found = _not_loaded(observation, {model: why for one in others for model, why in one.items()})
    yield from ((replace(script, model=str(other)), why) for other, why in found.items())


def _not_loaded(observation: Observation, models: Mapping[Path, str]) -> dict[Path, str]:
    loaded = {one.path for one in observation.models}
    return {path: why for path, why in models.items() if str(path) not in loaded}


def _where_meant(found: Found, why: str) -> Found:
    """A script compared with a model that it does not load, where that is its fault."""
    differences = [
        replace(one, evidence=why) if one.cause == "another-model" else one for one in found.compared.differences
    ]
    return replace(found, compared=replace(found.compared, differences=differences))


def _compared(
    observation: Observation,
    run: ObservedRun,
    *,
    script: ScriptSpec,
    models: Sequence[ExternalSpec],
    policy: ExternalPolicy,
    folder: str,
    raised: Sequence[ScriptDifference] = (),
) -> Found:
    figure = figure_of(observation, run)
    n_envs = observation.environments[run.environment].n_envs
    try:
        subject = subject_of(observation, run, models, script, policy, folder)
        extend_path(subject.spec.environment.python_path)
        subject = with_normalizing_wrapper(subject, policy.trust)
        subject = replace(subject, own_actions=own_actions(subject, policy))
        found = [*raised, *weights_differences(subject, folder), *statistics_differences(subject, figure, policy)]
        found += [
            *action_differences(subject),
            *environment_differences(subject, policy),
            *counting_differences(subject, figure),
        ]
        training = of_training(subject, policy, folder)
    except (NoSubject, Unreadable) as problem:
        acting = None if run.model is None else observation.models[run.model]
        found = [*raised, *([untrained(observation, acting)] if acting is not None and is_untrained(acting) else [])]
        return Found(Compared("", "", figure, found, n_envs, str(problem)), None)
    is_known = subject.known or training.stated is not None
    remarks = (*_remarks(subject), *_rescaled(subject, figure), *([] if is_known else [_ONLY_THE_SCRIPT]))
    spec = subject.spec
    if figure is not None and figure.parts:
        remarks = (*remarks, f"it prints a mean for each of {figure.parts} parts of its episodes: the best is compared")
    shown = "" if figure is None or figure.printed else number_that_is_no_mean(observation, run, figure.mean)
    compared = Compared(spec.model, spec.path, figure, (), n_envs, spec.problem or "", remarks, shown)

    def with_differences(*more: ScriptDifference) -> Compared:
        return replace(compared, differences=[as_written(one, script) for one in (*found, *more)])

    def in_another(other: ExternalSpec, more: Sequence[ScriptDifference]) -> Found:
        without = tuple(one for one in remarks if one != _ONLY_THE_SCRIPT)
        return Found(replace(with_differences(*more), remarks=without), other)

    return Found(
        replace(with_differences(), remarks=(*remarks, *training.remarks)),
        spec,
        tuple(in_another(*one) for one in training.others),
        training.excluded,
        training.claims,
        "; ".join(map(claim_said, training.claims)),
        training.suspects,
        in_another(*training.stated) if training.stated is not None and training.stated[1] else None,
    )


def _no_episode(observation: Observation) -> str:
    """Why there is nothing to compare."""
    failed = observation.failed_load
    if failed is not None and failed.is_missing:
        return f"{failed.line} loads a model from {failed.path}, which is no file: does `cwd` name the right folder?"
    if observation.raised.startswith("EOFError"):
        return "it reads from standard input, which is empty here: let it take what it asks for from `args` or `env`"
    if re.match(r"ModuleNotFoundError: No module named 'gym(\.|')", observation.raised):
        return "SB3 works with Gymnasium, which goes by another name; write: import gymnasium as gym"
    if observation.raised.startswith(("SyntaxError", "IndentationError", "TabError")) and not observation.raised_at:
        return "it never began"
    if observation.raised:
        return "it raised before its first episode ended"
    if observation.runs:
        return "it ended before any of its episodes did"
    if observation.models:
        return "it makes a model, but steps no environment that was seen"
    return (
        "it neither makes a model nor steps an environment: either another script imports it, which is the one to "
        "name, or it leaves that to processes of its own, which are not observed"
    )


def _raised(observation: Observation) -> Iterator[ScriptDifference]:
    line = observation.raised_at
    if observation.raised.startswith("ValueError") and _TUPLE in observation.raised:
        reset = Statement.of(observation.last_reset)
        instead = "" if reset is None or len(reset.targets) != 1 else reset.with_targets(f"{reset.targets[0]}, info")
        evidence = "reset() of a Gymnasium environment returns observation and info, and both went to predict()"
        yield ScriptDifference("reset-return-misread", observation.last_reset if instead else line, evidence, instead)
    elif (
        line is not None
        and re.search(r"values to unpack", observation.raised)
        and re.search(r"\.(reset|step)\(", line.code)
    ):
        evidence = f"what {line.code} returns is taken apart into another number of values: {observation.raised}"
        yield ScriptDifference("reset-return-misread", line, evidence, _taken_apart(line))


def _taken_apart(line: Line) -> str:
    """A line with what ``reset`` or ``step`` returns, taken apart as the other interface wants it."""
    statement = Statement.of(line)
    if statement is None or not isinstance(statement.value, ast.Call):
        return ""
    names, asked = statement.targets, last_name(statement.value.func)
    if (asked, len(names)) == ("reset", 2):
        return statement.with_targets(names[0], f"{names[1]} = {{}}")
    if (asked, len(names)) == ("step", 4):
        five = ", ".join((*names[:2], "terminated", "truncated", names[3]))
        return statement.with_targets(five, f"{names[2]} = terminated or truncated")
    if (asked, len(names)) == ("step", 5):
        return statement.with_targets(", ".join((*names[:3], names[4])), f"{names[3]} = {names[2]}")
    return ""


def _of_other_spaces(observation: Observation) -> Iterator[ScriptDifference]:
    """A model that is given observations of another shape than it was trained with, or an environment with such."""
    said, line = observation.raised, observation.raised_at
    found = next(filter(None, (shapes.search(said) for shapes in _SHAPES)), None)
    if found is not None:
        given, expected = ([int(n) for n in re.findall(r"\d+", found[name])] for name in ("given", "expected"))
        evidence = f"observations have the shape {found['given']}; in training it was {found['expected']}"
        seen = observation.environments[-1] if observation.environments else None
        side_by_side = seen is not None and bool(seen.layers) and given[:1] == [seen.n_envs]
        given = given[1:] if side_by_side and found.re is _SHAPES[0] else given
        frames = frames_of_training(seen, given, expected)
        if frames is None:
            yield ScriptDifference("environment-differs", line, evidence)
        else:
            built, instead = with_frames_stacked(seen, frames)
            evidence += f", which may be {frames.number} frames stacked{stacked_said(seen)}"
            yield ScriptDifference("frame-stack-missing", built if instead else line, evidence, instead)
    elif any(sentence in said for sentence in _OTHER_SPACES):
        evidence = f"the environment has other spaces than what is loaded for it: {said}"
        yield ScriptDifference("environment-differs", line, evidence)


def _remarks(subject: Subject) -> Iterator[str]:
    acting, spec = subject.acting, subject.spec
    if acting is not None and acting.made == "loaded" and acting.algo != spec.algo:
        yield f"{acting.line}: {acting.algo}.load reads a model of {spec.algo}; SB3 does not object"
    if acting is not None and acting.line is not None and acting.path == spec.path:
        later = _not_loaded(subject.observation, later_of_its_series(subject.script, acting.line, Path(spec.path)))
        yield from (f"{acting.line}: {why}" for why in later.values())
    if not (subject.environment.env_id or subject.environment.env_class):
        yield _UNSEEN
    others = {run.environment for run in subject.observation.runs if run.counted and run.model == subject.run.model}
    if len(others) > 1:
        which = "the last of them" if subject.run.environment == max(others) else "that with the arguments of training"
        drawn = _drawn_anew(subject)
        yield f"the model acts in {len(others)} environments that the script makes{drawn}; {which} is compared"
    own = subject.own_actions
    if subject.run.acts_by_itself and own is not None and own.are_of_the_model and own.bounded:
        said = f"{BY_ITSELF}, {own.alike:,} of {own.compared:,} as the model does"
        yield said if own.as_in_training else f"{said} after the same observations, which are not those of training"
    if any(is_in_both_modes(subject.run, run) for run in subject.observation.runs):
        yield f"{subject.run.acts[0].line} acts both deterministically and stochastically: the former is compared"


def _drawn_anew(subject: Subject) -> str:
    """In which arguments the environments differ that one line of a script makes, in words; empty for none."""
    seen, runs = subject.environment, in_environments_of_its_line(subject.observation, subject.run)
    given = [
        seen.env_kwargs or {},
        *(subject.observation.environments[run.environment].env_kwargs or {} for run in runs),
    ]
    said = []
    for key in dict.fromkeys(key for one in given for key in one):
        values = [one.get(key) for one in given]
        numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        if len(numbers) == len(values) and min(numbers) < max(numbers):
            said.append(f"{key}={min(numbers):.4g} to {max(numbers):.4g}")
        elif len(different := list(dict.fromkeys(map(shown, values)))) > 1:
            said.append(f"{key}={' or '.join(different[:3])}{', ...' if len(different) > 3 else ''}")
    return f", with other arguments each time ({seen.line}: {', '.join(said)})" if said else ""


def _rescaled(subject: Subject, figure: Figure | None) -> Iterator[str]:
    """That rewards are not the environment's, where wrappers of the VecEnv may be why, and VecNormalize is not."""
    seen = subject.environment
    layer = None if seen.normalization is None else subject.observation.normalizations[seen.normalization]
    named = [(one.spec.name, one.line) for one in seen.vec_wrappers]
    own = [f"{name.rpartition(':')[2]} ({line})" for name, line in named if ":" in name]
    if figure is None or not own or (layer is not None and layer.scaling):
        return
    if not np.allclose(figure.rewards, figure.earned):
        yield f"the rewards that it sees are those that {' and '.join(own)} hands on, and not the environment's"
