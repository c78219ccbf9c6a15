"""Find which of many models make a function raise, so that the others can go on without them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def culprits(models: Sequence[T], use: Callable[[Sequence[T]], object]) -> dict[int, Exception]:
    """The positions of the models for which a function raises, each with what it raises for that model alone.

    They are found by halves: a few of many cost a few times as much as all of them together. A model that only raises
    beside others is not found. Where the function raises without any model, too, it is no model's fault.

    :param use: takes any part of the models; what it returns does not matter
    :raises OSError: the function does: that is the machine's fault, such as a full disk, and no model's
    """
    if _raises(use, models[:0]) is not None:
        return {}
    found: dict[int, Exception] = {}
    waiting = [range(len(models))] if models else []
    while waiting:
        part = waiting.pop()
        error = _raises(use, models[part.start : part.stop])
        if error is not None and len(part) == 1:
            found[part.start] = error
        elif error is not None:
            middle = len(part) // 2
            waiting += [part[:middle], part[middle:]]
    return found


def _raises(use: Callable[[Sequence[T]], object], models: Sequence[T]) -> Exception | None:
    try:
        use(models)
    except OSError:
        raise
    except Exception as error:
        return error
    return None
