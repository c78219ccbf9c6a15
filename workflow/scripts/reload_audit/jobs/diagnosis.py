"""Find out why a model does not earn what it earned: examine it, then try conditions, each in a fresh process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from reload_audit.diagnosis.gap import EXPLAINS, EXPLAINS_WITH_PROOF, share_closed
from reload_audit.diagnosis.pairs import pairs
from reload_audit.processes import isolation
from reload_audit.records.examination import Examination, Trial
from reload_audit.records.specs import CANONICAL, Condition, ReloadSpec

_BASELINE_PROCESSOR = {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE"}
"""What makes PyTorch and MKL use the instructions that every processor of this kind has."""


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

    def evaluate(self, target: str, condition: Condition, *arguments: Any) -> dict[str, Any]:
        """Evaluate a model under one condition, in a fresh process; see :func:`condition_record` for what comes back.

        :param target: ``package.module:function``
        """
        if condition.processor == "native":
            return condition_record(condition, self.call(target, *arguments))
        kept = {name: os.environ.get(name) for name in _BASELINE_PROCESSOR}
        os.environ.update(_BASELINE_PROCESSOR)
        try:  # only a new interpreter reads them
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
        return condition_record(condition, outcome)


def diagnose(
    processes: Processes, target: Target, canonical: Condition, records: Mapping[str, Mapping[str, Any]]
) -> tuple[Examination, dict[str, dict[str, Any]]]:
    """Examine a model and try conditions until one explains what it earns, as long as one condition may take.

    :param records: by name, those of conditions that have been measured; the canonical one is among them
    :return: what the examination found, and the records of further conditions
    """
    outcome = processes.call(target.examine, *target.examine_arguments)
    if outcome.failure is not None:
        return Examination(failure=outcome.failure.message), {}
    examination: Examination = outcome.value
    failure = records[CANONICAL]["failure"]
    hopeless = failure is not None and failure["kind"] not in _SAYS_WHY
    trials = [] if hopeless else [*examination.trials]
    measured: dict[str, dict[str, Any]] = {}
    deadline = time.monotonic() + processes.timeout

    def run(tried: Iterable[Trial]) -> None:
        for trial in tried:
            condition = trial.condition
            if condition.name not in records and time.monotonic() < deadline:
                arguments = target.evaluate_arguments(condition)
                measured[condition.name] = processes.evaluate(target.evaluate, condition, *arguments)

    run(trials)
    means = {trial.condition.name: _mean(trial.condition, measured.get(trial.condition.name)) for trial in trials}
    goal, now = examination.target, _mean(canonical, records[CANONICAL])
    wanted = examination.pairs and not records[CANONICAL]["healthy"]
    if wanted and goal is not None and now is not None and not _explained(examination, trials, means, goal, now):
        paired = pairs(canonical, [trial for trial in trials if means[trial.condition.name] is not None])
        run(paired)
        trials += paired
    return replace(examination, trials=tuple(trials)), measured


_SAYS_WHY = ("refused", "exception")
"""Kinds of failures that a condition may remedy: what crashed, hung or filled the memory would do so again."""


def condition_record(condition: Condition, outcome: isolation.Outcome) -> dict[str, Any]:
    """What is kept of a condition, for JSON: what it was, and its episodes or why there are none."""
    measured = outcome.value or {}
    failure = outcome.failure
    if measured.get("problem"):
        failure = isolation.Failure("refused", measured["problem"], "")
    return {
        **asdict(condition),
        "failure": None if failure is None else asdict(failure),
        "process": asdict(outcome.usage),
        "checks": measured.get("checks", []),
        "episodes": measured.get("episodes", []),
        "healthy": measured.get("healthy", False),
        "divergence": measured.get("divergence"),
    }


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


def _mean(condition: Condition, record: Mapping[str, Any] | None) -> float | None:
    """Mean reward, as the condition counts it; None where it failed, or was not tried."""
    earned = [episode[condition.earned] for episode in (record or {}).get("episodes", [])]
    if not earned or None in earned:
        return None
    return sum(map(float, earned)) / len(earned)
