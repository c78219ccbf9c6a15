"""Put wrappers around a VecEnv, in any order, and find out where VecNormalize stands among them."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import stable_baselines3.common.vec_env as sb3_vec_env
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecNormalize, VecTransposeImage

from reload_audit.environments.own_vec_env import OwnVecEnv
from reload_audit.processes.imports import ImportProblem, import_object, with_functions, with_objects
from reload_audit.reading.refusal import Unreadable
from reload_audit.records.environment_spec import VEC_FRAME_STACK, VEC_NORMALIZE, VEC_TRANSPOSE_IMAGE, WrapperSpec

Normalizer = Callable[[VecEnv], VecNormalize]

_SB3 = "stable_baselines3."
_NORMALIZE = WrapperSpec(VEC_NORMALIZE, {})


class LayerProblem(RuntimeError):
    """A wrapper cannot be put around what is inside it; the message says which, and what it raised."""


def put_around(venv: VecEnv, wrappers: Sequence[WrapperSpec], normalizer: Normalizer | None) -> VecEnv:
    """Put wrappers around a VecEnv, and VecTransposeImage around them all where SB3 would.

    :param wrappers: innermost first
    :param normalizer: puts VecNormalize around a VecEnv. Where ``wrappers`` do not have VecNormalize, it gets the place
        that its statistics fit, RL Zoo's order before any other: around all but stacked frames
    :raises LayerProblem: a wrapper cannot be put there
    :raises Unreadable: the statistics fit nowhere, or elsewhere than ``wrappers`` say
    """
    if normalizer is None:
        return transposed(_stacked(venv, wrappers, None))
    space = copy.deepcopy(venv.observation_space)
    said = any(wrapper.name == VEC_NORMALIZE for wrapper in wrappers)
    first: Unreadable | None = None
    for order in itertools.chain([wrappers] if said else [], _orders(wrappers, venv)):
        venv.observation_space = copy.deepcopy(space)  # VecNormalize changes dictionaries of spaces in place
        try:
            stack = transposed(_stacked(venv, order, normalizer))
        except Unreadable as problem:
            first = first or problem
            continue
        if first is None or not said:
            return stack
        raise Unreadable(f"{first}; they fit with vec_wrappers: {written(order)}")
    assert first is not None
    raise first


def transposed(venv: VecEnv) -> VecEnv:
    """A stack as SB3 hands it to a policy, with VecTransposeImage around it where observations are images."""
    # Private in SB3, but it is the one place that knows when images must be transposed.
    return BaseAlgorithm._wrap_env(venv, monitor_wrapper=False)


def layers_of(venv: VecEnv) -> list[VecEnv]:
    """The wrappers around a VecEnv, innermost first, without the one that the audit puts around a user's own VecEnv."""
    layers: list[VecEnv] = []
    while isinstance(venv, VecEnvWrapper) and not isinstance(venv, OwnVecEnv):
        layers.insert(0, venv)
        venv = venv.venv
    return layers


def unclear_place(venv: VecEnv, wrappers: Sequence[WrapperSpec]) -> str:
    """Say that nobody says, and no shape tells, on which side of a wrapper of the user's own VecNormalize stands.

    :param venv: with ``wrappers`` around it
    :return: empty where it is clear
    """
    if any(wrapper.name == VEC_NORMALIZE for wrapper in wrappers):
        return ""
    inner, _, fits = _places(venv)
    own = _own(inner[fits[0] : fits[-1]]) if fits else []
    if not own:
        return ""
    orders = " or ".join(f"`vec_wrappers: {written([*wrappers[:at], _NORMALIZE, *wrappers[at:]])}`" for at in fits)
    return f"its statistics fit inside and around {', '.join(own)}: expected vec_wrappers to say it, {orders}"


def other_orders(venv: VecEnv, wrappers: Sequence[WrapperSpec]) -> list[tuple[WrapperSpec, ...]]:
    """The wrappers around a VecEnv with VecNormalize on other sides of the user's own, where its statistics fit, too.

    :param wrappers: around ``venv``, as :func:`order_of` gives them
    """
    inner, place, fits = _places(venv)
    said = [one for one in wrappers if one.name != VEC_NORMALIZE]
    found: dict[tuple[str, ...], tuple[WrapperSpec, ...]] = {}
    for at in sorted(fits, key=lambda fit: abs(fit - place)):
        passed = tuple(_own(inner[min(at, place) : max(at, place)]))
        if passed and at <= len(said):
            found.setdefault((*passed, "outside" if at > place else "inside"), (*said[:at], _NORMALIZE, *said[at:]))
    return list(found.values())


