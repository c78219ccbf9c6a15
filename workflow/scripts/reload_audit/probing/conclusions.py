"""What follows from a probe: findings, the most specific first, one for each fault; and the captions of contrasts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from reload_audit.causes.finding import Finding
from reload_audit.probing.comparisons import grows
from reload_audit.records.probe_record import Change, Contrast, Held, Mismatch, Phase, Place, ProbeRecord, StateEffect

CAPTIONS: Mapping[Contrast, str] = {
    Contrast.REPEAT: "the same again, in another fresh process",
    Contrast.SAME_INSTANCE: "the same episode a second time, on the same instance",
    Contrast.TWO_INSTANCES: "the same episode on a second instance",
    Contrast.GLOBAL_GENERATORS: "NumPy's, Python's and PyTorch's global generators in another state",
    Contrast.ANOTHER_INSTANCE: "another instance reset and stepped in between",
    Contrast.MANY_EPISODES: "an instance that has run other episodes before",
    Contrast.USED_PROCESS: "a process in which another instance has run other episodes before",
    Contrast.HASH_ORDER: "another PYTHONHASHSEED",
    Contrast.CLOCK: "another time of day",
}
"""In words, what the scenario of each contrast changes of the baseline."""

_STILL_DIFFERS = "for the same seed and actions in two fresh processes"

Details = Mapping[str, str | int]


def findings(probe: ProbeRecord) -> list[Finding]:
    """The faults of an environment."""
    if probe.failure is not None:
        return [Finding("not-runnable", "probe", True, f"The environment does not run: {probe.failure.message}")]
    found = [*_entropy(probe), *_clock(probe), *_generators(probe), *_hash_order(probe)]
    known = {finding.details.get("attribute") for finding in found} - {None}
    found += [finding for finding in _state(probe.effects.state) if finding.details.get("attribute") not in known]
    found += [*_failures(probe), *_unexplained(probe)]
    return found


def _failures(probe: ProbeRecord) -> Iterator[Finding]:
    """The first contrast that could not be run, although the baseline was."""
    for contrast, compared in probe.effects.contrasts.items():
        if compared.failure is not None:
            what, failure = CAPTIONS[contrast], compared.failure
            evidence = f"The environment runs at first, but not with {what}: {failure.message}."
            yield Finding("not-runnable", "probe", failure.kind != "timeout", evidence)
            return


def _unexplained(probe: ProbeRecord) -> Iterator[Finding]:
    """Repeats that differ even with entropy and clocks in a fixed state."""
    difference = probe.effects.contrasts[Contrast.REPEAT].difference
    if probe.effects.held is Held.NONE and difference is not None:
        evidence = f"{difference_sentence(difference)} {_STILL_DIFFERS}, also with entropy and clocks held still."
        yield Finding("nondeterministic-environment", "probe", True, evidence, _step(difference))


def _entropy(probe: ProbeRecord) -> Iterator[Finding]:
    for effect in probe.effects.entropy:
        generators = [change for change in effect.attributes if change.kind == "generator"]
        drawn = effect.phase == "construct" and effect.same_instance_repeats
        changed = [change for change in effect.attributes if change.kind != "generator"] if drawn else generators
        where = f" at {effect.where}" if effect.where is not None else ""
        evidence = (
            f"{difference_sentence(effect.difference)} {_STILL_DIFFERS}; "
            f"with the same entropy for what is seeded{where}, they are the same, bit for bit.{_attributes(changed)}"
        )
        places = [] if effect.where is None else [effect.where]
        details = {"generator": "unseeded", **_where(places), **_attribute(changed), **_step(effect.difference)}
        yield Finding("random-construction" if drawn else "unseeded-generator", "probe", True, evidence, details)


def _clock(probe: ProbeRecord) -> Iterator[Finding]:
    clock = probe.effects.clock
    if clock is not None:
        evidence = (
            f"{difference_sentence(clock.difference)} {_STILL_DIFFERS}, and no longer with clocks that stand still"
            if clock.changed is Contrast.REPEAT
            else f"{difference_sentence(clock.difference)} at another time of day"
        )
        read = f"; a clock is read at {_listed(clock.lines)}" if clock.lines else ""
        details = {**_where(clock.lines), **_step(clock.difference)}
        yield Finding("clock", "probe", True, f"{evidence}{read}.", details)


def _generators(probe: ProbeRecord) -> Iterator[Finding]:
    for effect in probe.effects.generators:
        construction = effect.phases == ("construct",)
        changed = [change for change in effect.attributes if construction or change.scope != "instance"]
        evidence = (
            f"{difference_sentence(effect.difference)} when only the state of {effect.generator} is another one; "
            f"it is drawn from {_drawn(effect.phases, effect.where)}.{_attributes(changed)}"
        )
        details = {
            "generator": effect.generator,
            **_where(effect.where),
            **_attribute(changed),
            **_step(effect.difference),
        }
        yield Finding("random-construction" if construction else "global-generator", "probe", True, evidence, details)


def _drawn(phases: Sequence[Phase], places: Sequence[Place]) -> str:
    """In which phases and at which lines; a phase is left out where a line's function has the same name."""
    functions = {"construct" if place.function == "__init__" else place.function for place in places}
    when = " and ".join(_PHASES[phase] for phase in phases if phase not in functions)
    where = f"at {_listed(places)}" if places else ""
    return ", ".join(filter(None, [when, where]))


