"""An edit reruns what depends on it, and nothing else."""

from __future__ import annotations

import ast
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reload_audit.planning import code_digest as digesting
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
    "library/pkg/direct.py": "import pkg.transitive\n",
    "library/pkg/transitive.py": "import pkg.deeper\n",
    "library/pkg/deeper.py": "import pkg.direct  # a circle\n",
    "library/pkg/sibling.py": "",
    "library/pkg/names.py": "thing = 1\n",
    "library/pkg/lazy.py": "later = 1\n",
    "library/pkg/conditional.py": "",
    "library/pkg/elsewhere/__init__.py": "",
    "library/pkg/elsewhere/task.py": "import pkg.needed_there\n",
    "library/pkg/needed_there.py": "",
    "library/pkg/unrelated.py": "",
    "library/pkg/elsewhere/unrelated_too.py": "",
    "library/flat.py": "",
    "requirements.txt": "torch==2.0\n",
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
            file.write("edited = True\n")
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


@pytest.mark.parametrize("statement", ["from . import unrelated\n", "from .unrelated import thing\n"])
def test_a_relative_import_is_followed(project: Path, changes: Callable[[str], bool], statement: str) -> None:
    (project / "library/pkg/direct.py").write_text(statement)
    assert changes("library/pkg/unrelated.py")


def test_a_text_that_only_mentions_a_module_is_not_followed(project: Path, changes: Callable[[str], bool]) -> None:
    (project / "library/pkg/direct.py").write_text('"""See pkg.unrelated for more."""\nmore = "see pkg.unrelated"\n')
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


# --- Wording -------------------------------------------------------------------------------------------------------

WRITTEN = '''\
"""A module."""

import json

LIMIT = 3
"""Of what is written here."""


class Sum:
    """Adds."""

    def of(self, a: int, b: int = LIMIT) -> int:
        """Of two."""
        if a:
            "noted in passing"
        return json.loads(f"{a + b:>{2}}")  # as text first
'''

REWORDED = '''\
# Copyright
import json

LIMIT = 0x3
"""Of what may be
written here.
"""

class Sum:
    def of(
        self,
        a: int,
        b: int = LIMIT,
    ) -> int:
        """Both: see ``os.path``."""
        # Nothing, if there is nothing.
        if (a):
            "another note"
        return json.loads(
            f'{a + b:>{2}}'
        )
'''


@pytest.fixture
def digest(tmp_path: Path) -> Callable[..., str]:
    """The digests of a module of given content, in each of the three ways to take one."""

    def digest(content: str | bytes, with_lines: bool = False) -> str:
        (tmp_path / "module.py").write_bytes(content.encode() if isinstance(content, str) else content)
        locate = locate_in([tmp_path])
        return code_digest(tmp_path / "module.py", locate, with_lines=with_lines) + ", ".join(
            [
                named_code_digest("module:Name", locate, with_lines),
                package_digest(["module"], [tmp_path], with_lines),
            ]
        )

    return digest


def test_docstrings_comments_and_formatting_do_not_change_the_digest(digest):
    assert digest(WRITTEN) == digest(REWORDED)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a + b", "b + a"),
        ("LIMIT = 3", "LIMIT = 3.0"),
        ("LIMIT = 3", "LIMIT = True"),
        ("LIMIT = 3", "LIMIT = '3'"),
        (":>{2}", ":<{2}"),
        ("b: int = LIMIT", "b: int"),
        ("import json", "import json as loads"),
        ("if a:", "while a:"),
        ("return json", "json"),
        ("return json.loads", "return (json.loads, )"),
        ('"noted in passing"', 'print("noted in passing")'),
        ('"""Adds."""', 'text = """Adds."""'),
        ('"""Of two."""', "global LIMIT"),
    ],
)
def test_a_change_of_what_code_does_changes_the_digest(digest, before, after):
    assert digest(WRITTEN) != digest(WRITTEN.replace(before, after, 1))


@pytest.mark.parametrize(
    "reading",
    [
        "help = Sum.__doc__",
        "import inspect; help = inspect.getdoc(Sum)",
        "from inspect import getsource",
    ],
)
def test_docstrings_change_the_digest_where_code_reads_them(digest, reading):
    assert digest(WRITTEN + reading) != digest(REWORDED + reading)


