"""Compare how an environment is built today with how it was built when its model was trained."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from reload_audit.causes.finding import Detail, Finding
from reload_audit.environments.construction import package_of
from reload_audit.records.environment_spec import VEC_FRAME_STACK, VEC_MONITOR, VEC_NORMALIZE, WrapperSpec
from reload_audit.records.manifest import ChangedAttribute, Construction

_BRIEF = 80
_NONE = "<none>"
_OWN_VEC_ENV = "OwnVecEnv"
"""Stands around a VecEnv of the user's own, and all that is a part of that."""

_NO_LAYERS = ("DummyVecEnv", "SubprocVecEnv", "VecTransposeImage")
_OF_SB3 = (
    *(VEC_FRAME_STACK, VEC_MONITOR, VEC_NORMALIZE),
    *("VecCheckNan", "VecExtractDictObs", "VecVideoRecorder"),
)
_PACKAGES_THAT_MOVE_THEIRS = ("reload_audit", "stable_baselines3", "sb3_contrib")


def changes(then: Construction | None, now: Construction) -> list[Finding]:
    """Findings for whatever has changed: constructor arguments, time limit, wrappers, or the environment's file.

    :param then: as the model's manifest has it, which is untrusted input; None where it does not say
    :param now: of the environment as built today
    """
    if then is None:
        return []
    found = _changed_arguments(then, now)
    if then.time_limit != now.time_limit:
        limits = [f"{limit:,} steps" if limit else "no limit" for limit in (then.time_limit, now.time_limit)]
        evidence = f"the time limit was {limits[0]}, now {limits[1]}"
        found.append(Finding("time-limit", "forensics", True, evidence, {"max_episode_steps": then.time_limit or -1}))
    if _class_names(then) != _class_names(now):
        if not found:  # a changed time limit or argument explains other wrappers: TimeLimit is one
            found.append(_changed_wrappers(then, now))
    elif then.code and now.code and then.code != now.code:
        evidence = f"the file that {then.wrappers[-1]} is in was {then.code}, now {now.code} (content digests)"
        # No proof: a comment changes the digest, too.
        found.append(Finding("env-changed", "forensics", False, evidence, {"wrappers": then.wrappers[-1]}))
    return found


def changed_stack(then: Sequence[str], now: Sequence[WrapperSpec]) -> list[Finding]:
    """A finding where other wrappers stand around the VecEnv, or in another order.

    :param then: class names of the VecEnv and its wrappers, the outermost first, from a manifest, which is untrusted
        input; empty where it does not say
    :param now: of the VecEnv that the model is evaluated in, the innermost first
    """
    sides = _layers(then, now)
    if not then or sides[0] == sides[1]:
        return []
    was, is_now = (_brief(", ".join(side) or "nothing") for side in sides)
    evidence = f"around the VecEnv stood, from the outside in, {was}; now it is {is_now}"
    inside_out = [name if name in _OF_SB3 else f"my_module.{name}" for name in reversed(sides[0])]
    told = f"`vec_wrappers: [{_brief(', '.join(inside_out))}]`, innermost first, each with its arguments if it had some"
    details: dict[str, Detail] = {"wrappers": f"vec_wrappers, which were {was} from the outside in", "told": told}
    if order := recorded_order(then, now):
        details["order"] = {"vec_wrappers": [[wrapper.name, dict(wrapper.kwargs)] for wrapper in order]}
    return [Finding("env-changed", "forensics", True, evidence, details)]


def recorded_order(then: Sequence[str], now: Sequence[WrapperSpec]) -> tuple[WrapperSpec, ...]:
    """The wrappers around a VecEnv in the order that a manifest has, the innermost first.

    :param then: as of :func:`changed_stack`; ``now`` likewise
    :return: empty where the manifest has others, or the same order
    """
    was, _ = _layers(then, now)
    return _in_order(was, now)