_PHASES: Mapping[Phase, str] = {
    "import": "when it is imported",
    "construct": "when it is constructed",
    "reset": "in reset()",
    "step": "in step()",
}


def _hash_order(probe: ProbeRecord) -> Iterator[Finding]:
    effect = probe.effects.hash_order
    difference = None if effect is None else probe.effects.contrasts[Contrast.HASH_ORDER].difference
    if effect is not None and difference is not None:
        lines = f"; sets or hashes are used at {_listed(effect.lines)}" if effect.lines else ""
        said = difference_sentence(difference)
        evidence = f"{said} under another PYTHONHASHSEED{lines}.{_attributes(effect.attributes)}"
        details = {**_where(effect.lines), **_attribute(effect.attributes), **_step(difference)}
        yield Finding("hash-order", "probe", True, evidence, details)


def _state(effects: Sequence[StateEffect]) -> list[Finding]:
    """One finding for each attribute, whatever the contrasts that show it.

    Effects of which no attribute is known make one finding together, and only where there is no other.
    """
    groups: dict[tuple[str, ...], list[StateEffect]] = defaultdict(list)
    for effect in effects:
        groups[tuple(sorted({change.root for change in effect.attributes}))].append(effect)
    unnamed = groups.pop((), [])
    found = [_finding(group) for group in groups.values()]
    if unnamed and not found:
        found = [_finding(unnamed)]
    return sorted(found, key=lambda finding: _RANKS.index(finding.cause))


_RANKS = ("seed-ignored", "shared-between-instances", "process-cache", "curriculum", "survives-reset")


def _finding(effects: Sequence[StateEffect]) -> Finding:
    by_contrast = {effect.contrast: effect for effect in effects}
    cause = _state_cause(effects)
    first = by_contrast[next(contrast for contrast in _SHOWN_BY[cause] if contrast in by_contrast)]
    proof = any(effect.proved for effect in effects) or not any(effect.attributes for effect in effects)
    told = _attributes(first.attributes)
    names = _listed([change.root for change in first.attributes])
    if first.proved:
        told += f" With {names} put back, the episodes are the same, bit for bit."
    elif first.contrast is Contrast.FAR_BEYOND:
        told = f" {names} grows with every episode, and nothing was seen to follow from it in the first ones."
    evidence = f"{difference_sentence(first.difference)} {_SITUATIONS[first.contrast]}.{told}"
    return Finding(cause, "probe", proof, evidence, {**_attribute(first.attributes), **_step(first.difference)})


