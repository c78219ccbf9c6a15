"""Start commands, some at a time, and read what each printed and cost. Needs Linux, for the latter."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_OF_THE_CALLER = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
"""Environment variables that processes of a benchmark do not get."""

Command = Sequence[object]


@dataclass(frozen=True)
class Done:
    """What became of a command.

    :param mib: the most that it, or one of the processes it started, held
    """

    printed: str
    mib: float


def environment() -> dict[str, str]:
    """What every process starts with: one thread for every numerical library, and Python as it is by default.

    Python then keeps what it has compiled: what pip installs is compiled, a clone would be anew in every process.
    """
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**{name: value for name, value in os.environ.items() if name not in _OF_THE_CALLER}, **one}


def run_all(commands: Sequence[Command], cores: int, log: Path, folder: Path | None = None) -> list[Done]:
    """Run commands, as many at once as there are cores: what ``xargs -P`` does.

    :param log: takes what they say on standard error
    :param folder: the working directory
    :raises subprocess.CalledProcessError: one failed; the end of what it printed is printed
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    outputs = [log.with_name(f"{log.stem}.{index}.out") for index in range(len(commands))]
    waiting = list(range(len(commands)))
    running: dict[int, tuple[int, subprocess.Popen[bytes]]] = {}
    done: dict[int, Done] = {}
    with open(log, "a", encoding="utf-8") as errors:
        while waiting or running:
            while waiting and len(running) < cores:
                index = waiting.pop(0)
                words = [str(word) for word in commands[index]]
                with open(outputs[index], "w", encoding="utf-8") as output:
                    process = subprocess.Popen(words, stdout=output, stderr=errors, cwd=folder, env=environment())
                running[process.pid] = index, process
            pid, status, usage = os.wait4(-1, 0)
            index, process = running.pop(pid)
            process.returncode = os.waitstatus_to_exitcode(status)
            printed = outputs[index].read_text(encoding="utf-8", errors="replace")
            outputs[index].unlink()
            if process.returncode:
                print((printed + log.read_text(encoding="utf-8", errors="replace"))[-5_000:], file=sys.stderr)
                raise subprocess.CalledProcessError(process.returncode, process.args)
            done[index] = Done(printed, usage.ru_maxrss / 1024)
    return [done[index] for index in range(len(commands))]


def timed(commands: Sequence[Command], cores: int, log: Path, folder: Path | None = None) -> tuple[float, list[Done]]:
    """Wall seconds of all of them together, and what became of each."""
    start = time.perf_counter()
    done = run_all(commands, cores, log, folder)
    return time.perf_counter() - start, done


def module(name: str, *arguments: object) -> Command:
    """A module of this package, as a program in a process of its own."""
    return interpreter("-m", f"throughput.{name}", *arguments)


def interpreter(*arguments: object) -> Command:
    """Python, which finds this package, the audit's library and its examples.

    The audit itself is started without: a copy of it would find the library of this checkout.
    """
    folders = (ROOT / "benchmarks", ROOT / "workflow/scripts", ROOT / "examples")
    return ["env", f"PYTHONPATH={os.pathsep.join(map(str, folders))}", sys.executable, *arguments]


def snakemake(cores: int, config: str | None, *arguments: object) -> Command:
    """This workflow, as its users start it.

    :param config: a file with all of the configuration; None for the default one, in a copy of the repository
    """
    here: list[object] = [sys.executable, "-m", "snakemake", "--cores", cores]
    if config is None:
        return [*here, *arguments]
    profile = ROOT / "profiles/default"
    return [*here, "--snakefile", ROOT / "Snakefile", "--workflow-profile", profile, "--configfile", config, *arguments]
