"""How an environment was built: wrappers, arguments with their defaults, time limit, code."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec
from gymnasium.wrappers import TimeLimit
from stable_baselines3.common.vec_env import VecEnv

from reload_audit.environments.older_apis import layers
from reload_audit.records.environment_spec import Arguments
from reload_audit.records.manifest import Construction
from reload_audit.records.storage import plain

_OWN_PACKAGE = __name__.partition(".")[0]


def describe_construction(env: gym.Env, env_kwargs: Mapping[str, Any]) -> Construction:
    """Describe how an environment was built, so that it can be compared with another one.

    :param env: with its wrappers
    :param env_kwargs: what its constructor was given, besides what is registered with its id
    """
    stack = list(layers(env))
    limits = [layer._max_episode_steps for layer in stack if isinstance(layer, TimeLimit)]
    spec = getattr(env.unwrapped, "spec", None)
    registered = spec.kwargs if isinstance(spec, EnvSpec) else {}
    return Construction(
        wrappers=[f"{type(layer).__module__}.{type(layer).__qualname__}" for layer in stack],
        arguments=_arguments(type(env.unwrapped), {**registered, **env_kwargs}),
        time_limit=min(limits, default=None),
        code=_code(type(env.unwrapped)),
    )


def describe_vec_env(venv: VecEnv, env_kwargs: Arguments) -> Construction:
    """Describe how a VecEnv of the user's own was built, whatever environments it has inside."""
    kind = type(venv.unwrapped)
    name = f"{kind.__module__}.{kind.__qualname__}"
    return Construction(wrappers=[name], arguments=_arguments(kind, env_kwargs), time_limit=None, code=_code(kind))


def without_own_wrappers(names: Any) -> Any:
    """A stack of wrappers without those of this audit, whose dotted names change with its version.

    :param names: dotted names of classes; anything else, as a damaged manifest may hold, is returned as it is
    """
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        return names
    return [name for name in names if package_of(name) != _OWN_PACKAGE]


def wrappers_of_the_user(construction: Construction) -> list[str]:
    """Dotted names of the wrappers around an environment, the outermost first, but for Monitor and this audit's own."""
    return [name for name in without_own_wrappers(construction.wrappers[:-1]) if not name.endswith(".Monitor")]


def package_of(name: str) -> str:
    """The package that a dotted name begins with."""
    return name.partition(".")[0]


def _arguments(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a constructor, defaults included, as JSON holds them.

    For an object ``<its class>`` stands in, because its ``repr`` may hold an address, which differs each time.
    """
    try:
        parameters = inspect.signature(kind).parameters
    except (TypeError, ValueError):
        parameters = {}  # type: ignore[assignment]
    defaults = {name: item.default for name, item in parameters.items() if item.default is not inspect.Parameter.empty}
    return {name: _comparable(value) for name, value in sorted({**defaults, **given}.items())}


def _comparable(value: Any) -> Any:
    shown = plain(value)
    return f"<{type(value).__name__}>" if isinstance(shown, str) and not isinstance(value, str) else shown


def _code(kind: type) -> str:
    """A digest of the file that a class is in; nothing for installed packages, whose versions are recorded."""
    try:
        file = inspect.getsourcefile(kind)
    except (TypeError, OSError):  # built in, or of no file
        file = None
    if file is None or "site-packages" in file or not Path(file).exists():
        return ""
    return hashlib.blake2b(Path(file).read_bytes(), digest_size=8).hexdigest()
