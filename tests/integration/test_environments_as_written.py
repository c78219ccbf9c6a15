"""An audit of models whose environments SB3 runs, although they are not as Gymnasium's documentation says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch as th
from stable_baselines3 import PPO

from reload_audit import record_reference
from reload_audit.environments.build import build_vec_env
from reload_audit.records.specs import TrainingSpec
from reload_audit.records.storage import read_json
from support.builders import training_spec
from support.external_audits import audit_models, audit_table, probe_all

pytestmark = pytest.mark.slow

ENVIRONMENTS = ("as_written:Walk", "as_written:GivenAnything", "as_written:SeededByMethod")


def trained(env: str) -> PPO:
    spec = TrainingSpec.from_dict(training_spec(env=env))
    venv = build_vec_env(spec.environment, 2, seed=0)
    return PPO("MlpPolicy", venv, n_steps=32, batch_size=32, n_epochs=1, seed=0, device="cpu").learn(64)


def test_they_are_recorded_and_reload_identical(tmp_path: Path) -> None:
    for env in ENVIRONMENTS:
        record_reference(trained(env), tmp_path / "runs" / env.replace(":", "_"), env, episodes=20, n_envs=4)
    audit = audit_models(tmp_path / "audit", runs=[str(tmp_path / "runs")], trust=["as_written"])
    assert [model["verdict"] for model in audit.values()] == ["identical"] * len(ENVIRONMENTS)


def test_one_is_probed_and_one_for_an_older_numpy_names_its_line(tmp_path: Path) -> None:
    trained(ENVIRONMENTS[0]).save(tmp_path / "model.zip")
    environment = TrainingSpec.from_dict(training_spec(env=ENVIRONMENTS[0])).environment.to_dict()
    (probed,) = probe_all([environment], tmp_path)
    assert read_json(probed)["failure"] is None
    row = {"name": "old", "model": str(tmp_path / "model.zip"), "algo": "PPO", "env": "as_written:WrittenForNumpy1"}
    (model,) = audit_table([row], tmp_path / "audit").values()
    assert model["verdict"] == "error"
    assert "environments/as_written.py:" in model["reason"]
    assert "this is code for numpy<2" in model["reason"]


def test_a_policy_that_never_fails_is_cut_and_not_lost(tmp_path: Path) -> None:
    model = trained("as_written:WithoutEnd")
    with th.no_grad():
        model.policy.action_net.bias[:] = th.tensor([-100.0, 100.0])
    model.save(tmp_path / "model.zip")
    row = {"model": str(tmp_path / "model.zip"), "algo": "PPO", "env": "as_written:WithoutEnd", "claim_n": 100}
    rows = [{**row, "name": f"claimed-{mean}", "claim_mean": mean, "claim_std": 3.0} for mean in (40, 90)]
    evaluation = {"episodes": 20, "n_envs": 4, "max_episode_steps": 50}
    audit = audit_table(rows, tmp_path / "audit", evaluation=evaluation)
    kept, open_ = audit["claimed-40"], audit["claimed-90"]
    assert (kept["verdict"], kept["episodes_cut"], kept["n_episodes"]) == ("improved", 20, 20)
    assert "20 of 20 episodes did not end within 50 steps" in kept["remarks"]
    assert "they earned at least what is said" in kept["remarks"]
    assert "its 20 episodes are the same in every bit" not in kept["remarks"]
    assert open_["verdict"] == "inconclusive"
    assert open_["reason"].startswith("episodes_cut: earns 40 less than claimed, but")
    assert "time-limit" in {cause["cause"] for cause in open_["causes"]}
