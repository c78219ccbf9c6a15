"""In what an environment is built otherwise today than when its model was trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reload_audit.causes.finding import Finding

_BRIEF = 80
_MOST = 100
_NONE = "<none>"


def changes(then: Any, now: Mapping[str, Any]) -> list[Finding]:
    """What is other than when the model was trained.

    :param then: what its manifest says, which may come from anybody; whatever is not as expected says nothing
    """
    if not _is_construction(then):
        return []
    found = []
    arguments = {
        name: (then["arguments"].get(name, _NONE), now["arguments"].get(name, _NONE))
        for name in {**then["arguments"], **now["arguments"]}
        if name != "render_mode" and then["arguments"].get(name, _NONE) != now["arguments"].get(name, _NONE)
    }
    if arguments:
        said = ", ".join(f"{name} was {_brief(a)} and is {_brief(b)}" for name, (a, b) in arguments.items())
        taken = now["arguments"]  # what it takes now: nobody else's manifest can name others
        plain_ones = {name: a for name, (a, _) in arguments.items() if name in taken and not _is_stand_in(a)}
        details: dict[str, Any] = {"env_kwargs": plain_ones}
        found.append(Finding("env-kwargs", "forensics", True, f"of its constructor's arguments {said}", details))
    if then["time_limit"] != now["time_limit"]:
        limits = [f"{limit:,} steps" if limit else "no limit" for limit in (then["time_limit"], now["time_limit"])]
        details = {"max_episode_steps": then["time_limit"] or -1}
        found.append(
            Finding("time-limit", "forensics", True, f"the time limit was {limits[0]}, now {limits[1]}", details)
        )
    if _named(then) != _named(now):
        stacks = [", ".join(_named(side)) for side in (then, now)]
        evidence = f"from the outside in it was {_brief(stacks[0])}, now it is {_brief(stacks[1])}"
        details = {"wrappers": ", ".join(name for name in then["wrappers"] if name not in now["wrappers"])}
        if not found:  # a time limit is a wrapper too
            found.append(Finding("env-changed", "forensics", True, evidence, details))
    elif then["code"] and now["code"] and then["code"] != now["code"]:
        evidence = f"the file that {then['wrappers'][-1]} is in was {then['code']}, now {now['code']} (content digests)"
        # A comment changes it, too.
        found.append(Finding("env-changed", "forensics", False, evidence, {"wrappers": then["wrappers"][-1]}))
    return found


def _is_construction(then: Any) -> bool:
    kinds = {"wrappers": list, "arguments": dict, "time_limit": int | None, "code": str}
    if not isinstance(then, dict) or not all(isinstance(then.get(key), kind) for key, kind in kinds.items()):
        return False
    few = len(then["arguments"]) <= _MOST and 0 < len(then["wrappers"]) <= _MOST
    return few and all(isinstance(name, str) for name in (*then["wrappers"], *then["arguments"]))


def _named(construction: Mapping[str, Any]) -> list[str]:
    """Class names of the layers, those of this audit and of SB3 aside: where they are may change with the version."""
    ours = ("reload_audit.", "stable_baselines3.", "sb3_contrib.")
    return [name.rpartition(".")[2] for name in construction["wrappers"] if not name.startswith(ours)]


def _is_stand_in(value: Any) -> bool:
    return value == _NONE or (isinstance(value, str) and value.startswith("<") and value.endswith(">"))


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _BRIEF else f"{text[:_BRIEF]}…"
