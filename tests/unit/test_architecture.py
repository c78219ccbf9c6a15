"""The library is a stack of packages: each imports only those below it, and says so in its docstring."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
import yaml

from support.builders import ROOT

PACKAGES = (
    "reading",
    "repository",
    "processes",
    "causes",
    "records",
    "planning",
    "judging",
    "environments",
    "remedies",
    "models",
    "forensics",
    "evaluation",
    "training",
    "probing",
    "observing",
    "diagnosis",
    "jobs",
    "results",
    "reports",
    "progress",
    "command",
)
"""All packages of the library, bottom first: none imports a package that stands further down in this list."""

HEAVY = {"numpy", "torch", "pandas", "gymnasium", "stable_baselines3"}
"""What takes seconds to import, and is not needed to plan jobs."""

LIBRARY = ROOT / "workflow/scripts/reload_audit"
PLUGIN = ROOT / "workflow/scripts/snakemake_logger_plugin_reload_audit/__init__.py"
SCRIPTS = sorted((ROOT / "workflow/scripts").glob("*.py"))
RULES = sorted([*ROOT.glob("Snakefile"), *(ROOT / "workflow").glob("Snakefile"), *(ROOT / "workflow").rglob("*.smk")])
BUDGETS = yaml.safe_load((ROOT / "tests/support/budgets.yaml").read_text(encoding="utf-8"))

Graph = Mapping[str, set[str]]


def module_name(file: Path) -> str:
    """The dotted name of a file of the library, without ``__init__``."""
    parts = file.relative_to(ROOT / "workflow/scripts").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(file): file for file in sorted(LIBRARY.rglob("*.py"))}
"""Every module of the library and the file that holds it, packages included."""

NAMED_PACKAGES = sorted(name for name, file in FILES.items() if file.name == "__init__.py" and name != LIBRARY.name)


@cache
def imported(file: Path) -> frozenset[str]:
    """Modules of the library that a file imports anywhere, or names in a text such as ``"package.module:function"``."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    texts = list(_texts(tree))
    names = {*_imports(tree), *(name for text in texts for name in re.findall(r"reload_audit(?:\.\w+)+", text))}
    if file == LIBRARY / "__init__.py":  # it names the homes of its public names relative to itself
        names |= {f"{LIBRARY.name}.{text}" for text in texts}
    return frozenset(module for name in names if (module := _module_of(name)) is not None) - {module_name(file)}


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, "imports within the library are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _texts(tree: ast.AST) -> Iterator[str]:
    statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in statements:
            yield node.value


def _module_of(name: str) -> str | None:
    """The longest beginning of a dotted name that is a module of the library; None where that is the library itself."""
    while name and name not in FILES:
        name = name.rpartition(".")[0]
    return None if name in ("", LIBRARY.name) else name


def package_of(module: str) -> str:
    """The package that holds a module, such as ``planning.discovery``; of a package, itself."""
    package = module if module in NAMED_PACKAGES else module.rpartition(".")[0]
    return package.partition(".")[2]


def modules() -> Graph:
    """What each module of the library imports of the library; its packages' ``__init__`` files hold no code."""
    return {module: set(imported(file)) for module, file in FILES.items() if file.name != "__init__.py"}


def packages() -> Graph:
    """What each package imports of the others."""
    graph: dict[str, set[str]] = {package_of(package): set() for package in NAMED_PACKAGES}
    for module, others in modules().items():
        graph[package_of(module)] |= {package_of(other) for other in others} - {package_of(module)}
    return graph


def importers() -> Graph:
    """Who imports each package: packages, the library's public names, Snakemake's scripts, rules and logger plugin."""
    graph: dict[str, set[str]] = defaultdict(set)
    for package, others in packages().items():
        for other in others:
            graph[other].add(package)
    outside = {"reload_audit": [LIBRARY / "__init__.py"], "scripts": SCRIPTS, "logger plugin": [PLUGIN]}
    for name, files in outside.items():
        for file in files:
            for module in imported(file):
                graph[package_of(module)].add(name)
    for file in RULES:
        for name in re.findall(r"\breload_audit(?:\.\w+)+", file.read_text(encoding="utf-8")):
            if (module := _module_of(name)) is not None:
                graph[package_of(module)].add("rules")
    return graph


def test_the_library_consists_of_the_listed_packages_and_nothing_else() -> None:
    found = {path.name for path in LIBRARY.iterdir()} - {"__pycache__"}
    assert found == {"__init__.py", *PACKAGES}


def test_no_module_imports_a_package_above_its_own() -> None:
    height = {package: number for number, package in enumerate(PACKAGES)}

    def floor(module: str) -> int:
        return height[package_of(module).partition(".")[0]]

    upward = [
        f"{module} imports {other}"
        for module, others in modules().items()
        for other in sorted(others)
        if floor(other) > floor(module)
    ]
    assert upward == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    try:
        TopologicalSorter(modules()).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(error.args[1][::-1]))


@pytest.mark.parametrize("package", NAMED_PACKAGES)
def test_a_package_s_docstring_says_what_it_is_for_what_it_may_import_and_who_imports_it(package: str) -> None:
    name = package_of(package)
    tree = ast.parse(FILES[package].read_text(encoding="utf-8"))
    text = ast.get_docstring(tree) or ""
    form = re.fullmatch(
        r"(?P<purpose>[A-Z].*?\.)\n\nMay import: (?P<down>.*)\.\nImported by: (?P<up>.*)\.", text, re.DOTALL
    )
    assert len(tree.body) == 1, "an __init__.py holds a docstring and no code"
    assert form, f"expected a sentence, an empty line, 'May import: ...' and 'Imported by: ...', found {text!r}"
    assert (names_in(form["down"]), names_in(form["up"])) == (packages()[name], importers()[name])


def names_in(text: str) -> set[str]:
    """The names in ``a, b, c``, which may go over several lines; none in ``nothing``."""
    return set(re.split(r",\s+", text)) - {"nothing"}


def test_planning_imports_no_heavy_library() -> None:
    planning = [module for module in FILES if module.startswith("reload_audit.planning")]
    code = f"import sys, json, {', '.join(planning)}; print(json.dumps(sorted(sys.modules)))"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=LIBRARY.parent, env={}, check=True, capture_output=True, text=True
    )
    assert HEAVY & {name.partition(".")[0] for name in json.loads(ran.stdout)} == set()


def test_dictionaries_of_unknown_content_are_as_few_as_budgeted() -> None:
    untyped = re.compile(r"\b(?:Mapping|dict)\[str, Any\]")
    count = sum(len(untyped.findall(file.read_text(encoding="utf-8"))) for file in FILES.values())
    assert count <= BUDGETS["types"]["dictionaries of unknown content in the library, at most"]


def test_the_page_on_architecture_lists_the_packages_in_their_order() -> None:
    page = ROOT / "docs/architecture.md"
    if not page.exists():
        pytest.skip("there is no docs/architecture.md")
    listed = re.findall(r"^\| `(\w+)/?` \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert tuple(listed) in (PACKAGES, PACKAGES[::-1])


def test_files_of_tests_that_are_said_to_take_long_are_there() -> None:
    named = yaml.safe_load((ROOT / "tests/support/durations.yaml").read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / "tests" / name.partition(" ")[0]).is_file()] == []
