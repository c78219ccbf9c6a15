"""What expressions in a script stand for, as far as that can be told without running it.

Plain Python values stand for themselves. A text of which a part is not known holds :data:`HOLE` there, so that a path
such as ``f"models/{name}/{time}"`` still says what it begins with. A path of ``pathlib`` is a text.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from typing import Any

from reload_audit.reading import limits
from reload_audit.repository.places import Place

HOLE = "\ue000"
"""Stands in a text for a part that is not known."""


Value = Any
"""What an expression stands for: a plain Python value, or one of the classes below."""


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()
"""A value of which nothing is known."""


class Some(list[Any]):
    """A list of which the number of items is not known; the items are examples."""


@dataclass(frozen=True)
class Choice:
    """One of several values: which, depends on what a script was started with."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class External:
    """Something of a library, by its dotted name; ``gym`` stands as ``gymnasium``."""

    name: str

    @property
    def package(self) -> str:
        return self.name.partition(".")[0]

    @property
    def last(self) -> str:
        return self.name.rpartition(".")[2]


@dataclass(frozen=True, eq=False)
class Made:
    """The result of calling something of a library: a space, a callback, an environment of another package, ..."""

    maker: External
    args: Sequence[Any]
    kwargs: Mapping[str, Value]
    place: Place


@dataclass(eq=False)
class Scope:
    """Names and their values; what is not here may be in the scope around it."""

    module: ModuleScope
    names: dict[str, Value] = field(default_factory=dict)
    parent: Scope | None = None

    def get(self, name: str) -> Any:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.parent
        return UNKNOWN


@dataclass(eq=False)
class ModuleScope:
    """A file of the repository.

    :param path: relative to the repository's folder
    :param scope: its global names
    :param cell: the cell that is being followed
    """

    path: str
    cell: int | None = None
    scope: Scope = field(init=False)

    def __post_init__(self) -> None:
        self.scope = Scope(self)

    def place(self, node: ast.AST) -> Place:
        return Place(self.path, getattr(node, "lineno", 1), self.cell)


@dataclass(frozen=True, eq=False)
class Function:
    """A function or lambda of the repository, with the instance that it is a method of."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    scope: Scope
    place: Place
    this: Any = None


@dataclass(eq=False)
class Class:
    """A class of the repository.

    :param bases: classes of the repository or of libraries
    :param scope: what its body defines
    """

    name: str
    place: Place
    node: ast.ClassDef
    bases: tuple[Any, ...]
    scope: Scope

    def lineage(self) -> Iterator[Class | External]:
        """It, and all that it inherits from, as far as that is known."""
        pending, seen = [self], set()
        while pending:
            found = pending.pop(0)
            yield found
            for base in found.bases:
                if isinstance(base, External):
                    yield base
                elif isinstance(base, Class) and id(base) not in seen:
                    seen.add(id(base))
                    pending.append(base)

    def find(self, name: str) -> Any:
        """An attribute of the class or of one that it inherits from."""
        for found in self.lineage():
            if isinstance(found, Class) and name in found.scope.names:
                return found.scope.names[name]
        return UNKNOWN

    def defaults(self) -> dict[str, Value]:
        """Arguments of its constructor that have a plain value by default."""
        start = self.find("__init__")
        if not isinstance(start, Function):
            return {}
        taken = start.node.args
        named = [one.arg for one in (*taken.posonlyargs, *taken.args)]
        pairs = [*zip(named[len(named) - len(taken.defaults) :], taken.defaults, strict=True)]
        pairs += [(one.arg, value) for one, value in zip(taken.kwonlyargs, taken.kw_defaults, strict=True) if value]
        return {name: value.value for name, value in pairs if isinstance(value, ast.Constant)}


@dataclass(eq=False)
class Instance:
    """An object of a class of the repository, or one with attributes alone."""

    of: Class | None
    attributes: dict[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Partial:
    """A function with some of its arguments."""

    function: Any
    args: Sequence[Any]
    kwargs: Mapping[str, Value]


@dataclass(frozen=True, eq=False)
class Method:
    """A method of a value that is not of the repository: of a text, a model, an environment, ..."""

    of: Any
    name: str


@dataclass(frozen=True)
class OpenFile:
    """A file that a script opens."""

    path: str


def choice(values: Iterable[Any]) -> Any:
    """One value for several: the value itself where they are the same."""
    different: list[Any] = []
    for value in islice(values, limits.SCRIPT_ITEMS):
        if len(different) > limits.SCRIPT_CHOICES:
            break
        for one in value.values if isinstance(value, Choice) else (value,):
            if not any(same(one, other) for other in different):
                different.append(one)
    known = [value for value in different if value is not UNKNOWN]
    if len(known) <= 1:
        return known[0] if known else UNKNOWN
    return Choice(tuple(known[: limits.SCRIPT_CHOICES]))


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same, without confusing ``1`` and ``True``."""
    return one is other or (type(one) is type(other) and isinstance(one, str | int | float | bool) and one == other)


def each(values: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """All combinations of values of which some are choices; a limited number of them."""
    options = [value.values if isinstance(value, Choice) else (value,) for value in values]
    yield from islice(product(*options), limits.SCRIPT_CHOICES)


def as_text(value: Any) -> str:
    """A value as part of a text."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, int | float):
        try:
            return str(value)
        except ValueError:  # an integer of thousands of digits
            return HOLE
    if isinstance(value, Class):
        return value.name
    return HOLE


def is_object(value: Any) -> bool:
    """Whether a value is a class or function of the repository that can be imported by its name."""
    if isinstance(value, Class):
        return True
    return isinstance(value, Function) and hasattr(value.node, "name") and value.scope is value.scope.module.scope


def is_plain(value: Any) -> bool:
    """Whether a value can be written into a configuration."""
    if isinstance(value, str):
        return HOLE not in value
    if isinstance(value, list | tuple):
        return not isinstance(value, Some) and all(map(is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_plain(item) for key, item in value.items())
    if isinstance(value, int | float) and not isinstance(value, bool):
        return abs(value) < limits.LARGEST_INTEGER
    return value is None or isinstance(value, bool)


def as_data(value: Any) -> Any:
    """A plain value as a configuration has it: with lists for tuples."""
    if isinstance(value, list | tuple):
        return [as_data(item) for item in value]
    if isinstance(value, dict):
        return {key: as_data(item) for key, item in value.items()}
    return value
