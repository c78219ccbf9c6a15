"""VecEnvs of the user's own, and wrappers around any VecEnv: what they were given, what training changed of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, unwrap_vec_normalize

from reload_audit.environments.build import build_vec_env
from reload_audit.environments.construction import package_of
from reload_audit.models import model_folder
from reload_audit.records.environment_spec import Arguments, EnvironmentSpec
from reload_audit.records.manifest import ChangedAttribute
from reload_audit.training.layers import (
    UNNAMED,
    Attributes,
    other_contents,
    other_objects,
    other_values,
    parameter_names,
    parameters_of,
    plain_attributes,
    unchanged,
    vec_layers_with_effect,
)

Values = dict[str, tuple[object, object]]
"""What layers hold by the names of attributes: the one that is trained in, and a new one."""

_GIVEN_BY_AN_AUDIT = ("n_envs", "num_envs", "seed")
"""Arguments of a VecEnv that every audit gives itself."""

_OF_EVERY_VEC_ENV = frozenset({"num_envs", "reset_infos", "_seeds", "_options", "_seed"})
_STEPS = 3
_LONG = 1000
"""Steps of a new VecEnv that is run only before it is said to be another."""


def is_own(venv: VecEnv) -> bool:
    """Whether a VecEnv is none of SB3's."""
    return not isinstance(venv.unwrapped, DummyVecEnv | SubprocVecEnv)


def arguments_of(venv: VecEnv) -> tuple[Arguments, list[str]]:
    """Arguments that a VecEnv of the user's own was given, and those that are needed and cannot be read off it."""
    known = parameters_of(venv)
    read = {name: value for name, value in known.read.items() if name not in _GIVEN_BY_AN_AUDIT}
    return read, [name for name in known.needed if name not in _GIVEN_BY_AN_AUDIT]


def changed_in_layers(venv: VecEnv, spec: EnvironmentSpec) -> list[ChangedAttribute]:
    """Attributes that a VecEnv of the user's own, or wrappers around a VecEnv, have otherwise than new ones.

    Those that change in every step, and those that new ones draw at random, are left out.

    :param spec: of new ones
    """
    if not _own_layers(venv):
        return []
    stacks = [_new(venv, spec) for _ in range(2)]
    news = [_fixed(stack) for stack in stacks]
    arguments = parameter_names(stacks[0].unwrapped) if spec.vec_env is not None else []
    found = []
    for layer, one, other in zip(_own_layers(venv), *news, strict=True):
        innermost = layer is venv.unwrapped
        for name, (trained, new) in other_values(plain_attributes(layer), (one, other)).items():
            argument = name.lstrip("_") if innermost and name.lstrip("_") in arguments else ""
            shown = name if innermost else f"{type(layer).__name__}.{name}"
            found.append(ChangedAttribute(shown, argument or name, trained, new, bool(argument), of_vec_env=True))
    for stack in stacks:
        stack.close()
    return found


def hidden_in_layers(venv: VecEnv, spec: EnvironmentSpec) -> Iterator[tuple[VecEnv, list[str], Values]]:
    """Layers of the user's own that hold something else than new ones, because of arguments that cannot be read.

    :param spec: of new ones
    :return: each with the arguments that have no name, and the attributes with both values
    """
    if not any(parameters_of(layer).unread for layer in _own_layers(venv)):
        return
    stacks = [_new(venv, spec) for _ in range(2)]
    news = zip(_own_layers(venv), *map(_own_layers, stacks), strict=True)
    run = partial(_run_on, stacks[1])
    found = [(other_objects(layer, new, other), other_contents(layer, new, other, run)) for layer, new, other in news]
    fixed = [_fixed(stack) for stack in stacks]
    for layer, (unnamed, contents), *new in zip(_own_layers(venv), found, *fixed, strict=True):
        values = other_values(plain_attributes(layer), new) if parameters_of(layer).unread else {}
        values |= dict.fromkeys(contents, (UNNAMED, UNNAMED))
        if unnamed or values:
            yield layer, unnamed, values
    for stack in stacks:
        stack.close()


def unlike(venv: VecEnv, spec: EnvironmentSpec) -> Values:
    """Attributes named like arguments that a VecEnv of the user's own has otherwise than a new one, each with both.

    :raises ValueError: the new one is of another class
    """
    new = _new(venv, spec)
    kinds = [type(one.unwrapped) for one in (venv, new)]
    new.close()
    if kinds[0] is not kinds[1]:
        raise ValueError(f"expected {spec.vec_env} to give a {kinds[0].__name__}, found a {kinds[1].__name__}")
    return {one.name: (one.trained, one.new) for one in changed_in_layers(venv, spec) if one.argument}


def _own_layers(venv: VecEnv) -> list[VecEnv]:
    """A VecEnv of the user's own, and the wrappers that are, innermost first."""
    layers = [*([venv.unwrapped] if is_own(venv) else []), *vec_layers_with_effect(venv)]
    return [
        layer for layer in layers if package_of(type(layer).__module__) not in ("stable_baselines3", "reload_audit")
    ]


def _new(venv: VecEnv, spec: EnvironmentSpec) -> VecEnv:
    normalize = unwrap_vec_normalize(venv)
    normalizer = None if normalize is None else model_folder.normalizer_from_memory(normalize)
    return build_vec_env(spec, venv.num_envs, seed=0, normalizer=normalizer)


def _run_on(venv: VecEnv) -> None:
    """Run episodes in a new VecEnv."""
    venv.reset()
    for _ in range(_LONG):
        _, _, dones, _ = venv.step(np.array([venv.action_space.sample() for _ in range(venv.num_envs)]))
        if dones.all():
            break


def _fixed(venv: VecEnv) -> list[Attributes]:
    """What the user's own layers of a new VecEnv were constructed with, and no episode changes."""
    layers = _own_layers(venv)
    before = [plain_attributes(layer) for layer in layers]
    venv.reset()
    first = [plain_attributes(layer) for layer in layers]
    venv.action_space.seed(0)
    for _ in range(_STEPS):
        venv.step(np.array([venv.action_space.sample() for _ in range(venv.num_envs)]))
    later = [plain_attributes(layer) for layer in layers]
    fixed = [unchanged(*each) for each in zip(before, first, later, strict=True)]
    return [{name: one[name] for name in one.keys() - _OF_EVERY_VEC_ENV} for one in fixed]
