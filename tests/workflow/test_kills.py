"""Killed at any moment and started again, an audit ends with the very results of one that nothing disturbed."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from builders import experiment
from snakemake_runs import Workspace, small_config

pytestmark = pytest.mark.slow

KILLS = 20
TABLES = ("episodes.parquet", "conditions.parquet", "models.csv", "audit.json", "summary.txt", "junit.xml")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("undisturbed") / "audit")
    configure(workspace)
    run = workspace.snakemake()
    assert run.status == 0, run.output
    return workspace


def configure(workspace: Workspace) -> None:
    workspace.configure(
        small_config(
            experiment(name="healthy", normalize=True, n_envs=[1, 2]),
            experiment(name="falls", env="planted:RaisesInTraining"),
        )
    )


def tables(workspace: Workspace) -> dict[str, bytes]:
    return {name: (workspace.folder / "results" / name).read_bytes() for name in TABLES}


def start(workspace: Workspace) -> subprocess.Popen[bytes]:
    """Snakemake in a session of its own, so that it can be killed with or without its jobs."""
    with open(workspace.folder / "output.txt", "ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", "--cores", "2"],
            cwd=workspace.folder,
            env={**os.environ, "PYTHONPATH": ""},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def test_killed_at_twenty_moments_it_ends_with_the_same_bytes(undisturbed: Workspace, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "audit")
    configure(workspace)
    moments = random.Random(0)
    killed = 0
    for number in range(KILLS):
        running = start(workspace)
        time.sleep(moments.uniform(0.5, 6.0))
        if running.poll() is None:
            killed += 1
            if number % 2:  # its jobs live on, and meet those of the next
                running.kill()
            else:
                os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        assert workspace.snakemake("--unlock").status == 0
        if (workspace.folder / "results/report.html").exists():
            shutil.rmtree(workspace.folder / "results")  # it was faster: once more
    assert killed >= KILLS / 2
    run = workspace.snakemake()
    assert run.status == 0, run.output
    assert tables(workspace) == tables(undisturbed)


def test_a_second_snakemake_in_the_same_folder_is_told_so(undisturbed: Workspace, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "audit")
    configure(workspace)
    first = start(workspace)
    try:
        deadline = time.monotonic() + 60
        while not list((workspace.folder / ".snakemake").glob("locks/*")) and time.monotonic() < deadline:
            time.sleep(0.1)
        second = workspace.snakemake()
        assert second.status != 0
        assert "lock" in second.output
    finally:
        first.wait(timeout=300)
    assert tables(workspace) == tables(undisturbed)


def test_a_table_that_is_gone_is_made_again(undisturbed: Workspace) -> None:
    before = tables(undisturbed)
    (undisturbed.folder / "results/audit.json").unlink()
    assert set(undisturbed.snakemake().jobs) == {"aggregate", "report", "summarize", "all"}
    assert tables(undisturbed) == before


def test_a_folder_that_can_no_longer_be_written_to_loses_nothing(undisturbed: Workspace, tmp_path: Path) -> None:
    """As on a full disk: the jobs say why they failed, and what was finished counts the next time."""
    workspace = Workspace(tmp_path / "audit")
    configure(workspace)
    blocked = workspace.folder / "results/reloaded"
    blocked.parent.mkdir()
    blocked.write_text("a file where a folder has to be")
    run = workspace.snakemake()
    assert run.status != 0
    assert "reloaded" in run.output
    trained = {path.name: path.stat().st_mtime_ns for path in (workspace.folder / "results/trained").iterdir()}
    assert len(trained) == 3
    with contextlib.suppress(FileNotFoundError):
        blocked.unlink()
    assert workspace.snakemake().status == 0
    assert trained == {path.name: path.stat().st_mtime_ns for path in (workspace.folder / "results/trained").iterdir()}
    assert tables(workspace) == tables(undisturbed)
