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

KILLS = 6


def start(workspace: Workspace, log: str = "output.txt") -> subprocess.Popen[bytes]:
    """Start Snakemake in a session of its own, so that it can be killed with or without its jobs."""
    return workspace.start(workspace.folder / log, "--cores", "2")


def wait_for(running: subprocess.Popen[bytes], *signs: str, folder: Path) -> bool:
    """Wait until a run has left one of its signs; whether it still runs then."""
    while running.poll() is None and not any(next(folder.glob(sign), None) for sign in signs):
        time.sleep(0.02)
    return running.poll() is None


def test_an_audit_that_was_killed_again_and_again_ends_with_the_same_bytes(
    finished_workspace: Workspace, tmp_path: Path
) -> None:
    """Half of the time while it plans or starts jobs, half of the time while these work; then on one core alone."""
    workspace = Workspace(tmp_path / "audit")
    workspace.configure(config_with_a_failure())
    moments = random.Random(0)
    killed = 0
    for number in range(KILLS):
        running = start(workspace)
        if number % 4 < 2 or wait_for(running, "scripts/*", folder=workspace.folder / ".snakemake"):
            time.sleep(moments.uniform(0.5, 3.5))
        if running.poll() is None:
            killed += 1
            if number % 2:  # its jobs live on, and meet those of the next
                running.kill()
            else:
                os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        shutil.rmtree(workspace.folder / ".snakemake/locks", ignore_errors=True)  # what `--unlock` does, in seconds
        if (workspace.folder / "results/report.html").exists():
            (workspace.folder / "results").rename(tmp_path / f"results-{number}")  # it was faster: once more
    assert killed >= KILLS / 2
    run = workspace.snakemake(cores=1)
    assert run.status == 0, run.output
    assert workspace.tables() == finished_workspace.tables()


def test_a_second_snakemake_in_the_same_folder_is_refused(finished_workspace: Workspace, tmp_path: Path) -> None:
    workspace = finished_workspace.copy(tmp_path / "audit")
    (workspace.folder / "results/report.html").unlink()
    first = start(workspace)
    try:
        assert wait_for(first, "locks/*", folder=workspace.folder / ".snakemake")
        os.killpg(first.pid, signal.SIGSTOP)  # it must not end before the second has begun
        second = workspace.snakemake()
        assert second.status != 0
        assert "lock" in second.output
    finally:
        os.killpg(first.pid, signal.SIGCONT)
        assert first.wait(timeout=300) == 0
    assert workspace.tables() == finished_workspace.tables()
