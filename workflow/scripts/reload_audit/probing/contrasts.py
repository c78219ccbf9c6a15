"""Compare scenarios, and go after every difference until its mechanism is shown. Decides what runs, and runs nothing.

Each contrast changes one thing: see ``CONTRASTS``. Where nothing differs, that is all. Where something does, further
scenarios intervene: another state for one generator in one phase only, the same entropy for one line of code only, one
attribute put back to what it was. What makes the difference, or makes it vanish, is named.

What cannot be told apart in principle: state that no attribute holds (in an extension module, a closure, a file) can be
shown to exist, but not named. Whether a number that only ever grows is a curriculum or merely something that reset()
forgets is a question of intention; it is called a curriculum. And what happens only after more episodes than are run,
and is not announced by a number that grows, is not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Any

from reload_audit.probing.scenarios import GLOBAL, PHASES, Before, Leaf, Phase, Result, Scenario
from reload_audit.probing.traces import Difference, Trace, first_difference
from reload_audit.processes.isolation import Failure

Runner = Callable[[Scenario], Result | Failure]

CONTRASTS = {
    "repeat": "the same again, in another fresh process",
    "same instance": "the same episode a second time, on the same instance",
    "two instances": "the same episode on a second instance",
    "global generators": "NumPy's, Python's and PyTorch's global generators in another state",
    "another instance": "another instance reset and stepped in between",
    "many episodes": "an instance that has run other episodes before",
    "used process": "a process in which another instance has run other episodes before",
    "hash order": "another PYTHONHASHSEED",
    "clock": "another time of day",
}
"""What differs from the baseline, by name."""

_EVERYWHERE = dict.fromkeys(GLOBAL, PHASES)
_REPEATS = 6
"""Runs of the baseline at most."""

_DRAWN_VARIANTS = 20
"""States that global generators are given at most, where the environment draws from them.

