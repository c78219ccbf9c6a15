"""Which code is the environment's own rather than a library's, and how a line of it is named."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import load_env_creator

from reload_audit.environments.older_apis import registered_in_gym
from reload_audit.processes.imports import ImportProblem, extend_path, import_module, import_object
from reload_audit.processes.search_path import named_in_environment
from reload_audit.records.environment_spec import EnvironmentSpec
from reload_audit.records.probe_record import Place

_FOLDERS = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
_LIBRARIES = tuple({str(path) + os.sep for folder in _FOLDERS for path in (folder, folder.resolve())})
_OWN = str(Path(__file__).resolve().parents[1]) + os.sep


_INSTALLED = {"site-packages", "dist-packages"}
"""Names of folders that packages are installed into, for one user too, or in a virtual environment beside the code."""


class Code:
    """The code of an environment: the packages of it and its wrappers, and the user's modules beside them.

    Those lie in folders of ``python_path`` or ``PYTHONPATH``. What else can be imported is installed, wherever it lies:
    a package that is installed to be edited, or that a ``.pth`` file leads to, is a library as any other.
    """

    def __init__(self, spec: EnvironmentSpec) -> None:
        extend_path(spec.python_path)
        self._spec = spec
        folders = (*spec.python_path, *named_in_environment())
        self._folders = tuple(str(Path(folder).resolve()) + os.sep for folder in folders)
        self._parts: tuple[str, ...] = ()
        self._known: dict[str, bool] = {}
        self._modules: list[ModuleType] = []
        self._seen = 0

    def import_modules(self) -> None:
        """Import the environment's and its wrappers' modules, without making an environment.

        :raises ImportProblem: one of the modules cannot be imported
        """
        self._parts = tuple(part for module in _modules(self._spec) for part in _parts(sys.modules[_package(module)]))
        self._known.clear()
        self._seen = 0

    def holds(self, file: str) -> bool:
        """Whether a source file is part of the environment's own code."""
        if file not in self._known:
            self._known[file] = self._holds(file)
        return self._known[file]

    def modules(self) -> list[ModuleType]:
        """The environment's own modules that are imported by now."""
        if len(sys.modules) != self._seen:
            self._seen = len(sys.modules)
            files = [(module, getattr(module, "__file__", None)) for module in list(sys.modules.values())]
            self._modules = [module for module, file in files if isinstance(file, str) and self.holds(file)]
        return self._modules

    def place(self, frame: FrameType) -> Place:
        """Where a frame is in the code."""
        return Place(shown(frame.f_code.co_filename), frame.f_lineno, frame.f_code.co_name)

    def nearest(self, frame: FrameType | None) -> FrameType | None:
        """The innermost frame of the environment's own code, from this one outwards."""
        while frame is not None and not self.holds(frame.f_code.co_filename):
            frame = frame.f_back
        return frame

    def _holds(self, file: str) -> bool:
        if file.startswith("<"):
            return False
        if file.startswith(_LIBRARIES):  # most are, and looking at the disk for each takes long
            return file.startswith(self._parts)
        path = Path(file).resolve()
        resolved = str(path)
        if resolved.startswith(self._parts):
            return True
        is_library = resolved.startswith((*_LIBRARIES, _OWN)) or not _INSTALLED.isdisjoint(path.parts)
        return resolved.startswith(self._folders) and not is_library


def _parts(package: ModuleType) -> list[str]:
    """How the paths of a package's files begin, as they are and resolved."""
    file = getattr(package, "__file__", None)
    whole = [folder + os.sep for folder in getattr(package, "__path__", ())]  # of one without __init__.py
    begins = whole if file is None else [file.removesuffix("__init__.py")]
    resolved = [str(Path(begin).resolve()) + (os.sep if begin.endswith(os.sep) else "") for begin in begins]
    return [*begins, *resolved]


def _modules(spec: EnvironmentSpec) -> Iterator[str]:
    """Import the modules that define the environment and its wrappers; their names.

    :raises ImportProblem: one of them cannot be imported
    """
    module_name, colon, name = spec.env.partition(":")
    if colon:
        import_module(module_name)
        yield module_name
    known = gym.registry.get(name if colon else spec.env) or registered_in_gym(name if colon else spec.env)
    if known is not None and known.entry_point is not None:
        creator: Any = known.entry_point
        if isinstance(creator, str):
            try:
                creator = load_env_creator(creator)
            except ImportError as error:
                raise ImportProblem(f"{spec.env}: {error}") from error
        yield str(creator.__module__)
    for wrapper in spec.wrappers:
        yield str(import_object(wrapper.name).__module__)


def _package(module: str) -> str:
    """What is own code where a module is: its top-level package; of Gymnasium and SB3 only the module itself."""
    top = module.partition(".")[0]
    return module if top in ("gymnasium", "stable_baselines3", "sb3_contrib") else top


@cache
def shown(file: str) -> str:
    """A file's path relative to the working directory or an entry of ``sys.path``: the same on every machine."""
    path = Path(file).resolve()
    for folder in (Path.cwd(), *(Path(entry or ".").resolve() for entry in sys.path)):
        if path.is_relative_to(folder) and not {"site-packages", ".venv"} & set(path.relative_to(folder).parts):
            return path.relative_to(folder).as_posix()
    return path.name
