"""What a method is called with, read without a change to how it is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from inspect import Parameter
from typing import Any

_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


class Parameters:
    """The parameters of a method after ``self``.

    :param method: as one class has it, which a user may have written
    :param base: as the class has it that defines it first, which says what ``*args`` and ``**kwargs`` take; None where
        only the first parameter is asked for
    """

    def __init__(self, method: Callable[..., Any], base: Callable[..., Any] | None = None) -> None:
        own = _after_self(method)
        named = [one for one in own if one.kind in _POSITIONAL]
        if base is not None and any(one.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD) for one in own):
            named += _after_self(base)[len(named) :]
            own = [*_after_self(base), *own]
        self._names = [one.name for one in named]
        self._first = next(iter(self._names), "")
        self._usual = {one.name: one.default for one in own if one.default is not Parameter.empty}

    def read(self, args: tuple[object, ...], kwargs: dict[str, object]) -> dict[str, object]:
        """What a call gives each parameter, by its name, also where it leaves that to the default."""
        return {**self._usual, **dict(zip(self._names, args, strict=False)), **kwargs}

    def first(self, args: tuple[object, ...], kwargs: dict[str, object]) -> Any:
        """What a call gives the first parameter; None for nothing."""
        return args[0] if args else kwargs.get(self._first, next(iter(kwargs.values()), None))


def _after_self(method: Callable[..., Any]) -> list[Parameter]:
    """The parameters of a method but ``self``, which may be one of ``*args``; none where they are not known."""
    try:
        first, *others = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):
        return []
    return others if first.kind in _POSITIONAL else [first, *others]
