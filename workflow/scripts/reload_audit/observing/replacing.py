"""Replace a function wherever it stands: a method in every class that has it, others in every module with them."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any


def in_all(base: type, name: str, make: Callable[[Any], Any]) -> None:
    """Replace a method of a class and of all its subclasses, those that are defined later included.

    :param make: returns what replaces a function
    """

    def replaced(cls: type) -> None:
        method = vars(cls).get(name)
        if inspect.isfunction(method) and not hasattr(method, "is_observed"):
            made: Any = functools.wraps(method)(make(method))
            made.is_observed = True
            setattr(cls, name, made)

    def in_all_below(cls: type) -> None:
        replaced(cls)
        below: list[type] = type.__subclasses__(cls)
        for one in below:
            in_all_below(one)

    in_all_below(base)
    of_later = _LATER.setdefault(base, [])
    of_later.append(replaced)
    if len(of_later) == 1:
        kind: Any = base

        def of_later_classes(cls: Any, /, **arguments: Any) -> None:
            super(kind, cls).__init_subclass__(**arguments)
            for replace_in in of_later:
                replace_in(cls)

        kind.__init_subclass__ = classmethod(of_later_classes)


_LATER: dict[type, list[Callable[[type], None]]] = {}


def everywhere(original: Any, observed: Any) -> None:
    """Replace a function in every module that has imported it, but for this library."""
    for module in list(sys.modules.values()):
        if not getattr(module, "__name__", "").startswith("reload_audit"):
            for name, value in list(getattr(module, "__dict__", {}).items()):
                if value is original:
                    setattr(module, name, observed)
