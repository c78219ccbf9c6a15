"""Killed at any moment and started again, an audit ends with the very results of one that nothing disturbed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support.snakemake_runs import Workspace, config_with_a_failure

pytestmark = pytest.mark.slow

KILLS = 20


def start(workspace: Workspace) -> subprocess.Popen[bytes]:
    """Start Snakemake in a session of its own, so that it can be killed with or without its jobs."""
    return workspace.start(workspace.folder / "output.txt", "--cores", "2")


def test_an_audit_that_was_killed_twenty_times_ends_with_the_same_bytes(
    finished_workspace: Workspace, tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path / "audit")
    workspace.configure(config_with_a_failure())
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
    assert workspace.tables() == finished_workspace.tables()


def test_a_second_snakemake_in_the_same_folder_is_refused(finished_workspace: Workspace, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "audit")
    workspace.configure(config_with_a_failure())
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
    assert workspace.tables() == finished_workspace.tables()
