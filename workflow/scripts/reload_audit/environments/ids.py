"""Replace ids of environments that no longer exist, and decide which names in a model's files may be imported."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace

import gymnasium as gym

from reload_audit.environments import allowed
from reload_audit.environments.older_apis import registered_in_gym
from reload_audit.environments.packages import is_missing, register
from reload_audit.processes.imports import ImportProblem, import_module
from reload_audit.reading.refusal import Unreadable
from reload_audit.reading.trust import can_be_trusted, is_trusted
from reload_audit.records.environment_spec import (
    VEC_FRAME_STACK,
    VEC_MONITOR,
    VEC_NORMALIZE,
    VEC_TRANSPOSE_IMAGE,
    EnvironmentSpec,
    WrapperSpec,
)

_VERSIONED = re.compile(r"^(?P<name>.+)-v(?P<version>\d+)$")

# Wrappers that files may name: their arguments are plain values, and they write no files.
_WRAPPERS = {
    *(
        f"stable_baselines3.common.atari_wrappers.{name}"
        for name in (
            *("AtariWrapper", "ClipRewardEnv", "EpisodicLifeEnv", "FireResetEnv", "MaxAndSkipEnv", "NoopResetEnv"),
            *("StickyActionEnv", "WarpFrame"),
        )
    ),
    "sb3_contrib.common.wrappers.TimeFeatureWrapper",
    *(
        f"gymnasium.wrappers.{name}"
        for name in (
            *("AtariPreprocessing", "ClipAction", "DelayObservation", "DtypeObservation", "FilterObservation"),
            *("FlattenObservation", "FrameStackObservation", "GrayscaleObservation", "MaxAndSkipObservation"),
            *("NormalizeObservation", "RescaleAction", "RescaleObservation", "ReshapeObservation"),
            *("ResizeObservation", "StickyAction", "TimeAwareObservation", "TimeLimit"),
        )
    ),
}

# Wrappers of a VecEnv that files may name, each with the arguments that they may give: others would write files.
_VEC_WRAPPERS = {
    VEC_NORMALIZE: ("norm_obs", "norm_reward", "clip_obs", "clip_reward", "gamma", "epsilon", "norm_obs_keys"),
    VEC_FRAME_STACK: ("n_stack", "channels_order"),
    VEC_TRANSPOSE_IMAGE: ("skip",),
    VEC_MONITOR: (),
    "VecCheckNan": ("raise_exception", "warn_once", "check_inf"),
    "VecExtractDictObs": ("key",),
}


def runnable(
    environment: EnvironmentSpec,
    named_by_user: Collection[str],
    trusted: Collection[str],
    replacements: Mapping[str, str],
) -> tuple[EnvironmentSpec, str]:
    """The environment of a model as it can be made today, and a remark if that is another one than its files name.

    :param named_by_user: those of ``env``, ``wrappers`` and ``vec_wrappers`` that are the user's own words
    :param trusted: packages that its files may name
    :param replacements: ids that the user wants replaced, each with the id to use instead
    :raises Unreadable: its files name what must not be imported or called
    """
    check_names(environment, named_by_user, trusted)
    register_environments(environment.env, trusted)
    found, remark = current(environment, replacements)
    if "env" not in named_by_user and environment.env not in replacements:
        allowed.check_environment(found.env, trusted)
    if "wrappers" not in named_by_user:
        for wrapper in environment.wrappers:
            if _dotted(wrapper.name) not in _WRAPPERS:
                allowed.check_wrapper(wrapper.name, trusted)
    if environment.vec_env is not None and "vec_env" not in named_by_user:
        allowed.check_vec_env(environment.vec_env, trusted)
    if "vec_wrappers" not in named_by_user:
        for wrapper in environment.vec_wrappers:
            if wrapper.name not in _VEC_WRAPPERS:
                allowed.check_wrapper(wrapper.name, trusted, of_vec_env=True)
    allowed.check_arguments(environment, named_by_user)
    return found, remark


def check_names(environment: EnvironmentSpec, named_by_user: Collection[str], trusted: Collection[str]) -> None:
    """Refuse to import what a model's files name, unless it comes with the libraries or the user trusts it.

    :param named_by_user: those of ``env``, ``wrappers`` and ``vec_wrappers`` that are the user's own words
    :raises Unreadable: with the first such name
    """
    module, colon, _ = environment.env.partition(":")
    if "env" not in named_by_user:
        if colon and not is_trusted(module, trusted):
            raise Unreadable(_untrusted("environment", environment.env, module))
        allowed.check_registered(_oldest_successor(environment.env), trusted)
    if "wrappers" not in named_by_user:
        for wrapper in environment.wrappers:
            name = _dotted(wrapper.name)
            module = name.rpartition(".")[0]
            if name not in _WRAPPERS and not is_trusted(module, trusted):
                raise Unreadable(_untrusted("wrapper", wrapper.name, module))
    if environment.vec_env is not None and "vec_env" not in named_by_user:
        module = _dotted(environment.vec_env).rpartition(".")[0]
        if not is_trusted(module, trusted):
            raise Unreadable(_untrusted("VecEnv", environment.vec_env, module))
    if "vec_wrappers" not in named_by_user:
        for wrapper in environment.vec_wrappers:
            _check_vec_wrapper(wrapper, trusted)


def _check_vec_wrapper(wrapper: WrapperSpec, trusted: Collection[str]) -> None:
    known = _VEC_WRAPPERS.get(wrapper.name)
    module = _dotted(wrapper.name).rpartition(".")[0]
    if known is None and not is_trusted(module, trusted):
        raise Unreadable(_untrusted("wrapper of a VecEnv", wrapper.name, module))
    for argument in wrapper.kwargs:
        if known is not None and argument not in known:
            raise Unreadable(
                f"its files give {wrapper.name} the argument {argument[:100]!r}; "
                "expected vec_wrappers that you name yourself, under runs or in a table of models"
            )


def register_environments(env: str, trusted: Collection[str]) -> None:
    """Import the packages that may have registered an environment: those that the user trusts, and well-known ones.

    :raises Unreadable: one of them raises when it is imported
    """
    try:
        for package in trusted:
            if not is_missing(package):
                import_module(package)
    except ImportProblem as problem:
        raise Unreadable(f"trust: {problem}") from None
    try:
        register(env, trusted)
    except ImportProblem as problem:
        raise Unreadable(str(problem)) from problem


def current(environment: EnvironmentSpec, replacements: Mapping[str, str]) -> tuple[EnvironmentSpec, str]:
    """The environment as it can be made today, and a remark if that is another one than was asked for.

    An id that no longer exists is replaced by that of the oldest newer version that does.

    :param replacements: ids that the user wants replaced, each with the id to use instead
    """
    env = environment.env
    successor = replacements.get(env) or (env if ":" in env else _oldest_successor(env))
    if successor == env:
        return environment, ""
    return replace(environment, env=successor), f"{env} ran as {successor}"


def registering_package(env: str) -> str:
    """The package that registers an id when it is imported; empty for ids of Gymnasium, and for all that is none."""
    spec = gym.registry.get(env)
    entry = "" if spec is None else spec.entry_point
    module = entry.partition(":")[0] if isinstance(entry, str) else getattr(entry, "__module__", "")
    package: str = module.partition(".")[0]
    return "" if package == "gymnasium" else package


def _dotted(name: str) -> str:
    return name.replace(":", ".")


def _oldest_successor(env: str) -> str:
    asked = _VERSIONED.match(env)
    if asked is None or exists(env):
        return env
    versions = {
        int(found["version"]): registered
        for registered in gym.registry
        if (found := _VERSIONED.match(registered)) and found["name"] == asked["name"] and exists(registered)
    }
    newer = [version for version in versions if version > int(asked["version"])]
    return versions[min(newer)] if newer else env


def exists(env: str) -> bool:
    """Whether an id can be made: Gymnasium keeps those of MuJoCo's -v2 and -v3 only to raise an error."""
    spec = gym.registry.get(env) or registered_in_gym(env)
    return spec is not None and not getattr(spec.entry_point, "__name__", "").startswith("_raise")


def _untrusted(kind: str, name: str, module: str) -> str:
    said, package = f"its files name the {kind} {name[:200]}, which is not imported", module.partition(".")[0]
    if can_be_trusted(module):
        return f"{said}; if you know it, add {package!r} to trust (and have it installed)"
    key = {"environment": "env", "wrapper": "wrappers", "VecEnv": "vec_env"}.get(kind, "vec_wrappers")
    return f"{said}; expected {key} that you name yourself, under runs or in a table of models"
