"""Whether a file is the one that a script speaks of: paths in scripts may have holes, and folders may have moved."""

from __future__ import annotations

import posixpath

from reload_audit.repository.values import HOLE

Match = tuple[int, int, int]
"""How well a file fits a path in a script: letters of its name that are said, folders that are alike, their letters."""

NO_MATCH: Match = (0, 0, 0)


def match(path: str, pattern: str) -> Match:
    """How well a file fits a path in a script, which may have holes.

    Folders may have moved, so the end of the path decides.

    :param path: relative to the repository's folder
    """
    own = posixpath.normpath(path).removesuffix(".zip").split("/")
    said = [part for part in posixpath.normpath(pattern.replace("\\", "/")).split("/") if part not in ("", ".", "..")]
    letters: list[int] = []
    for one, other in zip(reversed(own), reversed(said), strict=False):
        if not _fits(one, other):
            break
        letters.append(sum(map(str.isalnum, other.replace(HOLE, ""))))
    return (letters[0], len(letters), sum(letters)) if any(letters) else NO_MATCH


def _fits(name: str, pattern: str) -> bool:
    """Whether a name is a pattern with its holes filled in."""
    first, *rest = pattern.split(HOLE)
    if not rest:
        return name == pattern
    *middle, last = rest
    if not name.startswith(first) or not name[len(first) :].endswith(last):
        return False
    between, at = name[len(first) : len(name) - len(last)], 0
    for part in middle:
        at = between.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True