def _places(venv: VecEnv) -> tuple[list[VecEnv], int, list[int]]:
    """A stack's layers but VecNormalize, its place among them, and all places that have its shapes; none without it."""
    layers = layers_of(venv)
    inner = [layer for layer in layers if not isinstance(layer, VecNormalize)]
    if len(inner) == len(layers):
        return inner, 0, []
    shapes = [_shapes(space) for space in (venv.unwrapped.observation_space, *(one.observation_space for one in inner))]
    place = next(index for index, layer in enumerate(layers) if isinstance(layer, VecNormalize))
    return inner, place, [index for index, shape in enumerate(shapes) if shape == shapes[place]]


def _own(layers: Sequence[VecEnv]) -> list[str]:
    """Class names of those layers that are the user's own."""
    return [type(one).__name__ for one in layers if not type(one).__module__.startswith(_SB3)]


def _shapes(space: spaces.Space) -> Any:
    if isinstance(space, spaces.Dict):
        return {key: _shapes(part) for key, part in space.spaces.items()}
    return space.shape


def order_of(venv: VecEnv, wrappers: Sequence[WrapperSpec]) -> tuple[WrapperSpec, ...]:
    """The wrappers that were put around a VecEnv, with VecNormalize where it was put if it is there."""
    names = [type(layer).__name__ for layer in layers_of(venv)]
    if VEC_NORMALIZE not in names or any(wrapper.name == VEC_NORMALIZE for wrapper in wrappers):
        return tuple(wrappers)
    place = names.index(VEC_NORMALIZE)
    if place > len(wrappers):
        return (*wrappers, WrapperSpec(VEC_TRANSPOSE_IMAGE, {}), _NORMALIZE)
    return (*wrappers[:place], _NORMALIZE, *wrappers[place:])


def written(wrappers: Sequence[WrapperSpec]) -> str:
    """Wrappers as a configuration has them, in one line."""
    return json.dumps([wrapper.to_plain() for wrapper in wrappers], default=repr)


def vec_wrapper_class(name: str) -> Any:
    """What ``vec_wrappers`` call: a class of SB3 by its name alone, anything else by its dotted name.

    :raises ImportProblem: there is none
    """
    if "." in name or ":" in name:
        return import_object(name)
    found = getattr(sb3_vec_env, name, None)
    if not (isinstance(found, type) and issubclass(found, VecEnvWrapper)):
        raise ImportProblem(
            f"vec_wrappers: SB3 has no VecEnvWrapper {name!r}; expected one of its own, such as {VEC_FRAME_STACK}, "
            "or the dotted name of yours, such as package.module.Name"
        )
    return found


def _stacked(venv: VecEnv, wrappers: Sequence[WrapperSpec], normalizer: Normalizer | None) -> VecEnv:
    for wrapper in wrappers:
        if wrapper.name == VEC_NORMALIZE:
            if normalizer is None:
                raise ValueError("expected a normalizer, because the environment is normalised")
            venv = normalizer(venv)
            continue
        make = vec_wrapper_class(wrapper.name)
        try:
            made = make(venv, **with_functions(make, with_objects(wrapper.kwargs)))
        except Exception as error:
            raise LayerProblem(f"{_place(wrapper, venv)} raised {type(error).__name__}: {error}") from error
        if not isinstance(made, VecEnv):
            raise LayerProblem(f"{_place(wrapper, venv)} gave {type(made).__name__}; expected a VecEnv")
        venv = made
    return venv


def _place(wrapper: WrapperSpec, venv: VecEnv) -> str:
    inside = [type(layer).__name__ for layer in layers_of(venv)]
    around = f" around {' and '.join(inside)}" if inside else ""
    return f"vec_wrappers: putting {written([wrapper])[1:-1]}{around}"


def _orders(wrappers: Sequence[WrapperSpec], venv: VecEnv) -> Iterator[Sequence[WrapperSpec]]:
    """The orders that VecNormalize can have among other wrappers: RL Zoo's, then further out, then further in.

    At last it may stand around images that have been transposed.
    """
    own = next((wrapper for wrapper in wrappers if wrapper.name == VEC_NORMALIZE), _NORMALIZE)
    others = [wrapper for wrapper in wrappers if wrapper.name != VEC_NORMALIZE]
    stacking = (VEC_FRAME_STACK, VEC_TRANSPOSE_IMAGE)
    usual = next((place for place, wrapper in enumerate(others) if wrapper.name in stacking), len(others))
    for place in (*range(usual, len(others) + 1), *reversed(range(usual))):
        yield [*others[:place], own, *others[place:]]
    named = any(wrapper.name == VEC_TRANSPOSE_IMAGE for wrapper in others)
    if not named and isinstance(transposed(_stacked(venv, others, None)), VecTransposeImage):
        yield [*others, WrapperSpec(VEC_TRANSPOSE_IMAGE, {}), own]
