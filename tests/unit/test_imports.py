"""A name in the configuration leads to its object, or to a message that says which part of it is wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from reload_audit.processes.imports import ImportProblem, extend_path, import_module, import_object


@pytest.fixture
def modules_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of modules on Python's path; forgotten afterwards."""
    package = tmp_path / "imports_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "good.py").write_text("class Env: pass")
    (package / "broken.py").write_text("1 / 0")
    (package / "misspelt.py").write_text("def f(:")
    (package / "needs.py").write_text("import a_package_nobody_has")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name in [name for name in sys.modules if name.partition(".")[0] == "imports_package"]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


@pytest.mark.parametrize("name", ["collections.abc.Mapping", "collections.abc:Mapping"])
def test_a_class_can_be_named_with_a_dot_or_a_colon_before_its_name(name: str) -> None:
    from collections.abc import Mapping

    assert import_object(name) is Mapping


def test_a_user_s_own_class_is_imported(modules_folder: Path) -> None:
    assert import_object("imports_package.good:Env").__module__ == "imports_package.good"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Env", "expected a dotted name such as package.module.Name, found 'Env'"),
        ("", "expected a dotted name such as package.module.Name, found ''"),
        ("no_such_package.Env", "no module named 'no_such_package'"),
        ("imports_package.nothing:Env", "no module named 'imports_package.nothing'"),
        ("imports_package.good:NoEnv", "module 'imports_package.good' has no 'NoEnv'"),
        ("imports_package.broken:Env", "importing 'imports_package.broken' raised ZeroDivisionError: division by zero"),
        ("imports_package.misspelt:Env", "importing 'imports_package.misspelt' raised SyntaxError"),
        ("imports_package.needs:Env", "no module named 'a_package_nobody_has'"),
    ],
)
def test_a_name_that_leads_nowhere_says_where_it_stops(modules_folder: Path, name: str, message: str) -> None:
    with pytest.raises(ImportProblem) as raised:
        import_object(name)
    assert message in str(raised.value)


def test_a_missing_module_says_where_modules_are_looked_for() -> None:
    with pytest.raises(ImportProblem, match="expected an installed package, or a file in a folder of python_path"):
        import_module("no_such_package")


def test_an_error_in_an_imported_module_s_own_code_is_kept_as_the_cause(modules_folder: Path) -> None:
    with pytest.raises(ImportProblem) as raised:
        import_module("imports_package.broken")
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_given_folders_come_first_on_the_import_path_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", ["/elsewhere"])
    extend_path([str(tmp_path / "b"), str(tmp_path / "a")])
    assert sys.path == [str(tmp_path / "b"), str(tmp_path / "a"), "/elsewhere"]


def test_relative_folders_are_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.chdir(tmp_path)
    extend_path(["envs"])
    assert sys.path == [str(tmp_path / "envs")]


def test_a_folder_is_put_on_the_import_path_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    extend_path([str(tmp_path)])
    extend_path([str(tmp_path)])
    assert sys.path == [str(tmp_path)]


def test_a_folder_that_was_on_the_import_path_already_is_moved_to_its_front(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", ["/elsewhere", str(tmp_path)])
    extend_path([str(tmp_path)])
    assert sys.path[0] == str(tmp_path)
