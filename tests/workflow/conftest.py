"""An audit that ran to its end, for tests that disturb one and compare."""

from __future__ import annotations

import pytest

from support.snakemake_runs import Workspace, finished_audit


@pytest.fixture(scope="module")
def finished_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """An undisturbed audit of :func:`support.snakemake_runs.config_with_a_failure`; each file of tests has its own."""
    return finished_audit(tmp_path_factory.mktemp("finished") / "audit")
