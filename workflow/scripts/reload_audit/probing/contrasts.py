"""Compare an environment under scenarios that each change one thing, and find out what causes every difference.

Decides what runs, and runs nothing itself. Where nothing differs from the baseline, that is all. Where something does,
``mechanisms`` finds what is behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reload_audit.probing.comparisons import generators_changed
from reload_audit.probing.experiment import Experiment, NotRepeatable, Runner
from reload_audit.probing.mechanisms import (
    clock_lines,
    entropy_effects,
    far_effects,
    generator_effects,
    hash_order_effect,
    state_effect,
)
from reload_audit.probing.scenario import GLOBAL, PHASES, Before, Result, Scenario
from reload_audit.processes.outcome import Failure
from reload_audit.records.probe_record import ClockEffect, Compared, Contrast, Effects, Held, Mismatch

_EVERYWHERE = dict.fromkeys(GLOBAL, PHASES)

_REPEATS = 6
"""Runs of the baseline at most."""

_USED_BEFORE: Mapping[Contrast, tuple[Before, int]] = {
    Contrast.SAME_INSTANCE: ("same", 0),
    Contrast.TWO_INSTANCES: ("twin", 0),
    Contrast.ANOTHER_INSTANCE: ("interleaved", 0),
    Contrast.MANY_EPISODES: ("episodes", 0),
    Contrast.USED_PROCESS: ("strangers", 10),
}
"""``Scenario.before`` of the contrasts that use an instance or process before measuring, and their first variant."""


class Contrasts:
    """All contrasts of one environment.

    :param run: runs a scenario in a fresh process
    :param episodes: how many an instance runs before the measured one, in contrasts with a used instance
    """

    def __init__(self, run: Runner, episodes: int) -> None:
        self._run = run
        self._episodes = episodes
        self.effects = Effects({})

    def compare(self) -> Failure | None:
        """Run all contrasts but hash order, and keep what they gave in ``effects``.

        :return: why there is no baseline, if there is none
        """
        control = Scenario(episodes=self._episodes)
        baseline = self._run(control)
        if isinstance(baseline, Failure):
            return baseline
        self._experiment = Experiment(self._run, control, baseline)  # whose comparisons ``effects`` shows as they come
        self.effects = Effects(self._experiment.compared)
        try:
            difference = self._repeat()
            if difference is None or self._find_control(difference):
                self._compare()
        except NotRepeatable as caught:  # what was equal at first was so by chance
            self._experiment.compared.clear()
            self._experiment.compared[Contrast.REPEAT] = Compared(True, caught.difference)
            self.effects = Effects(self._experiment.compared)
            if self._find_control(caught.difference):
                self._compare()
        return None

    def compare_hash_order(self) -> None:
        """Run the contrast of hash order; fresh processes must have another PYTHONHASHSEED by now."""
        experiment = self._experiment
        if self.effects.held is Held.NONE:
            return
        difference = experiment.contrast(Contrast.HASH_ORDER, experiment.control)
        if difference is None:
            return
        if experiment.settles(experiment.control):
            self._note(hash_order=hash_order_effect(experiment))
        else:
            experiment.compared[Contrast.HASH_ORDER] = Compared(None, difference)

    def _compare(self) -> None:
        self._clocks()
        self._generators()
        for contrast in _USED_BEFORE:
            self._used_before(contrast)
        if self._experiment.compared[Contrast.MANY_EPISODES].differs is False:
            self._note(state=(*self.effects.state, *far_effects(self._experiment)))

    def _note(self, **effects: Any) -> None:
        self.effects = replace(self.effects, **effects)

    def _repeat(self) -> Mismatch | None:
        """Run the baseline again; more often where generators differ, although the episodes do not."""
        experiment = self._experiment
        for attempt in range(_REPEATS):
            found = experiment.contrast(Contrast.REPEAT, experiment.control)
            if found is not None or experiment.compared[Contrast.REPEAT].failure is not None:
                return found
            if attempt and not generators_changed(experiment.baseline, experiment.results[Contrast.REPEAT]):
                return None
        return None

    def _find_control(self, difference: Mismatch) -> bool:
        """Give entropy or clocks a fixed state if repeats are then the same, so that other contrasts can still be told.

        :param difference: between two runs of the baseline's scenario
        """
        experiment = self._experiment
        real = experiment.control
        for control in (
            replace(real, clock="frozen"),  # first: what a clock says may well be the same three times
            replace(real, fixed_entropy=None),
            replace(real, clock="frozen", fixed_entropy=None),
        ):
            result = experiment.repeats(control)
            if isinstance(result, Failure):
                break
            if result is not None:
                self._hold(control, result, difference)
                return True
        self._note(held=Held.NONE)
        return False

    def _hold(self, control: Scenario, baseline: Result, difference: Mismatch) -> None:
        """Go on with another scenario as the baseline, and note what made repeats differ."""
        if control.fixed_entropy is None:
            self._note(entropy=entropy_effects(self._experiment, control, difference))
        if control.clock == "frozen":
            self._note(clock=ClockEffect(Contrast.REPEAT, clock_lines(self._experiment), difference))
        self._set_control(control, baseline)

    def _set_control(self, control: Scenario, baseline: Result) -> None:
        self._experiment.control, self._experiment.baseline = control, baseline
        self._note(held=control.held)

    def _clocks(self) -> None:
        experiment = self._experiment
        if self.effects.clock is not None:
            experiment.compared[Contrast.CLOCK] = Compared(True, self.effects.clock.difference)
            return
        found = experiment.first_variant(Contrast.CLOCK, replace(experiment.control, clock="shifted"), most=2)
        if found is None:
            return
        self._note(clock=ClockEffect(Contrast.CLOCK, clock_lines(experiment), found.difference))
        control = replace(experiment.control, clock="frozen")
        baseline = experiment.result(control)
        if baseline is not None:
            self._set_control(control, baseline)

    def _generators(self) -> None:
        scenario = replace(self._experiment.control, others=_EVERYWHERE)
        found = self._experiment.first_variant(Contrast.GLOBAL_GENERATORS, scenario, most=2)
        if found is not None:
            self._note(generators=tuple(generator_effects(self._experiment, found.scenario)))

    def _used_before(self, contrast: Contrast) -> None:
        """Compare with an instance or a process that has been used before."""
        before, variant = _USED_BEFORE[contrast]
        scenario = replace(self._experiment.control, before=before, variant=variant)
        most = 2 if contrast is Contrast.USED_PROCESS else 1
        found = self._experiment.first_variant(contrast, scenario, most)
        if found is not None:
            effect = state_effect(self._experiment, contrast, found.scenario, found.difference)
            self._note(state=(*self.effects.state, effect))
