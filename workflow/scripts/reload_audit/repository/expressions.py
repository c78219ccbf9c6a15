"""The values of expressions and calls in a script, as far as they can be told without running anything.

What a call of a library means is in :mod:`library`, what statements do in :mod:`follow`.
"""

from __future__ import annotations

import ast
import functools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from reload_audit.reading import limits
from reload_audit.repository import dataclass_fields
from reload_audit.repository.binding import bind
from reload_audit.repository.decisions import truth
from reload_audit.repository.modules import Modules
from reload_audit.repository.operations import combined, formatted_value, item, short
from reload_audit.repository.places import Place
from reload_audit.repository.scripts import Script
from reload_audit.repository.values import (
    UNKNOWN,
    Choice,
    Class,
    External,
    Function,
    Instance,
    Method,
    ModuleScope,
    Partial,
    Scope,
    Some,
    Value,
    as_text,
    choice,
    each,
)


class Library(Protocol):
    """Says what calls and attributes of things mean that are not of the repository."""

    def call(
        self, follower: Expressions, function: Any, args: Sequence[Any], kwargs: Mapping[str, Value], place: Place
    ) -> Any:
        """The result of a call; ``NotImplemented`` for an ordinary call of a class of the repository."""

    def attribute(self, owner: Any, name: str) -> Any:
        """An attribute of a value that is not of the repository."""

    def constant(self, name: str) -> Any:
        """Something of a library, by its dotted name."""

    def arguments(self, decorators: Sequence[Any], names: Sequence[str]) -> dict[str, Value]:
        """The arguments of a function with these decorators that a script begins with, by name."""


class OutOfSteps(Exception):
    """The limit of statements and expressions is reached: the rest is not followed."""


