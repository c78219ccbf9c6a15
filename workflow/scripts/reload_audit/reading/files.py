"""Open files that anybody may have written: regular ones only, and not more of them than there is room for."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from reload_audit.reading.pickles import Unreadable

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_bytes(path: str | Path, limit: int) -> bytes:
    """A regular file's content.

    :param limit: bytes it may have
    :raises Unreadable: it is no regular file, is too large, or cannot be read
    """
    try:
        mode = os.stat(path).st_mode  # before opening it: opening a pipe waits for its writer
        if not stat.S_ISREG(mode):
            raise Unreadable(f"{path}: expected a file, found {_KINDS.get(stat.S_IFMT(mode), 'something else')}")
        with open(path, "rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise Unreadable(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise Unreadable(f"{str(path)!r}: is no path: {error}") from None
    if len(content) > limit:
        raise Unreadable(f"{path}: expected at most {limit:,} bytes, found more")
    return content
