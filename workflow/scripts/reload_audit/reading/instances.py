"""Instances in a parsed pickle: which class they are of, and their attributes, parsed but not built."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from reload_audit.reading.pickles import Call, Global, described
from reload_audit.reading.refusal import Unreadable


def attributes(node: Any, *classes: str) -> dict[str, Any]:
    """The attributes of a pickled instance of one of these classes (``module.Name``), parsed but not built.

    :raises Unreadable: it is something else
    """
    if isinstance(node, Call) and isinstance(function := made_by(node), Global) and str(function) in classes:
        return merged(node.states)
    raise Unreadable(f"expected {' or '.join(classes)}, found {described(node)}")


def made_by(node: Call) -> Any:
    """The class or function that is called. In protocols before 2, ``_reconstructor`` with a class stands for it."""
    if isinstance(node.function, Global) and str(node.function) == "copyreg._reconstructor":
        match node.args:
            case (Global() as made, Global(), None):
                return made
    return node.function


def merged(states: list[Any]) -> dict[str, Any]:
    """The attributes that the states of a call would set, the later ones over the earlier.

    :raises Unreadable: a state is no mapping
    """
    found: dict[str, Any] = {}
    for state in states:
        parts = state if isinstance(state, tuple) else (state,)
        for part in parts:
            if part is not None and not isinstance(part, Mapping):
                raise Unreadable(f"damaged pickle: expected attributes, found a {type(part).__name__}")
            found |= {str(key): value for key, value in (part or {}).items()}
    return found


def split(node: Call, wanted: Collection[str]) -> tuple[Any, dict[str, Any]]:
    """An instance with those of its attributes that are wanted, as a list of its parts; and its other attributes.

    :raises Unreadable: it has other states than attributes
    """
    found = merged(node.states)
    rest = {name: value for name, value in found.items() if name not in wanted}
    needed = [value for name, value in found.items() if name in wanted]
    return [node.function, node.args, node.kwargs, node.items, node.pairs, needed], rest
