"""Train in environments with one fault each, audit the models, and see what is named: the other confusion matrix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import harmless
import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from reload_audit.models.model_folder import MODEL
from support.builders import ROOT, training_spec
from support.external_audits import audit_models, audit_table, train_all

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
    assert {env: fault_named(model) for env, model in rows_by_environment.items()} == {
        env: FAULTY[env] for env in rows_by_environment
    }, "\n".join(lines)


def fault_named(model: dict[str, Any]) -> str:
    """The cause; of a model that has lost nothing by a fault, as chance may have it, the fault in its remarks."""
    remarked = (cause for cause in FAULTY.values() if cause and f" {cause} (" in model["remarks"])
    return model["cause"] if model["verdict"] != "retained" else next(remarked, "")


# --- Faults without harm -------------------------------------------------------------------------------------------

HARMLESS = {
    "Reused": {"survives-reset", "curriculum"},
    "OneLife": {"survives-reset"},
    "DrawsItsWeather": {"global-generator"},
}
"""Environments of tests/environments/harmless.py, and what the probe may find in each."""


@pytest.fixture(scope="module")
def harmless_rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the audit says of models whose claims are right, and far too high, by the names in its table."""
    folder = tmp_path_factory.mktemp("harmless")
    recipe = {"algo": "PPO", "total_timesteps": 192, "n_envs": [2], **RECIPES["PPO"]}
    paths = [str(ROOT / "tests/environments"), str(ROOT / "examples")]
    specs = [training_spec(name=env, env=f"harmless:{env}", **recipe) for env in HARMLESS]
    train_all(
        [{**spec, "environment": {**spec["environment"], "python_path": paths}} for spec in specs], folder / "trained"
    )
    rows = []
    for env, spec in zip(HARMLESS, specs, strict=True):
        model = folder / "trained" / spec["model"] / MODEL
        venv = make_vec_env(getattr(harmless, env), 2, seed=5)
        rewards, _ = evaluate_policy(PPO.load(model), venv, n_eval_episodes=60, return_episode_rewards=True)
        right = {"claim_mean": float(np.mean(rewards)), "claim_std": float(np.std(rewards)), "claim_n": 60}
        told = {"algo": "PPO", "env": f"harmless:{env}", "model": str(model), "n_envs": 2, **right}
        rows += [{**told, "name": env}, {**told, "name": f"{env}-too-high", "claim_mean": 3.0 * right["claim_mean"]}]
    return audit_table(rows, folder / "audit", probes=folder / "probes")


@pytest.mark.parametrize("env", HARMLESS)
def test_what_an_environment_keeps_or_draws_without_harm_is_a_remark(
    harmless_rows: dict[str, dict[str, Any]], env: str
) -> None:
    model = harmless_rows[env]
    assert model["verdict"] not in ("degraded", "improved", "error")
    assert not {cause["cause"] for cause in model["causes"]} & HARMLESS[env]
    found = [cause for cause in HARMLESS[env] if f"{cause} (" in model["remarks"]]
    assert found or model["verdict"] == "equivalent"


@pytest.mark.parametrize("env", ["Reused", "OneLife"])
def test_what_survives_a_reset_without_harm_is_not_the_cause_of_a_loss(
    harmless_rows: dict[str, dict[str, Any]], env: str
) -> None:
    model = harmless_rows[f"{env}-too-high"]
    assert model["verdict"] == "degraded"
    assert not {cause["cause"] for cause in model["causes"]} & HARMLESS[env]
    tried = [*model["ruled_out"], *model["not_excluded"]]
    assert any(text.split(":")[0] in HARMLESS[env] and "used environments" in text for text in tried)


def test_a_generator_that_may_be_the_cause_of_a_loss_is_not_proven_to_be(
    harmless_rows: dict[str, dict[str, Any]],
) -> None:
    model = harmless_rows["DrawsItsWeather-too-high"]
    assert model["verdict"] == "degraded"
    assert [(cause["cause"], cause["proven"]) for cause in model["causes"]] == [("global-generator", False)]


# --- Edited environments -------------------------------------------------------------------------------------------

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
    runs, reload = [str(folder / "trained")], {"n_envs": [2]}
    (model,) = audit_models(target, runs=runs, trust=["season"], python_path=paths, reload=reload).values()
    return model


def conditions(model: dict[str, Any]) -> set[str]:
    return {condition["condition"] for condition in model["conditions"]}


def test_an_environment_that_was_not_edited_gives_identical_episodes(season_folder: Path, tmp_path: Path) -> None:
    model = audited(season_folder, tmp_path)
    assert model["verdict"] == "identical"
    assert "n_envs=2" not in conditions(model)


@pytest.mark.parametrize("cause", EDITS)
def test_an_environment_that_was_edited_after_training_is_told_by_what_was_edited(
    season_folder: Path, tmp_path: Path, cause: str
) -> None:
    """A default, a registered time limit, or the code itself: what was recorded at train time says which.

    Other conditions run only where no trial has explained the reward.
    """
    original, edited = EDITS[cause]
    (season_folder / "season.py").write_text(SEASON.replace(original, edited))
    try:
        model = audited(season_folder, tmp_path / "edited")
    finally:
        (season_folder / "season.py").write_text(SEASON)
    assert model["verdict"] in ("improved", "degraded")
    assert model["cause"] == cause
    explained = cause != "env-changed"
    assert ("n_envs=2" in conditions(model)) is not explained
    if explained:
        assert model["cause_share"] == 1.0