def recorded_wrappers(then: Construction | None, built: Construction, now: Sequence[WrapperSpec]) -> list[WrapperSpec]:
    """The wrappers around each environment in the order that a manifest has, the innermost first.

    :param then: as of :func:`changes`
    :param built: with ``now``, the innermost first
    :return: empty where the manifest has others, or the same order, or it cannot be told which are which
    """
    if then is None:
        return []
    was, is_now = (_class_names(side)[:-1] for side in (then, built))
    names = [*map(_class_name, reversed(now))]
    if is_now[: len(names)] != names or was[len(names) :] != is_now[len(names) :]:
        return []
    return [*_in_order(was[: len(names)], now)]


def _in_order(names: Sequence[str], wrappers: Sequence[WrapperSpec]) -> tuple[WrapperSpec, ...]:
    """Wrappers in the order of class names, outermost first; empty where these are others, or in that order already."""
    now = [*map(_class_name, reversed(wrappers))]
    if now == [*names] or sorted(now) != sorted(names):
        return ()
    left, ordered = [*wrappers], []
    for name in reversed(names):
        ordered.append(next(wrapper for wrapper in left if _class_name(wrapper) == name))
        left.remove(ordered[-1])
    return tuple(ordered)


def _layers(then: Sequence[str], now: Sequence[WrapperSpec]) -> tuple[list[str], list[str]]:
    """Class names of what stood, and stands, around the VecEnv and is compared, the outermost first.

    Where VecNormalize stands is left out if ``now`` does not say it.
    """
    around = then[: then.index(_OWN_VEC_ENV)] if _OWN_VEC_ENV in then else then
    names = [_class_name(wrapper) for wrapper in reversed(now)]
    needless = {*_NO_LAYERS, *({VEC_NORMALIZE} - {*names})}
    was, is_now = ([name for name in side if name not in needless] for side in (around, names))
    return was, is_now


def _class_name(wrapper: WrapperSpec) -> str:
    return re.split("[.:]", wrapper.name)[-1]


def changed_by_training(changed: Sequence[ChangedAttribute]) -> list[Finding]:
    """Findings for attributes that the environments trained in had otherwise than new ones.

    They are no proof: counters differ, too. The trial that each asks for shows what it does to the reward.
    """
    found = []
    for one in changed:
        evidence = f"{one.attribute} is {one.trained!r} in the environments trained in and {one.new!r} in new ones"
        set_again: dict[str, Detail] = {"set_on_vec_env" if one.of_vec_env else "set": one.attribute}
        if one.argument:
            set_again = {"env_kwargs": {one.name: one.trained}}
        details: dict[str, Detail] = {"attribute": one.attribute, "name": one.name, "trained": one.trained, **set_again}
        found.append(Finding("curriculum", "forensics", False, evidence, details))
    return found


def _changed_arguments(then: Construction, now: Construction) -> list[Finding]:
    pairs = {
        name: (then.arguments.get(name, _NONE), now.arguments.get(name, _NONE))
        for name in {**then.arguments, **now.arguments}
        if name != "render_mode"
    }
    changed = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    if not changed:
        return []
    said = ", ".join(f"{name} was {_brief(a)} and is {_brief(b)}" for name, (a, b) in changed.items())
    # Only arguments that the constructor takes today: a manifest is untrusted and could name any.
    plain_ones = {name: a for name, (a, _) in changed.items() if name in now.arguments and not _is_stand_in(a)}
    evidence = f"of its constructor's arguments {said}"
    return [Finding("env-kwargs", "forensics", True, evidence, {"env_kwargs": plain_ones})]


def _changed_wrappers(then: Construction, now: Construction) -> Finding:
    stacks = [_brief(", ".join(_class_names(side))) for side in (then, now)]
    evidence = f"from the outside in it was {stacks[0]}, now it is {stacks[1]}"
    gone = ", ".join(name for name in then.wrappers if name not in now.wrappers)
    return Finding("env-changed", "forensics", True, evidence, {"wrappers": gone})


def _class_names(construction: Construction) -> list[str]:
    """Class names of the wrappers but those of this audit and of SB3, whose places may change with the version."""
    names = [name for name in construction.wrappers if package_of(name) not in _PACKAGES_THAT_MOVE_THEIRS]
    return [name.rpartition(".")[2] for name in names]


def _is_stand_in(value: Any) -> bool:
    return value == _NONE or (isinstance(value, str) and value.startswith("<") and value.endswith(">"))


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _BRIEF else f"{text[:_BRIEF]}…"
