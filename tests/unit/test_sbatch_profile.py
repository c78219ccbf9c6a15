"""The commands of profiles/sbatch, with a Slurm that answers what the test wants."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from support.builders import ROOT

PROFILE = ROOT / "profiles/sbatch"


class Slurm:
    """Commands in a folder of their own, each with what it answers, one answer a call; the last stays."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = folder / "calls"
        folder.mkdir()

    def answers(self, command: str, *answers: tuple[str, str, int]) -> None:
        """Standard output, standard error and exit status."""
        for number, (output, error, status) in enumerate(answers):
            (self.folder / f"{command}.{number}").write_text(json.dumps([output, error, status]))
        path = self.folder / command
        path.write_text(
            f"#!{sys.executable}\n"
            "import json, sys, pathlib\n"
            "here = pathlib.Path(__file__)\n"
            f"print(json.dumps([here.name, *sys.argv[1:]]), file=open({str(self.calls)!r}, 'a'))\n"
            "answers = sorted(here.parent.glob(here.name + '.*'))\n"
            "output, error, status = json.loads(answers[0].read_text())\n"
            "len(answers) > 1 and answers[0].unlink()\n"
            "sys.stdout.write(output); sys.stderr.write(error); sys.exit(status)\n"
        )
        path.chmod(0o755)

    def called(self, command: str) -> list[list[str]]:
        calls = [json.loads(line) for line in self.calls.read_text().splitlines()]
        return [arguments for name, *arguments in calls if name == command]


@pytest.fixture
def fake_slurm(tmp_path: Path) -> Slurm:
    return Slurm(tmp_path / "bin")


def run(slurm: Slurm, script: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, PROFILE / script, *arguments],
        cwd=slurm.folder.parent,
        env={**os.environ, "PATH": str(slurm.folder)},
        capture_output=True,
        text=True,
        timeout=60,
    )


