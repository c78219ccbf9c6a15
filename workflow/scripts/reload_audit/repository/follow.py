"""Follow scripts through their syntax trees: which values names have, without running anything.

Both branches of an ``if`` are followed, loops once for each item that is known, functions where they are called, and
those that nothing calls at the end.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from reload_audit.reading import limits
from reload_audit.repository.binding import bind_imports
from reload_audit.repository.decisions import captured, taken
from reload_audit.repository.expressions import Expressions, Library, OutOfSteps
from reload_audit.repository.scripts import Script
from reload_audit.repository.values import (
    UNKNOWN,
    Class,
    External,
    Function,
    Instance,
    ModuleScope,
    Scope,
    Some,
    Value,
    choice,
    each,
)


class Follower(Expressions):
    """Follows scripts one after the other; what calls of libraries mean is told by a library.

    :param scripts: all of the repository
    :param steps: statements and expressions that are followed at most; what is ``left`` of them
    :param decides: whether only one of several branches is followed where known values decide which
    """

    def __init__(
        self, scripts: Iterable[Script], library: Library, steps: int = limits.SCRIPT_STEPS, *, decides: bool = False
    ) -> None:
        super().__init__(scripts, library, steps, decides=decides)
        self.classes: list[Class] = []
        self._scopes: dict[str, ModuleScope] = {}
        self._functions: list[Function] = []

    def follow_all(self, first: Iterable[Callable[[], None]] = ()) -> None:
        """Follow every script, then all functions and classes that nothing has used.

        :param first: what is followed before
        """
        try:
            for begin in first:
                self._attempt(begin)
            for path in sorted(self.modules.paths, key=lambda path: not self.modules.scripts[path].speaks_of_models):
                self._attempt(self.module, path)
            for function in self._functions:
                if id(function.node) not in self._called:
                    self._attempt(self.call, function, [], {}, function.place)
            for found in list(self.classes):
                if id(found.node) not in self._made and not any(isinstance(base, External) for base in found.lineage()):
                    self._attempt(self.use_class, found)
        except OutOfSteps:
            pass

    def _attempt(self, function: Callable[..., Any], *args: Any) -> None:
        """Follow something; what nobody foresaw in it leaves the rest as it is."""
        try:
            function(*args)
        except OutOfSteps:
            raise
        except Exception:
            self._depth, self._running = 0, set()

    def use_class(self, found: Class) -> None:
        """Call all methods of a class that nothing has made an object of."""
        instance = self._instance(found, [], {}, found.place)
        for method in [value for value in found.scope.names.values() if isinstance(value, Function)]:
            if id(method.node) not in self._called:
                self.call(self._bound(method, instance, found), [], {}, method.place)

    def module(self, path: str) -> ModuleScope:
        """The global names of a file, which is followed when it is first asked for."""
        if path not in self._scopes:
            module = self._scopes[path] = ModuleScope(path)
            module.scope.names |= {"__name__": "__main__", "__file__": path}
            for cell in self.modules.scripts[path].cells:
                module.cell = cell.number
                self.block(cell.tree.body, module.scope)
        return self._scopes[path]

    # --- Statements ------------------------------------------------------------------------------------------------

    def block(self, body: Sequence[ast.stmt], scope: Scope) -> list[Any]:
        """Follow statements; gives what they return."""
        return self._in_order(body, scope)[0]

    def _in_order(self, body: Sequence[ast.stmt], scope: Scope) -> tuple[list[Any], bool]:
        """Follow statements; gives what they return, and whether what comes after them is never reached."""
        returned: list[Any] = []
        for statement in body:
            self._spend(1)
            branch = taken(statement, scope, self.value) if self._decides else None
            if branch is None:
                returned += self._statement(statement, scope)
                ended = self._decides and isinstance(statement, ast.Return | ast.Raise)
            else:
                scope.names |= branch.names
                inner, ended = self._in_order(branch.body, scope)
                returned += inner
            if ended:
                return returned, True
        return returned, False

    def _statement(self, statement: ast.stmt, scope: Scope) -> list[Any]:  # noqa: C901 a case for each kind
        match statement:
            case ast.Import() | ast.ImportFrom():
                bind_imports(statement, scope, self.modules, self.module)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                place = scope.module.place(statement)
                function = Function(statement, scope, place)
                scope.names[statement.name] = function
                self._functions.append(function)
            case ast.ClassDef():
                scope.names[statement.name] = self._class(statement, scope)
            case ast.Assign(targets=targets, value=value):
                found = self.value(value, scope)
                for target in targets:
                    self.assign(target, found, scope)
            case ast.AnnAssign(target=target, value=value) if value is not None:
                self.assign(target, self.value(value, scope), scope)
            case ast.AugAssign(target=target, op=op, value=value):
                before = self.value(target, scope)
                self.assign(target, self._binary(op, before, self.value(value, scope)), scope)
            case ast.Expr(value=value):
                self.value(value, scope)
            case ast.Return(value=value):
                return [None if value is None else self.value(value, scope)]
            case ast.If(test=test, body=body, orelse=orelse):
                self.value(test, scope)
                return self._branches([body, orelse], scope)
            case ast.For() | ast.AsyncFor():
                return self._loop(statement, scope)
            case ast.While(body=body, orelse=orelse):
                self._forget_counters(body, scope)
                return self.block([*body, *orelse], scope)
            case ast.With(items=items, body=body) | ast.AsyncWith(items=items, body=body):
                for item in items:
                    found = self.value(item.context_expr, scope)
                    if item.optional_vars is not None:
                        self.assign(item.optional_vars, found, scope)
                return self.block(body, scope)
            case ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=final):
                tried = self.block([*body, *orelse], scope)
                rescued = [self._branches([handler.body, []], scope) for handler in handlers]
                return [*tried, *(value for values in rescued for value in values), *self.block(final, scope)]
            case ast.Match(subject=subject, cases=cases):
                value = self.value(subject, scope)
                names = [captured(case.pattern, value) for case in cases]
                return self._branches([case.body for case in cases], scope, names)
        return []

    def _branches(
        self, bodies: Sequence[Sequence[ast.stmt]], scope: Scope, given: Sequence[Mapping[str, Value]] = ()
    ) -> list[Any]:
        """Follow alternatives, and leave names with a choice of what each gives them.

        :param given: for each the names that it begins with, if it has any of its own
        """
        self._spend(len(scope.names) // 4)
        before, changes, returned = scope.names, list[dict[str, Value]](), []
        for number, body in enumerate(bodies):
            scope.names = {**before, **(given[number] if given else {})}
            returned += self.block(body, scope)
            if not body or not isinstance(body[-1], ast.Return | ast.Raise | ast.Continue | ast.Break):
                changes.append({name: value for name, value in scope.names.items() if value is not before.get(name)})
        scope.names = before
        for name in dict.fromkeys(name for changed in changes for name in changed):
            known = [changed.get(name, before.get(name, UNKNOWN)) for changed in changes]
            scope.names[name] = choice(known)
        return returned

    def _loop(self, statement: ast.For | ast.AsyncFor, scope: Scope) -> list[Any]:
        items = self._items(self.value(statement.iter, scope))
        returned = []
        if len(items) > limits.SCRIPT_ROUNDS or isinstance(items, Some):
            self._forget_counters(statement.body, scope)
            items = items if isinstance(items, Some) else [UNKNOWN]
        for one in items[: limits.SCRIPT_ROUNDS]:
            self.assign(statement.target, one, scope)
            returned += self.block(statement.body, scope)
        return [*returned, *self.block(statement.orelse, scope)]

    def _forget_counters(self, body: Sequence[ast.stmt], scope: Scope) -> None:
        """Take what a loop counts for unknown, where it goes round more often than it is followed."""
        for node in (node for statement in body for node in ast.walk(statement)):
            if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                self._spend(1)
                scope.names[node.target.id] = UNKNOWN

    def assign(self, target: ast.expr, value: Any, scope: Scope) -> None:
        match target:
            case ast.Name(id=name):
                scope.names[name] = value
            case ast.Attribute(value=of, attr=name):
                for owner in each([self.value(of, scope)]):
                    if isinstance(owner[0], Instance):
                        owner[0].attributes[name] = value
            case ast.Subscript(value=of, slice=key):
                owner, index = self.value(of, scope), self.value(key, scope)
                if isinstance(owner, dict) and isinstance(index, str | int):
                    owner[index] = value
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                parts = self._parts(value, len(targets))
                for one, part in zip(targets, parts, strict=True):
                    self.assign(one, part, scope)
            case ast.Starred(value=inner):
                self.assign(inner, UNKNOWN, scope)

    def _parts(self, value: Any, count: int) -> list[Any]:
        if isinstance(value, list | tuple) and not isinstance(value, Some) and len(value) == count:
            return list(value)
        parts = getattr(value, "parts", None)  # what an environment gives: each of its parts is of that environment
        return [UNKNOWN if parts is None else value] * count

    def _class(self, statement: ast.ClassDef, scope: Scope) -> Class:
        bases = tuple(self.value(base, scope) for base in statement.bases)
        place = scope.module.place(statement)
        found = Class(statement.name, place, statement, bases, Scope(scope.module, {}, scope))
        self.block(statement.body, found.scope)
        found.scope.parent = scope
        self._functions = [function for function in self._functions if function.scope is not found.scope]
        self.classes.append(found)
        for decorator in statement.decorator_list:  # one of the repository may enter the class in a table
            decorate = self.value(decorator, scope)
            if isinstance(decorate, Function):
                self.call(decorate, [found], {}, place)
        return found
