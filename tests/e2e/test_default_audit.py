"""The default audit, with fewer seeds and steps: what its configuration promises."""

from __future__ import annotations

import json

import jsonschema
import pandas as pd
import pytest

from reload_audit.planning.configuration import read_yaml
from reload_audit.processes.fork_servers import RELOAD_HASH_SEED, TRAIN_HASH_SEED
from support.builders import ROOT
from support.snakemake_runs import Workspace

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("default") / "audit")
    config = read_yaml(ROOT / "config/config.yaml")
    for experiment in config["experiments"]:
        experiment["seeds"] = [1]
        experiment["n_envs"] = experiment["n_envs"][:2]
        if experiment["name"] != "ppo-corridor":
            experiment["total_timesteps"] = 1024
    config["evaluation"]["episodes"] = 20
    workspace.configure(config)
    run = workspace.snakemake(cores=4)
    assert run.status == 0, run.output
    return workspace


@pytest.fixture(scope="module")
def model_rows(finished_workspace: Workspace) -> pd.DataFrame:
    return pd.read_csv(finished_workspace.folder / "results/models.csv", index_col="model")


def test_every_model_of_a_healthy_experiment_is_identical(model_rows):
    healthy = model_rows[model_rows["experiment"] != "ppo-corridor"]
    assert len(healthy) == 4
    assert set(healthy["verdict"]) == {"identical"}


def test_the_corridor_earns_much_in_place_little_after_reload_and_is_degraded(model_rows):
    story = model_rows[model_rows["experiment"] == "ppo-corridor"]
    assert set(story["verdict"]) == {"degraded"}
    assert set(story["gap"]) == {"process"}
    assert story["train_mean_reward"].between(45, 51).all()
    assert story["reload_mean_reward"].between(-4, 10).all()


def test_the_corridor_has_its_cause_with_the_line_to_blame_and_a_fix(finished_workspace, model_rows):
    assert set(model_rows["cause"].dropna()) == {"global-generator"}
    content = json.loads((finished_workspace.folder / "results/audit.json").read_text())
    (story,) = [model for model in content["models"] if model["verdict"] == "degraded"]
    cause = story["causes"][0]
    source = (ROOT / "examples/corridor.py").read_text().splitlines()
    (line,) = [number for number, text in enumerate(source, 1) if "np.random.randint(" in text]
    assert any(f"corridor.py:{line}" in evidence for evidence in cause["evidence"])
    assert "default_rng(level)" in cause["fix"]


def test_the_columns_users_rely_on_are_there(model_rows):
    promised = (
        "experiment algo env_id train_seed train_n_envs ep_rew_mean train_mean_reward train_std_reward "
        "reference_mean_reward reload_mean_reward reload_std_reward n_episodes difference ci_low ci_high margin p q "
        "verdict reason cause"
    )
    assert set(promised.split()) <= set(model_rows.columns)


def test_every_condition_was_evaluated(finished_workspace):
    conditions = pd.read_parquet(finished_workspace.folder / "results/conditions.parquet")
    names = {"in_place", "reference", "reload", "n_envs=1", "n_envs=8", "SubprocVecEnv"}
    assert set(conditions["condition"]) == names
    assert set(conditions["status"]) == {"ok"}


def test_the_same_number_of_environments_gives_the_same_bits_in_subprocesses(finished_workspace):
    conditions = pd.read_parquet(finished_workspace.folder / "results/conditions.parquet")
    healthy = conditions[~conditions["model"].str.contains("corridor")]
    assert healthy[healthy["condition"] == "SubprocVecEnv"]["identical"].all()


def test_every_reload_ran_in_a_process_that_did_not_train(finished_workspace):
    processes = pd.read_csv(finished_workspace.folder / "results/processes.csv")
    assert processes[processes["condition"] != "train"]["fresh"].astype(bool).all()


def test_audit_json_fits_its_schema(finished_workspace):
    schema = json.loads((ROOT / "workflow/schemas/audit.schema.json").read_text())
    audit = json.loads((finished_workspace.folder / "results/audit.json").read_text())
    assert [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(audit)] == []


def test_train_time_and_reload_have_different_hash_seeds(finished_workspace):
    manifest = json.loads(next((finished_workspace.folder / "results/trained").glob("*/manifest.json")).read_text())
    assert manifest["machine"]["python_hash_seed"] == str(TRAIN_HASH_SEED) != str(RELOAD_HASH_SEED)
