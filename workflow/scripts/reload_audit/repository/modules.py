"""Which file of a repository an import leads to, and how its classes are imported from outside."""

from __future__ import annotations

import ast
import functools
import posixpath
import re
import sys
from collections.abc import Iterable

from reload_audit.repository.scripts import Script

_WRITES = re.compile(r"\s*%%(?:writefile|file)\s+(?:\./)?([\w/]+)\.py\s")


class Modules:
    """The scripts of a repository, as Python would import them.

    :param scripts: notebooks among them, of which only what a cell writes into a file is imported
    """

    def __init__(self, scripts: Iterable[Script]) -> None:
        self.scripts = {script.path: script for script in scripts}
        self.paths = sorted(self.scripts)
        self._by_end: dict[str, list[str]] = {}
        self._written: dict[str, str] = {}
        for path in self.paths:
            if path.endswith(".py"):
                self._by_end.setdefault(posixpath.basename(_bare(path)), []).append(path)
            for cell in self.scripts[path].cells:
                if written := _WRITES.match(cell.text):
                    self._written.setdefault(written[1], path)

    def find(self, name: str, importer: str) -> str | None:
        """The file that a module's name leads to; None for what is not of the repository.

        :param name: dotted; a leading dot for each level of a relative import
        :param importer: the file that imports it
        """
        folder = posixpath.dirname(importer)
        if name.startswith("."):
            levels = len(name) - len(name.lstrip("."))
            for _ in range(levels - 1):
                folder = posixpath.dirname(folder)
            base = posixpath.join(folder, name.lstrip(".").replace(".", "/")).rstrip("/")
            return next((path for path in (f"{base}.py", f"{base}/__init__.py") if path in self.scripts), None)
        end = name.replace(".", "/")
        ends = [path for path in self._by_end.get(posixpath.basename(end), []) if f"/{_bare(path)}".endswith(f"/{end}")]
        # As Python would: beside the importer, then at the top, then wherever it may have been put on the path.
        return min(
            ends,
            key=lambda path: (_root(path, name) != folder, _root(path, name).count("/"), path),
            default=self._written.get(end),
        )

    @functools.cache  # noqa: B019 there is one of a repository
    def imported_packages(self, path: str) -> tuple[str, ...]:
        """Packages that a script imports and never speaks of again: as one does that registers its environments.

        :param path: of the script; of any other file it is asked what all scripts import so
        """
        if path not in self.scripts:
            return tuple(dict.fromkeys(name for script in self.paths for name in self.imported_packages(script)))
        trees = [cell.tree for cell in self.scripts[path].cells]
        nodes = [node for tree in trees for node in ast.walk(tree)]
        used = {node.id for node in nodes if isinstance(node, ast.Name)}
        imported = [alias for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        names = [alias.name for alias in imported if (alias.asname or alias.name.partition(".")[0]) not in used]
        return tuple(dict.fromkeys(name for name in names if name.partition(".")[0] not in sys.stdlib_module_names))

    @functools.cache  # noqa: B019 there is one of a repository
    def search_path(self, path: str) -> tuple[str, ...]:
        """The folders that Python has to look into for a file and for all of the repository that it imports."""
        folders, pending, seen = [self.importable(path)[0]], [path], {path}
        while pending:
            importer = pending.pop()
            for name in self._imported(importer):
                own = self.find(name, importer)
                if own is not None and own not in seen:
                    seen.add(own)
                    pending.append(own)
                    folders += [] if name.startswith(".") or own.endswith(".ipynb") else [_root(own, name)]
        return tuple(dict.fromkeys(folders))

    def _imported(self, path: str) -> list[str]:
        nodes = [node for cell in self.scripts[path].cells for node in ast.walk(cell.tree)]
        names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        for node in nodes:
            if isinstance(node, ast.ImportFrom):
                module = "." * node.level + (node.module or "")
                between = "" if module.endswith(".") or not module else "."
                names += [module, *(f"{module}{between}{alias.name}" for alias in node.names)]
        return names

    def importable(self, path: str) -> tuple[str, str]:
        """The folder to put on Python's path for a file, and the dotted name that it then has.

        A folder with an ``__init__.py`` is a package, from whose parent it is imported.
        """
        folder, name = posixpath.dirname(path), posixpath.basename(_bare(path))
        parts = [] if _is_package(path) else [name]
        while folder and f"{folder}/__init__.py" in self.scripts:
            parts.insert(0, posixpath.basename(folder))
            folder = posixpath.dirname(folder)
        return folder, ".".join(parts)


def _is_package(path: str) -> bool:
    return posixpath.basename(path) == "__init__.py"


def _bare(path: str) -> str:
    """A path as a module's name has it."""
    return posixpath.dirname(path) if _is_package(path) else path.removesuffix(".py")


def _root(path: str, name: str) -> str:
    """The folder from which a file has that name."""
    return _bare(path)[: -len(name) or None].rstrip("/")
