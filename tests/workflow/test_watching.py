"""Who watches an audit sees how far it is, on a terminal, in a file and on a page; who looks later finds every line."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from support.builders import experiment
from support.snakemake_runs import Run, Workspace, logs, small_config

pytestmark = pytest.mark.slow

A_JOB = r"(Training|Reloading|Probing) \S+"
"""A line for a job that is under way; the trainings may be over before one is shown."""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, str, str]:
    """An audit that was killed while its models were trained; what a terminal showed of it, and its page."""
    workspace = Workspace(tmp_path_factory.mktemp("watched") / "audit")
    workspace.configure(
        small_config(
            experiment(name="healthy", normalize=True), experiment(name="falls", env="failing:RaisesInTraining")
        )
    )
    page = workspace.folder / "results/progress.html"
    ours, theirs = os.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "2"],
        cwd=workspace.folder,
        env={**os.environ, "PYTHONPATH": "", "TERM": "xterm", "COLUMNS": "100"},
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown: list[bytes] = []
    reading = threading.Thread(target=read_all, args=(ours, shown))
    reading.start()
    deadline = time.monotonic() + 300
    while running.poll() is None and time.monotonic() < deadline:
        if b"error" in b"".join(shown) and re.search(A_JOB, b"".join(shown).decode(errors="ignore")):
            break
        time.sleep(0.1)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    reading.join(60)
    os.close(ours)
    return workspace, b"".join(shown).decode(), page.read_text()


def read_all(terminal: int, shown: list[bytes]) -> None:
    with contextlib.suppress(OSError):  # nobody has it open any more
        while content := os.read(terminal, 2**16):
            shown.append(content)


@pytest.fixture(scope="module")
def finished(killed: tuple[Workspace, str, str]) -> tuple[Run, Path]:
    """The same audit, run to its end where no terminal is, and its folder."""
    workspace, _, _ = killed
    assert workspace.snakemake("--unlock").status == 0
    run = workspace.snakemake()
    assert run.status == 0, run.output
    return run, workspace.folder


def test_a_terminal_shows_how_far_each_kind_of_work_is_and_failures_at_once(killed):
    _, shown, _ = killed
    assert re.search(r"trained.*[01]/2 models", shown)
    assert re.search(A_JOB, shown)
    assert re.search(r"falls-seed0-n1: .*error.*in training: RuntimeError: the simulator went away", shown)
    assert "Reason:" not in shown


def test_the_page_of_a_killed_run_goes_on_reloading_and_knows_when_it_was_written(killed):
    _, _, page = killed
    assert "has been running" in page
    assert 'http-equiv="refresh"' in page
    assert abs(time.time() - float(re.search(r"Date\.now\(\) / 1000 - (\d+)", page)[1])) < 600


def test_where_no_terminal_is_there_are_plain_lines_and_the_summary_once_and_last(finished):
    run, folder = finished
    assert "\x1b" not in run.output
    assert re.search(r"^healthy-seed0-n1: identical$", run.output, re.MULTILINE)
    assert re.search(r"^\d+:\d\d  trained \d/2, reloaded \d/2, probed \d/2", run.output, re.MULTILINE)
    assert not re.search(r"Reason:|Finished jobid|Select jobs|Job stats|SNAKEMAKE", run.output)
    summary = (folder / "results/summary.txt").read_text()
    assert run.output.count(summary) == 1
    assert run.output.rstrip().endswith(summary.rstrip())


def test_nothing_of_what_snakemake_says_is_lost(finished):
    _, folder = finished
    log = logs(folder)[-1].read_text()
    assert all(said in log for said in ("Reason: ", "Finished jobid: ", "Job stats:", "(100%) done"))


def test_the_page_of_a_finished_run_leads_to_the_report(finished):
    _, folder = finished
    page = (folder / "results/progress.html").read_text()
    assert "The audit is finished" in page
    assert 'href="report.html"' in page
    assert "2 of 2 models" in page
    assert "refresh" not in page


def test_a_dry_run_and_a_quiet_one_print_what_they_always_did(finished):
    _, folder = finished
    workspace = object.__new__(Workspace)
    workspace.folder = folder
    planned = workspace.snakemake("--dry-run", "--forcerun", "summarize")
    assert "Job stats:" in planned.output
    assert "Reason: Forced execution" in planned.output
    (folder / "results/summary.txt").unlink()
    quiet = workspace.snakemake("--quiet", "all")
    assert quiet.status == 0
    assert "reloaded" not in quiet.output
