"""Digests of the code that decides what the jobs of each rule write: a job whose digest changes runs again."""

from __future__ import annotations

import ast
import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from reload_audit.causes.causes_file import measured_part
from reload_audit.causes.migrations import measured_migrations
from reload_audit.planning.code_digest import (
    Locate,
    code_digest,
    imported_files,
    locate_by,
    locate_in,
    named_code_digest,
    package_digest,
)
from reload_audit.processes.search_path import name_in_package

_DATA_FILE = re.compile(r"^[\w-][\w./-]*\.(css|j2|js|json|yaml)$")
_MAY_NAME_A_FILE = re.compile(rb"\.(css|j2|js|json|yaml)[\"']")

Source = Callable[[str], Path]
"""Gives a file of this workflow by its path from ``workflow/``, or raises OSError; may have to fetch it."""


class JobCode:
    """Digests of this workflow's scripts, and of the user's own code that names in the configuration lead to.

    :param source: gives the files of this workflow
    :param python_path: the user's folders of Python modules
    :param trust: packages that names in the files of external models may be imported from
    """

    def __init__(self, source: Source, python_path: Sequence[str], trust: Iterable[str]) -> None:
        self._source = source
        self._folders = list(python_path)
        self._locate = locate_by(self._library, "reload_audit")
        self._trust = list(trust)

    @functools.cache  # noqa: B019 one object for each planning
    def of_script(self, script: str) -> str:
        """A digest of all that a rule's script imports from the library, and of the requirements.

        Of ``causes.yaml`` and ``migrations.yaml`` that part counts which decides what is measured, where the script
        reads them.

        :param script: its name in ``workflow/scripts``
        """
        also, texts = [self._source("../requirements.txt")], self._declared(script)
        return code_digest(self._script(script), self._locate, also, texts)

    @functools.cache  # noqa: B019 one object for each planning
    def of_script_with_data(self, script: str) -> str:
        """A digest as of :meth:`of_script`, and of data files that imported modules name, such as ``causes.yaml``."""
        also = [self._source("../requirements.txt"), *self.data_files(script)]
        return code_digest(self._script(script), self._locate, also)

    def data_files(self, script: str) -> list[Path]:
        """The data files whose paths, from a module's own folder, stand in the modules that a script imports."""
        modules = self._modules(script).items()
        named = {str(self._folder(module, file) / text) for file, module in modules for text in _named_in(file)}
        return [file for name in sorted(named) if (file := self._file(name)) is not None]

    def _declared(self, script: str) -> list[str]:
        """What ``causes.yaml`` and ``migrations.yaml`` tell a script to measure, as far as it reads them."""
        modules = self._modules(script).values()
        declared = []
        if "reload_audit.causes.trials" in modules:
            declared.append(json.dumps(measured_part(self._library("reload_audit/causes/causes.yaml"))))
        if "reload_audit.causes.migrations" in modules:
            declared.append(json.dumps(measured_migrations(self._library("reload_audit/causes/migrations.yaml"))))
        return declared

    def _modules(self, script: str) -> dict[Path, str]:
        return imported_files(self._script(script), Path(script).stem, self._locate)

    def of_user(self, content: Any, folders: Sequence[str] | None = None, *, with_lines: bool = False) -> str:
        """A digest of the user's own code that names in plain data lead to.

        :param folders: where modules are looked for; None for ``python_path``
        :param with_lines: whether it matters in which line code stands: a probe names lines
        """
        locate = self._locate_below(tuple(self._folders if folders is None else folders))
        return named_code_digest(content, locate, with_lines)

    @functools.cache  # noqa: B019 one object for each planning
    def _locate_below(self, folders: tuple[str, ...]) -> Locate:
        return locate_in(map(Path, folders))

    def of_models(self, models: Iterable[tuple[Sequence[str], object]]) -> str:
        """A digest as of :meth:`of_user` of what several models name, each with its own folders of modules.

        :param models: for each its folders, and plain data
        """
        by_folders: dict[tuple[str, ...], list[object]] = {}
        for folders, named in models:
            by_folders.setdefault(tuple(folders), []).append(named)
        return "".join(self.of_user(named, folders) for folders, named in sorted(by_folders.items()))

    def of_users_script(self, script: str, cwd: str, python_path: Sequence[str]) -> str:
        """A digest of a script of the user's and of what it imports from folders of theirs, lines included."""
        path = Path(script)
        if path.suffix != ".py":
            return code_digest(self._script("observe.py"), lambda _name: None, [path])
        top, name = name_in_package(path.resolve(), Path(cwd).resolve())
        folders = (str(path.parent), cwd, *python_path, str(top))
        return code_digest(path, self._locate_below(folders), name=name, with_lines=True)

    def of_trusted_packages(self, folders: Iterable[str], *, with_lines: bool = False) -> str:
        """A digest of all files of the packages that external models may name.

        :param folders: where they are looked for; ``with_lines``, as for :meth:`of_user`
        """
        return self._of_packages(tuple(dict.fromkeys(folders)), with_lines)

    @functools.cache  # noqa: B019 one object for each planning
    def _of_packages(self, folders: tuple[str, ...], with_lines: bool) -> str:
        return package_digest(self._trust, map(Path, folders), with_lines)

    def _script(self, name: str) -> Path:
        return self._source(f"scripts/{name}")

    def _library(self, path: str) -> Path:
        return self._source(f"scripts/{path}")

    def _folder(self, module: str, file: Path) -> PurePosixPath:
        path = PurePosixPath(module.replace(".", "/"))
        return path if file.name == "__init__.py" else path.parent

    def _file(self, name: str) -> Path | None:
        try:
            file = self._library(name)
        except OSError:
            return None
        return file if file.is_file() else None


def _named_in(module: Path) -> Iterator[str]:
    """The texts in a module that may be names of data files."""
    content = module.read_bytes()
    if not _MAY_NAME_A_FILE.search(content):
        return  # spares parsing, which takes longest
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _DATA_FILE.match(node.value):
            yield node.value
