"""An audit that ran to its end, for tests that disturb one and compare."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from support.snakemake_runs import Workspace, finished_audit


@pytest.fixture(scope="module")
def finished_workspace(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Workspace:
    """A copy of an undisturbed audit of :func:`support.snakemake_runs.config_with_a_failure` for each file of tests.

    The audit is made once, by the worker that wants it first.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "finished-audit"
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        finished = Workspace(folder) if Path(f"{folder}.ready").exists() else finished_audit(folder)
        Path(f"{folder}.ready").touch()
    return finished.copy(tmp_path_factory.mktemp("finished") / "audit")
