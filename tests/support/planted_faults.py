"""Faults at every place where a model's data is touched: wherever a function is given it, that function raises."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import CodeType, FrameType, FunctionType
from typing import Any

from support.builders import ROOT

_LIBRARY = str(ROOT / "workflow/scripts/reload_audit")
_INSTEAD = "cannot be used: "
"""What the reason of a row says that stands for a model whose data raised: it is not that data any more."""

_ORIGINAL: list[tuple[FunctionType, str]] = []
"""The function that raises now for a model, as it was, with the model's name."""


class Planted(Exception):
    """The fault that is planted."""


@dataclass(frozen=True)
class Place:
    """A function of the library that is given a model's data.

    :param code: of the function
    """

    code: CodeType

    @property
    def name(self) -> str:
        module = self.code.co_filename.removeprefix(_LIBRARY).strip("/").removesuffix(".py").replace("/", ".")
        return f"{module}.{self.code.co_qualname}"

    @property
    def function(self) -> FunctionType | None:
        """The function itself; None where there are several of this code, or where it is a closure."""
        found = [
            one for one in gc.get_referrers(self.code) if isinstance(one, FunctionType) and one.__code__ is self.code
        ]
        return found[0] if len(found) == 1 and not self.code.co_freevars else None


def places(model: str, work: Callable[[], object]) -> list[Place]:
    """Where a model's data is touched while something is done, in the order of the places' names.

    :param model: its name
    """
    gc.collect()  # functions in which a fault was planted before
    found: set[CodeType] = set()

    def watch(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code not in found and code.co_filename.startswith(_LIBRARY):
            names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            if any(_is_of(model, frame.f_locals.get(name)) for name in names):
                found.add(code)

    sys.setprofile(watch)
    try:
        work()
    finally:
        sys.setprofile(None)
    return sorted(
        (place for code in found if (place := Place(code)).function is not None), key=lambda place: place.name
    )


@contextlib.contextmanager
def planted(place: Place, model: str) -> Iterator[None]:
    """Make a function raise whenever it is given data of a model, while the block runs."""
    function = place.function
    assert function is not None
    original = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    original.__kwdefaults__ = function.__kwdefaults__
    _ORIGINAL.append((original, model))
    before = function.__code__
    function.__code__ = _RAISING
    try:
        yield
    finally:
        function.__code__ = before
        _ORIGINAL.clear()


def _raising(*arguments: Any, **keywords: Any) -> Any:
    """Has the code of any function that raises, whose globals are others."""
    return __import__("support.planted_faults", fromlist=["call"]).call(arguments, keywords)


_RAISING = _raising.__code__


def call(arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
    """Call the function in which a fault is planted, unless the arguments are data of the model."""
    ((original, model),) = _ORIGINAL
    if any(_is_of(model, value) for value in (*arguments, *keywords.values())):
        raise Planted(f"planted in {original.__qualname__}")
    return original(*arguments, **keywords)


def _is_of(model: str, value: Any) -> bool:
    """Whether a value is a model's own data, and not what stands for it because that cannot be used."""
    of_library = type(value).__module__.startswith("reload_audit") and hasattr(value, "__dict__")
    known = value if isinstance(value, Mapping) else vars(value) if of_library else {}
    if any(_INSTEAD in str(known.get(said)) for said in ("reason", "problem")):
        return False
    for inner in ("manifest", "row", "content", "external"):  # of a record, a row, a JSON object, a manifest
        if known.get(inner) is not None:
            return _is_of(model, known[inner])
    names = (str(known.get(name)) for name in ("model", "name", "key", "label"))
    return any(name == model or name.endswith(f"/{model}") or name.startswith(f"{model}-") for name in names)
