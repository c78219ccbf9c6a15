"""Train in environments with one fault each, audit the models, and see what is named: the other confusion matrix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.builders import ROOT, training_spec
from support.external_audits import audit_models, train_all

pytestmark = pytest.mark.slow

FAULTY = {
    "Field": "",
    "DrawsFromNumPy": "global-generator",
    "DrawsFromRandom": "global-generator",
    "DrawsFromTorch": "global-generator",
    "DrawsOnceFromNumPy": "global-generator",
    "Unseeded": "unseeded-generator",
    "UnseededFromTheStart": "unseeded-generator",
    "ForgetsToSeed": "unseeded-generator",
    "IgnoresTheSeed": "seed-ignored",
    "DependsOnHashes": "hash-order",
    "ReadsTheClock": "clock",
    "Shares": "shared-between-instances",
    "Exhausts": "survives-reset",
    "Advances": "curriculum",
    "DrawsAtConstruction": "random-construction",
    "CachesForTheProcess": "process-cache",
}
"""Environments of examples/faulty.py, and what each has to be named."""

OFF_POLICY = {"learning_starts": 32, "buffer_size": 200, "batch_size": 16, "train_freq": 4}
RECIPES: dict[str, dict[str, Any]] = {
    "PPO": {"hyperparams": {"n_steps": 32, "batch_size": 32, "n_epochs": 1}},
    "A2C": {"hyperparams": {}},
    "DQN": {"hyperparams": OFF_POLICY},
}


SOME = [*FAULTY][::3]
"""For further algorithms: what an environment hides does not depend on them, but how it shows does."""


@pytest.fixture(scope="module")
def probe_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for the probes of the environments, which all algorithms share."""
    return tmp_path_factory.mktemp("probes")


@pytest.fixture(scope="module", params=RECIPES)
def rows_by_environment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, probe_folder: Path
) -> dict[str, dict[str, Any]]:
    """What the audit says of a model of each environment, by the environment's class."""
    folder = tmp_path_factory.mktemp(request.param)
    recipe = {"algo": request.param, "total_timesteps": 192, "n_envs": [2], **RECIPES[request.param]}
    environments = FAULTY if request.param == "PPO" else SOME
    specs = [training_spec(name=env, env=f"faulty:{env}", **recipe) for env in environments]
    train_all(specs, folder / "trained")
    models = audit_models(folder / "audit", runs=[str(folder / "trained")], trust=["faulty"], probes=probe_folder)
    assert len(models) == len(environments)
    return {model["env_id"].partition(":")[2]: model for model in models.values()}


def test_every_fault_of_an_environment_is_named_first(
    rows_by_environment: dict[str, dict[str, Any]], record_property: Callable[[str, str], None]
) -> None:
    lines = [
        f"{model['algo']}/{env:24} {model['verdict']:14} {', '.join(cause['cause'] for cause in model['causes'])}"
        for env, model in rows_by_environment.items()
    ]
    record_property("confusion matrix", "\n".join(lines))
    assert {env: model["cause"] for env, model in rows_by_environment.items()} == {
        env: FAULTY[env] for env in rows_by_environment
    }, "\n".join(lines)


SEASON = """
import gymnasium as gym
from faulty import Field

gym.register("Season-v0", entry_point="season:Season", max_episode_steps=6)


class Season(Field):
    def __init__(self, price: float = 1.0) -> None:
        super().__init__(limit=20, price=price)

    def plant(self) -> float:
        return super().plant() + 5.0
"""
EDITS = {
    "env-kwargs": ("price: float = 1.0", "price: float = 3.0"),
    "time-limit": ("max_episode_steps=6", "max_episode_steps=12"),
    "env-changed": ("+ 5.0", "- 8.0"),
}


@pytest.fixture(scope="module")
def season_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an environment's module, and a model that was trained in it."""
    folder = tmp_path_factory.mktemp("season")
    (folder / "season.py").write_text(SEASON)
    spec = training_spec(name="season", env="season:Season-v0", total_timesteps=64)
    path = [str(folder), *spec["environment"]["python_path"]]
    train_all([{**spec, "environment": {**spec["environment"], "python_path": path}}], folder / "trained")
    return folder


def audited(folder: Path, target: Path) -> dict[str, Any]:
    paths = [str(folder), str(ROOT / "examples")]
    (model,) = audit_models(target, runs=[str(folder / "trained")], trust=["season"], python_path=paths).values()
    return model


def test_an_environment_that_was_not_edited_gives_identical_episodes(season_folder: Path, tmp_path: Path) -> None:
    assert audited(season_folder, tmp_path)["verdict"] == "identical"


@pytest.mark.parametrize("cause", EDITS)
def test_an_environment_that_was_edited_after_training_is_told_by_what_was_edited(
    season_folder: Path, tmp_path: Path, cause: str
) -> None:
    """A default, a registered time limit, or the code itself: what was recorded at train time says which."""
    original, edited = EDITS[cause]
    (season_folder / "season.py").write_text(SEASON.replace(original, edited))
    try:
        model = audited(season_folder, tmp_path / "edited")
    finally:
        (season_folder / "season.py").write_text(SEASON)
    assert model["verdict"] in ("improved", "degraded")
    assert model["cause"] == cause
    if cause != "env-changed":
        assert model["cause_share"] == 1.0
