"""Read YAML that anybody may have written: bounded in size and depth, and nothing is executed.

PyYAML's own composer and constructor recurse without a bound (deep nesting ends the process), expand merge keys without
a bound, and take a quarter of a second for a hundred files. So its parser's events are read here.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from reload_audit.reading import limits
from reload_audit.reading.files import read_bytes
from reload_audit.reading.refusal import Unreadable, shown

_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}": kind for kind in ("str", "int", "float", "bool", "null", "seq", "map")}
_ORDERED = "tag:yaml.org,2002:python/object/apply:collections.OrderedDict"
_DIRECTIVE = re.compile(rb"^%(TAG|YAML)\b", re.MULTILINE)

_FRONT_MATTER = re.compile(r"---[ \t]*\r?\n(.*?)\n---", re.DOTALL)

_Reader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


_BEGIN_VALUES = {b",": 1, b"[": 1, b"{": 1, b"-": 1, b":": 2, b"?": 2}
"""How many values each character may begin: a colon begins the value of a key, and may be the first of its mapping."""

Permit = Callable[[int], None]
"""Called before a text is read, with the largest number of values that it can hold; raises if these are too many."""


def read_yaml(path: str | Path, permit: Permit | None = None) -> Any:
    """Read YAML as plain data. Besides YAML's own types only ``OrderedDict``, as RL Zoo writes it, is understood."""
    content = read_bytes(path)
    _ask(permit, content)
    try:
        return _parsed_yaml(content)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = " ".join(str(error).split())
        raise Unreadable(f"{shown(str(path))}: expected YAML of plain values, found: {problem:.200}") from None


def parse_yaml(text: str) -> Any:
    """Read a YAML text as :func:`read_yaml` reads a file.

    :raises ValueError: it cannot be used
    """
    try:
        return _parsed_yaml(text.encode())
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(str(error)) from None


def front_matter(text: str, permit: Permit | None = None) -> Any:
    """The metadata at the head of a model card, between two lines of dashes; None where there is none.

    :raises ValueError: it cannot be used
    """
    found = _FRONT_MATTER.match(text)
    if found is None:
        return None
    _ask(permit, found[1].encode())
    return parse_yaml(found[1])


def _ask(permit: Permit | None, content: bytes) -> None:
    if permit is not None:
        values = 1 + sum(most * content.count(letter) for letter, most in _BEGIN_VALUES.items())
        permit(min(limits.YAML_VALUES, values))


class Placed(str):
    """A YAML scalar's text, with where it stands: ``start`` and ``end`` count characters, quotes included."""

    __slots__ = ("end", "start")

    start: int
    end: int


def placed_front_matter(text: str) -> Any:
    """As :func:`front_matter`, but every scalar is a :class:`Placed` text, with its place in ``text``.

    :raises ValueError: it cannot be used, it is very long, or it has aliases: what they stand for stands elsewhere
    """
    found = _FRONT_MATTER.match(text)
    if found is None:
        return None
    if len(found[1]) > limits.PLACED_CHARACTERS:
        raise ValueError(f"more than {limits.PLACED_CHARACTERS:,} characters")
    try:
        return _built(found[1], _PlacingBuilder(found.start(1)))
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(str(error)) from None


# The settings of most runs differ only in the seed. Without it they are equal, so that each is parsed only once.
_SEED = re.compile(rb"^  - - seed\n    - \d+\n", re.MULTILINE)


def _parsed_yaml(content: bytes) -> Any:
    return _parsed(_SEED.sub(b"", content))


@functools.lru_cache(maxsize=1024)
def _parsed(content: bytes) -> Any:
    return _built(content, _Builder())


def _built(content: bytes | str, builder: _Builder) -> Any:
    if _DIRECTIVE.search(content if isinstance(content, bytes) else content.encode()):
        raise ValueError("a directive")
    reader = _Reader(content)
    try:
        while type(event := reader.get_event()) is not yaml.StreamEndEvent:
            if type(event) is yaml.DocumentEndEvent:
                break
            builder.take(event)
    finally:
        reader.dispose()
    return builder.result


