"""How fast a grid is trained: by this workflow, by RL Zoo in a loop, and by bare ``learn`` calls, SB3's and its own."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from . import processes
from .grid import ENV, GRID, HYPERPARAMS, N_ENVS, SEEDS
from .readings import Part, Target, number, per_core_hour, ratio, table
from .settings import Settings

BESIDE_ZOO = Target(1)
BESIDE_BARE = Target(0.9)
AS_FAST = Target(0.95)


def measure(settings: Settings) -> Part:
    """Train the grid by each contender in turn, ``settings.repeats`` times."""
    here = settings.folder / "training"
    shutil.rmtree(here, ignore_errors=True)
    here.mkdir(parents=True)
    _write_settings(here, settings.timesteps)
    names = ("workflow", "evaluating", "zoo", "of SB3", "bare", "learned", "bare learned")
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for repeat in range(settings.repeats):
        whole, evaluating, learned = _workflow(here, settings.cores)
        of_sb3, bare = _bare(here, settings)
        zoo = _zoo(here, settings)
        values = (whole, evaluating, zoo, of_sb3["seconds"], bare["seconds"], learned, sum(bare["each"]))
        for name, value in zip(names, values, strict=True):
            seconds[name].append(value)
        said = ", ".join(f"{name} {taken[-1]:.1f} s" for name, taken in seconds.items())
        print(f"training, {repeat + 1} of {settings.repeats}: {said}", flush=True)
    unevaluated = [
        whole - all_cores for whole, all_cores in zip(seconds["workflow"], seconds["evaluating"], strict=True)
    ]
    ratios = [
        ratio("grid: this workflow / RL Zoo's loop", seconds["zoo"], seconds["workflow"], BESIDE_ZOO),
        ratio("grid: this workflow / bare learn calls of SB3", seconds["of SB3"], seconds["workflow"]),
        ratio("grid: this workflow without evaluating / RL Zoo's loop", seconds["zoo"], unevaluated),
        ratio(
            "grid: this workflow without evaluating / bare learn calls of SB3",
            seconds["of SB3"],
            unevaluated,
            BESIDE_BARE,
        ),
        ratio("grid: this workflow without evaluating / its learn calls, bare", seconds["bare"], unevaluated),
        ratio("grid: bare learn calls of SB3 / RL Zoo's loop", seconds["zoo"], seconds["of SB3"]),
        ratio("grid: its learn calls, bare / bare learn calls of SB3", seconds["of SB3"], seconds["bare"]),
        ratio("its learn calls / the same, bare", seconds["bare learned"], seconds["learned"], AS_FAST),
    ]
    shown = {
        "this workflow": seconds["workflow"],
        "the same without evaluating": unevaluated,
        "its learn calls, bare": seconds["bare"],
        "bare learn calls of SB3": seconds["of SB3"],
        "RL Zoo's train in a loop": seconds["zoo"],
    }
    rows = [(name, *_cells(values, settings)) for name, values in shown.items()]
    header = ("by", "seconds", "models per core-hour", "environment steps per core-second")
    title = f"### Training: PPO on {ENV}, {len(GRID)} models of {settings.timesteps:,} steps"
    return Part("training", ratios, [title, table(header, rows)])


def _cells(values: Sequence[float], settings: Settings) -> tuple[str, ...]:
    seconds = median(values)
    models = per_core_hour(len(GRID), seconds, settings.cores)
    steps = len(GRID) * settings.timesteps / (seconds * settings.cores)
    return number(seconds), number(models), number(steps)


def _write_settings(here: Path, timesteps: int) -> None:
    """What the workflow reads, and what RL Zoo reads. JSON is YAML too."""
    experiment = {
        "name": "grid",
        "algo": "PPO",
        "env": ENV,
        "seeds": SEEDS,
        "n_envs": N_ENVS,
        "total_timesteps": timesteps,
        "hyperparams": HYPERPARAMS,
    }
    (here / "config.yaml").write_text(json.dumps({"experiments": [experiment]}))
    zoo = {ENV: {"n_envs": 1, "n_timesteps": timesteps, "policy": "MlpPolicy", **HYPERPARAMS}}
    (here / "zoo.yml").write_text(json.dumps(zoo))


def _workflow(here: Path, cores: int) -> tuple[float, float, float]:
    """Seconds of its training jobs with all around them; of their evaluations, as if on all cores; of learn calls."""
    for name in ("results", "logs", ".snakemake"):
        shutil.rmtree(here / name, ignore_errors=True)
    command = processes.snakemake(cores, "config.yaml", "--until", "train")
    seconds, _ = processes.timed([command], cores, here / "workflow.log", here)
    manifests = [json.loads(path.read_text()) for path in sorted(here.glob("results/trained/*/manifest.json"))]
    if len(manifests) != len(GRID):
        raise RuntimeError(f"expected {len(GRID)} models, found {len(manifests)}")
    evaluating = sum(manifest["seconds"]["evaluate"] for manifest in manifests) / cores
    return seconds, evaluating, sum(manifest["seconds"]["learn"] for manifest in manifests)


def _zoo(here: Path, settings: Settings) -> float:
    """One process a model, without the evaluations that it makes on the way."""
    shutil.rmtree(here / "zoo", ignore_errors=True)
    commands = [
        _train(here / "zoo.yml", here / f"zoo/{index}", seed, n_envs) for index, (seed, n_envs) in enumerate(GRID)
    ]
    seconds, _ = processes.timed(commands, settings.cores, here / "zoo.log", here)
    saved = list((here / "zoo").rglob(f"{ENV}.zip"))
    if len(saved) != len(GRID):
        raise RuntimeError(f"expected {len(GRID)} models of RL Zoo, found {len(saved)}")
    return seconds


def _train(settings: Path, folder: Path, seed: int, n_envs: int) -> processes.Command:
    what = ("--algo", "ppo", "--env", ENV, "-conf", settings, "-params", f"n_envs:{n_envs}", "--seed", seed)
    how = ("-f", folder, "--eval-freq", -1, "--num-threads", 1, "--device", "cpu", "--verbose", 0)
    return [sys.executable, "-m", "rl_zoo3.train", *what, *how]


def _bare(here: Path, settings: Settings) -> tuple[dict[str, Any], dict[str, Any]]:
    """Seconds of all bare learn calls together, and of each: of SB3, and as this workflow makes them."""
    command = processes.module("learning", settings.cores, settings.timesteps)
    (done,) = processes.run_all([command], 1, here / "bare.log")
    of_sb3, as_here = json.loads(done.printed)
    return of_sb3, as_here
