"""Whether a configuration holds nothing but plain values, and few enough of them, before anything goes through it.

YAML can write a mapping of a thousand billion entries in a few lines, by aliases, and sets, infinities and integers of
a million digits, which no key expects and a schema does not see.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator
from typing import Any

from reload_audit.reading import limits

_MOST_PROBLEMS = 20


def problems_of(config: Any) -> list[str]:
    """What is not plain in a configuration, or is too much, each with where it stands; at most twenty."""
    found = []
    try:
        for problem in _problems(config, "", _Left(), 0):
            found.append(problem)
            if len(found) == _MOST_PROBLEMS:
                break
    except OverflowError as error:
        found.append(str(error))
    return found


class _Left:
    """What a configuration may still hold."""

    def __init__(self) -> None:
        self._values = limits.CONFIGURATION_VALUES
        self._characters = limits.CONFIGURATION_CHARACTERS

    def take(self, where: str, text: str = "") -> None:
        """Take a value, and the characters of its text.

        :raises OverflowError: there are too many
        """
        self._values -= 1
        self._characters -= len(text)
        if self._values < 0 or self._characters < 0:
            raise OverflowError(
                f"{where}: expected at most {limits.CONFIGURATION_VALUES:,} values and "
                f"{limits.CONFIGURATION_CHARACTERS:,} characters in all, found more; "
                "in YAML, an alias such as *name counts as all that it stands for"
            )


def _problems(value: Any, where: str, left: _Left, level: int) -> Iterator[str]:
    left.take(where, value if isinstance(value, str) else "")
    if level > limits.PLAIN_LEVELS:
        yield f"{where[:200]}…: expected at most {limits.PLAIN_LEVELS} levels of lists and mappings, found more"
    elif isinstance(value, dict):
        for key, item in value.items():
            if isinstance(key, str):
                name = f"{where}.{key[:50]}" if where else key[:50]
                left.take(where, key)
                yield from _problems_of_text(key, f"the key {key[:50]!r} in {where or 'the configuration'}")
                yield from _problems(item, name, left, level + 1)
            else:
                yield f"{where}: expected texts as keys, found {_shown(key)}; write it in quotes"
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _problems(item, f"{where}[{index}]", left, level + 1)
    else:
        yield from _problems_of_leaf(value, where)


def _problems_of_leaf(value: Any, where: str) -> Iterator[str]:
    if isinstance(value, str):
        yield from _problems_of_text(value, where)
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield f"{where}: expected a finite number, found {value}"
    elif isinstance(value, int):
        if abs(value) >= limits.LARGEST_INTEGER:
            yield f"{where}: expected an integer of at most 63 bits, found one of {value.bit_length():,} bits"
    elif value is not None and not isinstance(value, datetime.date):
        yield f"{where}: expected a text, a number, true or false, a list or a mapping, found {_shown(value)}"


def _problems_of_text(text: str, where: str) -> Iterator[str]:
    if len(text) > limits.SETTING_CHARACTERS:
        yield f"{where}: expected at most {limits.SETTING_CHARACTERS:,} characters, found {len(text):,}"
    for letter in ("\0", *(letter for letter in text if "\ud800" <= letter <= "\udfff")):
        if letter in text:
            escape = letter.encode("unicode_escape").decode("ascii")
            yield f"{where}: expected text, found the character {escape}, which no text has"
            return


def _shown(value: Any) -> str:
    if isinstance(value, bool | int | float) and abs(value) < limits.LARGEST_INTEGER:
        return repr(value)
    return f"a {type(value).__name__}"
