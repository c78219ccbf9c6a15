"""Which branch of an ``if`` or a ``match`` a script takes, where what is known decides it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from reload_audit.repository.operations import compared
from reload_audit.repository.values import UNKNOWN, Choice, Scope, Some, Value, is_plain

Tell = Callable[[ast.expr], Any]
"""Tells what an expression stands for."""


class Evaluate(Protocol):
    """Tells what an expression stands for in a scope."""

    def __call__(self, node: ast.expr, scope: Scope) -> Any:
        """What it stands for."""


@dataclass(frozen=True)
class Branch:
    """The statements of one of several alternatives.

    :param names: those that its pattern binds, with their values
    """

    body: Sequence[ast.stmt]
    names: Mapping[str, Value] = field(default_factory=dict)


def taken(statement: ast.stmt, scope: Scope, value: Evaluate) -> Branch | None:
    """The branch that is taken; None where that cannot be told, and for any other statement."""
    match statement:
        case ast.If(test=test, body=body, orelse=orelse):
            decided = truth(test, partial(value, scope=scope))
            return None if decided is None else Branch(body if decided else orelse)
        case ast.Match(subject=subject, cases=cases):
            return _case(value(subject, scope), cases, scope, value)
    return None


def truth(test: ast.expr, tell: Tell) -> bool | None:
    """The truth value of a test; None where that cannot be told."""
    match test:
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return compared(op, tell(left), tell(right))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            decided = truth(operand, tell)
            return None if decided is None else not decided
        case ast.BoolOp(op=op, values=values):
            parts = [truth(value, tell) for value in values]
            return _any(parts) if isinstance(op, ast.Or) else _all(parts)
    value = tell(test)
    return bool(value) if is_plain(value) else None


def _case(subject: Any, cases: Sequence[ast.match_case], scope: Scope, value: Evaluate) -> Branch | None:
    for case in cases:
        names = captured(case.pattern, subject)
        inner = Scope(scope.module, names, scope)
        fits = _fits(case.pattern, subject, partial(value, scope=inner))
        if fits and case.guard is not None:
            fits = truth(case.guard, partial(value, scope=inner))
        if fits is None:
            return None
        if fits:
            return Branch(case.body, names)
    return Branch([])


def _fits(pattern: ast.pattern, subject: Any, tell: Tell) -> bool | None:
    """Whether a value matches a pattern; None where that cannot be told."""
    match pattern:
        case ast.MatchAs(pattern=None):
            return True
        case ast.MatchOr(patterns=patterns):
            return _any([_fits(one, subject, tell) for one in patterns])
        case ast.MatchAs(pattern=inner) if inner is not None:
            return _fits(inner, subject, tell)
    return None if subject is UNKNOWN or isinstance(subject, Choice) else _fits_known(pattern, subject, tell)


def _fits_known(pattern: ast.pattern, subject: Any, tell: Tell) -> bool | None:
    match pattern:
        case ast.MatchValue(value=value):
            return compared(ast.Eq(), subject, tell(value))
        case ast.MatchSingleton(value=value):
            return subject is value if is_plain(subject) else None
        case ast.MatchSequence(patterns=patterns) if not any(isinstance(one, ast.MatchStar) for one in patterns):
            if not isinstance(subject, list | tuple) or isinstance(subject, Some):
                return False if is_plain(subject) else None
            parts = [_fits(one, part, tell) for one, part in zip(patterns, subject, strict=False)]
            return _all(parts) if len(patterns) == len(subject) else False
        case ast.MatchMapping(keys=keys, patterns=patterns):
            if not isinstance(subject, dict):
                return False if is_plain(subject) else None
            pairs = [(tell(key), one) for key, one in zip(keys, patterns, strict=True)]
            return _all([_has(subject, key) and _fits(one, subject.get(key), tell) for key, one in pairs])
    return None


def _has(mapping: Mapping[str, Value], key: Any) -> bool | None:
    return key in mapping if is_plain(key) else None


def captured(pattern: ast.pattern, subject: Any) -> dict[str, Value]:
    """The names that a pattern binds, with their values, for a value that matches it."""
    match pattern:
        case ast.MatchAs(pattern=inner, name=name):
            within = {} if inner is None else captured(inner, subject)
            return within if name is None else {**within, name: subject}
        case ast.MatchSequence(patterns=patterns) if isinstance(subject, list | tuple):
            parts = list(subject) if len(subject) == len(patterns) else [UNKNOWN] * len(patterns)
        case ast.MatchMapping(keys=keys, patterns=patterns) if isinstance(subject, dict):
            known = [key.value if isinstance(key, ast.Constant) else None for key in keys]
            parts = [subject.get(key, UNKNOWN) for key in known]
        case _:
            names = (getattr(node, "name", None) or getattr(node, "rest", None) for node in ast.walk(pattern))
            return {name: UNKNOWN for name in names if isinstance(name, str)}
    found = [captured(one, part) for one, part in zip(patterns, parts, strict=True)]
    return {name: value for names in found for name, value in names.items()}


def _any(parts: Sequence[bool | None]) -> bool | None:
    return True if True in parts else None if None in parts else False


def _all(parts: Sequence[bool | None]) -> bool | None:
    return False if False in parts else None if None in parts else True