class _Builder:
    """Turn a parser's events into plain data, within bounds."""

    def __init__(self) -> None:
        self.result: Any = None
        self._open: list[tuple[yaml.CollectionStartEvent, list[Any]]] = []
        self._named: dict[str, Any] = {}
        self._nodes = 0
        self._merged = 0

    def take(self, event: Any) -> None:
        """Take the next event."""
        match type(event):
            case yaml.ScalarEvent:
                self._put(event.anchor, self._scalar(event))
            case yaml.SequenceStartEvent | yaml.MappingStartEvent:
                self._start(event)
            case yaml.SequenceEndEvent | yaml.MappingEndEvent:
                start, items = self._open.pop()
                self._put(start.anchor, self._collection(start, items))
            case yaml.AliasEvent:
                if event.anchor not in self._named:
                    raise ValueError(f"the unknown alias {event.anchor!r:.50}")
                self._put(None, self._named[event.anchor])

    def _scalar(self, event: Any) -> Any:
        return _scalar(event)

    def _start(self, event: yaml.CollectionStartEvent) -> None:
        if event.tag and event.tag not in _PLAIN_TAGS and event.tag != _ORDERED:
            raise ValueError(f"the tag {event.tag!r:.100}")
        if len(self._open) >= limits.PLAIN_LEVELS:
            raise ValueError(f"more than {limits.PLAIN_LEVELS} levels")
        self._open.append((event, []))

    def _collection(self, start: yaml.CollectionStartEvent, items: list[Any]) -> Any:
        if start.tag == _ORDERED:
            items = _paired(items)
        elif isinstance(start, yaml.SequenceStartEvent):
            return items
        keys = items[::2]
        if any(type(key) in (list, dict) for key in keys):
            raise ValueError("a key that is not a plain value")
        own = dict(zip(keys, items[1::2], strict=True))
        return own if "<<" not in own else {**self._merge(own.pop("<<")), **own}

    def _merge(self, value: Any) -> dict[Any, Any]:
        """The entries that a merge key adds: of one mapping, or of several, of which the first take precedence."""
        merged: dict[Any, Any] = {}
        for one in reversed(value) if isinstance(value, list) else [value]:
            if not isinstance(one, dict):
                raise ValueError("a merge key with something that is no mapping")
            self._merged += len(one) + 1
            if self._merged > limits.YAML_VALUES:
                raise ValueError(f"more than {limits.YAML_VALUES:,} merged values")
            merged |= one
        return merged

    def _put(self, anchor: str | None, value: Any) -> None:
        self._nodes += 1
        if self._nodes > limits.YAML_VALUES:
            raise ValueError(f"more than {limits.YAML_VALUES:,} values")
        if anchor:
            self._named[anchor] = value
        if self._open:
            self._open[-1][1].append(value)
        else:
            self.result = value


class _PlacingBuilder(_Builder):
    """Turn a parser's events into plain data whose scalars are :class:`Placed` texts, as they are written.

    :param offset: of the YAML in the text that places are counted in
    """

    def __init__(self, offset: int) -> None:
        super().__init__()
        self._offset = offset

    def take(self, event: Any) -> None:
        if type(event) is yaml.AliasEvent:
            raise ValueError("an alias")
        super().take(event)

    def _scalar(self, event: Any) -> Placed:
        placed = Placed(event.value)
        placed.start, placed.end = (self._offset + mark.index for mark in (event.start_mark, event.end_mark))
        return placed


def _paired(items: list[Any]) -> list[Any]:
    """Keys and values in turn, from the arguments that OrderedDict is called with: nothing, or a list of pairs."""
    pairs = items[0] if len(items) == 1 else items
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise ValueError("an OrderedDict that is not made of pairs")
    return [item for pair in pairs for item in pair]


def _scalar(event: yaml.ScalarEvent) -> Any:
    if event.tag and event.tag != "!":
        if event.tag not in _PLAIN_TAGS:
            raise ValueError(f"the tag {event.tag!r:.100}")
        return _resolved(event.value, event.tag)
    return _resolved(event.value, "") if event.implicit[0] else event.value


@functools.lru_cache(maxsize=8192)
def _resolved(text: str, tag: str) -> Any:
    """A plain scalar as YAML 1.1 reads it; dates and the like stay texts."""
    if len(text) > limits.YAML_NUMBER:
        return text
    loader = yaml.SafeLoader("")
    node = yaml.ScalarNode(tag or loader.resolve(yaml.ScalarNode, text, (True, False)), text)
    match _PLAIN_TAGS.get(node.tag):
        case "int":
            return loader.construct_yaml_int(node)
        case "float":
            return loader.construct_yaml_float(node)
        case "bool":
            return loader.bool_values.get(text.lower(), text)
        case "null":
            return None
    return text
