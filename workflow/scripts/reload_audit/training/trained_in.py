"""What a model is trained in, layer by layer, as a spec that another process can build; or why none can."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import gymnasium as gym
from gymnasium import Env
from gymnasium.wrappers import TimeLimit
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecEnv,
    VecFrameStack,
    VecTransposeImage,
)

from reload_audit.environments.allowed import check_environment
from reload_audit.environments.build import make_env
from reload_audit.environments.ids import registering_package
from reload_audit.environments.stack import written
from reload_audit.reading.refusal import Unreadable
from reload_audit.records.environment_spec import (
    VEC_FRAME_STACK,
    VEC_MONITOR,
    VEC_NORMALIZE,
    Arguments,
    EnvironmentSpec,
    WrapperEntry,
    WrapperSpec,
    vec_wrapper_spec,
    vec_wrappers_of,
    wrapper_spec,
)
from reload_audit.records.manifest import ChangedAttribute
from reload_audit.training.comparing import (
    NotRebuilt,
    compare,
    compare_names,
    compare_slots,
    compare_vec_layers,
    refuse,
    unwritten,
)
from reload_audit.training.in_workers import NotReached, Workers
from reload_audit.training.layers import (
    UNNAMED,
    Attributes,
    at_a_start,
    fixed_attributes,
    importable_name,
    layers_with_effect,
    most_common,
    nameable,
    other_values,
    parameter_names,
    parameters_of,
    plain_attributes,
    shown_name,
    vec_layers_with_effect,
)
from reload_audit.training.vec_envs import arguments_of, changed_in_layers, is_own, unlike

Factory = Callable[[], Env]


@dataclass(frozen=True)
class Said:
    """What the user says of the environments that a model is trained in; what is None is read off them.

    :param env: a name as in an experiment
    :param vec_env: the dotted name of a VecEnv of one's own, or of a function that returns it
    :param env_fns: what was given to DummyVecEnv, SubprocVecEnv or ``make_vec_env``: functions that make environments
    """

    env: str | None = None
    env_kwargs: Arguments | None = None
    wrappers: Sequence[WrapperEntry] | None = None
    vec_wrappers: Sequence[WrapperEntry] | None = None
    frame_stack: int | None = None
    env_fns: Sequence[Factory] = ()
    vec_env: str | None = None


def environment_of(model: BaseAlgorithm, said: Said) -> EnvironmentSpec:
    """A spec of the environments that a model is trained in.

    :raises NotRebuilt: a layer cannot be imported, or its arguments cannot be read, or they are not as they are said
    """
    venv = model.get_env()
    assert venv is not None
    if said.vec_env is not None or (is_own(venv) and not said.env_fns):
        return _own_vec_env(venv, said)
    spec = _of_environments(venv, said)
    compare_vec_layers(venv, spec)
    return spec


def _of_environments(venv: VecEnv, said: Said) -> EnvironmentSpec:
    """A spec of environments in a VecEnv of SB3's."""
    trained = sample_of(venv, said.env_fns)
    if trained is None:
        spec = _as_said(venv, said)
        compare_names(venv, spec)
        for one in changed_attributes(venv, spec):
            if one.argument:
                changed = {one.name: (one.trained, one.new)}
                refuse(make_env(spec).unwrapped, changed, (), "env_kwargs")
        return spec
    made_by = None if said.env or not said.env_fns else _function(said.env_fns[0])
    if made_by is not None:
        said = replace(said, env=made_by.name, env_kwargs=made_by.kwargs, wrappers=())
    env = said.env or _env_name(trained)
    env_kwargs = said.env_kwargs if said.env_kwargs is not None else _env_kwargs(trained, env)
    bare = EnvironmentSpec(env, dict(env_kwargs), (), "env", _vec_wrappers(venv, said), ())
    if said.env_kwargs is None and trained.unwrapped.spec is None:
        bare = _without_drawn(bare)
    around = _around(layers_with_effect(trained), layers_with_effect(make_env(bare)), bare)
    if said.wrappers is None:
        wrappers = tuple(_named(layer, "wrappers") for layer in reversed(around))
    else:
        wrappers = tuple(map(wrapper_spec, said.wrappers))
    spec = replace(bare, wrappers=wrappers)
    if said.wrappers is None:
        spec = _without_what_others_make(trained, spec)
    compare(trained, spec, [name for name in ("env_kwargs", "wrappers") if getattr(said, name) is not None])
    if said.env_kwargs is None and isinstance(venv.unwrapped, DummyVecEnv):
        compare_slots(venv.unwrapped.envs, spec)
    return spec