AWAY = ("", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n", 1)
UNKNOWN = ("", "slurm_load_jobs error: Invalid job id specified\n", 1)
FORGOTTEN = ("", "", 0)
NO_DATABASE = ("", "Slurm accounting storage is disabled\n", 1)

STATES = {
    "waiting": ("running", [("PENDING|Priority\n", "", 0)], None),
    "running": ("running", [("RUNNING|None\n", "", 0)], None),
    "ending": ("running", [("COMPLETING|None\n", "", 0)], None),
    "requeued": ("running", [("REQUEUED|None\n", "", 0)], None),
    "suspended": ("running", [("SUSPENDED|None\n", "", 0)], None),
    "ended": ("success", [("COMPLETED|None\n", "", 0)], None),
    "cancelled": ("failed", [("CANCELLED|None\n", "", 0)], None),
    "preempted for good": ("failed", [("PREEMPTED|None\n", "", 0)], None),
    "lost with its node": ("failed", [("NODE_FAIL|None\n", "", 0)], None),
    "killed for time": ("failed", [("TIMEOUT|TimeLimit\n", "", 0)], None),
    "killed for memory": ("failed", [("OUT_OF_MEMORY|OutOfMemory\n", "", 0)], None),
    "unknown while slurmctld is away": ("running", [AWAY], None),
    "forgotten, in the database": ("success", [UNKNOWN], ("COMPLETED\n", "", 0)),
    "forgotten without an error": ("success", [FORGOTTEN], ("COMPLETED\n", "", 0)),
    "forgotten, cancelled by somebody": ("failed", [UNKNOWN], ("CANCELLED by 1000\n", "", 0)),
    "forgotten, not in the database either": ("failed", [UNKNOWN], ("", "", 0)),
    "forgotten, without a database": ("failed", [UNKNOWN], NO_DATABASE),
    "forgotten, without sacct": ("failed", [UNKNOWN], None),
}


@pytest.mark.parametrize("case", STATES)
def test_the_state_of_a_job_is_reported_to_snakemake(case, fake_slurm):
    expected, squeue, sacct = STATES[case]
    fake_slurm.answers("squeue", *squeue)
    if sacct is not None:
        fake_slurm.answers("sacct", sacct)
    done = run(fake_slurm, "status.py", "7")
    assert (done.stdout, done.returncode) == (f"{expected}\n", 0)


def test_an_unreachable_slurm_does_not_end_the_workflow(fake_slurm):
    done = run(fake_slurm, "status.py", "7")
    assert (done.stdout, done.returncode) == ("running\n", 0)


def test_why_a_job_failed_is_reported(fake_slurm):
    fake_slurm.answers("squeue", ("TIMEOUT|TimeLimit\n", "", 0))
    assert run(fake_slurm, "status.py", "7").stderr == "Slurm job 7: TIMEOUT\n"
    fake_slurm.answers("squeue", AWAY)
    assert "Unable to contact slurm controller" in run(fake_slurm, "status.py", "7").stderr


@pytest.mark.parametrize("reason", ["PartitionTimeLimit", "JobHeldUser", "launch failed requeued held"])
def test_a_job_that_needs_somebody_to_act_is_reported_once_a_minute(reason, monkeypatch, capsys):
    status = module("status")
    monkeypatch.setattr(status, "ask", lambda *command: f"PENDING|{reason}\n")
    for second in range(0, 120, 10):
        monkeypatch.setattr(status.time, "time", lambda second=second: float(second))
        assert status.status("7") == "running"
    assert capsys.readouterr().err.count(reason) == 2


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, PROFILE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


JOB = {
    "rule": "train",
    "wildcards": {"model": "ppo-seed0-n1"},
    "input": [],
    "output": ["results/trained/ppo-seed0-n1"],
    "params": {"spec": {"seed": 0}},
    "threads": 2,
    "resources": {"mem_mb": 2000, "runtime": 60, "tmpdir": "/tmp"},  # noqa: S108
}


def submitted(slurm: Slurm, **changes: Any) -> subprocess.CompletedProcess:
    script = slurm.folder.parent / "script.sh"
    script.write_text(f"#!/bin/sh\n# properties = {json.dumps({**JOB, **changes})}\ntrue\n")
    return run(slurm, "submit.py", str(script))


def test_a_job_asks_for_what_its_rule_says(fake_slurm):
    fake_slurm.answers("squeue", ("", "", 0))
    fake_slurm.answers("sbatch", ("12;main\n", "", 0))
    wanted = {"slurm_partition": "gpu", "slurm_account": "me", "gpu": 1, "slurm_extra": "--nice=10 --exclude='n1,n2'"}
    assert submitted(fake_slurm, resources=JOB["resources"] | wanted).stdout == "12\n"
    ((*options, script),) = fake_slurm.called("sbatch")
    for option in ("--mem=2000", "--time=60", "--cpus-per-task=2", "--partition=gpu", "--account=me", "--gpus=1"):
        assert option in options
    assert options[-2:] == ["--nice=10", "--exclude=n1,n2"]
    assert script.endswith("script.sh")


def test_a_job_that_is_pending_or_running_is_not_submitted_again(fake_slurm):
    content = module("submit").digest(JOB)
    fake_slurm.answers("squeue", (f"11|{content}|{fake_slurm.folder.parent}\n", "", 0))
    done = submitted(fake_slurm)
    assert done.stdout == "11\n"
    assert "Slurm job 11 does this already" in done.stderr


def test_a_job_of_another_folder_is_another_job(fake_slurm):
    fake_slurm.answers("squeue", (f"11|{module('submit').digest(JOB)}|/elsewhere\n", "", 0))
    fake_slurm.answers("sbatch", ("12\n", "", 0))
    assert submitted(fake_slurm).stdout == "12\n"


@pytest.mark.parametrize("changes", [{"params": {"spec": {"seed": 1}}}, {"input": ["script.sh"]}])
def test_a_job_for_the_same_output_with_other_parameters_is_cancelled_first(changes, fake_slurm):
    """Its parameters or the time of its input are no longer those of the configuration."""
    content = module("submit").digest(JOB)
    fake_slurm.answers("squeue", (f"11|{content}|{fake_slurm.folder.parent}\n", "", 0), ("", "", 0))
    fake_slurm.answers("scancel", ("", "", 0))
    fake_slurm.answers("sbatch", ("12\n", "", 0))
    assert submitted(fake_slurm, **changes).stdout == "12\n"
    assert fake_slurm.called("scancel") == [["11"]]


def test_another_memory_request_does_not_make_it_another_job():
    submit = module("submit")
    assert submit.digest(JOB) == submit.digest({**JOB, "threads": 8, "resources": {"mem_mb": 9000}, "jobid": 3})


def test_jobs_whose_inputs_are_not_listed_are_never_taken_for_the_same():
    submit = module("submit")
    assert submit.digest({**JOB, "input": None}) != submit.digest({**JOB, "input": None})


def test_an_unreachable_slurmctld_is_waited_for(fake_slurm, monkeypatch, capsys):
    submit = module("submit")
    monkeypatch.setattr(submit.time, "sleep", lambda seconds: None)
    monkeypatch.setenv("PATH", str(fake_slurm.folder))
    fake_slurm.answers("sbatch", ("", "sbatch: error: Unable to contact slurm controller\n", 1), ("12\n", "", 0))
    assert submit.ask("sbatch") == "12"
    assert "Unable to contact" in capsys.readouterr().err


def test_a_refused_submission_is_reported_with_slurm_s_words(fake_slurm):
    fake_slurm.answers("squeue", ("", "", 0))
    fake_slurm.answers("sbatch", ("", "sbatch: error: invalid partition specified: nowhere\n", 1))
    done = submitted(fake_slurm)
    assert done.returncode == 1
    assert "invalid partition specified: nowhere" in done.stderr
    assert "Traceback" not in done.stderr
