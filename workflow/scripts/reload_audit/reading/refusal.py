"""The error that refuses a file, with a message of one line of printable characters whatever the file holds."""

from __future__ import annotations

import contextlib
import reprlib
import warnings
from collections.abc import Iterator

from reload_audit.reading import limits

_BRIEF = reprlib.Repr()
_BRIEF.maxlevel, _BRIEF.maxstring, _BRIEF.maxother = 2, 100, 100


class Unreadable(ValueError):
    """A saved file cannot be used; the message says why, in one line of printable characters."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message[: limits.LONGEST_MESSAGE]))


def printable(text: str) -> str:
    """A text in one line, with escapes for what cannot be printed: see :func:`shown`."""
    return shown(" ".join(text.split()))


def shown(text: str) -> str:
    """A text for people and for JSON: what cannot be printed, or is no Unicode, becomes a backslash escape."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)


def shown_lines(text: str) -> str:
    """As :func:`shown`, for a text of several lines, which stay; tabs become spaces."""
    return "\n".join(map(shown, text.expandtabs().split("\n")))


def brief(value: object) -> str:
    """A value for a message: cut short before it is written out, because aliases make small files huge."""
    return _BRIEF.repr(value)


def _escaped(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":  # a byte of a file name that is not UTF-8
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode("ascii")


def unforeseen(error: BaseException) -> str:
    """What an exception says that nobody foresaw, for the reason of a model: one line, never too long.

    What it says may be made of a stranger's values, and putting them into a text may raise too.
    """
    try:
        said = str(error)
    except Exception:
        said = ""
    kind = type(error).__name__
    return printable(f"{kind}: {said}"[: limits.LONGEST_MESSAGE]) if said else kind


@contextlib.contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turn any exception of the block into :class:`Unreadable`: which one it is depends on the content of a file.

    :param what: how the message begins
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nor does a filter of the caller's turn one into an error
            yield
    except Unreadable:
        raise
    except (Exception, SystemExit) as error:
        raise Unreadable(f"{what}: {type(error).__name__}: {error}") from error