A single bit that is drawn once for the whole process is the same in all of them with probability 1 in a million.
"""

_USED_VARIANTS = 6
"""Other episodes that use a process at most, where they change what instances share: 1 in 64 for a single bit."""

_SUSPECTS = 12
"""Attributes that are put back one by one, at most."""

_FAR = 1000.0
"""Times that a number that grew in the prelude goes on growing, to see what would then be."""


@dataclass
class Probed:
    """What became of the contrasts.

    :param contrasts: for each what it changes, whether the episodes differ (None where that could not be seen), where
        they first do, and the failure
    :param held: what was held still in all contrasts but ``repeat``, because otherwise no two runs are the same:
        ``nothing``, ``entropy``, ``clocks``, ``entropy and clocks``; ``none`` where not even that helps
    :param generators: global generators that matter: in which phases, where they are drawn from
    :param entropy: places that ask for entropy that matters
    :param clock: places that read a clock, if that matters
    :param hash_order: what differs under another PYTHONHASHSEED, if the episodes do
    :param state: what episodes, or other instances, leave behind that matters
    """

    contrasts: dict[str, dict[str, Any]] = field(default_factory=dict)
    held: str = "nothing"
    generators: list[dict[str, Any]] = field(default_factory=list)
    entropy: list[dict[str, Any]] = field(default_factory=list)
    clock: dict[str, Any] | None = None
    hash_order: dict[str, Any] | None = None
    state: list[dict[str, Any]] = field(default_factory=list)


class _NotRepeatable(Exception):
    """Two runs under the baseline differ.

    :param repeat: what becomes of the contrast of that name
    """

    def __init__(self, repeat: dict[str, Any]) -> None:
        super().__init__()
        self.repeat = repeat


@dataclass(frozen=True)
class _Effect:
    """A scenario that changes episodes.

    :param difference: between its episodes and the baseline's; None where it could not be run
    """

    scenario: Scenario
    difference: Difference | None


class Contrasts:
    """All contrasts of one environment.

    :param run: runs a scenario in a fresh process
    """

    def __init__(self, run: Runner, episodes: int) -> None:
        self._run = run
        self._control = Scenario(episodes=episodes)
        self._results: dict[str, Result] = {}
        self.probed = Probed()

    def compare(self) -> Failure | None:
        """Run the contrasts.

        :return: why there is no baseline, if there is none
        """
        baseline = self._run(self._control)
        if isinstance(baseline, Failure):
            return baseline
        self._baseline = baseline
        try:
            if self._repeat() is None or self._find_control():
                self._compare()
        except _NotRepeatable as caught:  # what was equal at first was so by chance
            self.probed = Probed(contrasts={"repeat": caught.repeat})
            if self._find_control():
                self._compare()
        return None

    def _repeat(self) -> Difference | None:
        """Twice; more often where generators differ, although what they gave did not."""
        for attempt in range(_REPEATS):
            found = self._contrast("repeat", self._control)
            if found is not None or self.probed.contrasts["repeat"]["failure"] is not None:
                return found
            if attempt and not _generators_changed(self._baseline, self._results["repeat"]):
                return None
        return None

    def _compare(self) -> None:
        self._clocks()
        self._generators()
        for name, before in _BEFORE.items():
            self._used_before(name, before)
        self._far_curriculum()

    def compare_hash_order(self) -> None:
        """The last one, once fresh processes have another PYTHONHASHSEED."""
        if self.probed.held == "none":
            return
        if self._contrast("hash order", self._control) is None:
            return
        if not self._settles(self._control):
            self.probed.contrasts["hash order"]["differs"] = None
        else:
            result = self._results["hash order"]
            watched = self._run(replace(self._control, watched=True))
            changed = _changed(self._baseline.after, result.after)
            lines = [] if isinstance(watched, Failure) else watched.order_lines
            self.probed.hash_order = {"attributes": changed, "lines": lines[:5]}

    # --- One contrast ------------------------------------------------------------------------------------------------

    def _contrast(self, name: str, scenario: Scenario, baseline: Result | None = None) -> Difference | None:
        result = self._run(scenario)
        self.probed.contrasts[name] = entry = _entry(CONTRASTS[name])
        if isinstance(result, Failure):
            entry["failure"] = asdict(result)
            return None
        found = _difference(result, baseline or self._baseline)
        entry["differs"] = found is not None
        entry["difference"] = None if found is None else found.to_dict()
        self._results[name] = result
        return found

    def _first_variant(self, name: str, scenario: Scenario) -> Scenario | None:
        """The first variant of a scenario that differs from the baseline, None if none does.

        What is drawn but once in a process may be the same by chance: see ``_most_variants``.
        """
        for variant in _variants(scenario, _DRAWN_VARIANTS):
            if self._contrast(name, variant) is not None:
                self._check_baseline()
                return variant
            if self.probed.contrasts[name]["failure"] is not None:
                break
            if variant.variant + 1 - scenario.variant >= self._most_variants(name):
                break
        return None

    def _most_variants(self, name: str) -> int:
        """How many variants a contrast needs, going by what was seen in the last one."""
        result = self._results[name]
        if name == "global generators" and (self._baseline.drawn or result.drawn):
            return _DRAWN_VARIANTS
        if name == "used process":
            changed = _changed(self._baseline.before[:1], result.before[:1])
            return _USED_VARIANTS if any(change["scope"] != "instance" for change in changed) else 2
        return 2 if name in _TWO_VARIANTS else 1

    def _check_baseline(self) -> None:
        """:raises _NotRepeatable: the baseline does not give the same any more, although nothing has changed"""
        if self.probed.held == "nothing":
            result = self._run(self._control)
            found = None if isinstance(result, Failure) else _difference(result, self._baseline)
            if found is not None:
                raise _NotRepeatable({**_entry(CONTRASTS["repeat"]), "differs": True, "difference": found.to_dict()})

    def _repeats(self, scenario: Scenario) -> Result | Failure | None:
        """The scenario's result, if three fresh processes agree on it, generators included; None if they do not."""
        first = self._run(scenario)
        if isinstance(first, Failure):
            return first
        for _ in range(2):
            other = self._run(scenario)
            if isinstance(other, Failure) or _difference(first, other) or _generators_changed(first, other):
                return None
        return first

    def _settles(self, scenario: Scenario) -> bool:
        return isinstance(self._repeats(scenario), Result)

    # --- What makes two equal processes differ: entropy, or a clock --------------------------------------------------

    def _find_control(self) -> bool:
        """Hold still what makes repeats differ, so that the other contrasts can still be told."""
        difference = self.probed.contrasts["repeat"]["difference"]
        for held, changes in _CONTROLS.items():
            control = replace(self._control, **changes)
            result = self._repeats(control)
            if isinstance(result, Failure):
                break
            if result is not None:
                self.probed.held = held
                if "entropy" in held:
                    self._entropy(control)
                if "clocks" in held:
                    self.probed.clock = {
                        "changed": "repeat",
                        "lines": self._clock_lines(),
                        "difference": difference,
                    }
                self._control, self._baseline = control, result
                return True
        self.probed.held = "none"
        return False

    def _entropy(self, control: Scenario) -> None:
        """Which lines ask for the entropy that matters: with it fixed for one of them alone, what repeats?"""
        noted = self._run(replace(self._control, noted_entropy=True, clock=control.clock))
        asked = {} if isinstance(noted, Failure) else noted.asked
        guilty = [place for place in asked if self._settles(replace(control, fixed_entropy=frozenset({place})))]
        if not guilty:
            guilty = [
                place
                for place in asked
                if len(asked) > 1 and not self._settles(replace(control, fixed_entropy=frozenset(set(asked) - {place})))
            ]
        pair = self._run(replace(self._control, before="same", clock=control.clock))
        stable = not isinstance(pair, Failure) and first_difference(pair.firsts, pair.traces) is None
        second = self._run(replace(self._control, clock=control.clock))
        changed = [] if isinstance(second, Failure) else _changed(self._baseline.after, second.after)
        for place in guilty or [""]:
            self.probed.entropy.append(
                {
                    "where": place,
                    "phase": asked.get(place, ""),
                    "attributes": changed,
                    "same instance repeats": stable,
                    "proved": bool(place),
                    "difference": self.probed.contrasts["repeat"]["difference"],
                }
            )

    def _clocks(self) -> None:
        if self._control.clock == "frozen":
            self.probed.contrasts["clock"] = {
                **_entry(CONTRASTS["clock"]),
                "differs": True,
                "difference": (self.probed.clock or {}).get("difference"),
            }
            return
        if self._first_variant("clock", replace(self._control, clock="shifted")) is None:
            return
        difference = self.probed.contrasts["clock"]["difference"]
        self.probed.clock = {"changed": "clock", "lines": self._clock_lines(), "difference": difference}
        control = replace(self._control, clock="frozen")
        baseline = self._run(control)
        if not isinstance(baseline, Failure):
            self.probed.held = "clocks" if self.probed.held == "nothing" else "entropy and clocks"
            self._control, self._baseline = control, baseline

    def _clock_lines(self) -> list[str]:
        watched = self._run(replace(self._control, watched=True))
        return [] if isinstance(watched, Failure) else list(watched.clocks)

    # --- Global generators -------------------------------------------------------------------------------------------

    def _generators(self) -> None:
        scenario = self._first_variant("global generators", replace(self._control, others=_EVERYWHERE))
        if scenario is None:
            return
        watched = self._run(replace(self._control, watched=True))
        draws = {} if isinstance(watched, Failure) else watched.draws
        for generator in GLOBAL:
            found = self._matters(scenario, generator, PHASES)
            if found is None or found.difference is None:
                continue
            phases = [phase for phase in PHASES if self._matters(scenario, generator, (phase,)) is not None]
            there = self._run(replace(found.scenario, others={generator: tuple(phases)}))
            places = [place for place, phase in draws.get(generator, {}).items() if phase in phases]
            self.probed.generators.append(
                {
                    "generator": generator,
                    "phases": phases,
                    "where": places[:5],
                    "attributes": [] if isinstance(there, Failure) else _changed(self._baseline.after, there.after),
                    "difference": found.difference.to_dict(),
                }
            )

    def _matters(self, scenario: Scenario, generator: str, phases: tuple[Phase, ...]) -> _Effect | None:
        """The first variant in which another state of one generator in some phases has an effect."""
        drawn = set(phases) & set(self._baseline.drawn.get(generator, ()))
        alone = replace(scenario, others={generator: phases})
        for variant in _variants(alone, _DRAWN_VARIANTS if drawn else 1):
            result = self._run(variant)
            if isinstance(result, Failure):
                return _Effect(variant, None)
            difference = _difference(result, self._baseline)
            if difference is not None:
                return _Effect(variant, difference)
        return None

    # --- State that instances, classes and modules carry along -------------------------------------------------------

    def _used_before(self, name: str, before: Before) -> None:
        scenario = self._first_variant(name, replace(self._control, before=before, variant=_FIRST_VARIANT.get(name, 0)))
        if scenario is None:
            return
        used = self._results[name]
        suspects = self._suspects(used, scenario)
        culprits = self._culprits(scenario, list(dict.fromkeys(leaf["root"] for leaf in suspects))[:_SUSPECTS])
        named = [leaf for leaf in suspects if leaf["root"] in culprits]
        self.probed.state.append(
            {
                "contrast": name,
                "attributes": named,
                "proved": bool(culprits),
                "history": _histories(named, used.history),
                "counts only": name == "many episodes" and self._counts_only(scenario, used),
                "difference": self.probed.contrasts[name]["difference"],
            }
        )

    def _suspects(self, used: Result, scenario: Scenario) -> list[dict[str, Any]]:
        if scenario.before != "interleaved":
            return _changed(self._baseline.before, used.before)
        watched = self._run(replace(scenario, watched=True))
        if isinstance(watched, Failure):
            return []
        return [_change(path, *leaves) for path, leaves in watched.touched.items()]

    def _culprits(self, scenario: Scenario, suspects: Sequence[str]) -> list[str]:
        """The fewest attributes that make the difference vanish when they are put back to what they were."""

        def heals(restored: Iterable[str]) -> bool:
            result = self._run(replace(scenario, restored=tuple(restored)))
            return not isinstance(result, Failure) and _difference(result, self._baseline) is None

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

    def _counts_only(self, scenario: Scenario, used: Result) -> bool:
        """Whether as many episodes, but other ones, have the same effect."""
        others = self._run(replace(scenario, variant=scenario.variant + 5))
        return not isinstance(others, Failure) and first_difference(used.traces, others.traces) is None

    def _far_curriculum(self) -> None:
        """Numbers that grew in the prelude without consequence: what if they went on growing?"""
        if self.probed.contrasts["many episodes"]["differs"] is not False:
            return
        before = self._baseline.before[0]
        for path, history in self._results["many episodes"].history.items():
            leaf = before.get(path)
            if leaf is None or leaf.root != path or not grows(history):
                continue
            far = history[0] + _FAR * (history[-1] - history[0])
            result = self._run(replace(self._control, moved={path: far}))
            difference = None if isinstance(result, Failure) else _difference(result, self._baseline)
            if difference is not None:
                self.probed.state.append(
                    {
                        "contrast": "far beyond",
                        "attributes": [{**_change(path, leaf, leaf), "found": f"{far:g}"}],
                        "proved": False,
                        "history": {path: history},
                        "counts only": True,
                        "difference": difference.to_dict(),
                    }
                )


