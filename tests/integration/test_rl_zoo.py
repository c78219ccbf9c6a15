"""A model that RL Zoo trained gets a verdict from what lies beside it, without anybody's claim."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.env_util import make_vec_env

from support.external_audits import audit_models
from support.published_layouts import ordered, text

ENV, STEPS, EVERY = "CartPole-v1", 8_000, 1_000
Rows = Mapping[str, dict[str, Any]]


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """What is said of a final and a best model in the folder of a run, as RL Zoo lays it out."""
    folder = tmp_path_factory.mktemp("zoo")
    run = folder / "logs/ppo/CartPole-v1_1"
    training, evaluation = make_vec_env(ENV, 8, seed=0, monitor_dir=str(run)), make_vec_env(ENV, seed=0)
    settings = {"n_steps": 32, "batch_size": 256, "gae_lambda": 0.8, "gamma": 0.98, "n_epochs": 5, "ent_coef": 0.0}
    model = PPO("MlpPolicy", training, learning_rate=3e-3, seed=0, device="cpu", **settings)
    callback = EvalCallback(
        evaluation, best_model_save_path=str(run), log_path=str(run), eval_freq=EVERY // 8, verbose=0
    )
    model.learn(STEPS, callback=callback)
    model.save(run / ENV)
    text(run / ENV / "args.yml", ordered({"algo": "ppo", "env": ENV, "env_kwargs": None}))
    text(run / ENV / "config.yml", ordered({"n_envs": 8, "n_timesteps": float(STEPS), "policy": "MlpPolicy"}))
    return audit_models(folder, runs=[str(folder / "logs")], verdict={"looks": [20, 40], "further_looks": []})


def test_the_best_model_of_a_run_has_lost_nothing(audited: Rows) -> None:
    best = audited["ppo/CartPole-v1_1/best_model"]
    assert best["verdict"] in ("equivalent", "retained"), best["reason"]


def test_the_final_model_of_a_run_is_not_inconclusive(audited: Rows) -> None:
    """How much can be said depends on how steady the last evaluations were."""
    final = audited["ppo/CartPole-v1_1"]
    assert final["verdict"] in ("equivalent", "retained", "consistent"), final["reason"]


def test_the_last_evaluation_before_training_ended_is_among_the_claims(audited: Rows) -> None:
    kinds = [claim["kind"] for claim in audited["ppo/CartPole-v1_1"]["claims"]]
    assert {"last_evaluation", "trend", "training"} <= set(kinds)
