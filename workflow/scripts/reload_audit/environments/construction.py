"""How an environment was built: wrappers, arguments with their defaults, time limit, code. And what changed of it."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.wrappers import TimeLimit

from reload_audit.causes.finding import Finding
from reload_audit.records.storage import plain

_BRIEF = 80
_MOST = 100
_NONE = "<none>"


def describe_construction(env: gym.Env, env_kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What decides which environment this is, the class of the innermost aside.

    :param env: with its wrappers
    :param env_kwargs: what its constructor was given, besides what is registered with its id
    :return: ``wrappers``, dotted names from the outermost to the environment itself; ``arguments`` of its constructor,
        defaults filled in; ``time_limit`` in steps; ``code``, a digest of the file that its class is in
    """
    layers = list(_layers(env))
    limits = [layer._max_episode_steps for layer in layers if isinstance(layer, TimeLimit)]
    registered = {} if env.unwrapped.spec is None else env.unwrapped.spec.kwargs
    return {
        "wrappers": [f"{type(layer).__module__}.{type(layer).__qualname__}" for layer in layers],
        "arguments": _arguments(type(env.unwrapped), {**registered, **env_kwargs}),
        "time_limit": min(limits, default=None),
        "code": _code(type(env.unwrapped)),
    }


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


def _layers(env: gym.Env) -> Iterator[gym.Env]:
    yield env
    while isinstance(env, gym.Wrapper):
        env = env.env
        yield env


def _arguments(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that plain text can hold; of others a stand-in, because an address would differ each time."""
    try:
        parameters = inspect.signature(kind).parameters
    except (TypeError, ValueError):
        parameters = {}  # type: ignore[assignment]
    defaults = {name: item.default for name, item in parameters.items() if item.default is not inspect.Parameter.empty}
    return {name: _comparable(value) for name, value in sorted({**defaults, **given}.items())}


def _comparable(value: Any) -> Any:
    shown = plain(value)
    return f"<{type(value).__name__}>" if isinstance(shown, str) and not isinstance(value, str) else shown


def _is_stand_in(value: Any) -> bool:
    return value == _NONE or (isinstance(value, str) and value.startswith("<") and value.endswith(">"))


def _code(kind: type) -> str:
    """A digest of the file that a class is in; nothing for installed packages, whose versions are recorded."""
    try:
        file = inspect.getsourcefile(kind)
    except TypeError:
        file = None
    if file is None or "site-packages" in file or not Path(file).exists():
        return ""
    return hashlib.blake2b(Path(file).read_bytes(), digest_size=8).hexdigest()


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _BRIEF else f"{text[:_BRIEF]}…"
