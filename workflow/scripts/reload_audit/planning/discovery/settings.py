"""Read how a model was trained from files of RL Zoo or of a recorder: environment, wrappers, normalisation."""

# Paths are texts here: there are many, and not all are Unicode.
# ruff: noqa: PTH118

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from reload_audit.planning.discovery import names
from reload_audit.planning.discovery.allowance import ALLOWANCE
from reload_audit.planning.discovery.tree import Folder
from reload_audit.reading import limits
from reload_audit.reading.literals import literal
from reload_audit.reading.plain_values import mapping, objects_in, plain_data
from reload_audit.reading.refusal import Unreadable, brief, shown
from reload_audit.reading.yaml_text import read_yaml
from reload_audit.records.environment_spec import (
    VEC_FRAME_STACK,
    VEC_NORMALIZE,
    WrapperEntry,
    vec_wrapper_spec,
    vec_wrappers_of,
)

_TIME_FEATURE = re.compile(r"^(utils|rl_zoo3|sb3_contrib\.common)\.wrappers\.TimeFeatureWrapper$")
_OLD_GYM = re.compile(r"^gym\.wrappers\.(?:\w+\.)?(\w+)$")
_RENAMED = {"GrayScaleObservation": "GrayscaleObservation", "FrameStack": "FrameStackObservation"}

# VecEnv wrappers that change nothing that a policy sees or earns, or that SB3 adds by itself.
_HARMLESS = ("VecMonitor", "VecTransposeImage", "VecCheckNan")


@dataclass
class RunSettings:
    """What the files of a training run say; empty texts, None and empty collections stand for what they do not say.

    :param normalized: whether it was trained with VecNormalize
    :param rewards_only: whether VecNormalize then left the observations alone
    :param open_questions: what only the user can answer, each with the keys that answer it
    :param problem: why the files cannot be used
    """

    algo: str = ""
    env: str = ""
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    wrappers: list[WrapperEntry] = field(default_factory=list)
    vec_wrappers: list[WrapperEntry] = field(default_factory=list)
    frame_stack: int | None = None
    n_envs: int | None = None
    normalized: bool | None = None
    rewards_only: bool = False
    open_questions: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    problem: str | None = None


def read_settings(folder: Folder) -> RunSettings:
    """What RL Zoo wrote about a run into ``args.yml``, ``config.yml`` and, in repositories, ``env_kwargs.yml``."""
    try:
        args, config = _yaml_mapping(folder, "args.yml"), _yaml_mapping(folder, "config.yml")
        env_kwargs = args.get("env_kwargs") or _yaml_mapping(folder, "env_kwargs.yml") or config.get("env_kwargs")
    except Unreadable as error:
        return RunSettings(problem=str(error))
    algo = args.get("algo")
    if algo == "her":  # in old versions, HER wrapped another algorithm
        algo = config.get("model_class")
    settings = RunSettings()
    try:
        settings = RunSettings(
            algo=names.algorithm(algo),
            env=environment_id(args.get("env")),
            env_kwargs=keyword_arguments(env_kwargs, "env_kwargs"),
            wrappers=wrapper_list(config.get("env_wrapper")),
            frame_stack=stacked_frames(config.get("frame_stack")),
        )
        if "config.yml" in folder.files:
            settings.n_envs = positive_integer(config.get("n_envs", 1))
            settings.normalized = bool(_normalize_arguments(config.get("normalize")))
            _take_vec_env_wrappers(config.get("vec_env_wrapper"), settings)
            settings.rewards_only = not _normalizes_observations(config.get("normalize"))
    except ValueError as error:
        settings.problem = f"{shown(folder.path)}: in args.yml and config.yml, {error}"
    return settings


def _yaml_mapping(folder: Folder, name: str) -> dict[str, Any]:
    """A YAML file's keys and values; empty where there is no such file."""
    problem = folder.files.get(name)
    if problem is None:
        return {}
    path = os.path.join(folder.path, name)
    if problem:
        raise Unreadable(f"{shown(path)}: {problem}")
    content = read_yaml(path, partial(ALLOWANCE.take_values, path))
    if not isinstance(content, dict | None):
        raise Unreadable(f"{shown(path)}: expected keys and values, found {brief(content)}")
    return mapping(content)


