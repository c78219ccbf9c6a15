"""Whether a script builds the environment of training: which one, with which arguments, wrappers and time limit."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import gymnasium as gym

from reload_audit.environments.allowed import registered
from reload_audit.environments.packages import register
from reload_audit.observing.arguments import MODULE, may_be_same, shown
from reload_audit.observing.building_line import (
    are_literal,
    with_arguments,
    with_environment,
    with_layers,
    with_wrappers,
)
from reload_audit.observing.subject import Subject, buildable, can_be_built
from reload_audit.processes.imports import ImportProblem, import_module
from reload_audit.reading.trust import is_trusted
from reload_audit.records.environment_spec import VEC_NORMALIZE, EnvironmentSpec, WrapperSpec
from reload_audit.records.observation import Line, ObservedEnvironment, ObservedWrapper
from reload_audit.records.script_record import ScriptDifference
from reload_audit.records.specs import ExternalPolicy

_VERSIONED = re.compile(r"-v\d+$")
_WITHOUT_EFFECT = ("Monitor", "TimeLimit", "RecordEpisodeStatistics", "RecordVideo", "HumanRendering")
"""Wrappers that only watch, and the one that is compared as a time limit."""
_LAYERS_WITHOUT_EFFECT = ("VecMonitor", "VecTransposeImage", "VecCheckNan", "VecVideoRecorder")
"""Wrappers of a VecEnv that only watch, and the one that SB3 adds."""


def environment_differences(subject: Subject, policy: ExternalPolicy) -> Iterator[ScriptDifference]:
    """Compare the environment of a script with the one that its model was trained in, where that is known."""
    if not subject.known:
        yield from _not_built(subject.environment)
        return
    spec, seen = subject.spec.environment, subject.environment
    made_by = _registered(spec, subject.spec.named_by_user, policy.trust)
    is_unseen = not (seen.env_id or seen.env_class)  # as of one in another process, which nothing registers
    if is_unseen or spec.vec_env is not None or (made_by is None and _is_function(spec.env)):
        return
    if not _is_same(spec, seen, made_by):
        yield _another(seen, spec)
        return
    if seen.env_class.startswith(f"{MODULE}:"):
        evidence = f"the script defines {_last(seen.env_class)} itself; the model was trained in that of {spec.env}"
        changes: dict[str, object] = {"environment": _built(seen)}
        yield ScriptDifference("environment-differs", seen.line, evidence, with_environment(seen, spec), changes)
    yield from _of_arguments(seen, spec, made_by)
    if subject.run.own_limit is None:
        yield from _of_time_limit(seen, spec, made_by)
    yield from _joined([*_of_wrappers(seen, spec), *_of_layers(subject)])


def _registered(spec: EnvironmentSpec, named: Collection[str], trusted: Collection[str]) -> Any:
    """The registration of a model's environment; None for a class, or where it is not known."""
    module = spec.env.rpartition(":")[0]
    with contextlib.suppress(ImportProblem, gym.error.Error):
        if module and ("env" in named or is_trusted(module, trusted)):
            import_module(module)
        elif not module:
            register(spec.env, trusted)
    if module and not _VERSIONED.search(spec.env) and _last(spec.env) not in gym.registry:
        return None  # the class itself, which may be registered, too
    return registered(spec.env)


def _is_function(env: str) -> bool:
    """Whether a dotted name may be that of a function, which can return any environment."""
    return not _last(env)[:1].isupper()


def _is_same(spec: EnvironmentSpec, seen: ObservedEnvironment, made_by: Any) -> bool:
    if made_by is None:
        return _last(spec.env) in (seen.env_id, _last(seen.env_class))
    entry_point = getattr(made_by, "entry_point", None)
    names = {getattr(made_by, "id", ""), _last(spec.env)}
    if seen.env_id:
        return seen.env_id in names
    return isinstance(entry_point, str) and _last(entry_point) == _last(seen.env_class)


def _another(seen: ObservedEnvironment, spec: EnvironmentSpec) -> ScriptDifference:
    found, expected = seen.env_id or _last(seen.env_class), _last(spec.env)
    evidence = f"the environment is {found}; the model was trained in {expected}"
    changes = {"environment": _built(seen) | _with_wrappers(seen)} if buildable(seen) else None
    return ScriptDifference("environment-differs", seen.line, evidence, with_environment(seen, spec), changes)


def _built(seen: ObservedEnvironment) -> dict[str, object]:
    """What makes an environment that of the script, but for its wrappers."""
    limit = -1 if seen.time_limit is None else seen.time_limit
    return {"env": buildable(seen), "all_env_kwargs": dict(seen.env_kwargs or {}), "time_limit": limit}