def sample_of(venv: VecEnv, env_fns: Sequence[Factory] = ()) -> Env | None:
    """One of the environments trained in, or one more of the same; None where they are in other processes."""
    if env_fns:
        made = env_fns[0]()
        made.reset(seed=0)
        return made
    inner = venv.unwrapped
    return inner.envs[0] if isinstance(inner, DummyVecEnv) else None


def factories(env_fns: Any) -> list[Factory]:
    """Functions that make environments, from what people pass: one of them, or a list.

    :raises NotRebuilt: it is neither
    """
    found = [env_fns] if callable(env_fns) else list(env_fns)
    if not found or not all(map(callable, found)):
        raise NotRebuilt(f"env_fns: expected functions that make environments, or one such function, found {env_fns!r}")
    return found


def changed_attributes(venv: VecEnv, spec: EnvironmentSpec) -> list[ChangedAttribute]:
    """Attributes that the environments trained in have otherwise than new ones, which keep theirs when they are reset.

    What new ones draw at random is left out.
    """
    if spec.vec_env is not None:
        return changed_in_layers(venv, spec)
    built = [[*fixed_attributes(make_env(spec))] for _ in range(2)]
    found = changed_in_layers(venv, spec)
    slots = [held for held in _attributes_trained_in(venv.unwrapped) if len(held) == len(built[0])]
    arguments = parameter_names(built[0][-1][0])
    for values, (layer, one), (_, other) in zip(zip(*slots, strict=True), *built, strict=bool(slots)):
        innermost = layer is built[0][-1][0]
        for name, (trained, new) in most_common([other_values(held, (one, other)) for held in values]).items():
            shown = name if innermost else f"{type(layer).__name__}.{name}"
            found.append(ChangedAttribute(shown, name, trained, new, innermost and name in arguments))
    return sorted(found, key=lambda one: not one.argument)


def _attributes_trained_in(inner: VecEnv) -> list[list[Attributes]]:
    """Attributes of the layers of each environment, the outermost first; none where nobody can look at them.

    Of environments in other processes those of the first.
    """
    if isinstance(inner, DummyVecEnv):
        few = inner.envs[:_SLOTS]
        return [[plain_attributes(layer) for layer in layers_with_effect(at_a_start(env))] for env in few]
    if not isinstance(inner, SubprocVecEnv):
        return []
    try:
        with Workers(inner) as workers:
            return [[attributes for _, attributes in workers.layers()]]
    except NotReached as problem:
        print(f"not compared with new environments: {problem}", flush=True)
        return []


_SLOTS = 16
"""Environments side by side that are looked at."""


# --- From the objects to their names -------------------------------------------------------------------------------


def _function(factory: Factory) -> WrapperSpec | None:
    """The name of what makes environments, and its arguments; None where an audit could not import or call it."""
    called, kwargs = factory, {}
    if isinstance(factory, partial):
        called, kwargs = factory.func, nameable(factory.keywords)
    name = importable_name(called, ":")
    positional = isinstance(factory, partial) and factory.args
    if name is None or kwargs is UNNAMED or positional:
        return None
    try:
        check_environment(name, [name.partition(".")[0].partition(":")[0]])  # as the audit will
    except Unreadable:
        return None
    return WrapperSpec(name, kwargs)


def _env_name(trained: Env) -> str:
    base = trained.unwrapped
    if base.spec is not None and base.spec.id in gym.registry:
        package = registering_package(base.spec.id)
        if not package:
            return str(base.spec.id)
        if _is_installed(package):  # what a script registers itself, no other process finds by its id
            return f"{package}:{base.spec.id}"
    name = importable_name(type(base), ":")
    if name is None:
        raise NotRebuilt(_in_the_script(base, "the environment", "env"))
    return name


