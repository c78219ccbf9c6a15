"""Functions that register environments when Gymnasium is imported: a package's entry points of that name."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reload_audit.reading.ini_text import parse_ini
from reload_audit.reading.plain_values import mapping
from reload_audit.repository.places import Place
from reload_audit.repository.values import Value

_GROUPS = ("gymnasium.envs", "gym.envs")

_NO_NAMESPACE = ("__root__", "__internal__")


@dataclass(frozen=True)
class Plugin:
    """An entry point of a package.

    :param namespace: stands before the ids that it registers, as in ``namespace/Id-v0``; empty for none
    :param target: ``module:function``
    :param place: the file that declares it
    """

    namespace: str
    target: str
    place: Place


def in_metadata(path: str, content: Any) -> list[Plugin]:
    """Those that ``pyproject.toml`` or ``setup.cfg`` declares.

    :param content: the file's
    """
    place = Place(path, 1)
    if posixpath.basename(path) == "setup.cfg":
        return list(declared(mapping(content).get("options.entry_points"), place))
    project = mapping(mapping(content).get("project"))
    poetry = mapping(mapping(mapping(content).get("tool")).get("poetry"))
    return [*declared(mapping(project.get("entry-points")), place), *declared(mapping(poetry.get("plugins")), place)]


def declared(groups: Value, place: Place) -> Iterator[Plugin]:
    """Those among entry points by their groups, as ``setup(entry_points=...)`` takes them.

    :param groups: for each group a mapping, or lines such as ``name = module:function``; or a text with both
    """
    given: Mapping[str, Value] = _sections(groups) if isinstance(groups, str) else mapping(groups)
    for group in _GROUPS:
        for name, target in _pairs(given.get(group)):
            namespace = "" if name in _NO_NAMESPACE else name
            yield Plugin(namespace, target.partition("[")[0].strip(), place)


def _pairs(entries: Any) -> Iterator[tuple[str, str]]:
    if isinstance(entries, dict):
        yield from ((name, target) for name, target in mapping(entries).items() if isinstance(target, str))
        return
    lines = entries.splitlines() if isinstance(entries, str) else entries if isinstance(entries, list | tuple) else []
    for line in lines:
        name, equals, target = line.partition("=") if isinstance(line, str) else ("", "", "")
        if equals:
            yield name.strip(), target.strip()


def _sections(text: str) -> Mapping[str, Value]:
    try:
        return parse_ini(text)
    except ValueError:
        return {}
