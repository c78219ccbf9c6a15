"""Build environments from a spec, seed every one of their episodes, and normalise them.

The stack, from the inside out: environment, Monitor, :class:`SeededEpisodes`, the user's wrappers, VecEnv, and the
wrappers of the VecEnv in the order that the spec has, with VecTransposeImage around them where it is needed. Up to the
VecEnv it is the order of SB3's ``make_vec_env``.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import itertools
import multiprocessing
import os
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.wrappers import TimeLimit
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecEnv,
    unwrap_vec_normalize,
)

from reload_audit.environments.construction import describe_construction
from reload_audit.environments.older_apis import (
    gymnasium_env,
    is_of_gym,
    make_registered_in_gym,
    registered_in_gym,
)
from reload_audit.environments.own_vec_env import own_vec_env
from reload_audit.environments.packages import register
from reload_audit.environments.seeded_episodes import ActionsAnnounced, SeededEpisodes
from reload_audit.environments.stack import Normalizer, put_around
from reload_audit.processes.imports import (
    ImportProblem,
    extend_path,
    import_module,
    import_object,
    with_functions,
    with_objects,
)
from reload_audit.records.environment_spec import EnvironmentSpec, WrapperSpec


def make_env(spec: EnvironmentSpec, inside: Sequence[Callable[[gym.Env], gym.Env]] = ()) -> gym.Env:
    """Make one environment, with the user's wrappers around it.

    :param inside: put around the environment before the user's wrappers
    :raises ImportProblem: a name in the spec leads nowhere
    :raises gymnasium.error.Error: Gymnasium does not know the id or refuses the arguments
    """
    extend_path(spec.python_path)
    wrappers = [_wrapper(wrapper) for wrapper in spec.wrappers]
    of_gym = [*itertools.takewhile(lambda wrapper: is_of_gym(wrapper.func, "Wrapper"), wrappers)]
    env = _make_unwrapped(spec, of_gym)
    for wrap in inside:
        env = wrap(env)
    for wrap, wrapper in [*zip(wrappers, spec.wrappers, strict=True)][len(of_gym) :]:
        env = gymnasium_env(wrap(env), wrapper.name)
    return env


def build_vec_env(
    spec: EnvironmentSpec,
    n_envs: int,
    *,
    seed: int,
    kind: str = "dummy",
    start_method: str = "forkserver",
    normalizer: Normalizer | None = None,
    vec_env_seed: int = 0,
) -> VecEnv:
    """Build a VecEnv with all its wrappers, ready for ``learn`` or ``predict``.

    :param kind: ``dummy`` for a DummyVecEnv, ``subproc`` for a SubprocVecEnv; of no consequence where the spec has a
        VecEnv of the user's own
    :param start_method: of the SubprocVecEnv's processes
    :param seed: state that the global generators of a SubprocVecEnv's worker ``i`` start from, plus ``i``;
        without it, whatever an environment draws from them would differ from run to run
    :param normalizer: puts VecNormalize around a VecEnv; must be given where the spec normalises. Where it is given and
        the spec does not, VecNormalize gets the place that its statistics fit
    :param vec_env_seed: that a VecEnv of the user's own is made with, if it takes one; always the same to evaluate
    :raises ValueError: it is not given there
    :raises LayerProblem: a wrapper cannot be put around the VecEnv
    """
    if spec.vec_env is not None:
        extend_path(spec.python_path)
        return put_around(own_vec_env(spec, n_envs, vec_env_seed), spec.vec_wrappers, normalizer)
    registered = gym.registry.get(spec.env.rpartition(":")[2])
    makers: list[Callable[[], gym.Env]] = [
        partial(_make_slot, spec, registered, seed + index, os.getpid()) for index in range(n_envs)
    ]
    venv = _subproc_vec_env(makers, start_method, spec.env) if kind == "subproc" else DummyVecEnv(makers)
    return put_around(venv, spec.vec_wrappers, normalizer)


def close(environments: gym.Env | VecEnv) -> None:
    """Close environments that nobody needs any more. What that raises is printed: no reward hangs on it."""
    try:
        environments.close()
    except Exception as error:
        print(f"closing the environment raised {type(error).__name__}: {error}", flush=True)


def freeze_normalization(venv: VecEnv) -> None:
    """Stop VecNormalize from updating its statistics and from rescaling rewards, if there is one."""
    normalize = unwrap_vec_normalize(venv)
    if normalize is not None:
        normalize.training = False
        normalize.norm_reward = False


def normalizable_keys(space: spaces.Space | None) -> list[str] | None:
    """The parts of a dictionary of observations that VecNormalize can normalise: boxes, but no images.

    :return: None for other observations
    """
    if not isinstance(space, spaces.Dict):
        return None
    return [key for key, part in space.items() if isinstance(part, spaces.Box) and not is_image_space(part)]


def seed_global_generators(seed: int) -> None:
    """Seed Python's, NumPy's and PyTorch's global generators, and nothing else."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    th.manual_seed(seed)


