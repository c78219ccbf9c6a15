"""External models are discovered, read without being executed, and each becomes a row, whatever is wrong with it."""

from __future__ import annotations

import base64
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from reload_audit.jobs.train import train_model
from reload_audit.records.specs import Limits
from support.builders import ROOT, training_spec
from support.snakemake_runs import Run, Workspace, small_config

pytestmark = pytest.mark.slow

TRAINING_SCRIPT = """
import sys
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize
from reload_audit import ReferenceRecorder

tiny = {"n_steps": 32, "batch_size": 32, "n_epochs": 1, "policy_kwargs": {"net_arch": [8]}}
venv = VecNormalize(make_vec_env("CartPole-v1", n_envs=2))
model = PPO("MlpPolicy", venv, seed=3, **tiny)
found = sys.argv[1]
model.learn(128, callback=ReferenceRecorder(f"{found}/recorded/cartpole", env="CartPole-v1", episodes=20, n_envs=4))
model.save(f"{found}/plain/ppo-CartPole-v1.zip")
venv.save(f"{found}/plain/vecnormalize.pkl")
PPO("MlpPolicy", "Pendulum-v1", seed=3, **tiny).save(f"{found}/elsewhere/swings.zip")
"""


@dataclass(frozen=True)
class TouchesFile:
    """Creates a file when it is unpickled."""

    path: str

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def hostile(model: Path, target: Path, marker: Path) -> None:
    """A copy of a model that creates a file when it is loaded as usual."""
    with zipfile.ZipFile(model) as original, zipfile.ZipFile(target, "w") as archive:
        for name in original.namelist():
            content = original.read(name)
            if name == "data":
                data = json.loads(content)
                code = base64.b64encode(pickle.dumps(TouchesFile(str(marker)))).decode()
                data |= {key: {":type:": "x", ":serialized:": code} for key in ("lr_schedule", "policy_class")}
                content = json.dumps(data).encode()
            archive.writestr(name, content)


def hub_cache(repository: Path, model: Path) -> None:
    """A repository as the Hub's cache has it: files are links to blobs."""
    snapshot = repository / "snapshots/0a1b2c"
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    contents = {
        "ppo-CartPole-v1.zip": (model / "ppo-CartPole-v1.zip").read_bytes(),
        "vec_normalize.pkl": (model / "vecnormalize.pkl").read_bytes(),
        "results.json": b'{"mean_reward": 500.0, "std_reward": 0.0, "n_eval_episodes": 10, "is_deterministic": true}',
        "README.md": b"---\nmodel-index:\n- name: PPO\n  results:\n  - dataset: {name: CartPole-v1}\n---\n# A card\n",
    }
    for index, (name, content) in enumerate(contents.items()):
        (repository / f"blobs/{index}").write_bytes(content)
        (snapshot / name).symlink_to(f"../../blobs/{index}")


def populate(found: Path) -> None:
    for name in ("plain", "elsewhere"):
        (found / name).mkdir(parents=True)
    subprocess.run(
        [sys.executable, "-c", TRAINING_SCRIPT, str(found)],
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "workflow/scripts")},
    )
    train_model(
        training_spec(normalize=True, n_envs=[2]),
        found / "trained-elsewhere",
        found / "log",
        code="",
        limits=Limits(120, 4096),
    )
    hub_cache(found / "models--me--ppo-CartPole-v1", found / "plain")
    odd = found / "odd"
    odd.mkdir()
    (odd / "a {b} <results>").mkdir()
    shutil.copy(found / "plain/ppo-CartPole-v1.zip", odd / "a {b} <results>/ppo-CartPole-v1.zip")
    model = found / "plain/ppo-CartPole-v1.zip"
    hostile(model, odd / "hostile-ppo-CartPole-v1.zip", found / "executed")
    (odd / "cut-ppo-CartPole-v1.zip").write_bytes(model.read_bytes()[:5000])
    os.mkfifo(odd / "pipe.zip")
    (odd / "folder.zip").mkdir()
    (odd / "dangling.zip").symlink_to(found / "nowhere.zip")
    (odd / "leads-out.zip").symlink_to(found / "elsewhere/swings.zip")
    tomorrow = time.time() + 86_400  # a clock was ahead
    os.utime(found / "elsewhere/swings.zip", (tomorrow, tomorrow))