# --- Arguments ---


def _of_arguments(seen: ObservedEnvironment, spec: EnvironmentSpec, made_by: Any) -> Iterator[ScriptDifference]:
    if seen.env_kwargs is None:
        return
    known = {} if made_by is None else dict(getattr(made_by, "kwargs", {}))
    expected = {**known, **spec.env_kwargs}
    other = _other_arguments(seen.env_kwargs, expected, seen.env_defaults, ("max_episode_steps", "render_mode"))
    if not other:
        return
    said = {key: expected.get(key, seen.env_defaults.get(key)) for key in other}
    evidence = f"the environment has {_listed(other)}; the model was trained with {_listed(said)}"
    limit = (
        {"max_episode_steps": spec.env_kwargs["max_episode_steps"]} if "max_episode_steps" in spec.env_kwargs else {}
    )
    changes = {"environment": {"all_env_kwargs": {**seen.env_kwargs, **limit}}}
    instead = _with_arguments(seen.line, said) or with_arguments(seen, said)
    yield ScriptDifference("env-kwargs", seen.line, evidence, instead, changes)


def _other_arguments(
    seen: Mapping[str, object],
    expected: Mapping[str, object],
    defaults: Mapping[str, object],
    left_out: Collection[str],
) -> dict[str, object]:
    """Arguments that are others than expected, as they are; defaults count."""
    found: dict[str, object] = {}
    for key in dict.fromkeys([*expected, *seen]):
        own, its = (given.get(key, defaults.get(key)) for given in (seen, expected))
        if key not in left_out and not may_be_same(own, its):
            found[key] = own
    return found


def _listed(arguments: Mapping[str, object]) -> str:
    return ", ".join(f"{key}={shown(value)}" for key, value in arguments.items())


def _with_arguments(line: Line | None, arguments: Mapping[str, object]) -> str:
    """The line that makes the environment, with other values for arguments; empty where there is no place for them."""
    code = line.code if line is not None and are_literal(arguments) else ""
    for key, value in arguments.items():
        text = repr(value).replace("\\", r"\\")
        written = rf"(\b{re.escape(key)}\s*=\s*|[\"']{re.escape(key)}[\"']\s*:\s*)([^,(){{}}\[\]]+)"
        code, count = re.subn(written, rf"\g<1>{text}", code, count=1)
        for place, what in (
            (r"(\benv_kwargs\s*=\s*\{)", f"{key!r}: {text}, "),
            (r"(\benv_kwargs\s*=\s*dict\()", f"{key}={text}, "),
            (r"(\bgym\.make\([^,()]+)", f", {key}={text}"),
            (r"(\bmake_vec_env\([^,()]+)", f", env_kwargs={{{key!r}: {text}}}"),
        ):
            if not count:
                code, count = re.subn(place, rf"\g<1>{what}", code, count=1)
        if not count:
            return ""
    return code


# --- Time limit ---


def _of_time_limit(seen: ObservedEnvironment, spec: EnvironmentSpec, made_by: Any) -> Iterator[ScriptDifference]:
    limit = spec.env_kwargs.get("max_episode_steps", getattr(made_by, "max_episode_steps", None))
    for wrapper in spec.wrappers:
        if _last(wrapper.name) == "TimeLimit":
            limit = wrapper.kwargs.get("max_episode_steps")
    if spec.time_limit is not None:
        limit = None if spec.time_limit < 0 else spec.time_limit
    if seen.time_limit == limit or (seen.time_limit is None and seen.wrappers is None):
        return
    limits = (seen.time_limit, limit)
    found, expected = ("at no limit" if steps is None else f"after {steps} steps" for steps in limits)
    evidence = f"episodes end {found}; in training {expected}"
    instead = "" if limit is None else _with_arguments(seen.line, {"max_episode_steps": limit})
    changes = {"environment": {"time_limit": -1 if seen.time_limit is None else seen.time_limit}}
    yield ScriptDifference("time-limit", seen.line, evidence, instead, changes)


# --- Wrappers ---


