"""A model that RL Zoo trained gets a verdict from what lies beside it, without anybody's claim."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.env_util import make_vec_env

from support.external_audits import audit_models
from support.published_layouts import ordered, text

ENV, STEPS, EVERY = "CartPole-v1", 16_000, 2_000
Rows = Mapping[str, dict[str, Any]]


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """What is said of a run of RL Zoo, and of one whose last model was exchanged for one that has learned nothing."""
    folder = tmp_path_factory.mktemp("zoo")
    run = folder / "logs/ppo/CartPole-v1_1"
    training, evaluation = make_vec_env(ENV, 8, seed=0, monitor_dir=str(run)), make_vec_env(ENV, seed=0)
    settings = {"n_steps": 32, "batch_size": 256, "gae_lambda": 0.8, "gamma": 0.98, "n_epochs": 10, "ent_coef": 0.0}
    model, untrained = (
        PPO("MlpPolicy", training, learning_rate=3e-3, seed=seed, device="cpu", **settings) for seed in (0, 1)
    )
    callback = EvalCallback(
        evaluation, best_model_save_path=str(run), log_path=str(run), eval_freq=EVERY // 8, verbose=0
    )
    model.learn(STEPS, callback=callback)
    model.save(run / ENV)
    text(run / ENV / "args.yml", ordered({"algo": "ppo", "env": ENV, "env_kwargs": None}))
    text(run / ENV / "config.yml", ordered({"n_envs": 8, "n_timesteps": float(STEPS), "policy": "MlpPolicy"}))
    exchanged = Path(shutil.copytree(run, folder / "logs/ppo/CartPole-v1_2"))
    (exchanged / "best_model.zip").unlink()
    untrained.num_timesteps, untrained.ep_info_buffer = model.num_timesteps, model.ep_info_buffer
    untrained.save(exchanged / ENV)
    return audit_models(folder, runs=[str(folder / "logs")])


@pytest.mark.parametrize("name", ["ppo/CartPole-v1_1", "ppo/CartPole-v1_1/best_model"])
def test_the_models_of_a_run_have_lost_nothing(audited: Rows, name: str) -> None:
    assert audited[name]["verdict"] in ("equivalent", "retained"), audited[name]["reason"]


def test_a_model_that_was_exchanged_has_lost_what_its_run_earned(audited: Rows) -> None:
    """The last evaluation is of other weights, training explores, and still both show it."""
    assert audited["ppo/CartPole-v1_2"]["verdict"] == "degraded", audited["ppo/CartPole-v1_2"]["reason"]


def test_the_last_evaluation_before_training_ended_is_among_the_claims(audited: Rows) -> None:
    kinds = [claim["kind"] for claim in audited["ppo/CartPole-v1_1"]["claims"]]
    assert {"last_evaluation", "trend", "training"} <= set(kinds)
