"""Options that a script was started with, as a model's path and zip tell them: ``runs/a2c-Acrobot-v1-s3``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from reload_audit.repository.settings_files import is_id
from reload_audit.repository.values import UNKNOWN, Value, as_text

Offered = Mapping[str, tuple[Value, Sequence[Any]]]
"""For each option its default, and the values that may be chosen; none where any may."""


def named(offered: Offered, path: str, algo: str, env: str) -> dict[str, Value]:
    """The options whose values are not their defaults.

    :param path: the model's, relative to the repository's folder
    :param algo: the model's algorithm; empty where that is not known
    :param env: the environment id in the model's name; empty for none
    """
    found: dict[str, Value] = {}
    for name, (usual, choices) in offered.items():
        values = [value for value in choices if _letters(value) == _letters(algo)] or [
            value for value in choices if _is_in(value, path)
        ]
        if values:
            found[name] = max(values, key=lambda value: len(as_text(value)))
        elif not choices and env and (is_id(usual) or (usual is UNKNOWN and re.search(r"env|task", name))):
            found[name] = env
        elif not choices and algo and isinstance(usual, str) and _letters(usual) in _ALGORITHMS:
            found[name] = algo.lower() if usual.islower() else algo
    return {name: value for name, value in found.items() if value != offered[name][0]}


_ALGORITHMS = {
    *("a2c", "ars", "crossq", "ddpg", "dqn", "maskableppo", "ppo"),
    *("qrdqn", "recurrentppo", "sac", "td3", "tqc", "trpo"),
}


def _letters(value: Any) -> str:
    return re.sub(r"[-_\s]", "", as_text(value)).lower()


def _is_in(value: Any, path: str) -> bool:
    """Whether a path has a value as a word of its own."""
    word = as_text(value)
    return isinstance(value, str) and bool(re.search(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])", path))
