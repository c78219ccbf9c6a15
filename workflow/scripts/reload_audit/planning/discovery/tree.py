"""Walk a folder without leaving it, and note what is there; no file is opened."""

# Paths are texts here: there are many, and not all are Unicode.
# ruff: noqa: PTH110, PTH116, PTH118, PTH119, PTH120, PTH206

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from reload_audit.planning.discovery.names import joined, own_name, repository
from reload_audit.reading.files import kind_of
from reload_audit.reading.refusal import shown, unforeseen

# The endings of files that discovery knows what to do with.
_ENDINGS = (
    *(".zip", ".yml", ".yaml", ".json", ".pkl", ".npz", ".csv", ".tsv", ".md"),
    *(".py", ".ipynb", ".txt", ".rst", ".sh", ".toml", ".cfg", ".ini"),
)

# The endings of files that are never a model or statistics, however they are called.
_NEVER = (
    *(".pyc", ".pyi", ".tex", ".html", ".css", ".js", ".log", ".bat", ".c", ".h"),
    *(".cpp", ".rs", ".java", ".cs", ".m", ".xml", ".mjcf", ".urdf", ".stl", ".dae", ".obj", ".mtl", ".ini"),
    *(".conf", ".lock", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".bmp", ".ico", ".webp", ".mp4", ".avi"),
    *(".webm", ".mov", ".mkv", ".mp3", ".wav", ".ogg", ".ttf", ".npy", ".jsonl", ".pdf", ".gz", ".tar", ".bz2"),
    *(".xz", ".7z", ".rar", ".whl", ".egg", ".jar", ".so", ".dll", ".pyd", ".exe", ".docx", ".xlsx", ".pptx"),
)

# Where Hydra writes what a run was told: the only hidden folder that is looked into.
_OF_HYDRA = ".hydra"

_HUB_CACHE = re.compile(r"^models--.+")


@dataclass
class Folder:
    """One folder below a root: its files with the endings that matter, and the folders in it.

    :param path: as the user wrote the root, then what follows it
    :param relative: what follows the root; empty for the root
    :param real: the path without any link
    :param boundary: the folder that links in it may not lead out of
    :param label: what models in it are named after; ``org/name`` for a repository in a Hugging Face cache
    :param files: for each name, why the file cannot be used; empty where it can
    :param others: the names of further files that can be used and may hold anything, as their names do not tell
    :param problem: why it cannot be listed
    """

    path: str
    relative: str
    label: str
    real: str
    boundary: str
    files: dict[str, str] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)
    folders: dict[str, Folder] = field(default_factory=dict)
    links: set[str] = field(default_factory=set)
    problem: str = ""

    @property
    def name(self) -> str:
        return os.path.basename(self.real)

    @property
    def is_snapshots(self) -> bool:
        """Whether this holds the revisions of a repository in a Hugging Face cache."""
        return self.name == "snapshots" and bool(_HUB_CACHE.match(os.path.basename(os.path.dirname(self.real))))

    @property
    def is_blobs(self) -> bool:
        """Whether this holds the content of the files in a Hugging Face cache, under names that say nothing."""
        return self.name == "blobs" and bool(_HUB_CACHE.match(os.path.basename(os.path.dirname(self.real))))

    def has(self, name: str) -> bool:
        """Whether there is a file of that name that can be opened."""
        return self.files.get(name) == "" or name in self.others

    def file(self, name: str) -> str | None:
        return os.path.join(self.path, name) if self.has(name) else None

    def real_file(self, name: str) -> str:
        """A file's path without any link; a link that cannot be used stands for itself."""
        path = os.path.join(self.real, name)
        return os.path.realpath(path) if name in self.links and self.has(name) else path

    def walk(self) -> Iterator[Folder]:
        """This folder and all in it, in the order of their names."""
        pending = [self]
        while pending:
            folder = pending.pop()
            yield folder
            pending.extend(folder.folders[name] for name in sorted(folder.folders, reverse=True))


OUTPUT = ".reload-audit"
"""A file in each folder that the command ``reload-audit`` writes into: what it says of models is no news of them."""

_BESIDE_ONE = 2
"""Levels of folders in which something may belong to one model: ``<env>/args.yml``, ``<model>/vecnormalize.pkl``."""


