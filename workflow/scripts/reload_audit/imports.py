"""Turn names from a configuration into the objects they name. Nothing is evaluated, only imported."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any


class ImportProblem(ValueError):
    """A name does not lead to an object; the message says which part of it fails."""


def extend_path(folders: Iterable[str]) -> None:
    """Put folders at the front of ``sys.path``, once, in the order given."""
    absolute = [str(Path(folder).resolve()) for folder in folders]
    sys.path[:0] = [folder for folder in absolute if folder not in sys.path]


def import_module(name: str) -> Any:
    """Import a module.

    :raises ImportProblem: it does not exist, or its own code raises
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ImportProblem(
            f"no module named {error.name!r}; expected an installed package, or a file in a folder of python_path"
        ) from None
    except Exception as error:
        raise ImportProblem(f"importing {name!r} raised {type(error).__name__}: {error}") from error


def import_object(dotted: str) -> Any:
    """The object that ``package.module.Name`` or ``package.module:Name`` names.

    :raises ImportProblem: there is none
    """
    module_name, _, name = dotted.replace(":", ".").rpartition(".")
    if not module_name:
        raise ImportProblem(f"expected a dotted name such as package.module.Name, found {dotted!r}")
    module = import_module(module_name)
    try:
        return getattr(module, name)
    except AttributeError:
        raise ImportProblem(f"module {module_name!r} has no {name!r}") from None
