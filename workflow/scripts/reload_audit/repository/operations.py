"""Operators, indices and formats on values of which some are known only in part."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reload_audit.reading import limits
from reload_audit.repository.values import HOLE, UNKNOWN, Choice, Some, Value, as_text, choice, is_plain

_FORMAT = re.compile(r"0?\d{0,2}(\.\d{1,2})?[dfgs]?")
_CONVERSION = re.compile(r"%(?:\((?P<key>\w+)\))?[-+ #0]*\d{0,3}(?:\.\d{1,2})?[sdifgeGEr]")
_FIELD = re.compile(r"\{(?P<name>\w*)(?:[.\[!:][^{}]*)?\}")

_DIGITS = 64
"""Characters of a text up to which it may be a number."""

_NUMBERS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}

_ORDERS: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def short(text: str) -> Any:
    return text if len(text) <= limits.SCRIPT_CHARACTERS else UNKNOWN


def item(owner: Any, index: Any) -> Any:
    if isinstance(owner, dict):
        if isinstance(index, int) or (isinstance(index, str) and HOLE not in index):
            return owner.get(index, UNKNOWN)
        return choice(owner.values())
    if isinstance(owner, list | tuple) and owner:
        if isinstance(index, int) and not isinstance(owner, Some):
            return owner[index] if -len(owner) <= index < len(owner) else UNKNOWN
        return choice(owner) if index is UNKNOWN else UNKNOWN
    return UNKNOWN


def combined(op: ast.operator, left: Any, right: Any) -> Any:
    if isinstance(op, ast.Div) and isinstance(left, str):  # of pathlib
        return short(f"{left.rstrip('/')}/{as_text(right)}") if left else as_text(right)
    if isinstance(op, ast.Add) and (isinstance(left, str) or isinstance(right, str)):
        return short(as_text(left) + as_text(right))
    if isinstance(op, ast.Add) and isinstance(left, list) and isinstance(right, list):
        return [*left, *right][: limits.SCRIPT_ITEMS]
    if isinstance(op, ast.Mod) and isinstance(left, str):
        return short(_filled(left, right))
    if isinstance(op, ast.Mult) and isinstance(left, list):
        few = isinstance(right, int) and 0 < right * len(left) <= limits.SCRIPT_ITEMS
        return [*left] * right if few else Some(left)
    numbers = all(isinstance(value, int | float) and abs(value) < limits.LARGEST_INTEGER for value in (left, right))
    if numbers and type(op) in _NUMBERS:
        try:
            return _NUMBERS[type(op)](left, right)
        except (ArithmeticError, ValueError):
            return UNKNOWN
    return UNKNOWN


def as_number(kind: type[int] | type[float], value: Any) -> Any:
    """What ``int(...)`` or ``float(...)`` gives."""
    if not isinstance(value, int | float | str) or (isinstance(value, str) and len(value) > _DIGITS):
        return UNKNOWN
    try:
        return kind(value)
    except (ValueError, OverflowError):
        return UNKNOWN


def compared(op: ast.cmpop, left: Any, right: Any) -> bool | None:
    """What a comparison of two values comes to; None where that cannot be told."""
    if UNKNOWN in (left, right) or isinstance(left, Choice) or isinstance(right, Choice):
        return None
    if isinstance(op, ast.Is | ast.IsNot):
        return (left is right) == isinstance(op, ast.Is) if right is None else None
    if isinstance(op, ast.In | ast.NotIn):
        is_list = isinstance(right, list | tuple) and not isinstance(right, Some)
        known = is_plain(left) and is_list and all(map(is_plain, right))
        return (left in right) == isinstance(op, ast.In) if known else None
    if isinstance(op, ast.Eq | ast.NotEq) and is_plain(left) and is_plain(right):
        return bool(left == right) == isinstance(op, ast.Eq)
    if type(op) in _ORDERS and all(isinstance(value, int | float) for value in (left, right)):
        return bool(_ORDERS[type(op)](left, right))
    return None


def _filled(text: str, values: Any) -> str:
    """A text with ``%s`` and the like filled in."""
    ordered = iter(values if isinstance(values, tuple) else [values])

    def fill(found: re.Match[str]) -> str:
        if found["key"]:
            return as_text(values.get(found["key"], UNKNOWN)) if isinstance(values, dict) else HOLE
        return as_text(next(ordered, UNKNOWN))

    return _CONVERSION.sub(fill, text)


def formatted(text: str, args: Sequence[Any], kwargs: Mapping[str, Value]) -> str:
    """What ``text.format(...)`` gives."""
    longest = max(map(len, map(as_text, [*args, *kwargs.values()])), default=0)
    if text.count("{") * longest > 10 * limits.SCRIPT_CHARACTERS:
        return HOLE
    ordered = iter(args)

    def fill(found: re.Match[str]) -> str:
        name = found["name"]
        if name.isdecimal():
            return as_text(args[int(name)]) if int(name) < len(args) else HOLE
        return as_text(kwargs.get(name, UNKNOWN) if name else next(ordered, UNKNOWN))

    return _FIELD.sub(fill, text)


def formatted_value(value: Any, spec: Any) -> Any:
    """What ``f"{value:spec}"`` gives; only short formats of numbers and texts are known."""
    if isinstance(spec, str) and _FORMAT.fullmatch(spec) and isinstance(value, str | int | float):
        try:
            return format(value, spec)
        except (ValueError, OverflowError):
            return UNKNOWN
    return UNKNOWN
