"""An edit reruns what depends on it, and nothing else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from reload_audit.planning.code_digest import code_digest, locate_in, named_code_digest, package_digest

PROJECT = {
    "scripts/train.py": """
import json
import pkg.direct
from pkg import sibling
from pkg.names import thing

def main():
    from pkg.lazy import later
    return call("pkg.elsewhere.task:run")

if json:
    import pkg.conditional as c
""",
    "library/pkg/__init__.py": "",
    "library/pkg/direct.py": "import pkg.transitive",
    "library/pkg/transitive.py": "import pkg.deeper",
    "library/pkg/deeper.py": "import pkg.direct  # a circle",
    "library/pkg/sibling.py": "",
    "library/pkg/names.py": "thing = 1",
    "library/pkg/lazy.py": "later = 1",
    "library/pkg/conditional.py": "",
    "library/pkg/elsewhere/__init__.py": "",
    "library/pkg/elsewhere/task.py": "import pkg.needed_there",
    "library/pkg/needed_there.py": "",
    "library/pkg/unrelated.py": "",
    "library/pkg/elsewhere/unrelated_too.py": "",
    "library/flat.py": "",
    "requirements.txt": "torch==2.0",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, content in PROJECT.items():
        file = tmp_path / "project" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return tmp_path / "project"


def digest_of(project: Path) -> str:
    locate = locate_in([project / "scripts", project / "library"])
    return code_digest(project / "scripts" / "train.py", locate, also=[project / "requirements.txt"])


@pytest.fixture
def changes(project: Path) -> Callable[[str], bool]:
    def changes(name: str) -> bool:
        before = digest_of(project)
        with open(project / name, "a") as file:
            file.write("# edited\n")
        return digest_of(project) != before

    return changes


@pytest.mark.parametrize(
    "name",
    [
        "scripts/train.py",
        "library/pkg/direct.py",
        "library/pkg/transitive.py",
        "library/pkg/deeper.py",
        "library/pkg/sibling.py",
        "library/pkg/names.py",
        "library/pkg/lazy.py",
        "library/pkg/conditional.py",
        "library/pkg/__init__.py",
        "library/pkg/elsewhere/task.py",
        "library/pkg/elsewhere/__init__.py",
        "library/pkg/needed_there.py",
        "requirements.txt",
    ],
)
def test_an_edit_of_anything_that_the_script_imports_changes_the_digest(
    changes: Callable[[str], bool], name: str
) -> None:
    assert changes(name)


@pytest.mark.parametrize(
    "name", ["library/pkg/unrelated.py", "library/pkg/elsewhere/unrelated_too.py", "library/flat.py"]
)
def test_an_edit_of_anything_else_does_not_change_the_digest(changes: Callable[[str], bool], name: str) -> None:
    assert not changes(name)


@pytest.mark.parametrize("statement", ["from . import unrelated", "from .unrelated import thing"])
def test_a_relative_import_is_followed(project: Path, changes: Callable[[str], bool], statement: str) -> None:
    (project / "library/pkg/direct.py").write_text(statement)
    assert changes("library/pkg/unrelated.py")


def test_a_text_that_only_mentions_a_module_is_not_followed(project: Path, changes: Callable[[str], bool]) -> None:
    (project / "library/pkg/direct.py").write_text('"""See pkg.unrelated for more."""')
    assert not changes("library/pkg/unrelated.py")


def test_another_time_stamp_does_not_change_the_digest(project: Path) -> None:
    before = digest_of(project)
    for file in project.rglob("*.*"):
        os.utime(file, (0, 0))
    assert digest_of(project) == before


def test_another_folder_does_not_change_the_digest(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project, tmp_path / "z" / "elsewhere")
    assert digest_of(tmp_path / "z" / "elsewhere") == digest_of(project)


def test_content_that_moves_to_another_module_changes_the_digest(project: Path) -> None:
    before = digest_of(project)
    names, lazy = project / "library/pkg/names.py", project / "library/pkg/lazy.py"
    names_text, lazy_text = names.read_text(), lazy.read_text()
    names.write_text(lazy_text)
    lazy.write_text(names_text)
    assert digest_of(project) != before


def test_a_module_that_appears_changes_the_digest(project: Path) -> None:
    (project / "library/pkg/names.py").unlink()
    before = digest_of(project)
    (project / "library/pkg/names.py").write_text("thing = 1")
    assert digest_of(project) != before


def test_installed_third_party_packages_are_not_followed(project: Path) -> None:
    assert locate_in([project / "library"])("json") is None


def test_a_module_is_taken_from_the_first_folder_that_has_it(project: Path) -> None:
    (project / "scripts/flat.py").write_text("")
    locate = locate_in([project / "scripts", project / "library"])
    assert locate("flat") == project / "scripts/flat.py"


@pytest.mark.parametrize("name", ["robots.arm:Arm", "robots.arm.Arm", "robots:Arm"])
def test_a_name_in_the_configuration_is_followed_through_its_package_and_relative_imports(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "robots").mkdir()
    (tmp_path / "robots/__init__.py").write_text("from .arm import Arm")
    (tmp_path / "robots/arm.py").write_text("from .base import Base")
    (tmp_path / "robots/base.py").write_text("class Base: ...")
    content = {"wrappers": [{name: {}}]}
    before = named_code_digest(content, locate_in([tmp_path]))
    (tmp_path / "robots/base.py").write_text("class Base: edited = True")
    assert named_code_digest(content, locate_in([tmp_path])) != before


def test_a_registered_entry_point_is_followed_to_its_module(tmp_path: Path) -> None:
    (tmp_path / "registering.py").write_text("register('Mine-v0', entry_point='implementing:Env')")
    (tmp_path / "implementing.py").write_text("class Env: ...")
    before = named_code_digest("registering:Mine-v0", locate_in([tmp_path]))
    (tmp_path / "implementing.py").write_text("class Env: edited = True")
    assert named_code_digest("registering:Mine-v0", locate_in([tmp_path])) != before


def test_the_digest_of_a_package_counts_all_its_files_and_no_others(tmp_path):
    (tmp_path / "robots/parts").mkdir(parents=True)
    (tmp_path / "robots/parts/arm.py").write_text("a = 1\n")
    (tmp_path / "single.py").write_text("s = 1\n")
    (tmp_path / "other.py").write_text("o = 1\n")

    def digest() -> str:
        return package_digest(["robots", "single", "not_here"], [tmp_path])

    before = digest()
    (tmp_path / "other.py").write_text("o = 2\n")
    assert digest() == before
    (tmp_path / "robots/parts/arm.py").write_text("a = 2\n")
    after = digest()
    assert after != before
    (tmp_path / "single.py").write_text("s = 2\n")
    assert digest() != after
