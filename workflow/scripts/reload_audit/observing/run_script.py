"""Run a user's script, unchanged, as the main program of this process, and observe it."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import linecache
import os
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from reload_audit.models.without_dynamo import spare_compiler
from reload_audit.observing.films import allow_recorders
from reload_audit.observing.hooks import install
from reload_audit.observing.keeping_out import EnoughSeen
from reload_audit.observing.lines import UserLines
from reload_audit.observing.notebook import cells_of, names_of_notebooks
from reload_audit.observing.observer import Observer
from reload_audit.observing.shown import Shown
from reload_audit.processes.outcome import error_said
from reload_audit.processes.search_path import name_in_package
from reload_audit.records.observation import Observation, Stopped
from reload_audit.records.specs import ScriptSpec

_OF_THE_TIME = 0.9
"""Part of its time after which a script is stopped, so that what was seen of it can still be written down."""

_WITHOUT_WINDOWS = {"MPLBACKEND": "Agg", "SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy"}


def observe_script(spec: ScriptSpec, folder: str) -> Observation:
    """Run a script in this process, which must be a fresh one.

    :param folder: takes what the script acted with: weights and statistics
    """
    started = time.monotonic()
    path = Path(spec.script).resolve()
    Path(folder).mkdir(parents=True, exist_ok=True)
    cwd = Path(spec.cwd).resolve()
    own = [path.parent, cwd, *(Path(entry).resolve() for entry in spec.python_path)]
    lines = UserLines(path, own)
    observer = Observer(lines, started + _OF_THE_TIME * spec.timeout, Path(folder).resolve())
    os.environ.update({**_WITHOUT_WINDOWS, **spec.env})
    os.chdir(cwd)
    sys.path[:0] = [str(entry) for entry in own if str(entry) not in sys.path]
    sys.argv = [spec.script, *spec.args]
    namespace = _main_module(path, cwd)
    spare_compiler()
    install(observer)
    allow_recorders(observer.say)
    shown = Shown(lines)
    ended = _End()
    with shown.watching(), ended:
        for code in _programs(path):
            _execute(code, namespace)
    found = observer.observation(Path(spec.script).name)
    at = lines.of_traceback(ended.trace)
    said = found.said
    if ended.raised == "SystemExit: 2":
        said = (*said, "status 2 is what argparse ends with where arguments are missing: give them as `args`")
    return replace(
        found,
        said=said,
        own_packages=lines.packages(),
        python_path=lines.folders_added(),
        raised=ended.raised,
        raised_at=at,
        stopped=ended.stopped,
        printed=shown.numbers(),
        prints=shown.prints(),
    )


class _End:
    """Takes note of how a script ends, whatever it raises."""

    def __init__(self) -> None:
        self.raised = ""
        self.stopped: Stopped = ""
        self.trace: Any = None

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
            return True
        if isinstance(error, EnoughSeen):
            self.stopped = error.why
            return True
        traceback.print_exception(error)
        self.raised, self.trace = error_said(error), trace
        return True


def _main_module(path: Path, cwd: Path) -> dict[str, object]:
    """The namespace of a new ``__main__``, as that of a script that Python was started with.

    One with imports relative to its package is as if started by ``python -m``.
    """
    module = ModuleType("__main__")
    module.__file__ = str(path)
    if path.suffix == ".py" and _has_relative_imports(path):
        top, name = name_in_package(path, cwd)
        module.__package__ = name.rpartition(".")[0]
        sys.path.insert(0, str(top))
    module.__builtins__ = __builtins__  # type: ignore[attr-defined]
    sys.modules["__main__"] = module
    if path.suffix == ".ipynb":
        vars(module).update(names_of_notebooks())
    return vars(module)


def _has_relative_imports(path: Path) -> bool:
    with contextlib.suppress(SyntaxError, ValueError):  # which running it will raise
        tree = ast.parse(path.read_bytes())
        return any(isinstance(node, ast.ImportFrom) and node.level > 0 for node in ast.walk(tree))
    return False


def _programs(path: Path) -> Iterator[CodeType]:
    """The script's code; of a notebook, that of each cell, which goes by its own name and is compiled in its turn."""
    if path.suffix != ".ipynb":
        yield compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        return
    for cell in cells_of(path):
        source = f"{cell.source}\n"
        linecache.cache[cell.name] = (len(source), None, source.splitlines(keepends=True), cell.name)
        yield compile(source, cell.name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


def _execute(code: CodeType, namespace: dict[str, object]) -> None:
    """Run the user's own script, which they named, or a cell of their notebook, which may wait for something."""
    if code.co_flags & inspect.CO_COROUTINE:
        asyncio.run(eval(code, namespace))  # noqa: S307
    else:
        exec(code, namespace)  # noqa: S102
