"""Arguments of an environment in the settings that a training left beside its model, which no script need read."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from reload_audit.reading.plain_values import mapping, objects_in
from reload_audit.repository.places import Place
from reload_audit.repository.stated import Environment
from reload_audit.repository.values import Value, is_plain

_GROUP = re.compile(
    r"^(?:env|environment|gym|task)[_-]?(?:kwargs|args|config|cfg|conf|params|options|settings)?$", re.I
)
_ARGUMENTS = re.compile(r"^(?:env[_-]?)?(?:kwargs|args|arguments|params|parameters)$", re.I)
_LEVELS = 4


@dataclass(frozen=True)
class RunSettings:
    """What a file of settings beside a model says of its environment.

    :param arguments: what it says to be arguments of the environment
    :param others: every other value by its own key, unless two have the same
    :param place: of the first argument
    """

    place: Place
    arguments: Mapping[str, Value] = field(default_factory=dict)
    others: Mapping[str, Value] = field(default_factory=dict)

    def names(self, what: str) -> bool:
        """Whether one of its values is this name, or the beginning of it, in letters alone."""
        said = [_letters(value) for value in self.others.values() if isinstance(value, str)]
        return any(len(value) > 3 and _letters(what).startswith(value) for value in said)


def run_settings(path: str, text: str, content: Value) -> RunSettings:
    """What a file of settings says, as far as it may be of an environment.

    :param text: the file's, in which lines are counted; ``content``, what it holds
    """
    arguments: dict[str, Value] = {}
    others: dict[str, Value] = {}
    for key, value, of_environment in _values(content, 0, of_environment=False):
        kept = arguments if of_environment else others
        kept[key] = value if key not in others or others[key] == value else None
    first = next(iter(arguments), "")
    line = text.count("\n", 0, max(text.find(first), 0)) + 1
    return RunSettings(Place(path, line), arguments, others)


def _values(content: Value, level: int, *, of_environment: bool) -> Iterator[tuple[str, Value, bool]]:
    """Values by their keys, and whether they are said to be arguments of an environment."""
    for key, value in mapping(content).items():
        if not isinstance(value, dict):
            yield key, value, of_environment and _is_data(value)
        elif of_environment and not _ARGUMENTS.match(key):
            yield key, value, _is_data(value)
        elif level < _LEVELS:
            inside = bool(_GROUP.match(key)) or of_environment
            yield from _values(value, level + 1, of_environment=inside)


def _is_data(value: Value) -> bool:
    """Whether a value is plain data that names no objects, which only the user's own configuration may."""
    return is_plain(value) and next(objects_in(value), None) is None


def filled(
    environment: Environment, said: RunSettings, accepted: Collection[str] | None, *, decides: bool
) -> Environment | None:
    """An environment with arguments that the settings beside a model say; None where they say nothing of it.

    :param accepted: names of arguments that its class takes; None where it takes any
    :param decides: whether they count more than what scripts say
    """
    arguments = {
        key: value
        for key, value in said.arguments.items()
        if (accepted is None and key not in _NAMES) or key in (accepted or ())
    }
    known = {**said.others, **arguments}
    missing = {
        name: known[name] for name in environment.unknown if known.get(name) is not None and _is_data(known[name])
    }
    is_open = "**" in environment.unknown and bool(arguments)
    kwargs = {**environment.kwargs, **missing, **(arguments if decides or is_open else {})}
    unknown = tuple(name for name in environment.unknown if name not in kwargs and not (name == "**" and is_open))
    if kwargs == environment.kwargs and unknown == environment.unknown:
        return None
    return replace(environment, kwargs=kwargs, unknown=unknown)


_NAMES = ("id", "name", "env", "env_id", "env_name", "class", "type", "entry_point", "render_mode")
"""Keys beside an environment's arguments that are no arguments."""


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", re.sub(r"-v\d+$", "", text).lower()).removesuffix("env")
