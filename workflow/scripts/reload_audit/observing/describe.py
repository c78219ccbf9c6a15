"""Describe an environment that a script steps: its layers, wrappers, registration and arguments."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import (
    HumanRendering,
    OrderEnforcing,
    PassiveEnvChecker,
    RecordEpisodeStatistics,
    RecordVideo,
    TimeLimit,
)
from stable_baselines3.common.atari_wrappers import AtariWrapper
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecCheckNan,
    VecEnv,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
    VecTransposeImage,
    VecVideoRecorder,
)
from stable_baselines3.common.vec_env.base_vec_env import VecEnvWrapper

from reload_audit.observing.spaces_seen import spaces_of
from reload_audit.records.environment_spec import WrapperSpec
from reload_audit.records.observation import Line, ObservedEnvironment, Spaces
from reload_audit.records.storage import plain
from reload_audit.remedies.normalize_as_trained import NormalizeAsTrained

_LEFT_OUT = (
    OrderEnforcing,
    PassiveEnvChecker,
    TimeLimit,
    Monitor,
    RecordEpisodeStatistics,
    RecordVideo,
    HumanRendering,
    NormalizeAsTrained,
)
"""Wrappers that ``gym.make`` puts around every environment, those that only watch, and what stands for VecNormalize."""

_KNOWN_LAYERS = (VecCheckNan, VecFrameStack, VecMonitor, VecNormalize, VecTransposeImage, VecVideoRecorder)
"""VecEnvWrappers that an audit adds itself where they are needed, or that only watch."""


Arguments = Mapping[int, tuple[Any, Mapping[str, object], Mapping[str, object]]]
"""Of each object, by its identity: itself, what its class was called with, and the defaults of its parameters."""


def layers_of(env: Any) -> list[Any]:
    """The layers of a VecEnv, outermost first; of a single environment, itself alone."""
    layers = [env]
    while isinstance(layers[-1], VecEnvWrapper):
        layers.append(layers[-1].venv)
    return layers


def described(
    layers: Sequence[Any],
    line_of: Callable[[Any], Line | None],
    normalization: int | None,
    arguments: Arguments,
) -> ObservedEnvironment:
    """Describe an environment, or those of a VecEnv.

    :param layers: as :func:`layers_of` gives them
    :param line_of: the line that made an environment or a wrapper
    :param normalization: number of the VecNormalize around it
    :param arguments: of the environments and wrappers whose classes were seen to be called, by their identities
    """
    outermost, leaf = layers[0], layers[-1]
    single = leaf.envs[0] if isinstance(leaf, DummyVecEnv) else leaf if isinstance(leaf, gym.Env) else None
    spec = _spec_of(leaf) if single is None else single.spec
    chain = [] if single is None else _chain(single)
    own = own_wrappers(single)
    given, defaults = _constructed_with(None if single is None else single.unwrapped, arguments)
    stack = next((layer for layer in layers if isinstance(layer, VecFrameStack)), None)
    return ObservedEnvironment(
        line=line_of(single_of(leaf).unwrapped),
        env_id="" if spec is None else spec.id,
        env_class="" if single is None else _class_name(single.unwrapped),
        env_kwargs=_arguments(given if spec is None else spec.kwargs),
        env_defaults=_arguments(defaults) or {},
        time_limit=_limit(chain, spec),
        wrappers=None if single is None else [_wrapper(one, arguments) for one in own],
        wrapper_defaults=[_arguments(_constructed_with(one, arguments)[1]) or {} for one in own],
        wrapper_lines=[line_of(one) for one in own],
        monitored=any(isinstance(wrapper, Monitor) for wrapper in chain),
        layers=tuple(type(layer).__name__ for layer in layers) if isinstance(outermost, VecEnv) else (),
        frame_stack=None if stack is None else stack.stacked_obs.n_stack,
        normalization=normalization,
        n_envs=outermost.num_envs if isinstance(outermost, VecEnv) else 1,
        spaces=_spaces(leaf if single is None else single.unwrapped),
        wrapper_spaces=[_spaces(one) for one in own],
        objects=_objects(given if spec is None else spec.kwargs, own, arguments),
        layer_spaces=next((_spaces(layer) for layer in layers[:-1] if type(layer) not in _KNOWN_LAYERS), None),
    )


def own_wrappers(env: Any) -> list[gym.Wrapper]:
    """The user's own wrappers of a single environment, innermost first; none of what is no environment."""
    return [wrapper for wrapper in reversed(_named(_chain(env))) if not isinstance(wrapper, _LEFT_OUT)]


