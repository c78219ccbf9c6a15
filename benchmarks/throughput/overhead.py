"""What the default audit takes beyond learning and stepping: processes, imports, planning, files, the report."""

from __future__ import annotations

import csv
import json
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from . import jobs, processes
from .readings import Part, Ratio, Target, number, table
from .settings import Settings

AT_MOST = Target(25, at_least=False)

WORK = ("learn", "evaluate", "reload")

COPIED = ("Snakefile", "requirements.txt", "config", "examples", "profiles", "workflow")


def measure(settings: Settings) -> Part:
    """The default audit from scratch, in a copy of the repository."""
    here = settings.folder / "overhead"
    runs = []
    for repeat in range(settings.repeats):
        _copy(here)
        wall, (done,) = processes.timed(
            [processes.snakemake(settings.cores, None)], 1, settings.folder / "overhead.log", here
        )
        runs.append({"wall": wall, "largest process, MiB": done.mib, **spent(here, wall * settings.cores)})
        said = ", ".join(f"{name} {value:.1f}" for name, value in runs[-1].items())
        print(f"overhead, {repeat + 1} of {settings.repeats}: {said}", flush=True)
    cores = settings.cores
    ratios = [
        Ratio("wall time beyond learning and evaluating, %", _beyond(runs, WORK, cores)),
        Ratio("wall time beyond learning, evaluating and probing, %", _beyond(runs, (*WORK, "probe"), cores), AT_MOST),
    ]
    rows = [(name, number(median(run[name] for run in runs))) for name in runs[0]]
    header = ("the default audit", f"seconds, on {cores} cores")
    return Part("orchestration", ratios, ["### Where the default audit's time goes", table(header, rows)])


def spent(folder: Path, available: float) -> dict[str, float]:
    """Seconds of a finished audit: of learning, evaluating, reloading and probing; of jobs, rule by rule; of what else.

    :param available: wall seconds times cores
    """
    manifests = [json.loads(path.read_text()) for path in folder.glob("results/trained/*/manifest.json")]
    with open(folder / "results/processes.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    probes = [json.loads(path.read_text()) for path in folder.glob("results/probes/*.json")]
    by_rule: dict[str, float] = defaultdict(float)
    for job in jobs.read(folder):
        by_rule[f"jobs of rule {job.rule}"] += job.seconds
    reloads = [row for row in rows if row["fresh"] == "True"]
    learn, evaluate = (sum(manifest["seconds"][kind] for manifest in manifests) for kind in ("learn", "evaluate"))
    reload = sum(float(row["wall_seconds"]) for row in reloads)
    return {
        "learn": learn,
        "evaluate": evaluate,
        "reload": reload,
        "probe": sum(probe["seconds"] for probe in probes),
        "starts and files of training jobs": by_rule["jobs of rule train"] - learn - evaluate,
        "starts and files of reload jobs": by_rule["jobs of rule reload"] - reload,
        "no job on a core": available - sum(by_rule.values()),
        "peak of a training process, MiB": _peak([row for row in rows if row["fresh"] != "True"]),
        "peak of a reload process, MiB": _peak(reloads),
        **by_rule,
    }


def _peak(rows: list[dict[str, str]]) -> float:
    return max((float(row["peak_memory"]) for row in rows), default=float("nan"))


def _beyond(runs: Sequence[Mapping[str, float]], work: Sequence[str], cores: int) -> tuple[float, ...]:
    """By how many percent each run took longer than its work, divided by the cores."""
    return tuple(100 * (run["wall"] * cores / sum(run[name] for name in work) - 1) for run in runs)


def _copy(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in COPIED:
        source = processes.ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
