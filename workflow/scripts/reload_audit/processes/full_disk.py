"""Tell errors that a full disk causes from others, and go on printing when a disk is full.

A full disk says nothing about a model, so it must not become part of a model's results.
"""

from __future__ import annotations

import contextlib
import errno
import io
from typing import Any, TextIO

from reload_audit.reading.refusal import shown_lines

_FULL = (errno.ENOSPC, errno.EDQUOT)
_SHORT = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


def is_out_of_space(error: BaseException) -> bool:
    """Whether an error came of a full disk or an exhausted quota, itself or by what it was raised from.

    PyTorch, for one, has another error of its own when the file that it saves to cannot grow.
    """
    chain: BaseException | None = error
    seen: set[int] = set()  # exceptions may be chained in a cycle
    while chain is not None and id(chain) not in seen:
        if isinstance(chain, OSError) and chain.errno in _FULL:
            return True
        seen.add(id(chain))
        chain = chain.__cause__ or chain.__context__
    return False


def is_of_the_machine(error: BaseException) -> bool:
    """Whether an error says nothing about a model: a disk is full, or there are no more processes, memory or files."""
    return is_out_of_space(error) or (isinstance(error, OSError) and error.errno in _SHORT)


class _Forgiving(io.FileIO):
    """A file that drops without an error what its disk has no room for."""

    def write(self, content: Any) -> int:
        with contextlib.suppress(OSError):
            super().write(content)
        return len(content)


class _Shown(io.TextIOWrapper):
    """A text stream in which control characters show as escapes: a terminal may come to print what a stranger wrote."""

    def write(self, text: str) -> int:
        super().write(shown_lines(text))
        return len(text)


def forgiving_text(descriptor: int) -> TextIO:
    """A text stream to a log, flushed after each line, that drops what its disk has no room for.

    What cannot be printed shows as an escape.
    """
    return _Shown(
        io.BufferedWriter(_Forgiving(descriptor, "w", closefd=False)),
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=True,
    )