_BEFORE: Mapping[str, Before] = {
    "same instance": "same",
    "two instances": "twin",
    "another instance": "interleaved",
    "many episodes": "episodes",
    "used process": "strangers",
}

_TWO_VARIANTS = ("clock", "global generators", "used process")
_FIRST_VARIANT = {"used process": 10}

_CONTROLS: Mapping[str, Mapping[str, Any]] = {
    "clocks": {"clock": "frozen"},  # first: what a clock says may well be the same three times
    "entropy": {"fixed_entropy": None},
    "entropy and clocks": {"fixed_entropy": None, "clock": "frozen"},
}


def _variants(scenario: Scenario, most: int) -> Iterator[Scenario]:
    for further in range(most):
        yield replace(scenario, variant=scenario.variant + further)


def grows(history: Sequence[float]) -> bool:
    """Whether a number moves in one direction only, and more than once."""
    steps = [later - earlier for earlier, later in pairwise(history)]
    moved = [step for step in steps if step != 0]
    return len(moved) > 1 and (min(moved) > 0 or max(moved) < 0)


def _difference(result: Result, baseline: Result) -> Difference | None:
    """Between the episodes of one process where they are a pair, else between processes."""
    found = first_difference(result.firsts, result.traces) if result.firsts else None
    return found or first_difference(_comparable(baseline.traces, result.traces), result.traces)


