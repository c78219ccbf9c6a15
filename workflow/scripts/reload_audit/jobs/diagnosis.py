"""Find out why a model does not earn what it earned: examine it, then try conditions, each in a fresh process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reload_audit.diagnosis.effects import Excluding, Goal, TrialResult, effect_of
from reload_audit.diagnosis.gap import EXPLAINS, EXPLAINS_WITH_PROOF
from reload_audit.diagnosis.pairs import pairs
from reload_audit.processes import isolation
from reload_audit.processes.outcome import Outcome
from reload_audit.records.conditions import CANONICAL, Condition
from reload_audit.records.examination import Examination, Trial
from reload_audit.records.model_record import Measurement
from reload_audit.records.specs import ReloadSpec

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


@dataclass(frozen=True)
class Diagnosis:
    """What came of diagnosing a model.

    :param measured: what conditions gave that were tried, by their names
    :param explained: whether one of them closes enough of the gap
    """

    examination: Examination
    measured: Mapping[str, Measurement]
    explained: bool


class Processes:
    """Starts fresh processes, all under the same limits and with the same log.

    :param log: file that takes what the processes print
    """

    def __init__(self, reload: ReloadSpec, log: Path) -> None:
        self._reload = reload
        self._log = log
        self.timeout = reload.timeout

    def call(self, target: str, *arguments: Any) -> Outcome:
        """Call a function in a fresh process.

        :param target: ``package.module:function``
        """
        return self._call(self._reload.isolation, target, arguments)

    def evaluate(self, target: str, condition: Condition, *arguments: Any) -> Measurement:
        """Evaluate a model under one condition, in a fresh process.

        :param target: ``package.module:function``
        """
        return Measurement.of(condition, self.call_under(condition, target, *arguments))

    def call_under(self, condition: Condition, target: str, *arguments: Any) -> Outcome:
        """Call a function in a fresh process on the processor that a condition has.

        :param target: ``package.module:function``
        """
        if condition.processor == "native":
            return self.call(target, *arguments)
        kept = {name: os.environ.get(name) for name in _BASELINE_PROCESSOR}
        os.environ.update(_BASELINE_PROCESSOR)
        try:  # only a new interpreter reads these variables
            return self._call("spawn", target, arguments)
        finally:
            for name, value in kept.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value

    def _call(self, method: isolation.Method, target: str, arguments: tuple[Any, ...]) -> Outcome:
        return isolation.call(
            target,
            arguments,
            method=method,
            log=self._log,
            timeout=self._reload.timeout,
            memory=self._reload.memory,
        )


def diagnose(processes: Processes, target: Target, measured_before: Mapping[str, Measurement]) -> Diagnosis:
    """Examine a model and try conditions until one explains what it earns, as long as one condition may take.

    :param measured_before: by the condition's name; the canonical condition is among them
    """
    outcome = processes.call(target.examine, *target.examine_arguments)
    if outcome.failure is not None:
        return Diagnosis(Examination(failure=outcome.failure.message), {}, explained=False)
    examination: Examination = outcome.value
    canonical = measured_before[CANONICAL]
    hopeless = canonical.failure is not None and canonical.failure.kind not in _SAYS_WHY
    trying = _Trying(processes, target, measured_before, examination)
    if not hopeless:
        trying.run(examination.trials)
        trying.run_longer()
        if examination.pairs and not canonical.healthy and not trying.explained:
            trying.run(pairs(canonical.condition, [trial for trial in trying.trials if trying.effect_of(trial)]))
    return Diagnosis(replace(examination, trials=tuple(trying.trials)), trying.measured, trying.explained)


_SAYS_WHY = ("refused", "exception")
"""Kinds of failures that a condition may remedy: what crashed, hung or filled the memory would do so again."""

_CHEAP = 60.0
"""Seconds that all trials of a model may take together when they are made again with more episodes."""


class _Trying:
    """Trials of one model, as far as they have been made.

    :ivar trials: in their order, each with the condition that was last tried
    :ivar measured: what they gave, by the condition's name
    """

    def __init__(
        self, processes: Processes, target: Target, before: Mapping[str, Measurement], examination: Examination
    ) -> None:
        self.trials: list[Trial] = []
        self.measured: dict[str, Measurement] = {}
        self._processes, self._target, self._before = processes, target, before
        self._goal = Goal(examination.target, examination.target_std)
        self._proven = {finding.cause for finding in examination.findings if finding.proof}
        self._deadline = time.monotonic() + processes.timeout

    def run(self, trials: Iterable[Trial]) -> None:
        """Make trials while there is time; those of conditions that were measured before are made already.

        One that runs many episodes before those that count is not made where another explains the reward.
        """
        for trial in trials:
            self.trials.append(trial)
            spared = trial.causes and trial.condition.episodes_before and self.explained
            if trial.condition.name not in self._before and not spared and time.monotonic() < self._deadline:
                excluding = Excluding(trial, self._before[CANONICAL], self._goal) if trial.causes else None
                self.measured[trial.condition.name] = self._evaluate(trial.condition, excluding)

    def run_longer(self) -> None:
        """Make those again that leave open how much they explain, with as many episodes as the canonical condition."""
        n, left = len(self._before[CANONICAL].episodes), _CHEAP
        for place, trial in enumerate(self.trials):
            effect, measured = self.effect_of(trial), self.measured.get(trial.condition.name)
            if self.explained or effect is None or measured is None or measured.process is None or not trial.causes:
                continue
            cost = measured.process.wall_seconds * n / len(measured.episodes)
            if len(measured.episodes) >= n or effect.explains or effect.excluded or cost > left:
                continue
            longer = replace(trial, condition=replace(trial.condition, n_episodes=n))
            found = self._evaluate(longer.condition)
            left -= cost
            if found.episodes:
                self.trials[place], self.measured[trial.condition.name] = longer, found

    @property
    def explained(self) -> bool:
        """Whether one of the trials closes enough of the gap."""
        effects = [self.effect_of(trial) for trial in self.trials if trial.causes]
        return any(effect is not None and self._explains(effect) for effect in effects)

    def effect_of(self, trial: Trial) -> TrialResult | None:
        """What a trial did to the reward; None where it was not made, or gave none, or there is nothing to explain."""
        found = self.measured.get(trial.condition.name) or self._before.get(trial.condition.name)
        return effect_of(trial, found, self._before[CANONICAL], self._goal)

    def _explains(self, effect: TrialResult) -> bool:
        enough = EXPLAINS_WITH_PROOF if self._proven & {*effect.causes} else EXPLAINS
        return effect.share is not None and effect.share >= enough

    def _evaluate(self, condition: Condition, excluding: Excluding | None = None) -> Measurement:
        arguments = self._target.evaluate_arguments(condition)
        return self._processes.evaluate(self._target.evaluate, condition, *arguments, excluding)
