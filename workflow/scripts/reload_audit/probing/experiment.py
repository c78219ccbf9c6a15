"""Run scenarios in fresh processes and compare each with the baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from reload_audit.probing.comparisons import changes, generators_changed, mismatch
from reload_audit.probing.scenario import Result, Scenario
from reload_audit.processes.outcome import Failure
from reload_audit.records.probe_record import Change, Compared, Contrast, Held, Mismatch

Runner = Callable[[Scenario], Result | Failure]

DRAWN_VARIANTS = 10
"""States that global generators are given at most, where the environment draws from them.

A single bit that is drawn once for the whole process is the same in all of them with probability 1 in 1024.
"""


class NotRepeatable(Exception):
    """Two runs of the baseline's scenario differ.

    :param difference: where they first do
    """

    def __init__(self, difference: Mismatch) -> None:
        super().__init__()
        self.difference = difference


@dataclass(frozen=True)
class Effect:
    """A scenario whose episodes are not the baseline's, and where they first differ."""

    scenario: Scenario
    difference: Mismatch


class Experiment:
    """A baseline, and what was compared with it.

    :param run: runs a scenario in a fresh process
    :param control: the scenario of the baseline
    :param baseline: what running it gave
    """

    def __init__(self, run: Runner, control: Scenario, baseline: Result) -> None:
        self.run = run
        self.control = control
        self.baseline = baseline
        self.compared: dict[Contrast, Compared] = {}
        self.results: dict[Contrast, Result] = {}

    def contrast(self, contrast: Contrast, scenario: Scenario) -> Mismatch | None:
        """Run the scenario of a contrast, and record how its episodes compare with the baseline's."""
        result = self.run(scenario)
        if isinstance(result, Failure):
            self.compared[contrast] = Compared(failure=result)
            return None
        found = mismatch(result, self.baseline)
        self.compared[contrast] = Compared(found is not None, found)
        self.results[contrast] = result
        return found

    def first_variant(self, contrast: Contrast, scenario: Scenario, most: int) -> Effect | None:
        """The first variant of a scenario that differs from the baseline, None if none does.

        What is drawn but once in a process may be the same by chance: see ``_enough``.

        :param most: variants where nothing that was seen asks for more
        :raises NotRepeatable: the baseline does not repeat itself either
        """
        for variant in variants(scenario, DRAWN_VARIANTS):
            difference = self.contrast(contrast, variant)
            if difference is not None:
                self._check_baseline()
                return Effect(variant, difference)
            if self.compared[contrast].failure is not None:
                break
            if variant.variant + 1 - scenario.variant >= self._enough(contrast, most):
                break
        return None

    def _enough(self, contrast: Contrast, most: int) -> int:
        """How many variants a contrast needs, going by what was seen in the last one."""
        result = self.results[contrast]
        if contrast is Contrast.GLOBAL_GENERATORS and (self.baseline.drawn or result.drawn):
            return DRAWN_VARIANTS
        return most

    def _check_baseline(self) -> None:
        """Run the baseline once more.

        :raises NotRepeatable: its episodes have changed, although nothing else has
        """
        if self.control.held is Held.NOTHING:
            result = self.run(self.control)
            found = None if isinstance(result, Failure) else mismatch(result, self.baseline)
            if found is not None:
                raise NotRepeatable(found)

    def result(self, scenario: Scenario) -> Result | None:
        """What a scenario gives; None where it cannot be run."""
        result = self.run(scenario)
        return None if isinstance(result, Failure) else result

    def mismatch(self, scenario: Scenario) -> Mismatch | None:
        """Where a scenario's episodes differ from the baseline's; None if not, or if it cannot be run."""
        result = self.result(scenario)
        return None if result is None else mismatch(result, self.baseline)

    def same(self, scenario: Scenario) -> bool:
        """Whether a scenario runs and its episodes are the baseline's."""
        result = self.result(scenario)
        return result is not None and mismatch(result, self.baseline) is None

    def changed_after_reset(self, scenario: Scenario) -> tuple[Change, ...]:
        """What an environment carries along after ``reset`` that is not as in the baseline."""
        result = self.result(scenario)
        return () if result is None else changes(self.baseline.after, result.after)

    def repeats(self, scenario: Scenario) -> Result | Failure | None:
        """The scenario's result, if three fresh processes agree on it, generators included; None if they do not."""
        first = self.run(scenario)
        if isinstance(first, Failure):
            return first
        for _ in range(2):
            other = self.run(scenario)
            if isinstance(other, Failure) or mismatch(first, other) or generators_changed(first, other):
                return None
        return first

    def settles(self, scenario: Scenario) -> bool:
        """Whether three fresh processes agree on a scenario."""
        return isinstance(self.repeats(scenario), Result)


def variants(scenario: Scenario, most: int) -> Iterator[Scenario]:
    """A scenario and its next variants: earlier episodes, generators' states and the time of day differ in each."""
    for further in range(most):
        yield replace(scenario, variant=scenario.variant + further)
