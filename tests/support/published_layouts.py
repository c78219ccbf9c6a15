"""Folders as people publish their models, made small: RL Zoo's, Hugging Face's, recordings, loose zips."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from reload_audit.planning.configuration import read_yaml
from reload_audit.planning.discovery.find_models import Discovery, find_models
from reload_audit.planning.watched_files import files_of
from reload_audit.records.specs import ExternalSpec
from support.builders import ROOT, resolved

MODELS_SCHEMA = read_yaml(ROOT / "workflow/schemas/models.schema.yaml")
CLAIMS_SCHEMA = read_yaml(ROOT / "workflow/schemas/claims.schema.yaml")

PPO_SETTINGS = {"clip_range": 0.2, "n_epochs": 10, "n_envs": 4}


def found_in(**config: Any) -> Discovery:
    """What discovery finds for a configuration."""
    return find_models(resolved(**config), MODELS_SCHEMA, CLAIMS_SCHEMA)


def discovered(**config: Any) -> list[dict[str, Any]]:
    """The external models that discovery finds for a configuration."""
    return [model.to_dict() for model in found_in(**config).models]


def the_only(**config: Any) -> dict[str, Any]:
    """The one external model that discovery finds for a configuration."""
    (entry,) = discovered(**config)
    return entry


def files_of_model(entry: dict[str, Any]) -> list[str]:
    """The files of an external model that its job reads."""
    return files_of(ExternalSpec.from_dict(entry))


def by_name(**config: Any) -> dict[str, dict[str, Any]]:
    """The external models that discovery finds for a configuration, by name."""
    return {entry["model"]: entry for entry in discovered(**config)}


def sb3_zip(path: Path, settings: Mapping[str, Any] | None = None) -> Path:
    """Write a zip that looks like a model of SB3: it has the member ``data`` with settings."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data", json.dumps(PPO_SETTINGS if settings is None else settings))
    return path


def other_zip(path: Path) -> Path:
    """Write a zip that is no model."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("holiday.jpg", b"")
    return path


def text(path: Path, content: str = "") -> Path:
    """Write a text file, with the folders that lead to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def ordered(content: Mapping[str, Any]) -> str:
    """The YAML that RL Zoo writes for an ``OrderedDict``."""
    pairs = yaml.safe_dump([[[key, value] for key, value in content.items()]])
    return f"!!python/object/apply:collections.OrderedDict\n{pairs}"


def zoo_run(
    folder: Path,
    env: str = "CartPole-v1",
    args: Mapping[str, Any] | str | None = None,
    config: Mapping[str, Any] | str | None = None,
    statistics: bool = False,
) -> Path:
    """Write a run of RL Zoo with its final model.

    :param args: what is added to its ``args.yml``, or the file's text
    :param config: what is added to its ``config.yml``, or the file's text
    :param statistics: whether statistics of VecNormalize are saved
    """
    name = env.replace("/", "-")
    sb3_zip(folder / f"{name}.zip")
    known = {"algo": folder.parent.name, "env": env, "env_kwargs": None}
    text(folder / name / "args.yml", args if isinstance(args, str) else ordered({**known, **(args or {})}))
    text(folder / name / "config.yml", config if isinstance(config, str) else ordered({"n_envs": 8, **(config or {})}))
    if statistics:
        text(folder / name / "vecnormalize.pkl")
    text(folder / "evaluations.npz")
    text(folder / "0.monitor.csv")
    return folder


CARD = """---
library_name: stable-baselines3
model-index:
- name: {algo}
  results:
  - task: {{type: reinforcement-learning, name: reinforcement-learning}}
    dataset: {{name: {env}, type: {env}}}
    metrics: [{{type: mean_reward, value: 500.00 +/- 0.00, name: mean_reward, verified: false}}]
---
# **{algo}** Agent playing **{env}**
"""


def hub_repository(folder: Path, zip_name: str = "ppo-CartPole-v1.zip", env: str = "CartPole-v1") -> Path:
    """Write a repository as ``package_to_hub`` of huggingface_sb3 makes it, with a model card."""
    sb3_zip(folder / zip_name)
    text(folder / "README.md", CARD.format(algo="PPO", env=env))
    text(folder / "results.json", json.dumps({"mean_reward": 500.0, "is_deterministic": True, "n_eval_episodes": 10}))
    text(folder / "config.json", "{}")
    other_zip(folder / "train_eval_metrics.zip")
    return folder


def recording(folder: Path, spec: Mapping[str, Any]) -> Path:
    """Write a folder with a model, a manifest and evaluations as this workflow's ``train`` does."""
    sb3_zip(folder / "model.zip")
    text(folder / "manifest.json", json.dumps({"format": 1, "model": folder.name, "spec": spec}))
    text(folder / "evaluations.json", "{}")
    return folder