class Expressions(ABC):
    """Tells the values of expressions and the results of calls; a subclass follows the statements.

    :param scripts: all of the repository
    :param steps: statements and expressions that are followed at most; what is ``left`` of them
    :param decides: whether only one of several branches is followed where known values decide which
    """

    def __init__(self, scripts: Iterable[Script], library: Library, steps: int, *, decides: bool) -> None:
        self._decides = decides
        self._library = library
        self.modules = Modules(scripts)
        self._called: set[int] = set()
        self._running: set[int] = set()
        self._made: set[int] = set()
        self.left = steps
        self._depth = 0

    @abstractmethod
    def module(self, path: str) -> ModuleScope:
        """The global names of a file."""

    @abstractmethod
    def block(self, body: Sequence[ast.stmt], scope: Scope) -> list[Any]:
        """Follow statements; gives what they return."""

    @abstractmethod
    def assign(self, target: ast.expr, value: Any, scope: Scope) -> None:
        """Give a name, an attribute or an item its value."""

    def _spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise OutOfSteps

    def value(self, node: ast.expr, scope: Scope) -> Any:
        """What an expression stands for."""
        self._spend(1)
        try:
            self._depth += 1
            return UNKNOWN if self._depth > limits.SCRIPT_LEVELS else self._value(node, scope)
        finally:
            self._depth -= 1

    def _value(self, node: ast.expr, scope: Scope) -> Any:  # noqa: C901 a case for each kind
        match node:
            case ast.Constant(value=value):
                return value if isinstance(value, str | int | float) or value is None else UNKNOWN
            case ast.Name(id=name):
                found = scope.get(name)
                return _not_imported(name) if found is UNKNOWN else found
            case ast.Attribute(value=of, attr=name):
                return choice(self.attribute(owner, name) for (owner,) in each([self.value(of, scope)]))
            case ast.Call():
                return self._call(node, scope)
            case ast.JoinedStr(values=parts):
                return self._joined([self._formatted(part, scope) for part in parts])
            case ast.BinOp(left=left, op=op, right=right):
                return self._binary(op, self.value(left, scope), self.value(right, scope))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                number = self.value(operand, scope)
                return -number if isinstance(number, int | float) else UNKNOWN
            case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
                values = [self.value(item, scope) for item in items]
                return tuple(values) if isinstance(node, ast.Tuple) else values
            case ast.Dict(keys=keys, values=values):
                return self._mapping(keys, values, scope)
            case ast.Subscript(value=of, slice=key):
                pairs = each([self.value(of, scope), self.value(key, scope)])
                return choice(item(owner, index) for owner, index in pairs)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                decided = truth(test, functools.partial(self.value, scope=scope)) if self._decides else None
                branches = [body, orelse] if decided is None else [body if decided else orelse]
                return choice(self.value(branch, scope) for branch in branches)
            case ast.BoolOp(values=values):
                return choice(self.value(value, scope) for value in values)
            case ast.Lambda():
                return Function(node, scope, scope.module.place(node))
            case ast.ListComp(elt=elt, generators=generators) | ast.GeneratorExp(elt=elt, generators=generators):
                return self._comprehension(elt, generators, scope)
            case ast.NamedExpr(target=target, value=value):
                found = self.value(value, scope)
                self.assign(target, found, scope)
                return found
            case ast.Compare():
                for part in (node.left, *node.comparators):
                    self.value(part, scope)
            case ast.Starred(value=value) | ast.Await(value=value):
                return self.value(value, scope)
        return UNKNOWN

    def _mapping(self, keys: Sequence[ast.expr | None], values: Sequence[ast.expr], scope: Scope) -> Any:
        found: dict[str | int, Value] = {}
        for key, value in zip(keys, values, strict=True):
            item = self.value(value, scope)
            if key is None:
                found |= item if isinstance(item, dict) else {}
            elif isinstance(name := self.value(key, scope), str | int):
                found[name] = item
        return found

    def _items(self, value: Any) -> list[Any]:
        """What a loop goes through; one unknown item where that is not known."""
        if isinstance(value, dict):
            return Some([UNKNOWN]) if not value else list(value)
        if isinstance(value, list | tuple) and value:
            return value if isinstance(value, list) else list(value)
        return Some([UNKNOWN])

    def _comprehension(self, elt: ast.expr, generators: Sequence[ast.comprehension], scope: Scope) -> list[Any]:
        """A list: the same item as often as the loop goes round, where that is known."""
        inner = Scope(scope.module, {}, scope)
        first = self._items(self.value(generators[0].iter, inner))
        counted = len(generators) == 1 and not generators[0].ifs and not isinstance(first, Some)
        for further in generators[1:]:
            self.assign(further.target, UNKNOWN, inner)
        found = []
        for one in first[: limits.SCRIPT_ROUNDS]:
            self.assign(generators[0].target, one, inner)
            found.append(self.value(elt, inner))
        if counted:
            return [*found, *found[-1:] * (len(first) - len(found))]
        return Some(found)

    def _formatted(self, part: ast.expr, scope: Scope) -> Any:
        if not isinstance(part, ast.FormattedValue):
            return self.value(part, scope)
        value = self.value(part.value, scope)
        if part.format_spec is None or isinstance(value, Choice):
            return value
        return formatted_value(value, self.value(part.format_spec, scope))

    def _joined(self, parts: Sequence[Any]) -> Any:
        return choice(short("".join(map(as_text, combination))) for combination in each(parts))

    def _binary(self, op: ast.operator, left: Any, right: Any) -> Any:
        return choice(combined(op, *pair) for pair in each([left, right]))

    def attribute(self, owner: Any, name: str) -> Any:
        """An attribute of a value."""
        if isinstance(owner, External):
            return self._library.constant(f"{owner.name}.{name}")
        if isinstance(owner, ModuleScope):
            return owner.scope.get(name)
        if isinstance(owner, Class):
            found = owner.find(name)
            return Method(owner, name) if found is UNKNOWN else self._bound(found, None, owner)
        if isinstance(owner, Instance):
            if name in owner.attributes:
                return owner.attributes[name]
            found = UNKNOWN if owner.of is None else owner.of.find(name)
            if isinstance(found, Function):
                return self._bound(found, owner, owner.of)
            return Method(owner, name) if found is UNKNOWN else found
        return UNKNOWN if owner is UNKNOWN else self._library.attribute(owner, name)

    # --- Calls -----------------------------------------------------------------------------------------------------

    def _call(self, node: ast.Call, scope: Scope) -> Any:
        function = self.value(node.func, scope)
        args: list[Any] = []
        for arg in node.args:
            value = self.value(arg, scope)
            if isinstance(arg, ast.Starred):
                started = "sys.argv" in ast.unparse(arg)  # a script is taken to be started without arguments
                args += value[: limits.SCRIPT_ROUNDS] if isinstance(value, list | tuple) else [UNKNOWN][started:]
            else:
                args.append(value)
        kwargs: dict[str, Value] = {}
        for keyword in node.keywords:
            value = self.value(keyword.value, scope)
            if keyword.arg is not None:
                kwargs[keyword.arg] = value
            elif isinstance(value, dict):
                kwargs |= {name: item for name, item in value.items() if isinstance(name, str)}
            elif value is not None:
                kwargs["**"] = value
        if isinstance(node.func, ast.Name) and node.func.id == "super":
            return self._super(scope)
        return self.call(function, args, kwargs, scope.module.place(node))

    def call(self, function: Any, args: Sequence[Any], kwargs: Mapping[str, Value], place: Place) -> Any:
        """The result of a call. Where something in it is a choice, the call is made once for each alternative.

        :param place: of the call
        """
        names = list(kwargs)
        results = []
        for one, *values in each([function, *args, *kwargs.values()]):
            positional, given = values[: len(args)], dict(zip(names, values[len(args) :], strict=True))
            given |= unpacked if isinstance(unpacked := given.pop("**", {}), dict) else {"**": UNKNOWN}
            results.append(self._call_one(one, positional, given, place))
        return choice(results)

    def _call_one(self, function: Any, args: list[Any], kwargs: dict[str, Value], place: Place) -> Any:
        if isinstance(function, Instance):
            function = self.attribute(function, "__call__")
        if isinstance(function, Partial):
            return self.call(function.function, [*function.args, *args], {**function.kwargs, **kwargs}, place)
        if isinstance(function, Function):
            return self._run(function, args, kwargs or ({} if args else self._at_start(function)))
        given = self._library.call(self, function, args, kwargs, place)
        if given is not NotImplemented:
            return given
        if isinstance(function, Class):
            return self._instance(function, args, kwargs, place)
        return UNKNOWN

    def _at_start(self, function: Function) -> dict[str, Value]:
        """The arguments of a function that a script begins with."""
        decorators = [self.value(one, function.scope) for one in getattr(function.node, "decorator_list", [])]
        names = [one.arg for one in function.node.args.args]
        return self._library.arguments(decorators, names) if decorators else {}

    def _instance(self, found: Class, args: Sequence[Any], kwargs: Mapping[str, Value], place: Place) -> Instance:
        self._made.add(id(found.node))
        instance = Instance(found)
        start = found.find("__init__")
        if isinstance(start, Function):
            self.call(self._bound(start, instance), args, kwargs, place)
        else:
            make = functools.partial(self.call, args=[], place=place)
            instance.attributes |= dataclass_fields.attributes(found, args, kwargs, make, self.value)
        return instance

    def instance(self, found: Class, kwargs: Mapping[str, Value]) -> Instance:
        """An object of a class, as far as its constructor can be followed."""
        try:
            return self._instance(found, [], kwargs, found.place)
        except Exception:
            return Instance(found)

    def _bound(self, function: Any, this: Instance | None, of: Class | None = None) -> Any:
        """A method as an attribute of an object or of its class: bound as Python binds it; of a property, the value.

        :param this: the object; None for the class itself
        """
        if not isinstance(function, Function):
            return function
        decorators = [ast.unparse(one).rpartition(".")[2] for one in getattr(function.node, "decorator_list", [])]
        if "classmethod" in decorators:
            return Function(function.node, function.scope, function.place, of)
        if this is None or "staticmethod" in decorators:
            return function
        bound = Function(function.node, function.scope, function.place, this)
        is_property = any(one in ("property", "cached_property") for one in decorators)
        return self.call(bound, [], {}, function.place) if is_property else bound

    def _super(self, scope: Scope) -> Any:
        this = scope.get("self")
        if not isinstance(this, Instance) or this.of is None:
            return UNKNOWN
        above = next((base for base in this.of.bases if isinstance(base, Class)), None)
        return Instance(above, this.attributes) if above is not None else UNKNOWN

    def _run(self, function: Function, args: Sequence[Any], kwargs: Mapping[str, Value]) -> Any:
        """Follow a function's body with its arguments."""
        if self._depth > limits.SCRIPT_LEVELS - 20 or id(function.node) in self._running:
            return UNKNOWN
        self._called.add(id(function.node))
        inner = Scope(function.scope.module, {}, function.scope)
        bind(function, args, kwargs, inner, self.value)
        cell, self._depth = function.scope.module.cell, self._depth + 10
        function.scope.module.cell = function.place.cell
        self._running.add(id(function.node))
        try:
            if isinstance(function.node, ast.Lambda):
                return self.value(function.node.body, inner)
            returned = self.block(function.node.body, inner)
        finally:
            self._depth -= 10
            self._running.discard(id(function.node))
            function.scope.module.cell = cell
        return choice(value for value in returned if value is not None) if returned else None


def _not_imported(name: str) -> Any:
    """What a name stands for that nothing is seen to import: a star, or a cell that is gone, may have imported it."""
    if name in _BUILTINS:
        return External(f"builtins.{name}")
    return External(f"stable_baselines3.{name}") if name in _OF_SB3 else UNKNOWN


_OF_SB3 = {
    *("A2C", "DDPG", "DQN", "PPO", "SAC", "TD3", "evaluate_policy", "make_vec_env", "make_atari_env"),
    *("DummyVecEnv", "SubprocVecEnv", "VecNormalize", "VecFrameStack", "Monitor", "EvalCallback", "CheckpointCallback"),
}

_BUILTINS = {
    "range",
    "len",
    "str",
    "int",
    "float",
    "bool",
    "list",
    "tuple",
    "dict",
    "open",
    "vars",
    "enumerate",
    "zip",
    "getattr",
    "globals",
    "sorted",
}