def _of_wrappers(seen: ObservedEnvironment, spec: EnvironmentSpec) -> Iterator[ScriptDifference]:
    own = seen.wrappers
    expected = [wrapper for wrapper in spec.wrappers if _last(wrapper.name) not in _WITHOUT_EFFECT]
    if own is None or any(_is_function(wrapper.name) for wrapper in expected):
        return
    names, its = [_last(one.spec.name) for one in own], [_last(one.name) for one in expected]
    if names != its:
        evidence = f"around the environment are {_inside_out(names)}; in training there were {_inside_out(its)}"
    else:
        evidence = "; ".join(filter(None, map(_of_wrapper, own, expected)))
    if not evidence:
        return
    line, instead = with_wrappers(
        seen,
        expected,
        lambda place, other: names[place] == its[other] and not _of_wrapper(own[place], expected[other]),
    )
    changes = {"environment": _with_wrappers(seen)} if all(can_be_built(one.spec) for one in own) else None
    yield ScriptDifference("wrappers-differ", line, evidence, instead, changes)


def _of_layers(subject: Subject) -> Iterator[ScriptDifference]:
    """Compare the wrappers of a script's VecEnv with those of training. VecNormalize is compared by its statistics."""
    seen, spec = subject.environment, subject.spec.environment
    expected = [one for one in spec.vec_wrappers if one.name not in _LAYERS_WITHOUT_EFFECT]
    if not seen.layers or any(_is_function(one.name) for one in expected):
        return
    layers = [one.spec for one in seen.vec_wrappers]
    own = seen.vec_wrappers
    if not any(one.name == VEC_NORMALIZE for one in expected):
        own = [one for one in own if one.spec.name != VEC_NORMALIZE]
    both = ([one.spec.name for one in own], [one.name for one in expected])
    all_names, all_its = ([*map(_last, listed)] for listed in both)
    names, its = ([_last(one) for one in listed if one != VEC_NORMALIZE] for listed in both)
    if names != its:
        evidence = f"around the VecEnv are {_inside_out(names)}; in training there were {_inside_out(its)}"
    elif all_names != all_its:
        return
    else:
        evidence = "; ".join(filter(None, map(_of_wrapper, own, expected)))
    if not evidence:
        return
    line, instead = with_layers(
        replace(seen, vec_wrappers=own),
        expected,
        lambda place, other: all_names[place] == all_its[other] and not _of_wrapper(own[place], expected[other]),
    )
    layers = [one for one in layers if one.name != VEC_NORMALIZE or subject.spec.statistics is not None]
    changes = {"environment": {"vec_wrappers": [one.to_plain() for one in layers]}}
    buildable_as_it_is = all(map(can_be_built, layers))
    yield ScriptDifference("wrappers-differ", line, evidence, instead, changes if buildable_as_it_is else None)


def _joined(found: Sequence[ScriptDifference]) -> Iterator[ScriptDifference]:
    """One difference in place of several with the same cause, which conditions tell apart by their causes."""
    if len(found) < 2:
        yield from found
        return
    changes: dict[str, object] | None = {}
    for one in found:
        part = None if one.changes is None else one.changes["environment"]
        changes = changes | part if changes is not None and isinstance(part, dict) else None
    evidence = "; ".join(one.evidence for one in found)
    yield replace(
        found[0], evidence=evidence, instead="", changes=None if changes is None else {"environment": changes}
    )


def _not_built(seen: ObservedEnvironment) -> Iterator[ScriptDifference]:
    """Wrappers of a script's VecEnv that the audit's environments are without."""
    for one in seen.vec_wrappers:
        if not can_be_built(one.spec):
            evidence = (
                f"{_last(one.spec.name)}, which is around the VecEnv, is not measured: it, or what it is given, cannot "
                "be taken out of the script; put it into a module"
            )
            yield ScriptDifference("wrappers-differ", one.line, evidence, in_doubt=True)


def _of_wrapper(wrapper: ObservedWrapper, expected: WrapperSpec) -> str:
    """How the arguments of one of a script's wrappers differ from those expected; empty where they do not."""
    other = _other_arguments(wrapper.spec.kwargs, expected.kwargs, wrapper.defaults, ())
    said = {key: expected.kwargs.get(key, wrapper.defaults.get(key)) for key in other}
    return f"{_last(wrapper.spec.name)} has {_listed(other)}; in training it had {_listed(said)}" if other else ""


def _inside_out(names: Sequence[str]) -> str:
    return f"{', '.join(names)} (from the inside out)" if len(names) > 1 else names[0] if names else "no wrappers"


def _with_wrappers(seen: ObservedEnvironment) -> dict[str, object]:
    wrappers = [[one.spec.name, dict(one.spec.kwargs)] for one in seen.wrappers or ()]
    return {"all_wrappers": wrappers}


def _last(dotted: str) -> str:
    """The last part of ``module:Name`` or ``package.module.Name``; an id as it is."""
    after = dotted.rpartition(":")[2]
    return after if _VERSIONED.search(after) else after.rpartition(".")[2]
