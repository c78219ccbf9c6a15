"""What a script's result depends on, besides its input: the code that it imports. Standard library only."""

from __future__ import annotations

import ast
import functools
import hashlib
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

# A module named in a text is one that another process imports: see ``isolation.call``.
_NAMED_MODULE = re.compile(r"^[A-Za-z_]\w*((\.\w+)+(:[\w.-]+)?|:[\w.-]+)$")

Locate = Callable[[str], Path | None]


def code_digest(script: Path, locate: Locate, also: Iterable[Path] = (), name: str = "") -> str:
    """A digest of a script, of all modules it leads to, and of further files.

    :param locate: the file of a dotted module name, or None where the module is not ours
    :param also: data files that decide results too: requirements, templates
    :param name: the script's own module name, where it is part of a package and may import relatively
    """
    files = sorted({script, *_imported_files(script, name or script.stem, locate), *also})
    content = hashlib.sha256()
    for file in files:
        content.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return content.hexdigest()[:16]


def named_code_digest(content: Any, locate: Locate) -> str:
    """A digest of all code that names in a configuration lead to: environments, wrappers, policies, optimizers.

    :param content: plain data, in which every text such as ``package.module.Name`` or ``module:Name`` counts
    """
    modules = {module for text in _texts(content) if _NAMED_MODULE.match(text) for module in _candidates(text)}
    found = [(file, module) for module in sorted(modules) if (file := locate(module)) is not None]
    digests = [code_digest(file, locate, name=module) for file, module in found]
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:16]


def package_digest(packages: Iterable[str], folders: Iterable[Path]) -> str:
    """A digest of all files of packages and modules, because any of them may be named where nobody has looked yet."""
    content = hashlib.sha256()
    for folder in folders:
        for package in sorted(packages):
            path = folder / Path(*package.split("."))
            for file in sorted([*path.rglob("*.py"), path.with_suffix(".py")]):
                if file.is_file():
                    content.update(str(file.relative_to(folder)).encode() + b"\0" + file.read_bytes() + b"\0")
    return content.hexdigest()[:16]


def locate_in(folders: Iterable[Path]) -> Locate:
    """A ``locate`` that looks for modules below the given folders."""
    roots = list(folders)

    def locate(module: str) -> Path | None:
        relative = Path(*module.split("."))
        for root in roots:
            for candidate in (root / relative.with_suffix(".py"), root / relative / "__init__.py"):
                if candidate.is_file():
                    return candidate
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


def _candidates(name: str) -> list[str]:
    """``a.b:C`` may be the module ``a.b``; ``a.b.C`` the module ``a.b``, or ``a.b.C`` itself."""
    module = name.partition(":")[0]
    return [*_parents(module), module]


def _imported_files(script: Path, name: str, locate: Locate) -> set[Path]:
    found: dict[Path, str] = {}
    pending = [(script, name)]
    while pending:
        file, own_name = pending.pop()
        for module in _imported_modules(file, own_name):
            imported = locate(module)
            if imported is not None and imported not in found:
                found[imported] = module
                pending.append((imported, module))
    return set(found)


def _imported_modules(file: Path, name: str) -> frozenset[str]:
    """Every module that a file may import, by its full name.

    :param name: the file's own module name, which relative imports start from
    """
    return _modules_named_in(file.read_bytes(), name if file.name == "__init__.py" else name.rpartition(".")[0])


@functools.cache
def _modules_named_in(content: bytes, package: str) -> frozenset[str]:
    """Parsing takes longest when a workflow is planned, and many scripts lead to the same modules."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            modules.add(base)
            modules.update(f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _NAMED_MODULE.match(node.value):
            modules.add(node.value.partition(":")[0])
    return frozenset(modules | {parent for module in modules for parent in _parents(module)})


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    base = parts[: len(parts) - (node.level - 1)]
    return ".".join([*base, *([node.module] if node.module else [])])


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]