def test_docstrings_change_the_digest_where_an_importing_module_reads_them(
    project: Path, changes: Callable[[str], bool]
) -> None:
    (project / "scripts/train.py").write_text("from pkg.names import thing\n\nprint(thing.__doc__)\n")
    before = digest_of(project)
    (project / "library/pkg/names.py").write_text('thing = 1\n"""One."""\n')
    assert digest_of(project) != before


def test_line_numbers_change_the_digest_where_they_are_asked_for(digest):
    later = f"# one line more\n{WRITTEN}"
    assert digest(WRITTEN) == digest(later)
    assert digest(WRITTEN, with_lines=True) != digest(later, with_lines=True)
    assert digest(WRITTEN, with_lines=True) == digest(WRITTEN.replace("Adds", "Subtracts"), with_lines=True)


@pytest.mark.parametrize(
    "content", ["def f(:", b"\xff", b"a = '\0'", f"a = 0x{'f' * 5000}", f"a = {'-' * 5000}1", f"a = {'1 + ' * 5000}1"]
)
def test_any_edit_of_code_that_cannot_be_parsed_changes_the_digest(digest, content):
    content = content.encode() if isinstance(content, str) else content
    assert digest(content) == digest(content) != digest(content + b" # edited")


def test_the_digest_is_the_same_in_all_versions_of_python(digest):
    """Those of 3.12 and 3.13 have further fields: see ``ast.dump``."""
    assert digest(WRITTEN)[:16] == "d1cf3afdd5bf6bd0"


def test_texts_that_are_digested_with_the_code_change_the_digest(project: Path) -> None:
    script, locate = project / "scripts/train.py", locate_in([project / "library"])
    assert len({code_digest(script, locate, texts=texts) for texts in ([], ["a"], ["b"], ["a", "b"], ["ab"])}) == 5


# --- What earlier starts have parsed -------------------------------------------------------------------------------


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Path]]:
    """Begin as a new process does; the file in which is kept what was parsed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def start() -> Path:
        digesting._code.cache_clear()
        digesting._parsed_before.cache_clear()
        return tmp_path / "cache/reload-audit/parsed-code.json"

    yield start
    start()


def test_what_was_parsed_once_is_not_parsed_at_the_next_start(project, start, monkeypatch):
    start()
    before = digest_of(project)
    start()
    with monkeypatch.context() as without_parser:
        without_parser.setattr(ast, "parse", None)
        assert digest_of(project) == before
        (project / "library/pkg/names.py").write_text("thing = 2\n")
        with pytest.raises(TypeError):
            digest_of(project)
    assert digest_of(project) != before


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"by": 1}', "of another version", "cut", "other types", "a folder", "read-only"]
)
def test_a_damaged_or_foreign_file_of_what_was_parsed_changes_no_digest(content, project, start):
    file = start()
    before = digest_of(project)
    kept = json.loads(file.read_text())
    others = {
        "of another version": json.dumps(kept | {"by": "0", "code": {key: ["00", [], []] for key in kept["code"]}}),
        "cut": file.read_text()[:-100],
        "other types": json.dumps(kept | {"code": {key: [1, 2, 3] for key in kept["code"]}}),
    }
    file.unlink()
    if content == "a folder":
        file.mkdir()
    elif content == "read-only":
        file.parent.rmdir()
        file.parent.write_text("no folder")
    else:
        file.write_text(others.get(content, content))
    start()
    assert digest_of(project) == before


def test_where_there_is_no_home_what_was_parsed_is_kept_among_snakemake_s_files(project, start, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "~/.cache")
    monkeypatch.chdir(tmp_path)
    start()
    digest_of(project)
    assert Path(".snakemake/cache/reload-audit/parsed-code.json").exists()
    assert not Path("~").exists()


def test_of_few_files_is_kept_what_was_parsed_and_those_used_last_are_among_them(project, start, monkeypatch):
    monkeypatch.setattr(digesting, "_MOST_KEPT", 12)
    for number in range(8):
        (project / "library/pkg/sibling.py").write_text(f"number = {number}\n")
        file = start()
        before = digest_of(project)
    assert len(json.loads(file.read_text())["code"]) == 12
    start()
    monkeypatch.setattr(ast, "parse", None)
    assert digest_of(project) == before
