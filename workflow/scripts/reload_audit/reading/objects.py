"""Build objects of classes that may be imported, out of the attributes that a file gives them.

Nothing of the class is called: what its constructor or ``__setstate__`` would do is not done.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reload_audit.reading.by_value import mapping_for
from reload_audit.reading.refusal import Unreadable

PLAIN_OBJECTS = ("argparse.Namespace", "types.SimpleNamespace")
"""Classes of Python's own that hold attributes and do nothing."""

_CONTAINERS = (dict, list, tuple)
_CALLED = ("__setstate__", "__del__")


def object_of(
    kind: type,
    name: str,
    args: Sequence[Any],
    attributes: Mapping[str, Any],
    items: Iterable[Any] = (),
    pairs: Iterable[tuple[Any, Any]] = (),
) -> Any:
    """An object with these attributes; a member of an enumeration by its value.

    :param name: that the file has for its class
    :param args: that the object is made with: the content of a named tuple, the value of a member
    :param items: the content of a list
    :param pairs: the content of a mapping
    :raises Unreadable: such an object cannot be built of attributes alone
    """
    if issubclass(kind, enum.Enum):
        return _member(kind, args)
    expected = f"{_EXPECTED}, or a line that names such a class of yours: {mapping_for([name])}"
    for called in _CALLED:
        home = next((base for base in kind.__mro__ if called in vars(base)), None)
        if home is not None and home.__module__.partition(".")[0] != "torch":
            raise Unreadable(f"{_named(kind)} has a {called} of its own; {expected}")
    base: Any = next((base for base in _CONTAINERS if issubclass(kind, base)), object)
    if args and base is not tuple:
        raise Unreadable(f"{_named(kind)} is made with arguments; {expected}")
    made: Any
    try:
        made = base.__new__(kind, *([args] if base is tuple else []))
    except TypeError as error:
        raise Unreadable(f"{_named(kind)}: {error}; {expected}") from None
    if base is list:
        list.extend(made, items)
    if base is dict:
        dict.update(made, pairs)
    if hasattr(made, "__dict__"):
        vars(made).update(attributes)
    else:
        for attribute, value in attributes.items():
            object.__setattr__(made, attribute, value)
    return made


_EXPECTED = "expected an object that is nothing but its attributes"


def _member(kind: type[enum.Enum], args: Sequence[Any]) -> enum.Enum:
    for member in kind:
        if [member.value] == [*args]:
            return member
    raise Unreadable(f"{_named(kind)} has no member of the value in the file")


def _named(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
