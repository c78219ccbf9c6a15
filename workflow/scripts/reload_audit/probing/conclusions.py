"""What follows from a probe: findings, the most specific first, one for each fault."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reload_audit.causes.finding import Finding
from reload_audit.probing.contrasts import grows

_STILL_DIFFERS = "for the same seed and actions in two fresh processes"


def findings(probe: Mapping[str, Any]) -> list[Finding]:
    """The faults of an environment, from the content of its probe's file."""
    if probe["failure"] is not None:
        return [Finding("not-runnable", "probe", True, f"The environment does not run: {probe['failure']['message']}")]
    found = [*_entropy(probe), *_clock(probe), *_generators(probe), *_hash_order(probe)]
    known = {finding.details.get("attribute") for finding in found} - {None}
    found += [finding for finding in _state(probe) if finding.details.get("attribute") not in known]
    found += list(_failures(probe))
    if probe["held"] == "none":
        difference = probe["contrasts"]["repeat"]["difference"]
        evidence = f"{_said(difference)} {_STILL_DIFFERS}, also with entropy and clocks held still."
        found.append(Finding("nondeterministic-environment", "probe", True, evidence, _place(difference)))
    return found


def _failures(probe: Mapping[str, Any]) -> Iterator[Finding]:
    """The first contrast that could not be run, although the baseline was."""
    for entry in probe["contrasts"].values():
        if entry["failure"] is not None:
            failure = entry["failure"]
            evidence = f"The environment runs at first, but not with {entry['what']}: {failure['message']}."
            yield Finding("not-runnable", "probe", failure["kind"] != "timeout", evidence)
            return


def _entropy(probe: Mapping[str, Any]) -> Iterator[Finding]:
    for entry in probe["entropy"]:
        generators = [change for change in entry["attributes"] if change["kind"] == "generator"]
        drawn = entry["phase"] == "construct" and entry["same instance repeats"]
        changed = [change for change in entry["attributes"] if change["kind"] != "generator"] if drawn else generators
        where = f" at {entry['where']}" if entry["where"] else ""
        evidence = (
            f"{_said(entry['difference'])} {_STILL_DIFFERS}; with the same entropy for what is seeded{where}, "
            f"they are the same, bit for bit.{_attributes(changed)}"
        )
        details = {"generator": "unseeded", **_where(entry["where"]), **_attribute(changed)}
        cause = "random-construction" if drawn else "unseeded-generator"
        yield Finding(cause, "probe", True, evidence, details | _place(entry["difference"]))


def _clock(probe: Mapping[str, Any]) -> Iterator[Finding]:
    clock = probe["clock"]
    if clock is not None:
        evidence = (
            f"{_said(clock['difference'])} {_STILL_DIFFERS}, and no longer with clocks that stand still"
            if clock["changed"] == "repeat"
            else f"{_said(clock['difference'])} at another time of day"
        )
        read = f"; a clock is read at {_listed(clock['lines'])}" if clock["lines"] else ""
        details = {**_where(clock["lines"][0] if clock["lines"] else ""), **_place(clock["difference"])}
        yield Finding("clock", "probe", True, f"{evidence}{read}.", details)


def _generators(probe: Mapping[str, Any]) -> Iterator[Finding]:
    for entry in probe["generators"]:
        construction = entry["phases"] == ["construct"]
        kept = [change for change in entry["attributes"] if construction or change["scope"] != "instance"]
        evidence = (
            f"{_said(entry['difference'])} when only the state of {entry['generator']} is another one; "
            f"it is drawn from {_drawn(entry['phases'], entry['where'])}.{_attributes(kept)}"
        )
        details = {
            "generator": entry["generator"],
            **_where(entry["where"][0] if entry["where"] else ""),
            **_attribute(kept),
            **_place(entry["difference"]),
        }
        yield Finding("random-construction" if construction else "global-generator", "probe", True, evidence, details)


def _drawn(phases: Sequence[str], places: Sequence[str]) -> str:
    """When and where; ``in reset()`` goes without saying at ``corridor.py:37 in reset``."""
    methods = {place.rpartition(" in ")[2].replace("__init__", "construct") for place in places}
    when = " and ".join(_PHASES[phase] for phase in phases if phase not in methods)
    where = f"at {_listed(places)}" if places else ""
    return ", ".join(filter(None, [when, where]))


_PHASES = {
    "import": "when it is imported",
    "construct": "when it is constructed",
    "reset": "in reset()",
    "step": "in step()",
}


