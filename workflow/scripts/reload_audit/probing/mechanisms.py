"""What is behind a contrast that differs: the generator, the line or the attribute, found by further interventions.

Another state for one generator in one phase only, the same entropy for one line of code only, one attribute put back
to what it was: what makes the difference, or makes it vanish, is named.

What cannot be told apart in principle: state that no attribute holds (in an extension module, a closure, a file) can be
shown to exist, but not named. Whether a number that only ever grows is a curriculum or merely something that reset()
forgets is a question of intention; it is called a curriculum. And what happens only after more episodes than are run,
and is not announced by a number that grows, is not seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from reload_audit.probing.comparisons import change, changes, grows, histories, mismatch
from reload_audit.probing.experiment import DRAWN_VARIANTS, Effect, Experiment, variants
from reload_audit.probing.scenario import GLOBAL, PHASES, Result, Scenario
from reload_audit.probing.traces import first_mismatch
from reload_audit.processes.outcome import Failure
from reload_audit.records.probe_record import (
    Change,
    Contrast,
    EntropyEffect,
    GeneratorEffect,
    HashOrderEffect,
    Mismatch,
    Phase,
    Place,
    StateEffect,
)

_MOST_PLACES = 5

_SUSPECTS = 12
"""Attributes that are put back one by one, at most."""

_FAR = 1000.0
"""By how many times its growth over the first episodes a number is extrapolated, to see its effect much later."""

_OTHER_EPISODES = 5
"""Added to a variant to get other episodes than any variant tried before has."""


# --- What makes two equal processes differ: entropy, or a clock ------------------------------------------------------


def entropy_effects(experiment: Experiment, control: Scenario, difference: Mismatch) -> tuple[EntropyEffect, ...]:
    """Which lines ask for the entropy that matters.

    :param control: a scenario that repeats itself because all entropy is fixed
    :param difference: between two runs with the operating system's entropy
    """
    real = replace(experiment.control, clock=control.clock)
    noted = experiment.result(replace(real, noted_entropy=True))
    asked = {} if noted is None else noted.asked
    guilty: list[Place | None] = [*_guilty_places(experiment, control, list(asked))]
    pair = experiment.result(replace(real, before="same"))
    stable = pair is not None and first_mismatch(pair.firsts, pair.traces) is None
    changed = experiment.changed_after_reset(real)
    return tuple(
        EntropyEffect(place, None if place is None else asked[place], changed, stable, difference)
        for place in guilty or [None]
    )


def _guilty_places(experiment: Experiment, control: Scenario, asked: Sequence[Place]) -> list[Place]:
    """Places that alone need fixed entropy for repeats to agree; else those without which they do not agree."""
    guilty = [place for place in asked if experiment.settles(replace(control, fixed_entropy=frozenset({place})))]
    if guilty or len(asked) < 2:
        return guilty
    return [
        place
        for place in asked
        if not experiment.settles(replace(control, fixed_entropy=frozenset(set(asked) - {place})))
    ]


def clock_lines(experiment: Experiment) -> tuple[Place, ...]:
    """The lines of the environment's code that read a clock."""
    watched = experiment.result(replace(experiment.control, watched=True))
    return () if watched is None else tuple(watched.clocks)


# --- Global generators -----------------------------------------------------------------------------------------------


def generator_effects(experiment: Experiment, scenario: Scenario) -> Iterator[GeneratorEffect]:
    """Which global generators matter, in which phases.

    :param scenario: a variant in which other states of all of them change the episodes
    """
    watched = experiment.result(replace(experiment.control, watched=True))
    draws = {} if watched is None else watched.draws
    for generator in GLOBAL:
        found = _effect_of(experiment, scenario, generator, PHASES)
        if not isinstance(found, Effect):
            continue
        phases = tuple(phase for phase in PHASES if _effect_of(experiment, scenario, generator, (phase,)) is not None)
        places = [place for place, phase in draws.get(generator, {}).items() if phase in phases]
        changed = experiment.changed_after_reset(replace(found.scenario, others={generator: phases}))
        yield GeneratorEffect(generator, phases, tuple(places[:_MOST_PLACES]), changed, found.difference)


