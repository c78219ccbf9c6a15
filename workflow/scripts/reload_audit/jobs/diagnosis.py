"""Find out why a model does not earn what it earned: examine it, then try conditions, each in a fresh process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reload_audit.diagnosis.gap import EXPLAINS, EXPLAINS_WITH_PROOF, share_closed
from reload_audit.diagnosis.pairs import pairs
from reload_audit.processes import isolation
from reload_audit.records.examination import Examination, Trial
from reload_audit.records.model_record import Measurement
from reload_audit.records.specs import CANONICAL, Condition, ReloadSpec

_BASELINE_PROCESSOR = {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE"}
"""Environment variables that restrict PyTorch and MKL to the instructions that every processor of its kind has."""


@dataclass(frozen=True)
class Target:
    """The functions that examine and evaluate a model, named as ``package.module:function``, and their arguments.

    :param examine: returns an :class:`Examination`; takes ``examine_arguments``
    :param evaluate: returns what a condition gave; takes what ``evaluate_arguments`` makes for that condition
    """

    examine: str
    examine_arguments: tuple[Any, ...]
    evaluate: str
    evaluate_arguments: Callable[[Condition], tuple[Any, ...]]


class Processes:
    """Starts fresh processes, all under the same limits and with the same log.

    :param log: file that takes what the processes print
    """

    def __init__(self, reload: ReloadSpec, log: Path) -> None:
        self._reload = reload
        self._log = log
        self.timeout = reload.timeout

    def call(self, target: str, *arguments: Any) -> isolation.Outcome:
        """Call a function in a fresh process.

        :param target: ``package.module:function``
        """
        return isolation.call(
            target,
            arguments,
            method=self._reload.isolation,
            log=self._log,
            timeout=self._reload.timeout,
            memory=self._reload.memory,
        )

    def evaluate(self, target: str, condition: Condition, *arguments: Any) -> Measurement:
        """Evaluate a model under one condition, in a fresh process.

        :param target: ``package.module:function``
        """
        if condition.processor == "native":
            return Measurement.of(condition, self.call(target, *arguments))
        kept = {name: os.environ.get(name) for name in _BASELINE_PROCESSOR}
        os.environ.update(_BASELINE_PROCESSOR)
        try:  # only a new interpreter reads these variables
            outcome = isolation.call(
                target,
                arguments,
                method="spawn",
                log=self._log,
                timeout=self._reload.timeout,
                memory=self._reload.memory,
            )
        finally:
            for name, value in kept.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
        return Measurement.of(condition, outcome)


def diagnose(
    processes: Processes, target: Target, measured_before: Mapping[str, Measurement]
) -> tuple[Examination, dict[str, Measurement]]:
    """Examine a model and try conditions until one explains what it earns, as long as one condition may take.

    :param measured_before: by the condition's name; the canonical condition is among them
    :return: what the examination found, and what further conditions gave
    """
    outcome = processes.call(target.examine, *target.examine_arguments)
    if outcome.failure is not None:
        return Examination(failure=outcome.failure.message), {}
    examination: Examination = outcome.value
    canonical = measured_before[CANONICAL]
    hopeless = canonical.failure is not None and canonical.failure.kind not in _SAYS_WHY
    trials = [] if hopeless else [*examination.trials]
    measured: dict[str, Measurement] = {}
    deadline = time.monotonic() + processes.timeout

    def run(tried: Iterable[Trial]) -> None:
        for trial in tried:
            condition = trial.condition
            if condition.name not in measured_before and time.monotonic() < deadline:
                arguments = target.evaluate_arguments(condition)
                measured[condition.name] = processes.evaluate(target.evaluate, condition, *arguments)

    run(trials)
    means = {trial.condition.name: _mean(measured.get(trial.condition.name)) for trial in trials}
    goal, now = examination.target, _mean(canonical)
    wanted = examination.pairs and not canonical.healthy
    if wanted and goal is not None and now is not None and not _explained(examination, trials, means, goal, now):
        paired = pairs(canonical.condition, [trial for trial in trials if means[trial.condition.name] is not None])
        run(paired)
        trials += paired
    return replace(examination, trials=tuple(trials)), measured


_SAYS_WHY = ("refused", "exception")
"""Kinds of failures that a condition may remedy: what crashed, hung or filled the memory would do so again."""


def _explained(
    examination: Examination, trials: Sequence[Trial], means: Mapping[str, float | None], goal: float, now: float
) -> bool:
    """Whether one factor alone closes enough of the gap.

    :param means: mean reward of each condition that was tried
    :param goal: mean reward that is to be explained
    :param now: mean reward under the canonical condition
    """
    proven = {finding.cause for finding in examination.findings if finding.proof}
    for trial in trials:
        mean = means[trial.condition.name]
        enough = EXPLAINS_WITH_PROOF if proven & {*trial.causes} else EXPLAINS
        if trial.causes and mean is not None and share_closed(goal, now, mean) >= enough:
            return True
    return False


def _mean(measurement: Measurement | None) -> float | None:
    """Mean reward, as the condition counts it; None where it failed, or was not tried."""
    if measurement is None:
        return None
    earned = [getattr(episode, measurement.condition.earned) for episode in measurement.episodes]
    return None if not earned or None in earned else sum(map(float, earned)) / len(earned)