def _comparable(baseline: Sequence[Trace], traces: Sequence[Trace]) -> Sequence[Trace]:
    return baseline[: len(traces)]


def _entry(what: str) -> dict[str, Any]:
    return {"what": what, "differs": None, "difference": None, "failure": None}


def _changed(before: Sequence[Mapping[str, Leaf]], after: Sequence[Mapping[str, Leaf]]) -> list[dict[str, Any]]:
    """What differs between two processes, with its values where it first does so."""
    found: dict[str, dict[str, Any]] = {}
    for one, other in zip(before, after, strict=False):
        for path, leaf in other.items():
            if path in one and one[path].digest != leaf.digest:
                found.setdefault(path, _change(path, one[path], leaf))
            elif path not in one and leaf.kind != "cache":
                found.setdefault(path, {**_change(path, leaf, leaf), "expected": "nothing"})
    return sorted(found.values(), key=lambda change: (change["scope"] != "instance", change["kind"] != "generator"))


def _generators_changed(one: Result, other: Result) -> bool:
    return any(change["kind"] == "generator" for change in _changed(one.after, other.after))


def _change(path: str, one: Leaf, other: Leaf) -> dict[str, Any]:
    return {
        "attribute": path,
        "root": other.root,
        "scope": other.scope,
        "kind": other.kind,
        "expected": one.text,
        "found": other.text,
    }


def _histories(changes: Iterable[Mapping[str, Any]], histories: Mapping[str, list[float]]) -> dict[str, list[float]]:
    return {
        change["attribute"]: histories[change["attribute"]] for change in changes if change["attribute"] in histories
    }
