"""Write a function that makes an environment as a script does, where its arguments are objects that only code can make.

A script may give an environment a table that it reads, or settings that are an object. What has to be done before the
environment can be made is taken out of the script: the statements that give names their values, and no training.
"""

from __future__ import annotations

import ast
import builtins
import copy
import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence

from reload_audit.reading import limits
from reload_audit.repository.places import Place
from reload_audit.repository.scripts import Script

NAME = "make_environment"
"""What the function is called."""

_WORKS = {"learn", "train", "fit_agent", "evaluate_policy", "predict", "reset", "step", "render", "save", "show"}
"""Functions and methods that train, run or save: what calls them is left out."""


class _Unresolved(Exception):
    """A name has a value that cannot be had without running what should not run."""


def factory(script: Script, place: Place, called: Iterable[str], folder_with: Callable[[str, str], str]) -> str:
    """The text of a module with a function that makes an environment; empty where it cannot be told.

    :param place: of the call that makes the environment, or puts a wrapper around it
    :param called: names that the call may be of
    :param folder_with: gives the folder from which a script in a folder can open a file; empty for none
    """
    calls = [node for node in _calls(script, place) if _last(node.func) in {*called, "make_vec_env"}]
    if len(calls) != 1:
        return ""
    (call,) = calls
    try:
        made = _single(call) if _last(call.func) == "make_vec_env" else call
        slice_ = _Slice(script)
        before = [*(slice_.registering() if _last(call.func) == "make" else ()), *slice_.before(call, _loaded(made), 0)]
    except (_Unresolved, RecursionError):
        return ""
    if any(_asks(one) for node in (*before, made) for one in ast.walk(node)):
        return ""
    nodes = [_AsIn(script.path, folder_with("", "")).visit(copy.deepcopy(node)) for node in (*before, made)]
    texts = [node.value for one in nodes for node in ast.walk(one) if isinstance(node, ast.Constant)]
    at = posixpath.dirname(script.path)
    folders = (folder_with(at, text) for text in texts if isinstance(text, str) and "." in text)
    folder = next(filter(None, folders), "")
    return _module(place, [ast.unparse(ast.fix_missing_locations(node)) for node in nodes], folder)


def _module(place: Place, texts: Sequence[str], folder: str) -> str:
    *before, made = texts
    head = f'"""What {place} makes its environment with, without what would train there."""'
    if not folder:
        return "\n".join([head, "", *before, "", "", f"def {NAME}():", f"    return {made}", ""])
    inside = [f"    {line}" for text in before for line in text.splitlines()]
    start = f"with contextlib.chdir({folder!r}):  # where the script's files are"
    lines = [head, "", "import contextlib", "", *([start, *inside] if inside else [])]
    return "\n".join([*lines, "", "", f"def {NAME}():", f"    {start}", f"        return {made}", ""])


def _asks(node: ast.AST) -> bool:
    """Whether something has a value only where its script is started, or where somebody answers it."""
    if isinstance(node, ast.Attribute):
        return node.attr == "argv"
    if not isinstance(node, ast.Call):
        return False
    return _last(node.func) in ("input", "getpass") or (_last(node.func) == "add_argument" and _is_required(node))


def _is_required(option: ast.Call) -> bool:
    """Whether a script cannot be started without an option."""
    given = {keyword.arg: getattr(keyword.value, "value", None) for keyword in option.keywords}
    flags = [flag.value for flag in option.args if isinstance(flag, ast.Constant) and isinstance(flag.value, str)]
    is_positional = bool(flags) and not flags[0].startswith("-") and given.get("nargs") not in ("?", "*")
    return bool(given.get("required")) or is_positional


def _calls(script: Script, place: Place) -> Iterator[ast.Call]:
    for cell in script.cells:
        if cell.number == place.cell:
            yield from (
                node for node in ast.walk(cell.tree) if isinstance(node, ast.Call) and node.lineno == place.line
            )


def _single(call: ast.Call) -> ast.expr:
    """One environment of those that ``make_vec_env`` makes."""
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    made = call.args[0] if call.args else given.get("env_id")
    if made is None or "wrapper_class" in given:
        raise _Unresolved
    kwargs = [ast.keyword(None, given["env_kwargs"])] if "env_kwargs" in given else []
    if isinstance(made, ast.Constant):
        make = ast.parse("__import__('gymnasium').make", mode="eval").body
        return ast.Call(make, [made], kwargs)
    return ast.Call(made, [], kwargs)


class _AsIn(ast.NodeTransformer):
    """Changes code so that it does in another module what it does in its script, started without arguments."""

    def __init__(self, path: str, folder: str) -> None:
        self._file = posixpath.join(folder, path)

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(self._file) if node.id == "__file__" else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if _last(node.func) in ("parse_args", "parse_known_args") and not node.args and not node.keywords:
            node.args = [ast.List([], ast.Load())]
        return self.generic_visit(node)


