"""Try every experiment before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reload_audit.processes import isolation
from reload_audit.processes.fork_servers import LIBRARIES, TRAIN_HASH_SEED
from reload_audit.processes.isolation import Method
from reload_audit.processes.outcome import Outcome

_CHECK_SECONDS = 600.0


Experiment = tuple[str, Mapping[str, Any]]


class ConfigurationRefused(ValueError):
    """The configuration is well-formed, but an experiment in it cannot start; the message lists every problem."""


def check_experiments(
    experiments: Sequence[Experiment], source: str, log: Path, memory: int, method: Method = "forkserver"
) -> None:
    """Try every experiment's environment and algorithm.

    :param experiments: where each stands in the configuration, and a training spec of it
    :param source: the configuration's name, for messages
    :param memory: MiB that trying them may take
    :param method: how their processes are started
    :raises ConfigurationRefused: one of them cannot start
    """
    isolation.prepare(method, hash_seed=TRAIN_HASH_SEED, preload=LIBRARIES)
    outcome = _find_problems(experiments, log, memory, method)
    problems: list[str] = []
    if outcome.failure is not None or outcome.value:
        # What one environment does to the process, to end it or to take its folder away, others may be accused of.
        for where, spec in _suspects(experiments, outcome):
            alone = _find_problems([(where, spec)], log, memory, method)
            if alone.failure is not None:
                problems.append(f"{where}.env: trying {spec['environment']['env']!r}: {alone.failure.message}")
            problems += alone.value or []
    if problems:
        raise ConfigurationRefused("\n".join(f"{source}: {problem}" for problem in dict.fromkeys(problems)))


def _suspects(experiments: Sequence[Experiment], outcome: Outcome) -> Sequence[Experiment]:
    """The experiments with a problem where all were tried together; all of them where that ended without a result."""
    if outcome.failure is not None:
        return experiments
    return [tried for tried in experiments if any(problem.startswith(f"{tried[0]}.") for problem in outcome.value)]


def _find_problems(experiments: Sequence[Experiment], log: Path, memory: int, method: Method) -> Outcome:
    return isolation.call(
        "reload_audit.training.preflight:find_problems",
        (experiments,),
        method=method,
        log=log,
        timeout=_CHECK_SECONDS,
        memory=memory,
    )
