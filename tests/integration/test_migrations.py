"""A model of an environment that is gone runs in a newer version, made as the older one was where that is known."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv
from successors import WithContactForces, WithoutContactForces

from reload_audit.causes.migrations import migrations
from reload_audit.environments.build import make_env
from reload_audit.environments.past_observations import insert_zeros, zero_observations
from reload_audit.evaluation.external import migrated
from reload_audit.records.environment_spec import EnvironmentSpec
from support.external_audits import audit_table

Row = dict[str, Any]

ZEROS = "84 zeros in place of contact forces"
NO_FORCES = "zeros in place of contact forces"


def saved_in(env: gym.Env, path: Path) -> dict[str, Any]:
    """Save a model, whose actions are a small multiple of what it observes; what it is claimed to have earned."""
    model = PPO("MlpPolicy", env, seed=0, policy_kwargs={"net_arch": []})
    model.save(path)
    rewards, _ = evaluate_policy(model, DummyVecEnv([lambda: env]), n_eval_episodes=200, return_episode_rewards=True)
    return {"model": str(path), "claim_mean": np.mean(rewards), "claim_std": np.std(rewards), "claim_n": 200}


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row]:
    folder = tmp_path_factory.mktemp("migrations")
    ant = saved_in(insert_zeros(WithoutContactForces(), at=[[27, 111]]), folder / "ant.zip")
    humanoid = saved_in(zero_observations(WithContactForces(), at=[[292, 376]]), folder / "humanoid.zip")
    rows = [
        {"name": "ant", "algo": "PPO", "env": "Ant-v3", **ant},
        {"name": "humanoid", "algo": "PPO", "env": "Humanoid-v3", **humanoid},
        {"name": "another", "algo": "PPO", "env": "Ant-v3", **humanoid},
        {"name": "not-moved", "algo": "PPO", "env": "Ant-v4", **ant},
    ]
    return audit_table(rows, folder / "audit", trust=["registered_successors"])


def conditions(row: Row) -> dict[str, Row]:
    return {condition["condition"]: condition for condition in row["conditions"]}


def test_a_model_whose_observations_do_not_fit_is_judged_with_what_makes_them_fit(audited: dict[str, Row]) -> None:
    row = audited["ant"]
    assert (row["env_id"], row["env_ran"], row["verdict"], row["cause"]) == ("Ant-v3", "Ant-v4", "equivalent", "")
    assert row["loaded_with"].startswith(f"Ant-v3 ran as Ant-v4 with {ZEROS}")
    assert {name: condition["migration"] for name, condition in conditions(row).items()} == {"reload": ZEROS}


def test_a_loss_that_an_older_version_does_not_have_is_explained_by_the_newer_one(audited: dict[str, Row]) -> None:
    row = audited["humanoid"]
    cause, *_ = row["causes"]
    assert (row["verdict"], cause["cause"], cause["proven"]) == ("degraded", "env-version", False)
    assert cause["share"] > 0.9
    assert "Humanoid-v3 ran as Humanoid-v4" in cause["evidence"]
    assert f"It is made as Humanoid-v3 was: {NO_FORCES}." in cause["fix"]
    found = conditions(row)
    assert (found["reload"]["migration"], found[NO_FORCES]["migration"]) == ("", NO_FORCES)
    assert found[NO_FORCES]["mean_reward"] == pytest.approx(row["claim_mean"], abs=0.5)


@pytest.mark.parametrize("name", ["another", "not-moved"])
def test_a_model_that_nothing_makes_fit_is_an_error_with_both_spaces(name: str, audited: dict[str, Row]) -> None:
    row = audited[name]
    assert (row["verdict"], row["causes"][0]["cause"]) == ("error", "not-runnable")
    assert "its observations are Box" in row["reason"]
    assert {condition["migration"] for condition in row["conditions"]} == {""}


needs_mujoco = pytest.mark.skipif(importlib.util.find_spec("mujoco") is None, reason="MuJoCo is not installed")


@needs_mujoco
@pytest.mark.parametrize("name", ["Ant", "Humanoid", "HumanoidStandup", "InvertedDoublePendulum", "Reacher"])
def test_version_5_made_as_version_4_was_gives_the_same_observations_in_every_bit(name: str) -> None:
    old, new = f"{name}-v4", f"{name}-v5"
    (migration,) = migrations(old, new).values()
    environments = [make_env(spec(old)), make_env(migrated(spec(new), migration))]
    environments[0].action_space.seed(0)
    seen = [env.reset(seed=3)[0] for env in environments]
    for _ in range(200):
        np.testing.assert_array_equal(seen[1], seen[0])
        action = environments[0].action_space.sample()
        steps = [env.step(action) for env in environments]
        seen = [step[0] for step in steps]
        if steps[0][2]:
            break


@needs_mujoco
def test_what_is_zeroed_in_version_4_are_the_contact_forces() -> None:
    plain = make_env(spec("Humanoid-v4"))
    (migration,) = migrations("Humanoid-v3", "Humanoid-v4").values()
    zeroed = make_env(migrated(spec("Humanoid-v4"), migration))
    observations = [env.reset(seed=0)[0] for env in (plain, zeroed)]
    for _ in range(20):
        action = np.zeros(plain.action_space.shape or ())
        observations = [env.step(action)[0] for env in (plain, zeroed)]
    forces = plain.unwrapped.data.cfrc_ext.ravel()  # type: ignore[attr-defined]
    assert forces.any()
    np.testing.assert_array_equal(observations[0][292:], forces)
    np.testing.assert_array_equal(observations[1], [*observations[0][:292], *np.zeros(84)])


def spec(env: str) -> EnvironmentSpec:
    return EnvironmentSpec(env, {}, (), "env", (), ())
