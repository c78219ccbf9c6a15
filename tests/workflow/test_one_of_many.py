"""Whatever one of many models does, it becomes an error row with its reason, and the others are unaffected."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from reload_audit.jobs.train import train_model
from reload_audit.records.specs import Limits
from support.builders import training_spec
from support.snakemake_runs import Run, Workspace, small_config

pytestmark = pytest.mark.slow

MODELS = int(os.environ.get("TEST_MODELS", "80"))
"""In eight batches; a thousand take some minutes more, and give the same."""

BROKEN = {
    "crashes": ("failing:CrashesOnReload", "the process was ended by SIGSEGV"),
    "exits": ("failing:ExitsOnReload", "the process ended by itself with exit status 0, without a result"),
    "deadlocks": ("failing:DeadlocksOnReload", "did not finish within 60 seconds"),
    "leaks": ("failing:FillsMemoryOnReload", "held more memory than its limit of 2000 MiB"),
    "raises": ("failing:RaisesOnReload", "RuntimeError: the licence server is gone"),
    "exits-in-close": ("failing:ExitsInClose", "the process ended by itself with exit status 0, without a result"),
    "no-number": ("planted:NoNumber", "earned nan; expected a number"),
    "other-shape": ("failing:OtherShapeOnReload", "could not broadcast input array from shape (7,) into shape (3,)"),
    "cut": ("planted:Draws", "damaged zip"),
}
"""Folder, environment and reason."""

HARMLESS = {
    "forks": "failing:ForksOnReload",
    "prints": "failing:PrintsOnReload",
    "raises-in-close": "failing:RaisesInClose",
}
"""What does not keep the rewards from being measured."""


@dataclass(frozen=True)
class Audited:
    run: Run
    results: Path
    models: pd.DataFrame


@pytest.fixture(scope="module")
def audit_of_many(tmp_path_factory: pytest.TempPathFactory) -> Audited:
    folder = tmp_path_factory.mktemp("many")
    environments = {name: env for name, (env, _) in BROKEN.items()} | HARMLESS
    for env in {"planted:Draws", *environments.values()}:
        spec = training_spec(env=env)
        train_model(spec, folder / "templates" / env, folder / "log", "", Limits(300, 4096))
    workspace = Workspace(folder / "audit")
    fleet = workspace.folder / "fleet"
    for number in range(MODELS - len(environments)):
        shutil.copytree(folder / "templates/planted:Draws", fleet / f"healthy-{number:04}", copy_function=os.link)
    for name, env in environments.items():
        shutil.copytree(folder / "templates" / env, fleet / name)
    os.truncate(fleet / "cut/model.zip", 5000)
    workspace.configure(
        small_config(
            experiments=[],
            runs=["fleet"],
            trust=["planted", "failing"],
            reload={"n_envs": [2], "other_vec_env": False, "timeout": 60, "memory": 2000},
            probe={"timeout": 60},
        )
    )
    run = workspace.snakemake()
    results = workspace.folder / "results"
    return Audited(run, results, pd.read_csv(results / "models.csv", index_col="model"))


def test_no_job_fails_whatever_its_models_do(audit_of_many):
    assert audit_of_many.run.status == 0, audit_of_many.run.output
    assert "1 of " not in audit_of_many.run.output.partition("Error in rule")[2]


def test_every_healthy_model_has_the_same_row_beside_broken_ones(audit_of_many):
    healthy = audit_of_many.models[audit_of_many.models.index.str.startswith("healthy-")]
    assert len(healthy) == MODELS - len(BROKEN) - len(HARMLESS)
    assert set(healthy["verdict"]) == {"identical"}
    differing = [column for column in healthy.columns if healthy[column].nunique(dropna=False) > 1]
    assert set(differing) <= {"path", "log"}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_model_is_an_error_with_its_reason(name, audit_of_many):
    row = audit_of_many.models.loc[name]
    assert row["verdict"] == "error"
    assert BROKEN[name][1] in row["reason"]


@pytest.mark.parametrize("name", HARMLESS)
def test_a_model_with_harmless_oddities_is_identical(name, audit_of_many):
    assert audit_of_many.models.loc[name, "verdict"] == "identical"


def test_no_log_is_larger_than_its_limit(audit_of_many):
    logs = audit_of_many.results.parent / "logs"
    assert max(file.stat().st_size for file in logs.rglob("*.log")) < 32 * 2**20


def test_the_audit_counts_every_model(audit_of_many):
    counts = json.loads((audit_of_many.results / "audit.json").read_text())["counts"]
    assert {verdict: count for verdict, count in counts.items() if count} == {
        "identical": MODELS - len(BROKEN),
        "error": len(BROKEN),
    }