@dataclass(frozen=True)
class Audited:
    workspace: Workspace
    run: Run
    found: Path

    @property
    def models(self) -> pd.DataFrame:
        return pd.read_csv(self.workspace.folder / "results/models.csv", index_col="model", keep_default_na=False)

    @property
    def conditions(self) -> pd.DataFrame:
        return pd.read_parquet(self.workspace.folder / "results/conditions.parquet")


@pytest.fixture(scope="module")
def external_audit(tmp_path_factory: pytest.TempPathFactory) -> Audited:
    folder = tmp_path_factory.mktemp("found")
    found = folder / "found"
    populate(found)
    table = folder / "models.tsv"
    rows = [
        ["name", "algo", "env", "model", "claim_mean", "claim_std", "claim_n"],
        ["swings", "PPO", "Pendulum-v0", str(found / "elsewhere/swings.zip"), "-100", "50", "100"],
        ["lands", "PPO", "LunarLander-v2", str(found / "elsewhere/swings.zip"), "", "", ""],
        ["unclaimed", "PPO", "Pendulum-v1", str(found / "elsewhere/swings.zip"), "", "", ""],
        ["missing", "PPO", "CartPole-v1", str(found / "nowhere.zip"), "", "", ""],
        ["misfit", "PPO", "CartPole-v1", str(found / "elsewhere/swings.zip"), "", "", ""],
    ]
    table.write_text("\n".join("\t".join(row) for row in rows))
    workspace = Workspace(folder / "audit")
    config = small_config(
        models=str(table),
        runs=[
            str(found / name)
            for name in ("recorded", "plain", "odd", "trained-elsewhere", "models--me--ppo-CartPole-v1")
        ],
        trust=["planted"],
        reload={"n_envs": [2], "other_vec_env": False, "batch": 3},
    )
    del config["experiments"]
    workspace.configure(config)
    return Audited(workspace, workspace.snakemake(), found)


def test_every_model_is_a_row_and_no_job_fails(external_audit):
    assert external_audit.run.status == 0, external_audit.run.output
    assert external_audit.models["verdict"].to_dict() == {
        "cartpole": "identical",
        "trained-elsewhere": "identical",
        "ppo-CartPole-v1": "inconclusive",
        "unclaimed": "inconclusive",
        "a {b} <results>/ppo-CartPole-v1": "inconclusive",  # its statistics are not beside it
        "swings": "degraded",
        "me/ppo-CartPole-v1": "degraded",
        **dict.fromkeys(("lands", "missing", "misfit", "hostile-ppo-CartPole-v1", "cut-ppo-CartPole-v1"), "error"),
        **dict.fromkeys(("pipe", "folder", "dangling", "leads-out"), "error"),
    }


def test_no_code_from_an_audited_file_was_executed(external_audit):
    assert not (external_audit.found / "executed").exists()
    reason = external_audit.models.loc["hostile-ppo-CartPole-v1", "reason"]
    assert "policy_class: untrusted_pickle posix.system" in reason


def test_a_model_recorded_in_somebodys_own_script_gets_the_bitwise_audit(external_audit):
    row = external_audit.models.loc["cartpole"]
    assert (row["source"], row["claim_kind"], row["checks_failed"]) == ("recorded", "in_place", "")


def test_what_the_workflow_trained_elsewhere_can_be_audited_here(external_audit):
    row = external_audit.models.loc["trained-elsewhere"]
    assert (row["source"], row["claim_kind"], row["normalized"]) == ("recorded", "in_place", "True")


def test_a_model_without_a_claim_is_compared_with_itself_under_other_conditions(external_audit):
    row = external_audit.models.loc["unclaimed"]
    assert (row["claim_kind"], row["reason"].partition(":")[0]) == ("", "no_claim")
    conditions = external_audit.conditions[external_audit.conditions["model"] == "unclaimed"].set_index("condition")
    assert list(conditions.index) == ["reload", "n_envs=2"]
    assert conditions.loc["n_envs=2", "difference"] == pytest.approx(0.0, abs=0.1)


def test_a_repository_of_the_hub_is_compared_with_its_card(external_audit):
    row = external_audit.models.loc["me/ppo-CartPole-v1"]
    assert (row["source"], row["claim_kind"], row["claim_mean"], row["normalized"]) == (
        "hub",
        "model_card",
        "500.0",
        "True",
    )