def _hash_order(probe: Mapping[str, Any]) -> Iterator[Finding]:
    entry = probe["hash_order"]
    if entry is not None:
        difference = probe["contrasts"]["hash order"]["difference"]
        lines = f"; sets or hashes are used at {_listed(entry['lines'])}" if entry["lines"] else ""
        evidence = f"{_said(difference)} under another PYTHONHASHSEED{lines}.{_attributes(entry['attributes'])}"
        details = {**_where(entry["lines"][0] if entry["lines"] else ""), **_attribute(entry["attributes"])}
        yield Finding("hash-order", "probe", True, evidence, details | _place(difference))


def _state(probe: Mapping[str, Any]) -> list[Finding]:
    """One finding for each attribute, whatever the contrasts that show it; the rest by what they have in common."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for entry in probe["state"]:
        roots = sorted({change["root"] for change in entry["attributes"]}) if entry["attributes"] else []
        groups.setdefault(", ".join(roots), []).append(entry)
    unnamed = groups.pop("", [])
    found = [_finding(entries) for entries in groups.values()]
    if unnamed and not found:
        found = [_finding(unnamed)]
    return sorted(found, key=lambda finding: _RANKS.index(finding.cause))


_RANKS = ("seed-ignored", "shared-between-instances", "process-cache", "curriculum", "survives-reset")


def _finding(entries: Sequence[Mapping[str, Any]]) -> Finding:
    by_contrast = {entry["contrast"]: entry for entry in entries}
    changes = [change for entry in entries for change in entry["attributes"]]
    cause = _state_cause(by_contrast, changes)
    first = by_contrast[next(name for name in _SHOWN_BY[cause] if name in by_contrast)]
    proof = any(entry["proved"] for entry in entries) or not changes
    told = _attributes(first["attributes"])
    names = _listed([change["root"] for change in first["attributes"]])
    if first["proved"]:
        told += f" With {names} put back, the episodes are the same, bit for bit."
    elif first["contrast"] == "far beyond":
        told = f" {names} grows with every episode, and nothing was seen to follow from it in the first ones."
    evidence = f"{_said(first['difference'])} {_WORDS[first['contrast']]}.{told}"
    return Finding(cause, "probe", proof, evidence, {**_attribute(first["attributes"]), **_place(first["difference"])})


def _state_cause(by_contrast: Mapping[str, Mapping[str, Any]], changes: Sequence[Mapping[str, Any]]) -> str:
    if any(change["kind"] == "generator" for change in changes):
        return "seed-ignored"
    if "another instance" in by_contrast:
        return "shared-between-instances"
    counts = any(
        entry["counts only"] or any(grows(history) for history in entry["history"].values())
        for entry in by_contrast.values()
    )
    if changes and counts and any(entry["history"] for entry in by_contrast.values()):
        return "curriculum"
    if {"used process", "two instances"} & set(by_contrast):
        return "process-cache"
    return "curriculum" if counts else "survives-reset"


_SHOWN_BY = {
    "seed-ignored": ("same instance", "many episodes", "another instance", "two instances", "used process"),
    "shared-between-instances": ("another instance",),
    "curriculum": ("many episodes", "same instance", "far beyond", "used process", "two instances"),
    "survives-reset": ("same instance", "many episodes"),
    "process-cache": ("used process", "two instances"),
}

_WORDS = {
    "same instance": "when the same episode is run a second time on the same instance",
    "two instances": "on a second instance in the same process",
    "another instance": "when another instance is reset and stepped in between",
    "many episodes": "on an instance that has run other episodes before",
    "used process": "in a process in which another instance has run episodes before",
    "far beyond": "once that number is as high as after very many episodes",
}


def _said(difference: Mapping[str, Any]) -> str:
    """With which seed, at which step, and what: with the values where they are known."""
    where = f"With seed {difference['seed']} and {_ACTIONS[difference['actions']]} actions"
    when = "after reset()" if difference["step"] == 0 else f"at step {difference['step']}"
    if difference["expected"] is None:
        return f"{where}, {difference['component']} is another one {when}"
    found = "missing" if difference["found"] is None else _number(difference["found"])
    return f"{where}, {difference['component']} is {found} instead of {_number(difference['expected'])} {when}"


_ACTIONS = {"random": "random", "model": "the model's own"}


def _number(value: Any) -> str:
    return f"{float(value):.6g}"


def _attributes(changes: Sequence[Mapping[str, Any]]) -> str:
    shown = [f"{change['attribute']} is {change['found']} instead of {change['expected']}" for change in changes[:2]]
    return f" {'; '.join(shown)}." if shown else ""


def _listed(names: Sequence[str]) -> str:
    return " and ".join(dict.fromkeys(names))


def _where(place: str) -> dict[str, str]:
    return {"where": place} if place else {}


def _attribute(changes: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {"attribute": changes[0]["root"]} if changes else {}


def _place(difference: Mapping[str, Any]) -> dict[str, Any]:
    return {"seed": difference["seed"], "step": difference["step"], "component": difference["component"]}
