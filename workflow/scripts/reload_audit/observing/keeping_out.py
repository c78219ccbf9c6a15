"""Keep the observer out of the script's way: its errors, its copies in worker processes, and how it ends a script."""

from __future__ import annotations

import contextlib
import functools
from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

from reload_audit.records.observation import Stopped


class EnoughSeen(BaseException):
    """Ends the script: raised inside a step of its environment. No handler of its own should take it for an error."""

    def __init__(self, why: Stopped) -> None:
        super().__init__(why)
        self.why = why


F = TypeVar("F", bound=Callable[..., None])


def careful(method: F) -> F:
    """Keep an error of the observer's own from the script: what is not seen is said."""

    @functools.wraps(method)
    def told(self: Any, *args: Any) -> None:
        try:
            method(self, *args)
        except Exception as error:
            self.failed(error)

    return told  # type: ignore[return-value]


class Absent:
    """Stands for an observer where nothing is observed: in worker processes."""

    on = here = is_asking = is_stepping = False
    innermost = None

    def __init__(self) -> None:
        self.depth: dict[str, int] = defaultdict(int)

    def inside(self, _kind: str) -> contextlib.AbstractContextManager[None]:
        """As of an observer."""
        return contextlib.nullcontext()

    def learning(self) -> contextlib.AbstractContextManager[None]:
        """As of an observer."""
        return contextlib.nullcontext()
