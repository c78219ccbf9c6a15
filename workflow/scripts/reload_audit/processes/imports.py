"""Import the objects that dotted names in a configuration stand for. Names are never evaluated as code."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from reload_audit.reading.plain_values import is_object_name, names_object, takes_function


class ImportProblem(ValueError):
    """A name does not lead to an object; the message says which part of it fails."""


_FOR_GYM = ("gym", "shimmy")
"""Packages with which SB3 runs environments that are written for ``gym``."""


def missing_for_gym(package: str) -> str:
    """What to install where one of the packages is missing that environments of ``gym`` need."""
    return (
        f"{package} is not installed; environments of gym need: pip install 'gym==0.26.2' 'shimmy>=2.0', or port it to "
        "gymnasium, in four lines: import gymnasium as gym; def reset(self, *, seed=None, options=None), which begins "
        "with super().reset(seed=seed) and returns observation, info; step returns observation, reward, terminated, "
        "truncated, info; whatever is drawn is drawn from self.np_random"
    )


def extend_path(folders: Iterable[str]) -> None:
    """Put folders at the front of ``sys.path``, once, in the order given."""
    first = list(dict.fromkeys(str(Path(folder).resolve()) for folder in folders))
    sys.path[:] = first + [folder for folder in sys.path if folder not in first]


def import_module(name: str) -> Any:
    """Import a module.

    :raises ImportProblem: it does not exist, or its own code raises
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or str(error)
        importer = "" if f"{name}.".startswith(f"{missing}.") else f"importing {name!r}: "
        if missing in _FOR_GYM:
            raise ImportProblem(f"{importer}{missing_for_gym(missing)}") from None
        raise ImportProblem(
            f"{importer}no module named {missing!r}; "
            "expected an installed package, or a file in a folder of python_path"
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


def with_objects(arguments: Any) -> Any:
    """Arguments with the objects that they name: ``{object: "module:Name"}`` stands for one, wherever it is.

    With ``arguments`` beside it, it stands for what calling the object with these gives. Only what the user's own
    configuration says gets here: see ``reading.plain_values.names_object``.

    :raises ImportProblem: a name leads nowhere
    """
    if names_object(arguments):
        found = import_object(arguments["object"])
        return found(**with_objects(arguments["arguments"])) if "arguments" in arguments else found
    if isinstance(arguments, Mapping):
        return {key: with_objects(value) for key, value in arguments.items()}
    if isinstance(arguments, list | tuple):
        read = [with_objects(value) for value in arguments]
        return tuple(read) if isinstance(arguments, tuple) else read
    return arguments


def with_functions(called: Any, arguments: Mapping[str, object]) -> dict[str, object]:
    """Arguments with functions and classes in place of texts that name them, where what is called takes such.

    ``ActionMasker: {action_mask_fn: "module:function"}`` is short for ``{object: "module:function"}``. A text without a
    colon stays one, and so does any text for a parameter that does not ask for something to call, by its annotation or
    by its name.

    :raises ImportProblem: a name leads nowhere
    """
    named = [key for key, value in arguments.items() if isinstance(value, str) and is_object_name(value)]
    if not named:
        return dict(arguments)
    try:
        parameters = inspect.signature(called).parameters
    except (TypeError, ValueError):
        parameters = {}  # type: ignore[assignment]
    wanted = [key for key in named if _takes_callable(key, parameters.get(key))]
    return {**arguments, **{key: import_object(str(arguments[key])) for key in wanted}}


def _takes_callable(name: str, parameter: inspect.Parameter | None) -> bool:
    annotated = parameter is not None and re.search(r"\b(Callable|type|Type)\b", str(parameter.annotation)) is not None
    return annotated or takes_function(name)
