"""A call in a script that is followed: its arguments, and where it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reload_audit.repository.expressions import Expressions
from reload_audit.repository.places import Place
from reload_audit.repository.values import UNKNOWN, Value


@dataclass(frozen=True, eq=False)
class Call:
    """The arguments of a call, and where it is made."""

    follower: Expressions
    args: Sequence[Any]
    kwargs: Mapping[str, Value]
    place: Place

    def get(self, position: int, name: str, default: Any = UNKNOWN) -> Any:
        """An argument by its position or name."""
        return self.args[position] if position < len(self.args) else self.kwargs.get(name, default)

    @property
    def environment(self) -> Any:
        """The argument that is the environment where a wrapper is called."""
        return self.args[0] if self.args else self.kwargs.get("env", self.kwargs.get("venv", UNKNOWN))

    def again(self, function: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Value] | None = None) -> Any:
        """The result of calling another function at the same place."""
        return self.follower.call(function, args, kwargs or {}, self.place)