def _is_installed(package: str) -> bool:
    origin = getattr(sys.modules.get(package), "__file__", None)
    return origin is not None and "site-packages" in origin


def _in_the_script(layer: Any, what: str, option: str) -> str:
    kind = type(layer)
    return (
        f"{what} {kind.__qualname__} is defined in the training script itself (or within a function), where no other "
        f"process can import it; move it into a module of its own, such as my_env.py, and it is found there "
        f"({option}: my_env.{kind.__name__})"
    )


def _env_kwargs(trained: Env, env: str) -> Arguments:
    """What the environment's constructor was given, as far as that can be read."""
    base = trained.unwrapped
    if base.spec is None or env.rpartition(":")[2] != base.spec.id:
        known = parameters_of(base)
        if known.needed:
            raise NotRebuilt(unwritten(base, known.needed, f'env_kwargs={{"{known.needed[0]}": ...}}'))
        return known.read
    registered = gym.registry[base.spec.id]
    given = {key: nameable(value) for key, value in base.spec.kwargs.items() if key != "render_mode"}
    if unnamed := [key for key, value in given.items() if value is UNNAMED and key not in registered.kwargs]:
        raise NotRebuilt(unwritten(base, unnamed, f'env_kwargs={{"{unnamed[0]}": ...}}'))
    own = {key: value for key, value in given.items() if value != nameable(registered.kwargs.get(key))}
    around = layers_with_effect(trained)[-2:-1]
    limit = next((layer._max_episode_steps for layer in around if isinstance(layer, TimeLimit)), None)
    if limit != registered.max_episode_steps:
        own["max_episode_steps"] = limit or -1
    return own


def _without_drawn(spec: EnvironmentSpec) -> EnvironmentSpec:
    """The same without arguments whose attributes are set in every episode: these tell nothing of the constructor."""
    if not spec.env_kwargs:
        return spec
    *_, (base, fixed) = fixed_attributes(make_env(spec))
    drawn = [name for name in spec.env_kwargs if name in plain_attributes(base) and name not in fixed]
    return replace(spec, env_kwargs={key: value for key, value in spec.env_kwargs.items() if key not in drawn})


def _around(trained: Sequence[Any], built: Sequence[Any], spec: EnvironmentSpec) -> Sequence[Any]:
    """The layers trained in that are not part of the environment as it is registered or constructed.

    :raises NotRebuilt: it is another environment
    """
    inside = [type(layer) for layer in built]
    found = [type(layer) for layer in trained[len(trained) - len(inside) :]]
    if [kind.__qualname__ for kind in found] != [kind.__qualname__ for kind in inside]:
        names = [" in ".join(map(shown_name, side)) for side in (trained, built)]
        raise NotRebuilt(
            f"{spec.env} is not like the environment that is trained in: expected {names[0]}, found {names[1]}"
        )
    return trained[: len(trained) - len(inside)]


def _named(layer: Any, option: str) -> WrapperSpec:
    name = importable_name(type(layer))
    if name is None:
        raise NotRebuilt(_in_the_script(layer, "the wrapper", option))
    known = parameters_of(layer)
    if known.needed:
        raise NotRebuilt(unwritten(layer, known.needed, f'{option}=[{{"{name}": {{"{known.needed[0]}": ...}}}}]'))
    return WrapperSpec(name, known.read)


def _without_what_others_make(trained: Env, spec: EnvironmentSpec) -> EnvironmentSpec:
    """The same without wrappers that one further out puts around the environment by itself, as AtariWrapper does."""
    expected = [type(layer).__name__ for layer in layers_with_effect(trained)]
    every = spec.wrappers
    if [type(layer).__name__ for layer in layers_with_effect(make_env(spec))] == expected:
        return spec
    for outer in range(len(every)):
        for first in range(outer):
            fewer = replace(spec, wrappers=(*every[:first], *every[outer:]))
            with contextlib.suppress(Exception):  # some are around what they cannot be around
                if [type(layer).__name__ for layer in layers_with_effect(make_env(fewer))] == expected:
                    return fewer
    return spec


