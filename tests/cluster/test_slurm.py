"""The workflow on a real Slurm: both profiles give the bytes that a local run gives, whatever happens to their jobs."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reload_audit.jobs.train import train_model
from reload_audit.records.specs import Limits
from support.builders import experiment, training_spec
from support.slurm import Slurm, why_not
from support.snakemake_runs import Workspace, small_config

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

WANTED = "TEST_SLURM"

TABLES = ("models.csv", "models.parquet", "conditions.parquet", "episodes.parquet", "summary.txt", "flagged.csv")

ENVIRONMENT = "limits:ExceedsLimits"
CONFIG = small_config(
    experiment(name="healthy", env=ENVIRONMENT, seeds=[0, 1]),
    experiment(name="slow", env=ENVIRONMENT, resources={"runtime": 2}),  # still runs when Snakemake starts again
    experiment(name="greedy", env=ENVIRONMENT, resources={"mem_mb": 1600}),
    runs=[{"folder": "found", "env": ENVIRONMENT}],
    python_path=["tests/environments"],
)

QUICK = ("--latency-wait", "10")
PLUGIN = ("--workflow-profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "3", *QUICK)
SBATCH = ("--workflow-profile", "profiles/sbatch", "--seconds-between-status-checks", "1", *QUICK)


@dataclass(frozen=True)
class Audit:
    """A finished run, and all that was printed."""

    status: int
    output: str
    results: Path


@dataclass(frozen=True)
class Audits:
    local: Audit
    plugin: Audit
    sbatch: Audit


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    if not os.environ.get(WANTED):
        pytest.skip(f"takes root and the machine for minutes: set {WANTED}=1")
    reason = why_not()
    if reason is not None:
        pytest.fail(reason)
    cluster = Slurm(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def finished_audits(slurm: Slurm, tmp_path_factory: pytest.TempPathFactory) -> Audits:
    """Finished audits: local, and on Slurm with either profile, run at the same time because most of it is waiting."""
    folder = tmp_path_factory.mktemp("audits")
    found = folder / "found"
    train_model(training_spec(env="planted:Draws"), found / "recorded", folder / "log", "", Limits(120, 4096))
    (found / "plain").mkdir()
    shutil.copy(found / "recorded/model.zip", found / "plain/ppo.zip")
    workspaces = {name: Workspace(folder / name) for name in ("local", "plugin", "sbatch")}
    for workspace in workspaces.values():
        workspace.configure(CONFIG)
        shutil.copytree(found, workspace.folder / "found")
    with ThreadPoolExecutor() as pool:
        sbatch = pool.submit(run_with_faults, workspaces["sbatch"], slurm)
        plugin = pool.submit(run, workspaces["plugin"], *PLUGIN)
        local = pool.submit(run, workspaces["local"], "--cores", "1")
        return Audits(local.result(), plugin.result(), sbatch.result())


def run(workspace: Workspace, *arguments: str) -> Audit:
    log = workspace.folder / "run.log"
    process = workspace.start(log, *arguments)
    try:
        status = process.wait(timeout=400)
    finally:
        process.kill()
    return Audit(status, log.read_text(), workspace.folder / "results")


def run_with_faults(workspace: Workspace, slurm: Slurm) -> Audit:
    """One job is cancelled, one requeued; slurmctld, a slurmd and Snakemake are restarted; a node is drained."""
    log = workspace.folder / "interrupted.log"
    interrupted = workspace.start(log, *SBATCH)
    try:
        slurm.cancel(until(lambda: slurm.running("train.healthy-seed0-n1"), "a job to cancel").number)
        slurm.requeue(until(lambda: slurm.running("train.healthy-seed1-n1"), "a job to requeue").number)
        slow = until(lambda: slurm.running("train.slow-seed0-n1"), "the slow job")
        until(lambda: "CANCELLED" in log.read_text(), "a failed job")
        slurm.restart_controller()
        slurm.restart_node(slow.node)
    finally:
        interrupted.kill()
        interrupted.wait()
    assert workspace.snakemake("--unlock").status == 0
    slurm.drain(slow.node)
    finished = run(workspace, *SBATCH)
    return Audit(finished.status, log.read_text() + finished.output, finished.results)


def until(happened: Callable[[], Any], what: str, seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while not (value := happened()):
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:g} seconds for {what}")
        time.sleep(0.2)
    return value


@pytest.mark.parametrize("profile", ["plugin", "sbatch"])
def test_a_cluster_gives_every_byte_that_a_local_run_gives(profile, finished_audits):
    audit = getattr(finished_audits, profile)
    assert finished_audits.local.status == 0, finished_audits.local.output
    assert audit.status == 0, audit.output
    for table in TABLES:
        assert (audit.results / table).read_bytes() == (finished_audits.local.results / table).read_bytes(), table


def test_models_of_all_kinds_were_audited(finished_audits):
    models = (finished_audits.local.results / "models.csv").read_text()
    for model in ("healthy-seed0-n1", "healthy-seed1-n1", "slow-seed0-n1", "greedy-seed0-n1", "recorded", "plain/ppo"):
        assert f"\n{model}," in models


def test_why_a_job_ended_is_reported(finished_audits):
    assert ": CANCELLED\n" in finished_audits.sbatch.output
    assert ": TIMEOUT\n" in finished_audits.sbatch.output


def test_a_job_that_outlived_its_snakemake_is_not_submitted_again(finished_audits):
    assert re.search(
        r"^train.slow-seed0-n1: Slurm job \d+ does this already$", finished_audits.sbatch.output, re.MULTILINE
    )


def test_a_job_that_was_killed_for_memory_asks_for_more(finished_audits):
    """Also where Slurm reports the kill while Snakemake is being restarted."""
    workspace = finished_audits.sbatch.results.parent
    assert {file.name for file in workspace.glob("greedy-*")} == {"greedy-with-1600-MB", "greedy-with-3200-MB"}
