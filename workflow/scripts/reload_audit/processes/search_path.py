"""Keep the modules of other people from being imported: a ``yaml.py`` may lie in any folder that is audited.

Python looks for modules first in the working directory, or in the folder of the script, and an empty entry of
``PYTHONPATH`` stands for the working directory too. Here it looks there only if the user says so: what ``python_path``
names is put on the path later, by ``imports.extend_path``.
"""

# Paths are texts here, as they are in ``sys.path``.
# ruff: noqa: PTH113, PTH117, PTH118, PTH120

from __future__ import annotations

import contextlib
import os
import site
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

LIBRARY = str(Path(__file__).resolve().parents[2])
"""The folder that this library lies in, wherever that is."""

_IS_INSTALLED = LIBRARY in map(os.path.realpath, [*site.getsitepackages(), site.getusersitepackages()])

_OWN = [] if _IS_INSTALLED else [LIBRARY]
"""This library, where new interpreters find it only on ``PYTHONPATH``, because it is not installed."""

_SAFE, _NAMED = "PYTHONSAFEPATH", "PYTHONPATH"


def import_nothing_from(folders: Iterable[str], *, guest: bool = False) -> None:
    """Take the working directory and other folders off this process's path and those of all that it starts.

    Before the standard library there remains what ``PYTHONPATH`` names, and this library; after it, whatever the
    interpreter was installed with.

    :param folders: that are audited; what lies in them is taken off too, but for this library
    :param guest: whether this process belongs to somebody else's workflow: then what else it had on its path stays
        there, behind all others, and what it starts is left alone, because their own rules start programs too
    """
    closed = [os.path.realpath(folder) for folder in folders]
    named = [entry for entry in named_in_environment() if not _lies_in(entry, closed)]
    first, rest = _at_standard_library()
    kept = [entry for entry in first if os.path.realpath(entry) in {LIBRARY, *map(os.path.realpath, named)}]
    rest = [entry for entry in rest if os.path.isabs(entry)]
    behind = [entry for entry in first if entry not in kept] if guest else []
    sys.path[:] = [*kept, *rest, *behind]
    if not guest:
        os.environ.update(for_children(with_library(named)))


def library_of_jobs(*, guest: bool) -> str:
    """The folder of the library that scripts of jobs will import: this one, or one with another copy of it.

    A copy that is installed, or that ``PYTHONPATH`` names, comes before the folder of a job's script.

    :param guest: as for :func:`import_nothing_from`, which is called later
    """
    _, rest = _at_standard_library()
    named = _entries() if guest else with_library(_entries())
    return next(filter(_has_copy, [*named, *rest]), LIBRARY)


@contextlib.contextmanager
def guarded_children() -> Iterator[None]:
    """While the block runs, processes are started without the working directory on their path, but with this library.

    A fork server does not look where its caller's modules are.
    """
    path, environment = sys.path[:], {name: os.environ.get(name) for name in (_SAFE, _NAMED)}
    first, rest = _at_standard_library()
    sys.path[:] = [*(entry for entry in first if not _is_working_directory(entry)), *rest]
    os.environ.update(for_children(with_library(named_in_environment())))
    try:
        yield
    finally:
        sys.path[:] = path
        for name, value in environment.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def for_children(folders: Iterable[str]) -> dict[str, str]:
    """The environment variables of an interpreter that looks in these folders first, and not where it is started."""
    return {_SAFE: "1", _NAMED: os.pathsep.join(dict.fromkeys(folders))}


def with_library(folders: Sequence[str]) -> list[str]:
    """Folders for ``PYTHONPATH``, with that of this library, if it is not installed, before those with other copies."""
    others = [folder for folder in folders if _has_copy(folder)]
    return [*(folder for folder in folders if folder not in others), *_OWN, *others]


def named_in_environment() -> list[str]:
    """The folders that ``PYTHONPATH`` names, but for the working directory, and for that of this library itself."""
    return [entry for entry in _entries() if os.path.realpath(entry) not in _OWN]


def _entries() -> list[str]:
    entries = os.environ.get(_NAMED, "").split(os.pathsep)
    return [entry for entry in entries if not _is_working_directory(entry)]


def _has_copy(folder: str) -> bool:
    return os.path.isfile(os.path.join(folder, "reload_audit", "__init__.py"))


def name_in_package(script: Path, cwd: Path) -> tuple[Path, str]:
    """The folder from which ``python -m`` would run a script, and the dotted name that it would go by.

    Folders with an ``__init__.py`` are packages. One without is taken for a package below the working directory.

    :param script: its path, absolute
    :param cwd: the working directory, absolute
    """
    top = script.parent
    while (top / "__init__.py").is_file():
        top = top.parent
    if top == script.parent and top.is_relative_to(cwd):
        top = cwd
    return top, ".".join(script.relative_to(top).with_suffix("").parts)


def _at_standard_library() -> tuple[list[str], list[str]]:
    """The path, cut where the standard library begins: what comes before it was put there as Python was started."""
    folder = os.path.dirname(os.path.realpath(os.__file__))
    places = [index for index, entry in enumerate(sys.path) if os.path.realpath(entry) == folder]
    cut = places[0] if places else len(sys.path)
    return sys.path[:cut], sys.path[cut:]


def _is_working_directory(entry: str) -> bool:
    return not entry or os.path.realpath(entry) == os.path.realpath(os.curdir)


def _lies_in(entry: str, folders: Iterable[str]) -> bool:
    real = os.path.realpath(entry)
    if real == LIBRARY:
        return False
    return any(real == folder or real.startswith(os.path.join(folder, "")) for folder in folders)
