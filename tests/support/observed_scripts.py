"""Evaluation scripts, what is seen of them, and what they are observed to do in a folder with a small model."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reload_audit.jobs.script import observe
from reload_audit.records.observation import Observation, ObservedEnvironment
from reload_audit.records.specs import EvaluationSpec, ExternalPolicy, ReloadSpec, ScriptSpec
from support.builders import ROOT

POLICY = ExternalPolicy(EvaluationSpec(20, 10**6, 4, 1000, (20,)), (), {}, 2**30)


def script_in(folder: Path, name: str, *args: str, model: str = "") -> ScriptSpec:
    """A script that is run where it lies.

    :param model: the zip that it is said to be about
    """
    return ScriptSpec(name, str(folder / name), args, str(folder), {}, model, 120, 4096)


def environment_seen(**seen: Any) -> ObservedEnvironment:
    """A single environment of the class ``a:B``, without arguments or wrappers.

    :param seen: what is seen of it otherwise
    """
    usual = {
        "line": None,
        "env_id": "",
        "env_class": "a:B",
        "env_kwargs": {},
        "env_defaults": {},
        "time_limit": None,
        "wrappers": [],
        "monitored": False,
        "layers": (),
        "normalization": None,
        "n_envs": 1,
    }
    return ObservedEnvironment(**{**usual, **seen})


def observed(folder: Path, name: str, text: str, *args: str, said: tuple[str, ...] = ()) -> Observation:
    """What is seen of a script that is written into a folder and run there; what it defines is kept in ``kept``.

    :param said: what cannot be known of it
    """
    (folder / name).write_text(text)
    script = replace(script_in(folder, name, *args), python_path=(str(ROOT / "examples"),))
    found = observe(script, ReloadSpec((), False, "forkserver", 120, 4096), str(folder / "kept"), folder / "log")
    assert found.failure is None
    assert found.observation is not None
    assert found.observation.said == said
    return found.observation


def copied(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a folder."""
    return Path(shutil.copytree(folder, tmp_path_factory.mktemp(folder.name), dirs_exist_ok=True))
