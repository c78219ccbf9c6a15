"""A Snakemake that was killed and started again submits what still runs: two jobs then write the same files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reload_audit.results.aggregate import aggregate
from support.builders import CRITERIA, ROOT

pytestmark = pytest.mark.slow

TABLES = ("models.csv", "models.parquet", "conditions.parquet", "episodes.parquet")
WRITTEN = ("trained/manifest.json", "trained/evaluations.json", "trained/model.zip", "reloaded.json", "found.json")

JOBS = """
from pathlib import Path
from support.builders import CRITERIA, training_spec
from support.external_audits import external_plan
from reload_audit.jobs.external import audit_batch
from reload_audit.jobs.reload import reload_model
from reload_audit.jobs.train import train_model
from reload_audit.records.specs import ExternalPolicy, Limits, ReloadSpec

log = Path("log")
reload = ReloadSpec(n_envs=(2,), other_vec_env=False, isolation="forkserver", timeout=60, memory=4096)
train_model(training_spec(normalize=True), Path("trained"), log, "code", Limits(120, 4096))
reload_model(Path("trained"), Path("reloaded.json"), log, reload, CRITERIA)

plan = external_plan(Path("audit"), runs=[{"folder": "trained", "env": "planted:Draws"}])
models = [model.to_dict() for model in plan.external.values()]
audit_batch(models, Path("found.json"), log, ExternalPolicy.from_dict(plan.external_policy), reload, CRITERIA)
"""


def start(folder: Path) -> subprocess.Popen:
    """Train a model, reload it, and audit it as an external model."""
    path = os.pathsep.join(str(ROOT / part) for part in ("workflow/scripts", "examples", "tests", "tests/environments"))
    folder.mkdir(exist_ok=True)
    return subprocess.Popen([sys.executable, "-c", JOBS], cwd=folder, env={**os.environ, "PYTHONPATH": path})


def tables(folder: Path) -> dict[str, bytes]:
    aggregate([folder / "reloaded.json", folder / "found.json"], CRITERIA, {}, folder / "results")
    return {table: (folder / "results" / table).read_bytes() for table in TABLES}


def test_two_jobs_that_write_the_same_files_give_what_one_gives(tmp_path):
    alone = start(tmp_path / "alone")
    assert alone.wait(300) == 0
    twins = [start(tmp_path / "twins") for _ in range(2)]
    seen: set[str] = set()
    running = True
    while running:
        running = any(twin.poll() is None for twin in twins)  # what they wrote last is looked at, too
        for name in WRITTEN:
            file = tmp_path / "twins" / name
            assert file.exists() or name not in seen, f"{name} was there, and is gone"
            if file.exists():
                seen.add(name)
                assert file.suffix == ".zip" or json.loads(file.read_text())
        time.sleep(0.01)
    assert [twin.returncode for twin in twins] == [0, 0]
    assert seen == set(WRITTEN)
    assert tables(tmp_path / "twins") == tables(tmp_path / "alone")
    assert not [path for path in (tmp_path / "twins").iterdir() if path.name.startswith(".trained.")]