def _spaces(env: Any) -> Spaces:
    return spaces_of(getattr(env, "action_space", None), getattr(env, "observation_space", None))


def _chain(env: gym.Env) -> list[gym.Wrapper]:
    """The wrappers of an environment, outermost first."""
    found = []
    while isinstance(env, gym.Wrapper):
        found.append(env)
        env = env.env
    return found


def _constructed_with(
    made: Any, arguments: Arguments
) -> tuple[Mapping[str, object] | None, Mapping[str, object] | None]:
    """What an environment or a wrapper was constructed with, and the defaults of its parameters."""
    found = arguments.get(id(made))
    return (None, None) if found is None else found[1:]


def _named(chain: Sequence[gym.Wrapper]) -> list[gym.Wrapper]:
    """A chain of wrappers without those that AtariWrapper puts inside itself."""
    kinds = [type(wrapper) for wrapper in chain]
    if AtariWrapper not in kinds:
        return [*chain]
    place, home = kinds.index(AtariWrapper), AtariWrapper.__module__
    return [wrapper for index, wrapper in enumerate(chain) if index <= place or type(wrapper).__module__ != home]


def _spec_of(leaf: VecEnv) -> Any:
    """How the environments of other processes were registered; None where they do not say."""
    with contextlib.suppress(Exception):
        return leaf.get_attr("spec", indices=0)[0]
    return None


def _arguments(given: Mapping[str, object] | None) -> Mapping[str, object] | None:
    """What an environment was made with, as plain data, without ``render_mode``."""
    return None if given is None else {key: _plain(value) for key, value in given.items() if key != "render_mode"}


def _plain(value: Any) -> Any:
    if isinstance(value, str | int | float | bool | None):
        return value
    try:
        return plain(value)
    except (TypeError, ValueError):
        return repr(value)[:200]


def _objects(
    given: Mapping[str, object] | None, wrappers: Sequence[gym.Wrapper], arguments: Arguments
) -> tuple[str, ...]:
    """The arguments of an environment and of its wrappers that are no data, such as functions."""
    of_wrappers = {
        f"{type(one).__name__}'s {key}": value
        for one in wrappers
        for key, value in (_constructed_with(one, arguments)[0] or {}).items()
    }
    return tuple(key for key, value in {**(given or {}), **of_wrappers}.items() if not _is_data(value))


def _is_data(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_data, value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_data, value))
    return isinstance(value, str | int | float | bool | np.ndarray | np.generic | None)


def _limit(chain: Sequence[gym.Wrapper], spec: Any) -> int | None:
    for wrapper in chain:
        if isinstance(wrapper, TimeLimit):
            return wrapper._max_episode_steps
    return spec.max_episode_steps if spec is not None and not chain else None


def _wrapper(wrapper: gym.Wrapper, arguments: Arguments) -> WrapperSpec:
    given = arguments[id(wrapper)][1] if id(wrapper) in arguments else {}
    return WrapperSpec(_class_name(wrapper), {key: _plain(value) for key, value in given.items()})


def _class_name(thing: Any) -> str:
    kind = type(thing)
    return f"{kind.__module__}:{kind.__qualname__}"


def arguments_of(constructor: Any, made: Any, args: Any, kwargs: Any) -> tuple[dict[str, object], dict[str, object]]:
    """What a constructor was called with, but for an environment inside, and the defaults of its parameters."""
    bound = inspect.signature(constructor).bind(made, *args, **kwargs)
    parameters = [*bound.signature.parameters.values()][1:]
    given: dict[str, object] = {}
    for parameter in parameters:
        value = bound.arguments.get(parameter.name, inspect.Parameter.empty)
        if parameter.kind is inspect.Parameter.VAR_KEYWORD and isinstance(value, dict):
            given |= value
        elif value is not inspect.Parameter.empty and not isinstance(value, tuple | gym.Env):
            given[parameter.name] = value
    return given, {one.name: one.default for one in parameters if one.default is not inspect.Parameter.empty}


def single_of(leaf: Any) -> Any:
    """The first environment of an innermost VecEnv; the VecEnv where they are elsewhere; an environment itself."""
    envs = getattr(leaf, "envs", None)
    return envs[0] if envs else leaf