def _vec_wrappers(venv: VecEnv, said: Said) -> tuple[WrapperSpec, ...]:
    layers = vec_layers_with_effect(venv)
    if layers and isinstance(layers[-1], VecTransposeImage):
        del layers[-1]  # put around by SB3
    names = [type(layer).__name__ for layer in layers]
    if said.vec_wrappers is None:
        found = tuple(_vec_wrapper(layer) for layer in layers)
    else:
        normalize = VEC_NORMALIZE in names
        every = vec_wrappers_of(said.vec_wrappers, normalize=normalize, frame_stack=said.frame_stack)
        found = tuple(wrapper for wrapper in every if wrapper.name != VEC_MONITOR)
    stacked = [wrapper.kwargs.get("n_stack") for wrapper in found if wrapper.name == VEC_FRAME_STACK]
    if [wrapper.name.rpartition(".")[2] for wrapper in found] != names or said.frame_stack not in (None, *stacked):
        expected = written([*map(_vec_wrapper, layers)])
        raise NotRebuilt(f"vec_wrappers: expected those around the VecEnv that is trained in, {expected}")
    return found


def _vec_wrapper(layer: Any) -> WrapperSpec:
    if type(layer).__name__ == VEC_NORMALIZE:
        return WrapperSpec(VEC_NORMALIZE, {})
    if isinstance(layer, VecFrameStack):
        return WrapperSpec(VEC_FRAME_STACK, {"n_stack": layer.stacked_obs.n_stack})
    name = importable_name(type(layer))
    if name is None:
        raise NotRebuilt(_in_the_script(layer, "the VecEnvWrapper", "vec_wrappers"))
    known = parameters_of(layer)
    if known.needed:
        how = f'innermost wrapper first, vec_wrappers=[{{"{name}": {{"{known.needed[0]}": ...}}}}]'
        raise NotRebuilt(unwritten(layer, known.needed, how))
    return vec_wrapper_spec({name: known.read})


def _own_vec_env(venv: VecEnv, said: Said) -> EnvironmentSpec:
    """A spec of a VecEnv of the user's own.

    :raises NotRebuilt: it cannot be imported, or its arguments cannot be read, or a new one is another
    """
    inner = venv.unwrapped
    name = said.vec_env or importable_name(type(inner))
    if name is None:
        raise NotRebuilt(_in_the_script(inner, "the VecEnv", "vec_env"))
    given, needed = arguments_of(inner)
    if said.env_kwargs is not None or said.vec_env not in (None, importable_name(type(inner))):
        given, needed = said.env_kwargs or {}, []
    if needed:
        how = f'env_kwargs={{"{needed[0]}": ...}}, or give vec_env the name of a function that returns the VecEnv'
        raise NotRebuilt(
            f"what {shown_name(inner)} was given cannot be read off it and written down: {', '.join(needed)}; say it, "
            f"{how}"
        )
    spec = EnvironmentSpec(name, dict(given), (), "env", _vec_wrappers(venv, said), (), name)
    try:
        other = unlike(venv, spec)
    except ValueError as problem:
        raise NotRebuilt(str(problem)) from None
    if other:
        refuse(inner, other, (), "env_kwargs")
    compare_vec_layers(venv, spec)
    return spec


def _as_said(venv: VecEnv, said: Said) -> EnvironmentSpec:
    """A spec from what the user says, for environments in other processes."""
    if said.env is None:
        raise NotRebuilt(
            "the environments are in other processes, where they cannot be looked at; pass env_fns, the functions that "
            "SubprocVecEnv was given, or env with its env_kwargs and wrappers"
        )
    wrappers = tuple(map(wrapper_spec, said.wrappers or ()))
    return EnvironmentSpec(said.env, dict(said.env_kwargs or {}), wrappers, "env", _vec_wrappers(venv, said), ())
