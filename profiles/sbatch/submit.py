#!/usr/bin/env python3
"""Submit a job script of Snakemake to Slurm and print the job's number. usage: submit.py JOBSCRIPT

A job that an earlier Snakemake has submitted, and that still waits or runs, is not submitted again: its number is
printed. One that makes the same files from other parameters or inputs is cancelled first.

Resources are called as in Snakemake's plugin for Slurm. For PBS, SGE or LSF, exchange OPTIONS and the commands.
"""

import hashlib
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

OPTIONS = {
    "slurm_account": "--account",
    "slurm_partition": "--partition",
    "mem_mb": "--mem",
    "runtime": "--time",
    "gpu": "--gpus",
    "gres": "--gres",
    "constraint": "--constraint",
    "qos": "--qos",
}
LOGS = Path("logs/slurm")
AWAY = ("slurm controller", "timed out", "Connection refused", "Zero Bytes were transmitted")
PAUSE = 10


class Refused(Exception):
    """A command of Slurm failed, and not because slurmctld is away."""


def submit(script):
    """The number of the job that does what the script says."""
    job = properties(script)
    for number, content in queued(name(job)):
        if content == digest(job):
            tell(f"{name(job)}: Slurm job {number} does this already")
            return number
        tell(f"{name(job)}: cancelling Slurm job {number}, which does it with other parameters or inputs")
        ask("scancel", number)
        while number in dict(queued(name(job))):
            time.sleep(1)
    LOGS.mkdir(parents=True, exist_ok=True)
    return ask(*sbatch(job), script).partition(";")[0]


def sbatch(job):
    """The command for the properties of a job."""
    resources = job["resources"]
    return [
        "sbatch",
        "--parsable",
        f"--job-name={name(job)}",
        f"--comment={digest(job)}",
        f"--output={LOGS}/%j-{name(job)}.log",
        f"--cpus-per-task={job['threads']}",
        *(f"{option}={resources[resource]}" for resource, option in OPTIONS.items() if resources.get(resource)),
        *shlex.split(resources.get("slurm_extra") or ""),
    ]


def properties(script):
    """What Snakemake writes into the second line of a job script."""
    with open(script, encoding="utf-8") as file:
        file.readline()
        return json.loads(file.readline().removeprefix("# properties = "))


def name(job):
    """The rule and what it makes: train.ppo-cartpole-seed0-n1."""
    return ".".join([job["rule"], *job["wildcards"].values()])


def digest(job):
    """A digest of all that decides what the job makes. Each is new where Snakemake leaves out a long list of inputs."""
    if job["input"] is None:
        inputs = time.time_ns()
    else:
        inputs = [[file, Path(file).stat().st_mtime_ns] for file in job["input"] if Path(file).exists()]
    content = [job["rule"], job["wildcards"], job["output"], job.get("params"), inputs]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def queued(job_name):
    """Number and digest of each job of that name that was submitted from this folder and has not ended."""
    lines = ask("squeue", "--me", "--noheader", f"--name={job_name}", "--format=%i|%k|%Z").splitlines()
    jobs = [line.split("|", 2) for line in lines]
    return [(number, content) for number, content, folder in jobs if Path(folder) == Path.cwd()]


def ask(*command):
    """What a command prints. While slurmctld is away it is asked again, without end: Snakemake would count the job as
    failed, and has nothing better to do.
    """
    while True:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 0:
            return done.stdout.strip()
        tell(done.stderr.strip())
        if not any(reason in done.stderr for reason in AWAY):
            raise Refused
        time.sleep(PAUSE)


def tell(message):
    """Tell the user, on standard error, which Snakemake does not read."""
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        print(submit(sys.argv[1]))
    except Refused:
        sys.exit(1)
