"""Compare the audit's evaluation with stepping the same environments, and measure what its traces cost."""

from __future__ import annotations

import json
from statistics import median

from . import models, processes
from .readings import Part, Ratio, Target, number, ratio, table
from .settings import Settings

EPISODES = 20
"""The first look: what a healthy model takes."""

BESIDE_STEPS = Target(1.7, at_least=False)
TRACES = Target(10, at_least=False)


def measure(settings: Settings) -> Part:
    """Run this part of the benchmark on one model of each environment."""
    ratios: list[Ratio] = []
    rows = []
    for env in settings.environments:
        (model,) = models.trained(env, 1, settings.folder, settings.cores, settings.training_share)
        command = processes.module("evaluating", model.recorded, EPISODES, settings.repeats)
        (done,) = processes.run_all([command], 1, settings.folder / "evaluation.log")
        seconds: dict[str, list[float]] = json.loads(done.printed)
        print(f"evaluation, {env}: {done.printed.strip()}", flush=True)
        audited, untraced = seconds["audited"], seconds["untraced"]
        without_policy = [a - p for a, p in zip(audited, seconds["predicted"], strict=True)]
        traces = tuple(100 * (a - u) / a for a, u in zip(audited, untraced, strict=True))
        ratios += [
            ratio(f"{env}: evaluation / steps alone", audited, seconds["stepped"], BESIDE_STEPS),
            ratio(f"{env}: evaluation less its forward passes / steps alone", without_policy, seconds["stepped"]),
            Ratio(f"{env}: traces, % of evaluation", traces, TRACES),
        ]
        rows.append((env, *(number(1000 * median(values)) for values in seconds.values())))
    header = ("environment", "evaluation, ms", "without traces", "steps alone", "policy alone")
    return Part("evaluation", ratios, [f"### Evaluation of {EPISODES} episodes", table(header, rows)])
