"""What a job imports before it works, package by package."""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from statistics import median

from . import processes
from .readings import Part, number, table
from .settings import Settings

SHOWN = 10

_FORK_SERVER = (
    "import importlib; from reload_audit.jobs.reload import PRELOAD; "
    "[importlib.import_module(name) for name in PRELOAD]"
)

IMPORTS = {
    "fork server of a reload job": _FORK_SERVER,
    "reload job's own interpreter": "import reload_audit.jobs.reload, reload_audit.jobs.external",
    "process of one evaluation, beyond the fork server": f"{_FORK_SERVER}; import reload_audit.evaluation.external",
    "training process": "import reload_audit.training.train",
}

_LINE = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")


def measure(settings: Settings) -> Part:
    """Measure the imports of every kind of process."""
    found = {}
    for name, code in IMPORTS.items():
        runs = [by_package(_imported(code)) for _ in range(settings.repeats)]
        found[name] = {package: median(run.get(package, 0.0) for run in runs) for package in runs[0]}
    server = found["fork server of a reload job"]
    beyond = found["process of one evaluation, beyond the fork server"]
    found["process of one evaluation, beyond the fork server"] = {
        package: seconds for package, seconds in beyond.items() if package not in server
    }
    rows = [(name, number(sum(packages.values())), ", ".join(_largest(packages))) for name, packages in found.items()]
    header = ("imports of", "seconds", "most of them")
    return Part("start-up", [], ["### What is imported", table(header, rows)])


def by_package(said: str) -> dict[str, float]:
    """Seconds of each top-level package, from what ``-X importtime`` says."""
    seconds: dict[str, float] = defaultdict(float)
    for microseconds, name in _LINE.findall(said):
        seconds[name.partition(".")[0]] += int(microseconds) / 1e6
    return dict(seconds)


def _imported(code: str) -> str:
    command = [str(word) for word in processes.interpreter("-X", "importtime", "-c", code)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=processes.environment())
    return done.stderr


def _largest(packages: dict[str, float]) -> list[str]:
    ordered = sorted(packages.items(), key=lambda item: -item[1])
    return [f"{package} {number(seconds)}" for package, seconds in ordered[:SHOWN] if seconds >= 0.005]
