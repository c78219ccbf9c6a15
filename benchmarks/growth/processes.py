"""Run a stage in a process of its own, and read its wall time, processor time and peak memory. Needs Linux."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from growth.configurations import ROOT

QUICK = 4.0
"""Seconds below which a stage is run three times, of which the fastest counts."""


@dataclass(frozen=True)
class Reading:
    """What a process cost: wall and processor seconds from its start to its end, and the most MiB that it held."""

    seconds: float
    cpu: float
    mib: float


def note_peak(path: str) -> None:
    """Write the largest resident size of this process into a file, in KiB."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    Path(path).write_text(found[1] if found else "nan")


def run(stage: str, folder: Path, *arguments: object) -> Reading:
    """Run one stage once.

    :raises subprocess.CalledProcessError: it failed; what it printed is printed
    """
    with tempfile.TemporaryDirectory() as temporary:
        peak, log = Path(temporary) / "peak", Path(temporary) / "log"
        command = [
            sys.executable,
            str(ROOT / "benchmarks/scaling.py"),
            "--stage",
            stage,
            str(peak),
            str(folder),
            *map(str, arguments),
        ]
        start, cpu = time.perf_counter(), _cpu_of_children()
        with open(log, "w") as output:
            done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
        seconds, cpu = time.perf_counter() - start, _cpu_of_children() - cpu
        if done.returncode:
            print(log.read_text(errors="replace")[-5_000:], file=sys.stderr)
            done.check_returncode()
        return Reading(seconds, cpu, float(peak.read_text()) / 1024)


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def read(stage: str, folder: Path, *arguments: object) -> Reading:
    """Read what one stage costs: of a quick one the fastest of three runs."""
    first = run(stage, folder, *arguments)
    readings = [first] if first.seconds > QUICK else [first, *(run(stage, folder, *arguments) for _ in range(2))]
    return min(readings, key=lambda reading: reading.seconds)