def environment_id(value: object) -> str:
    """An environment's id.

    :raises ValueError: it is something else
    """
    if value is None:
        return ""
    if not isinstance(value, str) or not value.isprintable() or len(value) > limits.LONGEST_NAME:
        raise ValueError(f"expected an environment's id, found {brief(value)}")
    return value


def keyword_arguments(value: object, key: str) -> dict[str, Any]:
    """Keyword arguments, without ``render_mode``: an audit renders nothing.

    :raises ValueError: it is no mapping of plain data
    """
    content = literal(value) if isinstance(value, str) else value
    if content is None:
        return {}
    plain = plain_data(content)
    if not isinstance(plain, dict):
        raise ValueError(f"expected {key} to be a mapping, found {brief(value)}")
    named = next(objects_in(plain), None)
    if named is not None:
        raise ValueError(f"{key} name the object {named}, which only your own configuration may: give {key} there")
    plain.pop("render_mode", None)
    return plain


def wrapper_list(value: object, *, of_vec_env: bool = False) -> list[WrapperEntry]:
    """Wrappers in the form that an experiment has them in, with old dotted names replaced by today's.

    :param of_vec_env: whether they are wrappers of a VecEnv: those of SB3 have no dots in their names
    """
    if not value:
        return []
    entries = plain_data(value if isinstance(value, list) else [value])
    return [_wrapper(entry, dotted=not of_vec_env) for entry in entries]


def vec_wrapper_list(environment: Mapping[str, Any]) -> list[WrapperEntry]:
    """The wrappers around the VecEnv that an environment has in a manifest, innermost first."""
    normalize = environment.get("normalize")
    wrappers = vec_wrappers_of(
        wrapper_list(environment.get("vec_wrappers"), of_vec_env=True),
        monitor="vec" if environment.get("monitor") == "vec" else "env",
        normalize=keyword_arguments(normalize, "normalize") if isinstance(normalize, dict) else normalize is True,
        frame_stack=stacked_frames(environment.get("frame_stack")),
    )
    return [wrapper.to_plain() for wrapper in wrappers]


def _wrapper(entry: object, *, dotted: bool) -> WrapperEntry:
    name, kwargs = next(iter(entry.items())) if isinstance(entry, dict) and len(entry) == 1 else (entry, None)
    is_name = isinstance(name, str) and name.isprintable() and len(name) <= limits.LONGEST_NAME
    if not isinstance(name, str) or not is_name or (dotted and "." not in name):
        raise ValueError(f"expected a wrapper's dotted name, or one with its arguments, found {brief(entry)}")
    keywords = keyword_arguments(kwargs, f"the arguments of {name}")
    if _TIME_FEATURE.match(name):
        name = "sb3_contrib.common.wrappers.TimeFeatureWrapper"
    old = _OLD_GYM.match(name)
    if old:
        name = f"gymnasium.wrappers.{_RENAMED.get(old[1], old[1])}"
    return {name: keywords} if keywords else name


def _take_vec_env_wrappers(value: object, settings: RunSettings) -> None:
    """RL Zoo puts them inside VecNormalize, which is said where one of them is somebody's own."""
    wrappers = [*map(vec_wrapper_spec, wrapper_list(value))]
    settings.vec_wrappers = [wrapper.to_plain() for wrapper in wrappers if wrapper.name not in _HARMLESS]
    if any(wrapper.name == VEC_FRAME_STACK for wrapper in wrappers):
        settings.frame_stack = None
    if settings.normalized and any("." in wrapper.name for wrapper in wrappers):
        settings.vec_wrappers.append(VEC_NORMALIZE)


def stacked_frames(value: object) -> int | None:
    """Frames to stack, None for no stacking.

    :raises ValueError: it is no number
    """
    if value is None or value in (0, 1):
        return None
    count = positive_integer(value)
    if count is None:
        raise ValueError(f"expected a number of frames to stack, found {brief(value)}")
    return count


def positive_integer(value: object) -> int | None:
    """A number that counts something; None where that is not said, or not sensible."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value < 2**31:
        return None
    return int(value)


def _normalizes_observations(value: object) -> bool:
    arguments = _normalize_arguments(value)
    return not isinstance(arguments, dict) or bool(arguments.get("norm_obs", True))


def _normalize_arguments(value: object) -> Any:
    """RL Zoo takes ``true``, a mapping, or a text in which Python would find one."""
    if not isinstance(value, str):
        return value
    try:
        return literal(value)
    except ValueError:
        return True  # arguments of some sort