def test_a_removed_environment_version_runs_as_its_successor_which_is_presumed_to_be_the_cause_of_a_loss(
    external_audit,
):
    row = external_audit.models.loc["swings"]
    assert (row["env_id"], row["env_ran"]) == ("Pendulum-v0", "Pendulum-v1")
    assert row["loaded_with"].startswith("Pendulum-v0 ran as Pendulum-v1")
    assert "Pendulum-v1" not in row["reason"]
    audit = json.loads((external_audit.workspace.folder / "results/audit.json").read_text())
    (causes,) = (model["causes"] for model in audit["models"] if model["model"] == "swings")
    assert [(cause["cause"], cause["proven"]) for cause in causes] == [("env-version", False)]


REASONS = {
    "missing": "No such file or directory",
    "misfit": "its observations are Box",
    "cut-ppo-CartPole-v1": "zip",
    "pipe": "pipe",
    "folder": "folder",
    "dangling": "link",
    "leads-out": "link",
}


@pytest.mark.parametrize("name", REASONS)
def test_the_reason_of_an_error_says_what_is_wrong(name, external_audit):
    assert REASONS[name] in external_audit.models.loc[name, "reason"]


def test_a_missing_optional_dependency_is_named_with_what_installs_it(external_audit):
    assert "pip install 'gymnasium[box2d]" in external_audit.models.loc["lands", "reason"]


def test_a_second_run_has_nothing_to_do(external_audit):
    assert "Nothing to be done" in external_audit.workspace.snakemake().output


def test_one_model_alone_is_audited_beside_the_others_to_the_same_bits(external_audit):
    before = (external_audit.workspace.folder / "results/audit.json").read_bytes()
    run = external_audit.workspace.snakemake(
        *("--configfile", "results/config.yaml", "--config", 'only=["swings"]'),
        'pathvars={"results":"results/only","logs":"logs/only"}',
    )
    assert run.jobs == {"all": 1, "audit_external": 1, "probe": 1, "aggregate": 1, "report": 1, "summarize": 1}
    (alone,) = json.loads((external_audit.workspace.folder / "results/only/audit.json").read_text())["models"]
    among = next(model for model in json.loads(before)["models"] if model["model"] == "swings")
    assert alone | {"q": None, "log": None} == among | {"q": None, "log": None}  # q is of all models together
    assert (external_audit.workspace.folder / "results/audit.json").read_bytes() == before


def test_only_the_batch_of_a_changed_model_runs_again(external_audit):
    batches = json.loads((external_audit.workspace.folder / "results/external/models.json").read_text())
    assert len(batches) == 16
    path = external_audit.found / "plain/ppo-CartPole-v1.zip"
    path.touch()
    assert "Nothing to be done" in external_audit.workspace.snakemake("-n").output
    with open(path, "ab") as file:
        file.write(b"another model")
    assert external_audit.workspace.snakemake("-n").jobs["audit_external"] == 1


def test_of_a_batch_only_the_changed_model_is_audited_again(external_audit):
    run = external_audit.workspace.snakemake()
    assert run.jobs["audit_external"] == 1
    logs = [path.read_text() for path in (external_audit.workspace.folder / "logs/external").glob("*.log")]
    (said,) = re.findall(r"(\d+) of (\d+) models are as they were", "".join(logs))
    assert 0 < int(said[0]) < int(said[1])


def test_an_edit_of_a_trusted_package_audits_all_external_models_again(external_audit):
    with open(external_audit.workspace.folder / "tests/environments/planted.py", "a") as file:
        file.write("EDITED = True\n")
    batches = len(list((external_audit.workspace.folder / "results/external").glob("batch*.json")))
    assert external_audit.workspace.snakemake("-n").jobs["audit_external"] == batches


def test_a_configuration_file_of_the_user_s_own_replaces_the_default_one(external_audit):
    own = external_audit.workspace.folder / "own.yaml"
    own.write_text(f"runs: [{external_audit.found}/recorded]\n")
    jobs = external_audit.workspace.snakemake("-n", "--configfile", str(own), "--forceall").jobs
    assert jobs == {"aggregate": 1, "all": 1, "audit_external": 1, "probe": 1, "report": 1, "summarize": 1}
