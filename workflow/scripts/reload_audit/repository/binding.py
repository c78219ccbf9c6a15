"""Give names their values: those of an import, and the arguments of a function that is called."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence

from reload_audit.repository.modules import Modules
from reload_audit.repository.values import UNKNOWN, External, Function, ModuleScope, Scope, Value


def bind(
    function: Function,
    args: Sequence[Value],
    kwargs: Mapping[str, Value],
    inner: Scope,
    value: Callable[[ast.expr, Scope], Value],
) -> None:
    """Give a function's arguments their values.

    :param inner: the scope of its body
    :param value: tells what the expression of a default stands for
    """
    written = function.node.args
    names = [argument.arg for argument in (*written.posonlyargs, *written.args)]
    values = [*([function.this] if function.this is not None else []), *args]
    defaults = written.defaults
    for name, usual in zip(names[len(names) - len(defaults) :], defaults, strict=True):
        inner.names[name] = value(usual, function.scope)
    for argument, default in zip(written.kwonlyargs, written.kw_defaults, strict=True):
        inner.names[argument.arg] = UNKNOWN if default is None else value(default, function.scope)
    inner.names |= dict.fromkeys((name for name in names if name not in inner.names), UNKNOWN)
    inner.names |= dict(zip(names, values, strict=False))
    inner.names |= {name: value for name, value in kwargs.items() if name in inner.names}
    if written.vararg is not None:
        inner.names[written.vararg.arg] = list(values[len(names) :])
    if written.kwarg is not None:
        known = {*names, *(argument.arg for argument in written.kwonlyargs)}
        inner.names[written.kwarg.arg] = {key: value for key, value in kwargs.items() if key not in known}


def bind_imports(
    statement: ast.Import | ast.ImportFrom, scope: Scope, modules: Modules, module_of: Callable[[str], ModuleScope]
) -> None:
    """Give the names of an import their values: modules and things of the repository, or of libraries.

    :param module_of: gives the global names of a file of the repository
    """
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            top = alias.name.partition(".")[0]
            name, bound = (alias.name, alias.asname) if alias.asname else (top, top)
            path = modules.find(alias.name, scope.module.path)
            if path is not None:
                module_of(path)
            own = modules.find(name, scope.module.path)
            scope.names[bound] = External(_dotted(name)) if own is None else module_of(own)
        return
    module = "." * statement.level + (statement.module or "")
    own = modules.find(module, scope.module.path)
    for alias in statement.names:
        part = modules.find(f"{(module.rstrip('.') and module + '.') or module}{alias.name}", scope.module.path)
        if alias.name == "*":
            scope.names |= {} if own is None else module_of(own).scope.names
        elif own is not None and alias.name in (names := module_of(own).scope.names):
            scope.names[alias.asname or alias.name] = names[alias.name]
        elif part is not None:
            scope.names[alias.asname or alias.name] = module_of(part)
        else:
            scope.names[alias.asname or alias.name] = External(_dotted(f"{module.lstrip('.')}.{alias.name}"))


def _dotted(name: str) -> str:
    """A dotted name with ``gym`` as ``gymnasium``: what scripts say of both is the same."""
    return f"gymnasium{name[3:]}" if name == "gym" or name.startswith("gym.") else name
