"""How the repository that a model lies in says that it was trained, for a script that evaluates it."""

# Paths are texts here: there are many, and not all are Unicode.
# ruff: noqa: PTH111, PTH118, PTH120

from __future__ import annotations

import functools
import os
import traceback
from dataclasses import dataclass, replace
from pathlib import Path

from reload_audit.planning.discovery.above import files_outside, root_of
from reload_audit.planning.discovery.zips import algorithm_of, settings
from reload_audit.records.environment_spec import EnvironmentSpec, WrapperSpec
from reload_audit.repository.repository import Asked, Repository
from reload_audit.repository.setup import Setup

_TIME_LIMIT = "gymnasium.wrappers.TimeLimit"


@dataclass(frozen=True)
class Training:
    """The environment that a model was trained in, as its repository says.

    :param environment: without VecNormalize and other layers of its VecEnv
    :param said: where the repository says it: ``train.py:12``
    """

    environment: EnvironmentSpec
    said: str


def training_of(model: str, script: str, cwd: str, folder: str) -> Training | None:
    """What the scripts of a repository say of a model's training; None where they do not say it clearly.

    The repository is that of the script, or of the folder that it runs in, if the model lies in there.

    :param model: path of its zip
    :param script: path of the script that evaluates it
    :param folder: takes modules that have to be taken out of a notebook, or of a script that would train; empty where
        there is none for them, and then what is in them does not count
    """
    place, starts = os.path.realpath(model), (os.path.dirname(os.path.realpath(script)), os.path.realpath(cwd))
    for root in dict.fromkeys(map(root_of, starts)):
        if Path(place).is_relative_to(root) and root != os.path.expanduser("~"):
            try:
                setup = _repository(root).training(_asked(place, root))
            except Exception:  # of files that nobody foresaw: as if they said nothing, but to the log
                traceback.print_exc()
                setup = None
            if setup is None or not _is_of_project(setup, root):
                continue
            if folder or not any(one.text for one in setup.definitions):
                return _training(setup, root, folder)
    return None


@functools.cache  # many models of one script may be asked for, and reading it may take seconds
def _repository(root: str) -> Repository:
    """What the scripts in a folder say."""
    return Repository(files_outside(root, ""), root)


def _is_of_project(setup: Setup, root: str) -> bool:
    """Whether all code of the user's that a setup needs belongs to the project of the script.

    That is a git repository. Where there is none, a folder below may be anybody's: code counts only where the script
    itself would find it.
    """
    needed = {folder for one in setup.definitions for folder in one.folders}
    needed |= {os.path.dirname(one.place.path) for one in setup.definitions if one.text}
    return Path(root, ".git").exists() or all(os.path.normpath(one) == "." for one in needed)


def _asked(model: str, root: str) -> Asked:
    """The question about a model, with what its zip says of itself."""
    data = settings(model) or {}
    numbers = {key: value for key, value in data.items() if type(value) in (int, float)}
    spaces = {key: data.get(key) for key in ("observation_space", "action_space")}
    return Asked(os.path.relpath(model, root), algorithm_of(data), spaces, numbers)


def _training(setup: Setup, root: str, folder: str) -> Training:
    folders = {os.path.normpath(os.path.join(root, one)): None for each in setup.definitions for one in each.folders}
    for definition in setup.definitions:
        if definition.text:
            Path(folder, f"{definition.module}.py").write_text(definition.text, encoding="utf-8")
            folders[folder] = None
    wrappers = tuple(WrapperSpec(name, kwargs) for name, kwargs in setup.wrappers if name != _TIME_LIMIT)
    limits = [kwargs.get("max_episode_steps") for name, kwargs in setup.wrappers if name == _TIME_LIMIT]
    environment = EnvironmentSpec(setup.env, dict(setup.env_kwargs), wrappers, "env", (), tuple(folders))
    environment = replace(environment, time_limit=limits[-1] if limits else None)
    said = ", ".join(dict.fromkeys(setup.said_where().values()))
    return Training(environment if setup.frame_stack is None else environment.stacking(setup.frame_stack), said)
