"""Decide which environments and wrappers that a model's files name may be called, once their packages are imported.

A package that the user trusts has imported much that is not its own: ``subprocess.run``, say. So what is called must be
defined in such a package, and be what is asked for. And because some environments import, or make, whatever their
arguments name, arguments from files must name no code.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import re
import typing
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec, find_highest_version, get_env_id, load_env_creator, parse_env_id
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from reload_audit.environments.older_apis import is_of_gym, registered_in_gym
from reload_audit.environments.packages import KNOWN
from reload_audit.processes.imports import import_module, import_object
from reload_audit.reading.refusal import Unreadable
from reload_audit.reading.trust import can_be_trusted, is_trusted
from reload_audit.records.environment_spec import EnvironmentSpec

_LIBRARIES = ("gymnasium.envs", *KNOWN)
"""Packages whose environments any file may name."""

# module:Name, package.module.Name
_IMPORTABLE = re.compile(r"(?P<package>[^\W\d][^\s.:/\\]*)[^\s:/\\]*(:[^\s/\\]\S*|\.[^\W\d]\w*)")
_DATA_FILE = re.compile(r"\.(xml|mjcf|urdf|sdf|usd|ya?ml|json|toml|txt|csv|npz|npy|bin|pkl|png|jpg|obj|stl)$", re.I)


def registered(env: str) -> EnvSpec | Any | None:
    """What Gymnasium, or else ``gym``, would make of an id: the newest version stands for an id without one."""
    name = env.rpartition(":")[2]
    try:
        namespace, bare, version = parse_env_id(name)
    except gym.error.Error:
        return None
    newest = find_highest_version(namespace, bare) if version is None else None
    found = gym.registry.get(name if newest is None else get_env_id(namespace, bare, newest))
    return registered_in_gym(name) if found is None else found


def check_registered(env: str, trusted: Collection[str]) -> None:
    """Refuse an id that leads to anything but an environment of Gymnasium, ALE or a trusted package.

    :raises Unreadable: it does, as those do that make whatever environment their arguments name
    """
    spec = registered(env)
    maker: Any = None if spec is None else spec.entry_point
    if isinstance(maker, str):
        module = maker.partition(":")[0]
        if is_trusted(module, _LIBRARIES):
            return
        if not is_trusted(module, trusted):
            raise Unreadable(_not_its_own(env, maker))
        try:
            maker = load_env_creator(maker)
        except Exception:
            return  # Gymnasium, too, will try in vain to import it, and say why
    if maker is None:
        return  # Gymnasium says so
    made_by = _unwrapped(maker)
    home = _home(made_by)
    if is_trusted(home, trusted) or (is_trusted(home, _LIBRARIES) and _is_environment(made_by)):
        return
    if is_trusted(home, _LIBRARIES):
        said = "which is none itself: it raises an error, or makes others by their names"
        raise Unreadable(f"its files name the environment {env}, {said}")
    raise Unreadable(_not_its_own(env, f"{home}:{_name(made_by)}"))


def check_environment(env: str, trusted: Collection[str]) -> None:
    """Refuse to call what ``module:Name`` leads to, unless it is an environment of the module's package.

    :param env: an environment's id, or ``module:Name``, whose module is trusted
    :raises Unreadable: it is anything else
    """
    module, colon, name = env.partition(":")
    found = getattr(import_module(module), name, None) if colon else None
    if not callable(found):
        check_registered(env, trusted)
        return
    made_by = _unwrapped(found)
    if is_trusted(_home(made_by), _LIBRARIES) and _is_environment(made_by):
        return
    if not is_trusted(_home(made_by), trusted):
        raise Unreadable(_not_its_own(env, f"{_home(made_by)}:{_name(made_by)}"))
    if not _is_environment(made_by) and not _returns_environment(made_by):
        raise Unreadable(
            f"its files name the environment {env}, which is no environment; expected a class that is a gymnasium.Env, "
            "or a function that is declared to return one"
        )


def check_wrapper(name: str, trusted: Collection[str], *, of_vec_env: bool = False) -> None:
    """Refuse to call what a dotted name leads to, unless it is a wrapper of a trusted package.

    :param of_vec_env: whether it must be one of a VecEnv, or else of an environment
    :raises Unreadable: it is anything else
    """
    found = import_object(name)
    if not is_trusted(_home(found), trusted):
        raise Unreadable(_not_its_own(name, f"{_home(found)}:{_name(found)}"))
    kind = VecEnvWrapper if of_vec_env else gym.Wrapper
    old = not of_vec_env and is_of_gym(found, "Wrapper")
    if not old and not (isinstance(found, type) and issubclass(found, kind)):
        expected = "VecEnvWrapper" if of_vec_env else "gymnasium.Wrapper"
        raise Unreadable(f"its files name the wrapper {name}, which is none; expected a class that is a {expected}")


def check_vec_env(name: str, trusted: Collection[str]) -> None:
    """Refuse to call what a dotted name leads to, unless it is a class of VecEnvs of a trusted package.

    :raises Unreadable: it is anything else
    """
    found = import_object(name)
    if not is_trusted(_home(found), trusted):
        raise Unreadable(_not_its_own(name, f"{_home(found)}:{_name(found)}"))
    if not (isinstance(found, type) and issubclass(found, VecEnv)):
        raise Unreadable(f"its files name the VecEnv {name}, which is none; expected a class that is a VecEnv")


def check_arguments(environment: EnvironmentSpec, named_by_user: Collection[str]) -> None:
    """Refuse arguments that name something to import: an environment or wrapper might do it.

    :raises Unreadable: with the first of them
    """
    given = {
        "env": [environment.env_kwargs],
        "wrappers": [wrapper.kwargs for wrapper in environment.wrappers],
        "vec_wrappers": [wrapper.kwargs for wrapper in environment.vec_wrappers],
    }
    for key, arguments in given.items():
        for text in _texts(arguments) if key not in named_by_user else ():
            if names_code(text):
                raise Unreadable(
                    f"its files give the argument {text[:200]!r}, which names code to import; "
                    f"expected {key} that you name yourself, under runs or in a table of models"
                )


def names_code(text: str) -> bool:
    """Whether a text names something in a module that is installed, as ``module:Name`` or ``package.module.Name``."""
    found = _IMPORTABLE.fullmatch(text.strip())
    if found is None or _DATA_FILE.search(text):
        return False
    try:
        return importlib.util.find_spec(found["package"]) is not None
    except ValueError:  # __main__, for one, has no spec
        return True


def _unwrapped(maker: Any) -> Any:
    while isinstance(maker, functools.partial):
        maker = maker.func
    return maker


def _home(found: Any) -> str:
    """The module that defines a class or function; of any other object, the one that defines its class."""
    is_named = isinstance(found, type) or inspect.isroutine(found)
    return str((found if is_named else type(found)).__module__)


def _name(found: Any) -> str:
    return str(getattr(found, "__qualname__", type(found).__qualname__))


def _is_environment(found: Any) -> bool:
    return is_of_gym(found, "Env") or (isinstance(found, type) and issubclass(found, gym.Env))


def _returns_environment(found: Any) -> bool:
    """Whether a function is declared to return an environment."""
    if not inspect.isfunction(found):
        return False
    try:
        declared = typing.get_type_hints(found).get("return")
    except Exception:  # it names what only type checkers import
        written = found.__annotations__.get("return")
        return isinstance(written, str) and _ENVIRONMENT.fullmatch(written) is not None
    return _is_environment(typing.get_origin(declared) or declared)


_ENVIRONMENT = re.compile(r"(gym|gymnasium)\.Env(\[.*\])?")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _not_its_own(name: str, home: str) -> str:
    package = home.partition(".")[0].partition(":")[0]
    advice = f"; if you know it, add {package!r} to trust" if can_be_trusted(package) else ""
    said = f"its files name {name[:200]}, which leads to {home[:200]}: that is not defined in a package that you trust"
    return f"{said}{advice}"
