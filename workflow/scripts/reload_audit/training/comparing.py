"""Compare what a model is trained in with what an audit would build, and refuse to record another environment."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from gymnasium import Env
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from reload_audit.environments.build import make_env
from reload_audit.records.environment_spec import EnvironmentSpec
from reload_audit.training.layers import (
    UNNAMED,
    Attributes,
    at_a_start,
    fixed_attributes,
    layers_with_effect,
    numbers_slots,
    other_contents,
    other_objects,
    other_values,
    parameter_names,
    parameters_of,
    plain_attributes,
    run_on,
    shown_name,
)
from reload_audit.training.vec_envs import hidden_in_layers


class NotRebuilt(ValueError):
    """The environments trained in cannot be built again by their names: which layer it is, and what to do."""


def compare(trained: Env, spec: EnvironmentSpec, said: Collection[str]) -> None:
    """Refuse a spec that builds something else than the environment that is trained in.

    :param said: what the user says of it: ``env_kwargs``, ``wrappers``
    :raises NotRebuilt: layers, arguments or what they set are not the same
    """
    layers = layers_with_effect(trained)
    envs = [make_env(spec) for _ in range(2)]
    built = [layers_with_effect(env) for env in envs]
    expected, found = [[type(layer).__name__ for layer in side] for side in (layers, built[0])]
    if expected != found:
        raise NotRebuilt(
            f"{spec.env} is not like the environment that is trained in: expected {' in '.join(expected)}, found "
            f"{' in '.join(found)}; wrappers={[one.to_plain() for one in spec.wrappers]}"
        )
    for layer, *others in zip(layers, *built, strict=True):
        if objects := other_objects(layer, *others):
            raise NotRebuilt(unwritten(layer, objects))
    for layer, new, other in zip(layers, *built, strict=True):
        option = "env_kwargs" if new is built[0][-1] else "wrappers"
        if option not in said and (contents := other_contents(layer, new, other, partial(run_on, envs[1]))):
            refuse(layer, dict.fromkeys(contents, (UNNAMED, UNNAMED)), parameters_of(layer).unread, option)
    news = [[plain_attributes(layer) for layer in side] for side in built]
    if not _arguments_differ(layers, built[0], news, said):
        return  # without a reset or a step, which might change what all environments of a process share
    layers = layers_with_effect(at_a_start(trained))
    fixed = [[attributes for _, attributes in fixed_attributes(make_env(spec))] for _ in range(2)]
    for layer, new, other in _arguments_differ(layers, built[0], fixed, said):
        refuse(layer, other, parameters_of(layer).unread, "env_kwargs" if new is built[0][-1] else "wrappers")


def _arguments_differ(
    layers: Sequence[Any], built: Sequence[Any], news: Sequence[Sequence[Attributes]], said: Collection[str]
) -> list[tuple[Any, Any, dict[str, tuple[Any, Any]]]]:
    """Layers whose arguments differ from those of new ones, with the new one, and the attributes that show it.

    :param news: attributes of two new ones, layer by layer
    """
    differing = []
    for layer, new, one, other in zip(layers, built, *news, strict=True):
        known, given = parameters_of(layer), parameters_of(new)
        named = ("env_kwargs" if new is built[-1] else "wrappers") in said
        values = other_values(plain_attributes(layer), (one, other))
        changed = {name: pair for name, pair in values.items() if name.lstrip("_") in {*known.read, *given.read}}
        if changed or (values and known.unread and not named):
            differing.append((layer, new, changed or values))
    return differing


def refuse(layer: Any, other: Mapping[str, tuple[Any, Any]], unread: Sequence[str], option: str) -> None:
    """Refuse a layer because of attributes that are not those of a new one, with what to say.

    :param other: those attributes, each with both values
    :param unread: arguments of the layer that cannot be read
    :param option: of the recorder, which takes them
    :raises NotRebuilt: always
    """
    said = ", ".join(
        f"{name} holds something else" if trained is UNNAMED else f"{name} is {trained!r}, not {new!r}"
        for name, (trained, new) in other.items()
    )
    unknown = f" (what its constructor was given cannot be read: {', '.join(unread)})" if unread else ""
    known = [name for name in unread if not name.startswith("*")]
    plain = UNNAMED not in (trained for trained, _ in other.values())
    names = other if plain and len(known) < len(unread) else known or other
    arguments = "{" + ", ".join(f'"{name.lstrip("_")}": ...' for name in names) + "}"
    how = arguments if option == "env_kwargs" else f'[{{"{shown_name(layer)}": {arguments}}}]'
    or_else = "" if isinstance(layer, VecEnv) else ", or pass env_fns, the functions that make the environments"
    raise NotRebuilt(
        f"{shown_name(layer)} as it is trained in differs from a new one: {said}{unknown}; say its arguments: "
        f"{option}={how}{or_else}"
    )


def compare_slots(envs: Sequence[Env], spec: EnvironmentSpec) -> None:
    """Refuse environments side by side that were given different arguments, numbers of the slots apart.

    :raises NotRebuilt: with the layer and its argument
    """
    slots = [layers_with_effect(env) for env in envs]
    if len({len(slot) for slot in slots}) > 1:
        raise NotRebuilt(_several(spec.env, "their wrappers are not the same"))
    for place, side_by_side in enumerate(zip(*slots, strict=True)):
        held = [plain_attributes(layer) for layer in side_by_side]
        names = {*parameter_names(side_by_side[0])}
        for attribute in held[0]:
            values = [one.get(attribute) for one in held]
            if attribute.lstrip("_") not in names or numbers_slots(values) or _is_drawn(attribute, spec, place):
                continue
            various = ", ".join(dict.fromkeys(map(repr, values)))
            raise NotRebuilt(_several(shown_name(side_by_side[0]), f"{attribute} is one of {various:.200}"))


def _is_drawn(attribute: str, spec: EnvironmentSpec, place: int) -> bool:
    """Whether episodes change an attribute of a layer, the outermost first."""
    fixed = [attributes for _, attributes in fixed_attributes(make_env(spec))]
    return attribute not in fixed[place]


def _several(what: str, how: str) -> str:
    return (
        f"{what} is not the same in all environments that are trained in: {how}; say which an audit is to build, "
        "env_kwargs={...}, or give vec_env the name of a function in a module that returns the VecEnv with all of them"
    )


def compare_vec_layers(venv: VecEnv, spec: EnvironmentSpec) -> None:
    """Refuse a spec whose VecEnv, or wrappers of it, hold something else than those that are trained in.

    :raises NotRebuilt: with the layer
    """
    for layer, objects, values in hidden_in_layers(venv, spec):
        if objects:
            raise NotRebuilt(unwritten(layer, objects))
        option = "env_kwargs" if layer is venv.unwrapped else "vec_wrappers"
        refuse(layer, values, parameters_of(layer).unread, option)


def compare_names(venv: VecEnv, spec: EnvironmentSpec) -> None:
    """Refuse a spec whose layers have other classes than environments in another process, which say theirs."""
    texts = [str(venv.env_method("__str__", indices=0)[0]), str(make_env(spec))]
    expected, found = [_without_effect(text) for text in texts]
    if expected != found:
        raise NotRebuilt(
            f"{spec.env} is not like the environments that are trained in: expected {expected}, found {found}; pass "
            "env_fns, the functions that SubprocVecEnv was given, or say its wrappers, innermost first"
        )


def _without_effect(text: str) -> str:
    for name in ("Monitor", "OrderEnforcing", "PassiveEnvChecker", "RecordEpisodeStatistics"):
        while f"<{name}<" in text:
            text = text.replace(f"<{name}<", "<", 1).removesuffix(">")
    return text


def unwritten(layer: Any, needed: Sequence[str], how: str = "") -> str:
    """What to do about arguments that have no name.

    :param how: plain ones can be said
    """
    plain = f"plain values can be said, {how}; " if how else ""
    return (
        f"what {shown_name(layer)} was given cannot be read off it and written down: {', '.join(needed)}; {plain}"
        f"functions and objects belong into {_place_of_objects(layer)}"
    )


def _place_of_objects(layer: Any) -> str:
    """Where what has no name can stand so that an audit finds it."""
    if isinstance(layer, VecEnvWrapper):
        name = type(layer).__name__
        return (
            f"a class in a module, such as my_env.py, that is made without them (`class My{name}({name}): def "
            f"__init__(self, venv): super().__init__(venv, ...)`)"
        )
    if isinstance(layer, VecEnv):
        return "a function in a module, such as my_env.py, that returns the VecEnv: give vec_env its name"
    return (
        "a function in a module, such as my_env.py, that is declared to return the environment (`-> gymnasium.Env`): "
        "give that to make_vec_env, and as env_fns"
    )