def _subproc_vec_env(makers: list[Callable[[], gym.Env]], start_method: str, env: str) -> VecEnv:
    if start_method == "forkserver":
        # Workers then share one import of PyTorch instead of paying for it each.
        multiprocessing.set_forkserver_preload(["stable_baselines3"])
    else:
        _import_own_module_of_gymnasium(env)
    return SubprocVecEnv(makers, start_method=start_method)


def _import_own_module_of_gymnasium(env: str) -> None:
    """Import the module of one of Gymnasium's own environments, so that workers are forked with it.

    Each would import it otherwise: with 20 of them a sixth of what they take to start. Of all others it is not known
    what importing them does to a process.
    """
    entry = getattr(gym.registry.get(env), "entry_point", None)
    if isinstance(entry, str) and entry.startswith("gymnasium.envs."):
        with contextlib.suppress(ImportError, gym.error.Error):  # something is not installed, which the worker says
            importlib.import_module(entry.partition(":")[0])


def _make_slot(spec: EnvironmentSpec, registered: EnvSpec | None, worker_seed: int, creator: int) -> gym.Env:
    """Make the environment of one slot, there or in a process of its own.

    :param registered: what Gymnasium knows of its id here: a package that the user trusts may have registered it
    :param creator: the process that makes the VecEnv
    """
    if os.getpid() != creator:
        if registered is not None:
            gym.registry.setdefault(registered.id, registered)
        th.set_num_threads(1)
        seed_global_generators(worker_seed)
    own = [SeededEpisodes] if spec.monitor == "vec" else [Monitor, SeededEpisodes]
    env = make_env(spec, [] if spec.monitor == "wrapped" else own)
    for wrap in own if spec.monitor == "wrapped" else ():
        env = wrap(env)
    env.get_wrapper_attr("remember_construction")(describe_construction(env, spec.env_kwargs))
    return ActionsAnnounced(env) if spec.wrappers else env


def _wrapper(wrapper: WrapperSpec) -> partial[Any]:
    made_by = import_object(wrapper.name)
    return partial(made_by, **with_functions(made_by, with_objects(wrapper.kwargs)))


def _make_unwrapped(spec: EnvironmentSpec, of_gym: Sequence[Callable[[Any], Any]] = ()) -> gym.Env:
    """Make an environment without its wrappers, but for those that can only stand around an environment of ``gym``."""
    module_name, colon, name = spec.env.rpartition(":")
    module = import_module(module_name) if colon else None
    if not colon:
        register(spec.env)
    limit = spec.time_limit
    if callable(getattr(module, name, None)):
        made = getattr(module, name)(**with_objects(spec.env_kwargs))
        if inspect.isfunction(made) or isinstance(made, partial):  # as make_vec_env and DummyVecEnv are given one
            made = made()
    elif name not in gym.registry and (registered := registered_in_gym(name)) is not None:
        made = make_registered_in_gym(registered, **with_objects(spec.env_kwargs))
        limit = registered.max_episode_steps if limit is None else limit
    elif colon and name not in gym.registry:
        raise ImportProblem(
            f"module {module_name!r} neither has a class {name!r} nor registers an environment of that id"
        )
    else:
        return gymnasium_env(gym.make(name, **_registered_arguments(spec)), spec.env, of_gym)
    env = gymnasium_env(made, spec.env, of_gym)
    return env if limit in (None, -1) else TimeLimit(env, limit)


def _registered_arguments(spec: EnvironmentSpec) -> dict[str, Any]:
    """Arguments of ``gym.make``: a time limit in the spec wins over ``max_episode_steps`` among the user's own."""
    limit = {} if spec.time_limit is None else {"max_episode_steps": spec.time_limit}
    return {**with_objects(spec.env_kwargs), **limit}
