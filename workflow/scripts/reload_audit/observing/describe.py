"""Describe an environment that a script steps: its layers, wrappers, registration and arguments."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec
from gymnasium.wrappers import (
    HumanRendering,
    OrderEnforcing,
    PassiveEnvChecker,
    RecordEpisodeStatistics,
    RecordVideo,
    TimeLimit,
)
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecCheckNan,
    VecEnv,
    VecMonitor,
    VecNormalize,
    VecTransposeImage,
    VecVideoRecorder,
)
from stable_baselines3.common.vec_env.base_vec_env import VecEnvWrapper

from reload_audit.observing.arguments import LOST, as_data
from reload_audit.observing.spaces_seen import spaces_of
from reload_audit.records.environment_spec import VEC_NORMALIZE, WrapperSpec, vec_wrapper_spec
from reload_audit.records.observation import Line, ObservedEnvironment, ObservedWrapper, Spaces
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

_LAYERS_LEFT_OUT = (VecCheckNan, VecMonitor, VecTransposeImage, VecVideoRecorder)
"""VecEnvWrappers that only watch, and the one that an audit adds itself where it is needed."""


Arguments = Mapping[int, tuple[Any, Mapping[str, object], Mapping[str, object]]]
"""Of each object, by its identity: itself, what its class was called with, and the defaults of its parameters."""


def layers_of(env: Any) -> list[Any]:
    """The layers of a VecEnv, outermost first; of a single environment, itself alone."""
    layers = [env]
    while isinstance(layers[-1], VecEnvWrapper):
        layers.append(layers[-1].venv)
    return layers


def is_whole(env: Any) -> bool:
    """Whether each wrapper around an environment has one inside, and none has yet to make it in its ``reset``."""
    while isinstance(env, gym.Wrapper | VecEnvWrapper):
        env = vars(env).get("venv") if isinstance(env, VecEnvWrapper) else getattr(env, "env", None)
    return env is not None


def described(
    layers: Sequence[Any],
    line_of: Callable[[Any], Line | None],
    normalization: int | None,
    arguments: Arguments,
    inside: Mapping[int, Any],
) -> ObservedEnvironment:
    """Describe an environment, or those of a VecEnv.

    What is made in a wrapper's constructor is a part of that: of the innermost environment, where it makes that.

    :param layers: as :func:`layers_of` gives them
    :param line_of: the line that made an environment or a wrapper
    :param normalization: number of the VecNormalize around it
    :param arguments: of the environments and wrappers whose classes were seen to be called, by their identities
    :param inside: the environment or wrapper in whose constructor another one was made, by the identity of that
    """
    outermost, leaf = layers[0], layers[-1]
    single = leaf.envs[0] if isinstance(leaf, DummyVecEnv) else leaf if isinstance(leaf, gym.Env) else None
    innermost = None if single is None else _innermost(single, inside)
    spec = _spec_of(leaf) if single is None else _spec_named(single, innermost)
    chain = [] if single is None else _around(single, innermost, inside)
    own = own_wrappers(single, inside)
    given, defaults = _constructed_with(innermost, arguments)
    around = own_layers(layers, inside)

    def seen(wrapper: Any, spec: WrapperSpec) -> ObservedWrapper:
        usual = _arguments(_constructed_with(wrapper, arguments)[1]) or {}
        return ObservedWrapper(spec, line_of(wrapper), usual, _spaces(wrapper))

    return ObservedEnvironment(
        line=line_of(single_of(leaf).unwrapped if innermost is None else innermost),
        env_id="" if spec is None else spec.id,
        env_class="" if innermost is None else _class_name(innermost),
        env_kwargs=_arguments(given if spec is None else spec.kwargs),
        env_defaults=_arguments(defaults) or {},
        time_limit=_limit(chain, spec),
        wrappers=None if single is None else [seen(one, _wrapper(one, arguments)) for one in own],
        monitored=any(isinstance(wrapper, Monitor) for wrapper in chain),
        layers=tuple(type(layer).__name__ for layer in layers) if isinstance(outermost, VecEnv) else (),
        normalization=normalization,
        n_envs=outermost.num_envs if isinstance(outermost, VecEnv) else 1,
        spaces=_spaces(leaf if innermost is None else innermost),
        vec_wrappers=[seen(one, _layer(one, arguments, lost=id(leaf) in inside)) for one in around],
    )


def own_wrappers(env: Any, inside: Mapping[int, Any]) -> list[gym.Wrapper]:
    """The user's own wrappers of a single environment, innermost first; none of what is no environment."""
    chain = _around(env, _innermost(env, inside), inside) if isinstance(env, gym.Env) else []
    return [wrapper for wrapper in reversed(chain) if not isinstance(wrapper, _LEFT_OUT)]


