"""Which models are trained, and later reloaded, by one job: long trainings alone, small ones together.

It has no influence on results: every model trains in a process of its own. The number of cores has no influence on it,
so that a run with other cores finds what it has finished.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence

from reload_audit.planning.discovery.find_models import split_by_name
from reload_audit.planning.job_requests import expected_seconds, gpus
from reload_audit.planning.resolved import TrainingData

_FEWEST, _MANY = 4, 8
"""Batches, at least, where there are as many models, so that no core waits for the last of few; and batches that are so
many that they need not be balanced."""

_MOST_MODELS = 64
_LEAST_SECONDS, _MOST_SECONDS = 600.0, 7200.0
"""Expected seconds of a batch, at least where there is as much to do, and at most. They are estimated generously."""

_SHARE = 200
"""Batches, at most, of a grid that is not so large that they would take longer than that."""


def training_batches(models: Mapping[str, TrainingData]) -> dict[str, list[str]]:
    """Names of models by the name of their batch, which is the model's own where it is alone.

    :param models: training specs by the names of the models
    """
    alike: dict[tuple[int, int], dict[str, float]] = {}
    for name, spec in models.items():
        threads = spec["n_envs"] if spec["vec_env"] == "subproc" else 1
        alike.setdefault((threads, gpus(spec["device"])), {})[name] = expected_seconds(spec)
    place = {name: number for number, name in enumerate(models)}
    found: dict[str, list[str]] = {}
    for (threads, gpu), seconds in alike.items():
        prefix = "batch" + (f"-{threads}-cores" if threads > 1 else "") + ("-gpu" if gpu else "")
        for batch, split in _split(seconds, prefix).items():
            found[split[0] if len(split) == 1 else batch] = sorted(split, key=place.__getitem__)
    return found


def _split(seconds: Mapping[str, float], name: str) -> dict[str, list[str]]:
    """Split models into batches, by how long each may take: many by their names, few so that all take as long.

    :param name: with which the names of the batches begin
    """
    doublings = math.ceil(math.log2(max(1.0, sum(seconds.values()) / _SHARE / _LEAST_SECONDS)))
    most = min(_LEAST_SECONDS * 2**doublings, _MOST_SECONDS)  # the same for a model more, so that batches stay
    long = [model for model, expected in seconds.items() if expected > max(_LEAST_SECONDS, most / 4)]
    short = {model: expected for model, expected in seconds.items() if expected <= max(_LEAST_SECONDS, most / 4)}
    wanted = max(_FEWEST, math.ceil(sum(short.values()) / most), math.ceil(len(short) / _MOST_MODELS))

    def fits(models: Sequence[str]) -> bool:
        return len(models) <= _MOST_MODELS and sum(map(short.__getitem__, models)) <= most

    split = _balanced(short, wanted, name) if wanted <= _MANY else split_by_name(short, fits, name)
    return {**split, **{model: [model] for model in long}}


def _balanced(seconds: Mapping[str, float], number: int, name: str) -> dict[str, list[str]]:
    """So many batches: of the models that are left, the longest always goes into the one that takes least so far."""
    waiting: list[tuple[float, int, list[str]]] = [(0.0, place, []) for place in range(min(number, len(seconds)))]
    for model in sorted(seconds, key=lambda model: (-seconds[model], model)):
        taken, place, models = heapq.heappop(waiting)
        heapq.heappush(waiting, (taken + seconds[model], place, [*models, model]))
    return {f"{name}-{place}": models for _, place, models in sorted(waiting)}
