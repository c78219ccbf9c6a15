"""The repository that a folder of models is part of: its other files, as scripts often lie above the models."""

# Paths are texts here: there are many, and not all are Unicode.
# ruff: noqa: PTH110, PTH111, PTH112, PTH118, PTH120

from __future__ import annotations

import os
from collections.abc import Iterator

from reload_audit.planning.discovery.tree import OUTPUT
from reload_audit.reading import limits
from reload_audit.repository.sources import Source

_OWN_CODE = os.path.join("workflow", "scripts", "reload_audit")
"""What a clone of this audit has: users put models into it, and its scripts do not speak of them."""


def root_of(folder: str) -> str:
    """The root of the git repository that a folder is part of; the folder itself where there is none.

    A home directory that is kept in git is nobody's repository of models, nor is a clone of this audit.

    :param folder: without links
    """
    place, no_root = folder, {os.path.expanduser("~"), os.path.dirname(folder[:1])}
    while not os.path.exists(os.path.join(place, ".git")):
        above = os.path.dirname(place)
        if above == place:
            return folder
        place = above
    return folder if place in no_root or os.path.isdir(os.path.join(place, _OWN_CODE)) else place


def files_outside(root: str, folder: str) -> Iterator[Source]:
    """The files of a repository that are not in one of its folders, the outermost first, of very many only some.

    Links are not followed; hidden folders, repositories inside the repository and outputs of audits are left out.

    :param folder: that is left out, without links
    """
    pending, left = [root] if root != folder else [], limits.ABOVE_ENTRIES
    for place in pending:
        entries = _entries(place, left)
        left -= len(entries)
        if place != root and any(entry.name in (".git", OUTPUT) for entry in entries):
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                hidden = entry.name.startswith(".") and entry.name != ".hydra"
                skipped = hidden or entry.path == folder
                pending += [] if skipped or os.path.isdir(os.path.join(entry.path, _OWN_CODE)) else [entry.path]
            elif entry.is_file(follow_symlinks=False):
                yield Source(os.path.relpath(entry.path, root), entry.path)


def _entries(folder: str, left: int) -> list[os.DirEntry[str]]:
    """What is in a folder, by name; nothing where that is too much, or cannot be listed."""
    found: list[os.DirEntry[str]] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if len(found) >= left:
                    return []
                found.append(entry)
    except OSError:
        return []
    return sorted(found, key=lambda entry: entry.name)
