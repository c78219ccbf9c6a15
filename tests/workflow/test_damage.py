"""Disks that fill up or fail, results that were truncated or edited, clocks that jump: noticed, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.snakemake_runs import Run, Workspace, config_with_a_failure

pytestmark = pytest.mark.slow

RECORD = "results/reloaded/healthy-seed0-n1.json"
TRAINED = "results/trained/healthy-seed0-n2"
MODELS = "results/models.csv"
HALF = (
    "trained/healthy-seed0-n1",
    "trained/.batches/healthy-seed0-n1.json",
    "trained/healthy-seed0-n2",
    "trained/.batches/healthy-seed0-n2.json",
    "reloaded/healthy-seed0-n1.json",
    "reloaded/.batches/healthy-seed0-n1.json",
)
"""What an audit of two models and a failure has written when it has reloaded one of them."""


@pytest.fixture(scope="module")
def undisturbed_tables(finished_workspace: Workspace) -> dict[str, bytes]:
    return finished_workspace.tables()


# --- Results that are not what was written ---------------------------------------------------------------------------


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def replace_text(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_truncated_or_edited_results_are_noticed_and_made_again(finished_workspace, undisturbed_tables):
    truncate(finished_workspace.folder / RECORD)
    replace_text(finished_workspace.folder / MODELS, "identical", "identicai")
    truncate(finished_workspace.folder / TRAINED / "model.zip")
    planned = finished_workspace.snakemake("--dry-run")
    run = finished_workspace.snakemake()
    assert run.status == 0, run.output
    for output in (planned.output, run.output):
        for path, difference in (
            (RECORD, "bytes instead of"),
            (MODELS, "other content"),
            (TRAINED, "bytes instead of"),
        ):
            assert any(path in line and difference in line for line in output.splitlines()), output
    assert planned.jobs == run.jobs
    assert run.jobs == {"train": 1, "reload": 2, "aggregate": 1, "report": 1, "summarize": 1, "all": 1}
    assert finished_workspace.tables() == undisturbed_tables
    assert "Nothing to be done" in finished_workspace.snakemake().output


def test_results_with_new_time_stamps_alone_are_unchanged(finished_workspace):
    """As after copying the folder."""
    now = time.time()
    for path in sorted((finished_workspace.folder / "results").rglob("*"), key=lambda path: path.stat().st_mtime_ns):
        now += 0.01
        os.utime(path, (now, now))
    assert "Changed since" not in finished_workspace.snakemake("--dry-run").output


def test_edited_results_can_be_kept_with_touch(finished_workspace, undisturbed_tables):
    replace_text(finished_workspace.folder / MODELS, "identical", "identicai")
    assert finished_workspace.snakemake("--touch").status == 0
    assert "Changed since" not in finished_workspace.snakemake("--dry-run").output
    replace_text(finished_workspace.folder / MODELS, "identicai", "identical")
    assert finished_workspace.snakemake().status == 0
    assert finished_workspace.tables() == undisturbed_tables


def test_damage_after_an_interrupted_run_is_made_again(finished_workspace, undisturbed_tables):
    """As after a power failure, which leaves no record of what was written."""
    (finished_workspace.folder / "results/.written.json").unlink()
    truncate(finished_workspace.folder / RECORD)
    (finished_workspace.folder / TRAINED / "model.zip").unlink()
    run = finished_workspace.snakemake()
    assert run.status == 0, run.output
    assert {rule: run.jobs[rule] for rule in ("train", "reload")} == {"train": 1, "reload": 2}
    assert finished_workspace.tables() == undisturbed_tables


def test_a_missing_table_is_made_again(finished_workspace, undisturbed_tables):
    (finished_workspace.folder / "results/audit.json").unlink()
    assert set(finished_workspace.snakemake().jobs) == {"aggregate", "report", "summarize", "all"}
    assert finished_workspace.tables() == undisturbed_tables


# --- Disks -----------------------------------------------------------------------------------------------------------


class Disk:
    """A small file system for the results of a workspace, which can be filled and made read-only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()

    def mount(self, options: str) -> bool:
        return self._run(f"mount -t tmpfs -o {options} none") == 0

    def remount(self, options: str) -> None:
        tries = 200  # while a file is open for writing, a disk cannot become read-only
        while self._run(f"mount -o remount,{options}") != 0:
            tries -= 1
            assert tries > 0
            time.sleep(0.02)

    def unmount(self) -> None:
        self._run("umount --lazy")

    def _run(self, command: str) -> int:
        return subprocess.run([*command.split(), self._folder], check=False).returncode


@pytest.fixture
def configured_workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "audit")
    workspace.configure(config_with_a_failure())
    return workspace


@pytest.fixture
def results_disk(configured_workspace: Workspace) -> Iterator[Disk]:
    disk = Disk(configured_workspace.folder / "results")
    if not disk.mount("size=100m"):
        pytest.skip("only root can mount a disk that is small, or fails")
    try:
        yield disk
    finally:
        disk.unmount()


def trained(workspace: Workspace) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in workspace.folder.glob("results/trained/[!.]*")}


def says_why(run: Run, why: str) -> bool:
    return run.status != 0 and why in run.output


def test_a_full_disk_is_reported_and_loses_no_finished_result(configured_workspace, results_disk, undisturbed_tables):
    finished: dict[str, int] = {}
    for kibibytes in (100, 600):
        results_disk.remount(f"size={kibibytes}k")
        run = configured_workspace.snakemake()
        assert says_why(run, "No space left on device"), run.output
        assert finished.items() <= trained(configured_workspace).items()
        finished = trained(configured_workspace)
    assert finished
    results_disk.remount("size=100m")
    run = configured_workspace.snakemake()
    assert run.status == 0, run.output
    assert finished.items() <= trained(configured_workspace).items()
    assert configured_workspace.tables() == undisturbed_tables


def test_a_disk_that_becomes_read_only_loses_no_finished_result(configured_workspace, results_disk, undisturbed_tables):
    log = configured_workspace.folder / "interrupted.txt"
    running = configured_workspace.start(log, "--cores", "1")
    while running.poll() is None and not list((configured_workspace.folder / "results").glob("reloaded/*.json")):
        time.sleep(0.05)
    results_disk.remount("ro")
    assert running.wait(timeout=300) != 0
    assert "Read-only file system" in log.read_text()
    results_disk.remount("rw")
    before = trained(configured_workspace)
    run = configured_workspace.snakemake()
    assert run.status == 0, run.output
    assert before.items() <= trained(configured_workspace).items()
    assert configured_workspace.tables() == undisturbed_tables


# --- Clocks ----------------------------------------------------------------------------------------------------------


def test_a_clock_that_was_wrong_during_half_of_an_audit_changes_no_result(
    finished_workspace, undisturbed_tables, tmp_path
):
    """Two days ahead while one model was trained and reloaded, and two days behind while the next was trained."""
    workspace = finished_workspace.copy(tmp_path / "audit")
    results, half = workspace.folder / "results", tmp_path / "half/results"
    for path in HALF:
        (half / path).parent.mkdir(parents=True, exist_ok=True)
        (results / path).rename(half / path)
    shutil.rmtree(results)
    half.rename(results)
    for path in results.rglob("*"):
        moment = path.stat().st_mtime + 86_400 * (-2 if "-n2" in str(path) else 2)
        os.utime(path, (moment, moment))
    run = workspace.snakemake()
    assert run.status == 0, run.output
    assert (run.jobs["train"], run.jobs["reload"]) == (1, 2)
    assert workspace.tables() == undisturbed_tables