def _effect_of(
    experiment: Experiment, scenario: Scenario, generator: str, phases: tuple[Phase, ...]
) -> Effect | Failure | None:
    """The first variant in which another state of one generator in some phases changes episodes, or cannot be run."""
    drawn = set(phases) & set(experiment.baseline.drawn.get(generator, ()))
    for variant in variants(replace(scenario, others={generator: phases}), DRAWN_VARIANTS if drawn else 1):
        result = experiment.run(variant)
        if isinstance(result, Failure):
            return result
        difference = mismatch(result, experiment.baseline)
        if difference is not None:
            return Effect(variant, difference)
    return None


# --- State that instances, classes and modules carry along -----------------------------------------------------------


def state_effect(experiment: Experiment, contrast: Contrast, scenario: Scenario, difference: Mismatch) -> StateEffect:
    """Which of the attributes that earlier episodes changed cause the difference.

    :param scenario: the variant in which the contrast's episodes differ from the baseline's
    """
    used = experiment.results[contrast]
    suspects = _suspects(experiment, used, scenario)
    culprits = _culprits(experiment, scenario, list(dict.fromkeys(leaf.root for leaf in suspects))[:_SUSPECTS])
    named = tuple(leaf for leaf in suspects if leaf.root in culprits)
    return StateEffect(
        contrast=contrast,
        attributes=named,
        proved=bool(culprits),
        history=histories(named, used.history),
        counts_only=contrast is Contrast.MANY_EPISODES and _counts_only(experiment, scenario, used),
        difference=difference,
    )


def _suspects(experiment: Experiment, used: Result, scenario: Scenario) -> Sequence[Change]:
    if scenario.before != "interleaved":
        return changes(experiment.baseline.before, used.before)
    watched = experiment.result(replace(scenario, watched=True))
    return [] if watched is None else [change(path, *leaves) for path, leaves in watched.touched.items()]


def _culprits(experiment: Experiment, scenario: Scenario, suspects: Sequence[str]) -> list[str]:
    """The fewest attributes that make the difference vanish when they are put back to what they were."""

    def heals(restored: Iterable[str]) -> bool:
        return experiment.same(replace(scenario, restored=tuple(restored)))

    if not suspects or not heals(suspects):
        return []
    for suspect in suspects:
        if len(suspects) == 1 or heals([suspect]):
            return [suspect]
    needed = list(suspects)
    for suspect in suspects:
        fewer = [name for name in needed if name != suspect]
        if heals(fewer):
            needed = fewer
    return needed


def _counts_only(experiment: Experiment, scenario: Scenario, used: Result) -> bool:
    """Whether as many episodes, but other ones, have the same effect."""
    others = experiment.result(replace(scenario, variant=scenario.variant + _OTHER_EPISODES))
    return others is not None and first_mismatch(used.traces, others.traces) is None


def far_effects(experiment: Experiment) -> Iterator[StateEffect]:
    """Numbers that grew over the first episodes without consequence, but have one once they are set far beyond."""
    before = experiment.baseline.before[0]
    for path, history in experiment.results[Contrast.MANY_EPISODES].history.items():
        leaf = before.get(path)
        if leaf is None or leaf.root != path or not grows(history):
            continue
        far = history[0] + _FAR * (history[-1] - history[0])
        difference = experiment.mismatch(replace(experiment.control, moved={path: far}))
        if difference is not None:
            moved = replace(change(path, leaf, leaf), found=f"{far:g}")
            yield StateEffect(Contrast.FAR_BEYOND, (moved,), False, {path: tuple(history)}, True, difference)


# --- Another PYTHONHASHSEED ------------------------------------------------------------------------------------------


def hash_order_effect(experiment: Experiment) -> HashOrderEffect:
    """What differs under another PYTHONHASHSEED, and where sets are made or hashes asked for."""
    watched = experiment.result(replace(experiment.control, watched=True))
    changed = changes(experiment.baseline.after, experiment.results[Contrast.HASH_ORDER].after)
    return HashOrderEffect(changed, () if watched is None else tuple(watched.order_lines[:_MOST_PLACES]))
