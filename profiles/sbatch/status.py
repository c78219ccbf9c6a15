#!/usr/bin/env python3
"""Say what became of a Slurm job, as Snakemake wants it: running, success or failed. usage: status.py JOB

Whatever happens it prints one of the three and exits with 0, because anything else ends Snakemake. What keeps a job
from running or from being seen is said on standard error.
"""

import signal
import subprocess
import sys
import time

SUCCESS = {"COMPLETED"}
FAILED = {
    "BOOT_FAIL",
    "CANCELLED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
}
# How reasons begin for which a job waits until somebody does something.
STUCK = (
    "BadConstraints",
    "DependencyNeverSatisfied",
    "JobHeld",
    "Nodes required",
    "Partition",
    "ReqNodeNotAvail",
    "job requeued in held state",
    "launch failed requeued held",
)
PATIENCE = 60


def status(job):
    """What became of a job: ``running``, ``success`` or ``failed``."""
    state, reason = from_squeue(job)
    if state is None:
        state = from_sacct(job)
    if state in SUCCESS:
        return "success"
    if state in FAILED:
        tell(f"Slurm job {job}: {state}")
        return "failed"
    if reason.replace("_", " ").startswith(STUCK) and time.time() % 60 < 10:  # no call knows of the one before
        tell(f"Slurm job {job} waits until somebody does something about it: {reason}")
    return "running"


def from_squeue(job):
    """State and reason; (None, "") for a job that slurmctld no longer knows; ("UNKNOWN", "") if it does not answer."""
    answer = ask("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T|%r")
    if answer is None:
        return "UNKNOWN", ""
    state, _, reason = answer.partition("\n")[0].partition("|")
    return state or None, reason


def from_sacct(job):
    """A job's state in Slurm's database. Without one, a job that slurmctld has forgotten is done again, to be sure."""
    answer = ask("sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={job}", "--format=State")
    state = (answer or "").split()
    if not state:
        tell(f"Slurm job {job} is known neither to squeue nor to sacct: counted as failed")
    return state[0] if state else "FAILED"


def ask(*command):
    """What a command prints, "" if it knows no such job, None if it gets no answer."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        tell(f"{command[0]} does not answer within {PATIENCE} seconds")
        return None
    except FileNotFoundError:
        return "" if command[0] == "sacct" else None
    if done.returncode and "Invalid job id" not in done.stderr:
        tell(f"{command[0]}: {' '.join(done.stderr.split())}")
        return None
    return done.stdout


def tell(message):
    """Tell the user, on standard error, which Snakemake does not read."""
    print(message, file=sys.stderr)


if __name__ == "__main__":
    # Ctrl-C reaches the whole process group; Snakemake wants an answer nevertheless.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        answer = status(sys.argv[1])
    except Exception as error:
        tell(f"{type(error).__name__}: {error}")
        answer = "running"
    print(answer)