def _state_cause(effects: Sequence[StateEffect]) -> str:
    contrasts = {effect.contrast for effect in effects}
    changes = [change for effect in effects for change in effect.attributes]
    if any(change.kind == "generator" for change in changes):
        return "seed-ignored"
    if Contrast.ANOTHER_INSTANCE in contrasts:
        return "shared-between-instances"
    counts = any(effect.counts_only or any(map(grows, effect.history.values())) for effect in effects)
    if changes and counts and any(effect.history for effect in effects):
        return "curriculum"
    if contrasts & {Contrast.USED_PROCESS, Contrast.TWO_INSTANCES}:
        return "process-cache"
    return "curriculum" if counts else "survives-reset"


_SHOWN_BY: Mapping[str, Sequence[Contrast]] = {
    "seed-ignored": (
        Contrast.SAME_INSTANCE,
        Contrast.MANY_EPISODES,
        Contrast.ANOTHER_INSTANCE,
        Contrast.TWO_INSTANCES,
        Contrast.USED_PROCESS,
    ),
    "shared-between-instances": (Contrast.ANOTHER_INSTANCE,),
    "curriculum": (
        Contrast.MANY_EPISODES,
        Contrast.SAME_INSTANCE,
        Contrast.FAR_BEYOND,
        Contrast.USED_PROCESS,
        Contrast.TWO_INSTANCES,
    ),
    "survives-reset": (Contrast.SAME_INSTANCE, Contrast.MANY_EPISODES),
    "process-cache": (Contrast.USED_PROCESS, Contrast.TWO_INSTANCES),
}
"""For each cause the contrasts that can show it: the evidence tells the difference of the first that does."""

_SITUATIONS: Mapping[Contrast, str] = {
    Contrast.SAME_INSTANCE: "when the same episode is run a second time on the same instance",
    Contrast.TWO_INSTANCES: "on a second instance in the same process",
    Contrast.ANOTHER_INSTANCE: "when another instance is reset and stepped in between",
    Contrast.MANY_EPISODES: "on an instance that has run other episodes before",
    Contrast.USED_PROCESS: "in a process in which another instance has run episodes before",
    Contrast.FAR_BEYOND: "once that number is as high as after very many episodes",
}


def difference_sentence(difference: Mismatch) -> str:
    """A difference in words: seed, step and component, with the values where they are known."""
    where = f"With seed {difference.seed} and {_ACTIONS[difference.actions]} actions"
    when = "after reset()" if difference.step == 0 else f"at step {difference.step}"
    if difference.expected is None:
        return f"{where}, {difference.component} is another one {when}"
    found, expected = _told_apart(difference.found, difference.expected)
    return f"{where}, {difference.component} is {found} instead of {expected} {when}"


def _told_apart(found: float | None, expected: float) -> tuple[str, str]:
    """Two values, with more digits where a few do not tell them apart."""
    if found is None:
        return "missing", f"{expected:.6g}"
    short = f"{found:.6g}", f"{expected:.6g}"
    return short if short[0] != short[1] else (f"{found:.17g}", f"{expected:.17g}")


_ACTIONS = {"random": "random", "model": "the model's own"}


def _attributes(changes: Sequence[Change]) -> str:
    told = [f"{change.attribute} is {change.found} instead of {change.expected}" for change in changes[:2]]
    return f" {'; '.join(told)}." if told else ""


def _listed(names: Sequence[str | Place]) -> str:
    return " and ".join(dict.fromkeys(map(str, names)))


def _where(places: Sequence[Place]) -> Details:
    return {"where": str(places[0])} if places else {}


def _attribute(changes: Sequence[Change]) -> Details:
    return {"attribute": changes[0].root} if changes else {}


def _step(difference: Mismatch) -> Details:
    return {"seed": difference.seed, "step": difference.step, "component": difference.component}