class _Slice:
    """Finds what a script has to do before names have their values at a place in it."""

    def __init__(self, script: Script) -> None:
        self._top = [statement for cell in script.cells for statement in _flat(cell.tree.body)]
        self._parents = {
            child: node for cell in script.cells for node in ast.walk(cell.tree) for child in ast.iter_child_nodes(node)
        }
        self._nodes = [node for cell in script.cells for node in ast.walk(cell.tree)]

    def before(self, node: ast.AST, names: set[str], depth: int, *, whole: bool = False) -> list[ast.stmt]:
        """The statements that give names their values, in an order in which they can run.

        :param node: where the names are used
        :param whole: whether statements after it count too, as it is a function that is called later
        """
        if depth > limits.SCRIPT_CHOICES:
            raise _Unresolved
        scope = self._function(node)
        body = self._top if scope is None else list(_flat(scope.body))
        kept, needed = _needed(body if whole else self._preceding(node, body), names)
        rest = needed - {name for statement in kept for name in _defined(statement)}
        if scope is None:
            if rest - set(dir(builtins)) - {"__file__", "__name__"}:
                raise _Unresolved
            return kept
        params = {one.arg for one in (*scope.args.posonlyargs, *scope.args.args, *scope.args.kwonlyargs)}
        outer, given = rest - params, list[ast.stmt]()
        for name in sorted(rest & params):
            value, place = self._argument(scope, name)
            given += self.before(place, _loaded(value), depth + 1, whole=place is scope)
            given.append(ast.Assign([ast.Name(name, ast.Store())], value, lineno=0))
        found = [*self.before(scope, outer, depth + 1, whole=True), *given, *kept]
        return list({id(statement): statement for statement in found}.values())

    def registering(self) -> list[ast.stmt]:
        """Imports of what is never spoken of again, as one does that registers its environments."""
        used = {node.id for node in self._nodes if isinstance(node, ast.Name)}
        return [one for one in self._top if isinstance(one, ast.Import) and used.isdisjoint(_defined(one))]

    def _function(self, node: ast.AST) -> ast.FunctionDef | None:
        above = self._parents.get(node)
        while above is not None and not isinstance(above, ast.FunctionDef):
            if isinstance(above, ast.ClassDef):
                raise _Unresolved
            above = self._parents.get(above)
        return above

    def _preceding(self, node: ast.AST, body: Sequence[ast.stmt]) -> list[ast.stmt]:
        """The statements of a body, and of blocks in it, that come before a node."""
        around, above = [node], self._parents.get(node)
        while above is not None:
            around.append(above)
            above = self._parents.get(above)
        found: list[ast.stmt] = []
        for statement in body:
            if statement in around:
                for block in ("body", "orelse", "finalbody"):
                    inner = getattr(statement, block, [])
                    if isinstance(inner, list) and any(one in around for one in inner):
                        found += self._preceding(node, inner)
                return found
            found.append(statement)
        return found

    def _argument(self, function: ast.FunctionDef, name: str) -> tuple[ast.expr, ast.AST]:
        """What a function is given for one of its arguments, and where; its default where no call says another."""
        names = [one.arg for one in (*function.args.posonlyargs, *function.args.args)]
        called = (node for node in self._nodes if isinstance(node, ast.Call) and _last(node.func) == function.name)
        calls = list({ast.dump(call): call for call in called}.values())
        for call in calls[:1]:
            said = {keyword.arg: keyword.value for keyword in call.keywords} | dict(zip(names, call.args, strict=False))
            if len(calls) == 1 and name in said:
                return said[name], call
        usual = dict(zip(reversed(names), reversed(function.args.defaults), strict=False))
        usual |= {
            one.arg: value
            for one, value in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
            if value is not None
        }
        if name not in usual or len(calls) > 1:
            raise _Unresolved
        return usual[name], function


def _needed(body: Sequence[ast.stmt], names: set[str]) -> tuple[list[ast.stmt], set[str]]:
    """The statements that give names their values, and all names that these need."""
    kept, needed, before = set[int](), set(names), -1
    while len(kept) != before:
        before = len(kept)
        for index, statement in enumerate(body):
            if index not in kept and not needed.isdisjoint(_defined(statement) | _changed(statement)):
                if _works(statement):
                    continue
                kept.add(index)
                needed |= _loaded(statement)
    return [body[index] for index in sorted(kept)], needed


def _flat(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements, with those that run only in the script that is started among them."""
    for statement in body:
        is_main = isinstance(statement, ast.If) and "__name__" in _loaded(statement.test)
        yield from statement.body if is_main and isinstance(statement, ast.If) else [statement]


def _defined(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in statement.names}
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _changed(statement: ast.stmt) -> set[str]:
    """Names whose values a statement changes: ``table["x"] = 1``, ``table.dropna(inplace=True)``."""
    targets: list[ast.expr] = statement.targets if isinstance(statement, ast.Assign) else []
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        targets = [statement.value.func] if isinstance(statement.value.func, ast.Attribute) else []
    found = set()
    for target in targets:
        while isinstance(target, ast.Attribute | ast.Subscript):
            target = target.value
            if isinstance(target, ast.Name):
                found.add(target.id)
    return found


def _works(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    return any(isinstance(node, ast.Call) and _last(node.func) in _WORKS for node in ast.walk(statement))


def _loaded(node: ast.AST) -> set[str]:
    """Names that are used and not given their values there: not those of a comprehension, a lambda or a function."""
    bound = {one.arg for one in ast.walk(node) if isinstance(one, ast.arg)}
    if not isinstance(node, ast.stmt) or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        bound |= {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}
    names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)}
    return names - bound - {"super", "self"}


def _last(function: ast.expr) -> str:
    return str(getattr(function, "attr", getattr(function, "id", "")))