def read_tree(root: str, exclude: Sequence[str], results: str | None = None, one: str = "") -> Folder:
    """List a folder and what is in it. Hidden folders are left out, and links to folders are not followed.

    :param exclude: patterns on paths relative to the root, in which ``*`` stands for any text, ``/`` included
    :param results: a folder to leave out, unless it is the root itself
    :param one: a model in the root that is looked for alone: then other models' folders further below do not matter
    """
    own = None if results is None else os.path.realpath(results)
    excluded = _matcher(exclude)
    real = os.path.realpath(root)
    top = Folder(path=os.path.normpath(root), relative="", label="", real=real, boundary=_boundary(real))
    pending = [top]
    while pending:
        folder = pending.pop()
        try:
            _list(folder, excluded)
        except Exception as error:
            folder.problem = f"its files cannot be used: {unforeseen(error)}"
        folder.folders = {
            name: inner
            for name, inner in folder.folders.items()
            if inner.real != own and not os.path.exists(os.path.join(inner.real, OUTPUT))
        }
        if one and folder.relative.count("/") + bool(folder.relative) == _BESIDE_ONE:
            folder.folders.clear()
        pending.extend(folder.folders.values())
    return top


def title(top: Folder) -> str:
    """What to call the model of a folder that holds only one."""
    is_repository = _HUB_CACHE.match(os.path.basename(top.boundary))
    return repository(os.path.basename(top.boundary)) if is_repository else own_name(top.path)


def _list(folder: Folder, excluded: re.Pattern[str] | None) -> None:
    try:
        with os.scandir(folder.real) as entries:
            for entry in entries:
                relative = f"{folder.relative}/{entry.name}" if folder.relative else entry.name
                if excluded is None or not excluded.match(relative):
                    _take(folder, entry, relative)
        if folder.is_snapshots and len(folder.folders) > 1:
            for name, inner in folder.folders.items():
                inner.label = joined(folder.label, name)
    except OSError as error:
        folder.problem = f"expected a folder to look into, found {error.strerror}"


def _take(folder: Folder, entry: os.DirEntry[str], relative: str) -> None:
    name = entry.name
    is_zip = name.endswith(".zip")
    if not is_zip and entry.is_dir(follow_symlinks=False):
        if not name.startswith(".") or name == _OF_HYDRA:
            folder.folders[name] = _inner(folder, name, relative)
    elif name.endswith(_ENDINGS):
        if entry.is_symlink():
            folder.links.add(name)
            folder.files[name] = _problem_of_link(folder, entry)
        else:
            folder.files[name] = "" if entry.is_file(follow_symlinks=False) else _not_a_file(entry)
    elif not name.startswith(".") and not name.lower().endswith(_NEVER) and not folder.is_blobs:
        if entry.is_symlink():
            folder.links.add(name)
            usable = not _problem_of_link(folder, entry)
        else:
            usable = entry.is_file(follow_symlinks=False)
        if usable:
            folder.others.add(name)


def _inner(folder: Folder, name: str, relative: str) -> Folder:
    real = os.path.join(folder.real, name)
    in_cache = bool(_HUB_CACHE.match(name))
    of_cache = folder.is_snapshots or (name == "snapshots" and _HUB_CACHE.match(folder.name))
    return Folder(
        path=os.path.join(folder.path, name),
        relative=relative,
        label=folder.label if of_cache else joined(folder.label, repository(name)),
        real=real,
        boundary=real if in_cache else folder.boundary,
    )


def _problem_of_link(folder: Folder, entry: os.DirEntry[str]) -> str:
    target = os.path.realpath(os.path.join(folder.real, entry.name))
    try:
        mode = os.stat(target).st_mode
    except OSError:
        return f"expected a file, found a link to {shown(target)}, which is not there"
    if not stat.S_ISREG(mode):
        return f"expected a file, found a link to {kind_of(mode)}"
    if not target.startswith(folder.boundary.rstrip(os.sep) + os.sep):
        return f"expected a file inside the folder, found a link to {shown(target)}, which is outside of it"
    return ""


def _not_a_file(entry: os.DirEntry[str]) -> str:
    return f"expected a file, found {kind_of(entry.stat(follow_symlinks=False).st_mode)}"


def _boundary(real: str) -> str:
    """What links may not lead out of: the folder, or the repository in a Hugging Face cache that it is part of."""
    parts = real.split(os.sep)
    for index, part in enumerate(parts):
        if _HUB_CACHE.match(part) and parts[index + 1 : index + 2] == ["snapshots"]:
            return os.sep.join(parts[: index + 1])
    return real


def _matcher(patterns: Sequence[str]) -> re.Pattern[str] | None:
    if not patterns:
        return None
    return re.compile("|".join(fnmatch.translate(pattern.rstrip("/")) for pattern in patterns))
