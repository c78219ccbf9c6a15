"""How many saved models an hour of a core audits: this workflow, RL Zoo's ``enjoy``, a script, and bare steps."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median
from typing import Any

from . import jobs, models, processes
from .models import Model
from .readings import Part, Ratio, Target, number, per_core_hour, ratio, table
from .settings import Settings

BESIDE_ZOO = Target(10)
BESIDE_SCRIPT = Target(8)


@dataclass
class Contender:
    """One way to evaluate saved models.

    :param name: as the tables call it
    :param models: how many it evaluates in a run
    :param rewards: of each run, the mean over the models' episodes
    """

    name: str
    models: int
    seconds: list[float] = field(default_factory=list)
    episodes: int = 0
    rewards: list[float] = field(default_factory=list)
    mib: float = 0.0

    def rates(self, cores: int) -> list[float]:
        """Models in an hour of a core, run by run."""
        return [per_core_hour(self.models, seconds, cores) for seconds in self.seconds]

    def add(self, seconds: float, episodes: int, reward: float, mib: float) -> None:
        """One more run."""
        self.seconds.append(seconds)
        self.episodes = episodes
        self.rewards.append(reward)
        self.mib = max(self.mib, mib)


def measure(settings: Settings) -> Part:
    """Run this part of the benchmark: audits of saved models, in every environment."""
    found = {env: _environment(env, settings) for env in settings.environments}
    ratios = [one for env, contenders in found.items() for one in _ratios(env, contenders, settings.cores)]
    header = (
        "environment",
        "by",
        "models",
        "models per core-hour",
        "episodes",
        "a core-second",
        "mean reward",
        "MiB",
    )
    rows = [_row(env, one, settings.cores) for env, contenders in found.items() for one in contenders.values()]
    return Part("audit", ratios, ["### Audit throughput", table(header, rows)])


def _environment(env: str, settings: Settings) -> dict[str, Contender]:
    """Run all contenders in turn, ``settings.repeats`` times, on models of one environment."""
    some = models.trained(env, settings.distinct, settings.folder, settings.cores, settings.training_share)
    here = settings.folder / "audit" / env
    shutil.rmtree(here, ignore_errors=True)
    models.copies(some, settings.models, here / "models")
    (here / "config.yaml").write_text("runs: [models]\n")
    contenders = {
        "whole": Contender("this workflow", settings.models),
        "jobs": Contender("its audit jobs alone", settings.models),
        "script": Contender("a script", len(some)),
        "zoo": Contender("RL Zoo's enjoy", len(some)),
        "floor": Contender("bare steps", len(some)),
    }
    for repeat in range(settings.repeats):
        episodes = _workflow(here, contenders, settings.cores)
        _script(some, episodes, contenders["script"], here, settings.cores)
        _zoo(some, episodes, contenders["zoo"], here, settings.cores)
        _floor(some, episodes, contenders["floor"], here, settings.cores)
        said = ", ".join(f"{one.name} {number(one.rates(settings.cores)[-1])}" for one in contenders.values())
        print(f"audit, {env}, {repeat + 1} of {settings.repeats}, models per core-hour: {said}", flush=True)
    return contenders


def _workflow(here: Path, contenders: dict[str, Contender], cores: int) -> int:
    """Audit all models from scratch.

    :return: the episodes that each took
    """
    for name in ("results", "logs", ".snakemake"):
        shutil.rmtree(here / name, ignore_errors=True)
    command = processes.snakemake(cores, "config.yaml")
    seconds, (done,) = processes.timed([command], cores, here / "audit.log", here)
    audited = json.loads((here / "results/audit.json").read_text())["models"]
    spent = {sum(condition["n_episodes"] for condition in model["conditions"]) for model in audited}
    if len(audited) != contenders["whole"].models or len(spent) != 1:
        raise RuntimeError(f"expected one number of episodes for {contenders['whole'].models} models, found {spent}")
    reward = mean(model["reload_mean_reward"] for model in audited)
    episodes = spent.pop()
    contenders["whole"].add(seconds, episodes * len(audited), reward, done.mib)
    # Its jobs run side by side: as many seconds as on all cores at once.
    alone = sum(job.seconds for job in jobs.read(here) if job.rule == "audit_external") / cores
    contenders["jobs"].add(alone, episodes * len(audited), reward, done.mib)
    return int(episodes)


def _script(some: Sequence[Model], episodes: int, contender: Contender, here: Path, cores: int) -> None:
    commands = [processes.module("script", one.env, one.path, one.statistics, episodes) for one in some]
    seconds, done = processes.timed(commands, cores, here / "script.log")
    said = [json.loads(one.printed) for one in done]
    contender.add(
        seconds,
        sum(one["episodes"] for one in said),
        mean(one["reward"] for one in said),
        max(one.mib for one in done),
    )


def _zoo(some: Sequence[Model], episodes: int, contender: Contender, here: Path, cores: int) -> None:
    """RL Zoo's ``enjoy`` counts steps: it gets as many as the model's episodes have in the recording."""
    commands = [_enjoy(one, _steps(one, episodes)) for one in some]
    seconds, done = processes.timed(commands, cores, here / "zoo.log")
    ended = [int(_said(r"^(\d+) Episodes", one.printed)) for one in done]
    rewards = [float(_said(r"^Mean reward: (\S+)", one.printed)) for one in done]
    contender.add(seconds, sum(ended), mean(rewards), max(one.mib for one in done))


def _enjoy(model: Model, steps: int) -> processes.Command:
    where = ("--algo", "ppo", "--env", model.env, "-f", model.zoo, "--exp-id", model.run)
    how = ("-n", steps, "--no-render", "--num-threads", 1, "--device", "cpu")
    return [sys.executable, "-m", "rl_zoo3.enjoy", *where, *how]


def _steps(model: Model, episodes: int) -> int:
    reference: list[dict[str, Any]] = json.loads((model.recorded / "evaluations.json").read_text())["reference"]
    return sum(episode["length"] for episode in reference[:episodes])


def _said(pattern: str, printed: str) -> str:
    found = re.search(pattern, printed, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"expected {pattern!r} in what was printed, found:\n{printed[-2_000:]}")
    return found[1]


def _floor(some: Sequence[Model], episodes: int, contender: Contender, here: Path, cores: int) -> None:
    """Only the time that each process spends stepping counts."""
    commands = [
        processes.module("stepping", one.env, one.path, one.statistics, episodes, here / f"actions-{one.run}.npz")
        for one in some
    ]
    done = processes.run_all(commands, cores, here / "floor.log")
    said = [json.loads(one.printed) for one in done]
    contender.add(
        sum(one["seconds"] for one in said) / cores, episodes * len(some), float("nan"), max(one.mib for one in done)
    )


def _ratios(env: str, contenders: dict[str, Contender], cores: int) -> list[Ratio]:
    rates = {key: one.rates(cores) for key, one in contenders.items()}
    return [
        ratio(f"{env}: {contenders[ours].name} / {contenders[theirs].name}", rates[ours], rates[theirs], target)
        for ours in ("whole", "jobs")
        for theirs, target in (("zoo", BESIDE_ZOO), ("script", BESIDE_SCRIPT), ("floor", None))
    ]


def _row(env: str, one: Contender, cores: int) -> tuple[str, ...]:
    seconds = median(one.seconds)
    return (
        env,
        one.name,
        f"{one.models}",
        number(median(one.rates(cores))),
        f"{one.episodes}",
        number(one.episodes / (seconds * cores)),
        "" if one.name == "bare steps" else number(median(one.rewards)),
        f"{one.mib:.0f}",
    )
