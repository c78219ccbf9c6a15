"""Kills for want of memory count against the job where the cluster enforces what the job asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from reload_audit.processes.job_memory import is_limited_to, kills

MIB = 2**20


@pytest.fixture(params=["version 1", "version 2"])
def machine_root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A machine with a job of Slurm: the job is limited to 1000 MiB, its task, where the processes are, is not."""
    (tmp_path / "proc/self").mkdir(parents=True)
    if request.param == "version 1":
        lines, mount = "9:pids:/\n4:memory:/slurm/job_7/task_0\n0::/\n", tmp_path / "sys/fs/cgroup/memory"
        limit, events, unlimited = "memory.limit_in_bytes", "memory.oom_control", str(2**63 - 4096)
        counts = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"
    else:
        lines, mount = "0::/slurm/job_7/task_0\n", tmp_path / "sys/fs/cgroup"
        limit, events, unlimited = "memory.max", "memory.events", "max"
        counts = "low 0\nhigh 0\nmax 12\noom 4\noom_kill 3\noom_group_kill 0\n"
    (tmp_path / "proc/self/cgroup").write_text(lines)
    task = mount / "slurm/job_7/task_0"
    task.mkdir(parents=True)
    (task / events).write_text(counts)
    (task / limit).write_text(f"{unlimited}\n")
    (task.parent / limit).write_text(f"{1000 * MIB}\n")
    return tmp_path


def test_kills_for_want_of_memory_are_counted(machine_root):
    assert kills(machine_root) == 3


def test_a_limit_counts_only_if_it_is_not_wider_than_what_the_job_asked_for(machine_root):
    assert is_limited_to(1000, machine_root)
    assert not is_limited_to(500, machine_root)  # that of a container, say


def test_a_machine_without_control_groups_reports_no_kills(tmp_path):
    assert kills(tmp_path) == 0
    assert not is_limited_to(1000, tmp_path)
