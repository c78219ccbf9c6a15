"""Digests of code: of a script and all modules that it imports, which decide its result. Standard library only.

Of Python the syntax tree counts, without docstrings: editing them, comments or formatting runs no job again. Of other
files every byte counts. What parsing gave is kept in the user's cache folder, because it takes longest of a start.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import json
import os
import re
import tempfile
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# A module named in a text is one that another process imports: see ``isolation.call``.
_NAMED_MODULE = re.compile(r"^[A-Za-z_]\w*((\.\w+)+(:[\w.-]+)?|:[\w.-]+)$")

# Names by which code reads docstrings, comments or source: where one of them stands, every byte of Python counts.
_READS_SOURCE = re.compile(rb"\b(__doc__|getdoc|getcomments|getsource|getsourcelines|linecache)\b")

_LONGEST_NAME = 200
"""Characters of a dotted name, as in ``reading.limits``, which is not imported: this file is read by itself."""

_SKIPPED = frozenset({"ctx", "kind", "type_comment", "lineno", "end_lineno", "col_offset", "end_col_offset"})
"""Fields of syntax nodes that do not matter: positions, and whether a name is read or set, which its parent shows."""

Locate = Callable[[str], Path | None]


def code_digest(
    script: Path,
    locate: Locate,
    also: Iterable[Path] = (),
    texts: Iterable[str] = (),
    name: str = "",
    with_lines: bool = False,
) -> str:
    """A digest of a script, of all modules it leads to, and of further files and texts.

    :param locate: gives the file of a dotted module name, or None for modules whose code does not count
    :param also: data files that decide results too: requirements, templates
    :param texts: what else decides them, such as a part of a file
    :param name: the script's own module name, where it is part of a package and may import relatively
    :param with_lines: whether it matters in which line code stands
    """
    files = sorted({script, *imported_files(script, name or script.stem, locate), *also})
    content = _hash([(file.name, file) for file in files], with_lines)
    for text in texts:
        content.update(text.encode() + b"\0")
    return content.hexdigest()[:16]


def named_code_digest(content: Any, locate: Locate, with_lines: bool = False) -> str:
    """A digest of all code that names in a configuration lead to: environments, wrappers, policies, optimizers.

    :param content: plain data, in which every text such as ``package.module.Name`` or ``module:Name`` counts
    :param with_lines: as for :func:`code_digest`
    """
    modules = {module for text in _texts(content) if _names_module(text) for module in _candidates(text)}
    found = [(file, module) for module in sorted(modules) if (file := locate(module)) is not None]
    digests = [code_digest(file, locate, name=module, with_lines=with_lines) for file, module in found]
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:16]


def package_digest(packages: Iterable[str], folders: Iterable[Path], with_lines: bool = False) -> str:
    """A digest of all files of packages and modules, because the file of a model, not read yet, may name any of them.

    :param with_lines: as for :func:`code_digest`
    """
    named = [
        (str(file.relative_to(folder)), file)
        for folder in folders
        for package in sorted(packages)
        for path in [folder / Path(*package.split("."))]
        for file in sorted([*path.rglob("*.py"), path.with_suffix(".py")])
        if file.is_file()
    ]
    return _hash(named, with_lines).hexdigest()[:16]


def locate_in(folders: Iterable[Path]) -> Locate:
    """A ``locate`` that looks for modules below the given folders, once for each name."""
    roots = list(folders)

    @functools.cache
    def locate(module: str) -> Path | None:
        relative = Path(*module.split("."))
        for root in roots:
            for candidate in (root / relative.with_suffix(".py"), root / relative / "__init__.py"):
                if candidate.is_file():
                    return candidate
        return None

    return locate


def locate_by(source: Callable[[str], Path], package: str) -> Locate:
    """A ``locate`` for the modules of one package, wherever its files come from.

    :param source: gives a file by its path below the folder of the package, or raises OSError; may have to fetch it
    """

    @functools.cache
    def locate(module: str) -> Path | None:
        if module.partition(".")[0] != package:
            return None
        path = module.replace(".", "/")
        for candidate in (f"{path}.py", f"{path}/__init__.py"):
            try:
                file = source(candidate)
            except OSError:
                continue
            if file.exists():
                return file
        return None

    return locate


def _texts(content: Any) -> set[str]:
    found: set[str] = set()
    pending = [content]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            found.add(item)
        elif isinstance(item, dict):
            pending += [*item, *item.values()]
        elif isinstance(item, list | tuple):
            pending += item
    return found


def _names_module(text: str) -> bool:
    """Whether a text may name a module. A long one does not: its parts would be longer than the names of files."""
    return len(text) <= _LONGEST_NAME and _NAMED_MODULE.match(text) is not None


def _candidates(name: str) -> list[str]:
    """``a.b:C`` may be the module ``a.b``; ``a.b.C`` the module ``a.b``, or ``a.b.C`` itself."""
    module = name.partition(":")[0]
    return [*_parents(module), module]


def imported_files(script: Path, name: str, locate: Locate) -> dict[Path, str]:
    """The files of all modules that a script leads to, each with the module's name.

    :param name: the script's own module name
    """
    found: dict[Path, str] = {}
    pending = [(script, name)]
    while pending:
        file, own_name = pending.pop()
        for module in _imported_modules(file, own_name):
            imported = locate(module)
            if imported is not None and imported not in found:
                found[imported] = module
                pending.append((imported, module))
    return found


def _imported_modules(file: Path, name: str) -> set[str]:
    """Every module that a file may import, by its full name.

    :param name: the file's own module name, which relative imports start from
    """
    code = _code(file.read_bytes())
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    modules = set(code.named)
    for level, module, names in code.imports:
        base = _absolute(level, module, package)
        modules.update([base, *(f"{base}.{name}" for name in names)])
    return modules | {parent for module in modules for parent in _parents(module)}


def _absolute(level: int, module: str, package: str) -> str:
    if not level:
        return module
    parts = package.split(".") if package else []
    base = parts[: max(len(parts) - (level - 1), 0)]
    return ".".join([*base, *([module] if module else [])])


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]


# --- Syntax trees without docstrings -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Code:
    """What is known of one Python file.

    :param digest: of its syntax tree, without docstrings
    :param named: modules that it imports or names, by their full names
    :param imports: its ``from ... import``: level, module and names
    """

    digest: bytes
    named: frozenset[str]
    imports: frozenset[tuple[int, str, tuple[str, ...]]]


def _hash(files: Iterable[tuple[str, Path]], with_lines: bool) -> hashlib._Hash:
    """A running hash of files.

    :param files: each with the name under which it counts
    """
    read = [(name, file.suffix == ".py", file.read_bytes()) for name, file in files]
    as_written = any(is_python and _READS_SOURCE.search(content) for _, is_python, content in read)
    result = hashlib.sha256()
    for name, is_python, content in read:
        counts = _code(content, with_lines).digest if is_python and not as_written else content
        result.update(name.encode() + b"\0" + counts + b"\0")
    _parsed_before().write()
    return result


@functools.cache
def _code(content: bytes, with_lines: bool = False) -> _Code:
    """What a Python file is; parsed once for each content."""
    key = f"{hashlib.sha256(content).hexdigest()}{'+lines' if with_lines else ''}"
    known = _parsed_before().get(key)
    if known is None:
        known = _parse(content, with_lines)
        if known.digest != content:
            _parsed_before().add(key, known)
    return known


def _parse(content: bytes, with_lines: bool) -> _Code:
    tree = _Tree(_SKIPPED - {"lineno"} if with_lines else _SKIPPED)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # who imports it is warned
            tree.add(ast.parse(content))
        written = ascii(tree.parts).encode()
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the job that imports it reports this
        return _Code(content, frozenset(), frozenset())
    named = {text.partition(":")[0] for text in tree.texts if _names_module(text)}
    return _Code(hashlib.sha256(written).digest(), frozenset(tree.modules | named), frozenset(tree.imports))


_OPEN, _CLOSE, _LIST = ("(",), (")",), ("[",)
"""Marks for the begin and end of nodes and lists. They are tuples, because no constant of a syntax tree is one."""


class _Tree:
    """A syntax tree without docstrings, in one list.

    Empty fields are left out: later versions of Python have more of them, so that what ``ast.dump`` gives changes.

    :param skipped: further fields that are left out
    """

    def __init__(self, skipped: frozenset[str]) -> None:
        self.parts: list[Any] = []
        self.texts: set[str] = set()
        self.modules: set[str] = set()
        self.imports: set[tuple[int, str, tuple[str, ...]]] = set()
        self._skipped = skipped

    def add(self, node: ast.AST) -> None:
        """Add a node and what is below it. There are hundreds of thousands, so little is called."""
        if isinstance(node, ast.Import):
            self.modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            self.imports.add((node.level, node.module or "", tuple(alias.name for alias in node.names)))
        parts = self.parts
        parts += type(node).__name__, _OPEN
        for field, value in node.__dict__.items():
            if field in self._skipped or value is None:
                continue
            if isinstance(value, ast.AST):
                parts += (field,)
                self.add(value)
            elif type(value) is not list:
                parts += field, value
                if type(value) is str and field == "value":
                    self.texts.add(value)
            elif value:
                parts += field, _LIST
                self._add_all(value)
                parts += (_CLOSE,)
        parts += (_CLOSE,)

    def _add_all(self, items: list[Any]) -> None:
        for item in items:
            if not isinstance(item, ast.AST):
                self.parts.append(item)
            elif type(item) is not ast.Expr or not _is_text(item.value):
                self.add(item)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


# --- What was parsed before ----------------------------------------------------------------------------------------

_MOST_KEPT = 2000
"""Files of which it is kept what parsing gave: several times those of this library."""


@functools.cache
def _parsed_before() -> _Kept:
    return _Kept()


class _Kept:
    """What parsing gave at earlier starts, by the contents of files; where it cannot be kept, all is parsed again."""

    def __init__(self) -> None:
        self._file = _cache_folder() / "parsed-code.json"
        self._by = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
        self._earlier: dict[str, _Code] = {}
        self._used: dict[str, _Code] = {}
        self._added = False
        with contextlib.suppress(OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError):
            kept = json.loads(self._file.read_bytes())
            if kept["by"] == self._by:
                self._earlier = {key: _from_json(*value) for key, value in kept["code"].items()}

    def get(self, key: str) -> _Code | None:
        code = self._earlier.get(key)
        if code is not None:
            self._used[key] = code
        return code

    def add(self, key: str, code: _Code) -> None:
        self._used[key] = code
        self._added = True

    def write(self) -> None:
        """Write what was added since, and of all the rest what fits."""
        if not self._added:
            return
        self._added = False
        unused = {key: code for key, code in self._earlier.items() if key not in self._used}
        kept = [*unused.items(), *self._used.items()][-_MOST_KEPT:]
        content = {"by": self._by, "code": {key: _to_json(code) for key, code in kept}}
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=self._file.parent, delete=False) as file:
                json.dump(content, file)
            Path(file.name).replace(self._file)


def _cache_folder() -> Path:
    usual = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))  # noqa: PTH111 it never raises
    if not usual.is_absolute():  # without a home folder `~` stays
        usual = Path(".snakemake/cache")
    return usual / "reload-audit"


def _to_json(code: _Code) -> list[Any]:
    return [code.digest.hex(), sorted(code.named), sorted(code.imports)]


def _from_json(digest: str, named: list[str], imports: list[tuple[int, str, list[str]]]) -> _Code:
    levels = frozenset((int(level), str(module), tuple(names)) for level, module, names in imports)
    return _Code(bytes.fromhex(digest), frozenset(named), levels)