def own_layers(layers: Sequence[Any], inside: Mapping[int, Any]) -> list[Any]:
    """The VecEnvWrappers among the layers of a VecEnv that have an effect, innermost first."""
    outside = (layer for layer in reversed(layers[:-1]) if id(layer) not in inside)
    return [layer for layer in outside if type(layer) not in _LAYERS_LEFT_OUT]


def _innermost(env: gym.Env, inside: Mapping[int, Any]) -> Any:
    """The environment inside all wrappers, or the wrapper that made it."""
    made = env.unwrapped
    while id(made) in inside:
        made = inside[id(made)]
    return made


def _around(env: gym.Env, innermost: Any, inside: Mapping[int, Any]) -> list[gym.Wrapper]:
    """The wrappers around an environment, outermost first, without those that others made."""
    chain = [*itertools.takewhile(lambda wrapper: wrapper is not innermost, _chain(env))]
    return [wrapper for wrapper in chain if id(wrapper) not in inside]


def _spec_named(env: gym.Env, innermost: Any) -> EnvSpec | None:
    """How an environment was registered; None where a wrapper made one that was, and is not what the id names.

    A specification that only its class has, as that of SB3's BitFlippingEnv, makes none.
    """
    spec = env.spec
    if spec is None or spec.id not in gym.registry:
        return None
    if innermost is env.unwrapped:
        return spec
    entry = spec.entry_point
    name = entry if isinstance(entry, str) else getattr(entry, "__qualname__", "")
    return None if re.split("[:.]", name)[-1] == type(env.unwrapped).__name__ else spec


def _spaces(env: Any) -> Spaces:
    """The spaces of an environment. Actions pass a VecNormalize, which has the space of training if a file gave it."""
    acting = env
    while isinstance(acting, VecNormalize):
        acting = acting.venv
    return spaces_of(getattr(acting, "action_space", None), getattr(env, "observation_space", None))


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


def _spec_of(leaf: VecEnv) -> Any:
    """How the environments of other processes were registered; None where they do not say."""
    with contextlib.suppress(Exception):
        return leaf.get_attr("spec", indices=0)[0]
    return None


def _arguments(given: Mapping[str, object] | None) -> Mapping[str, object] | None:
    """What an environment or a wrapper was made with, as data, without ``render_mode``."""
    return None if given is None else {key: as_data(value) for key, value in given.items() if key != "render_mode"}


def _limit(chain: Sequence[gym.Wrapper], spec: Any) -> int | None:
    for wrapper in chain:
        if isinstance(wrapper, TimeLimit):
            return wrapper._max_episode_steps
    return spec.max_episode_steps if spec is not None and not chain else None


def _wrapper(wrapper: Any, arguments: Arguments) -> WrapperSpec:
    given = arguments[id(wrapper)][1] if id(wrapper) in arguments else {}
    return WrapperSpec(_class_name(wrapper), {key: as_data(value) for key, value in given.items()})


def _layer(layer: VecEnvWrapper, arguments: Arguments, *, lost: bool) -> WrapperSpec:
    """A wrapper of a VecEnv; VecNormalize, or one that inherits from it, by its name alone.

    :param lost: whether the VecEnv itself was made in the constructor of such a wrapper
    """
    made = _wrapper(layer, arguments)
    made = replace(made, kwargs={**made.kwargs, "venv": LOST}) if lost else made
    return WrapperSpec(VEC_NORMALIZE, {}) if isinstance(layer, VecNormalize) else vec_wrapper_spec(made.to_plain())


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
        elif value is not inspect.Parameter.empty and parameter.kind is not inspect.Parameter.VAR_POSITIONAL:
            given |= {} if isinstance(value, gym.Env | VecEnv) else {parameter.name: value}
    return given, {one.name: one.default for one in parameters if one.default is not inspect.Parameter.empty}


def single_of(leaf: Any) -> Any:
    """The first environment of an innermost VecEnv; the VecEnv where they are elsewhere; an environment itself."""
    envs = getattr(leaf, "envs", None)
    return envs[0] if envs else leaf
