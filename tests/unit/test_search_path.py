"""Nothing is imported from the folder that the audit is started in, or from one that is audited, unless asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reload_audit.planning.working_directory import warning
from reload_audit.processes import isolation
from reload_audit.processes.search_path import (
    LIBRARY,
    guarded_children,
    import_nothing_from,
    library_of_jobs,
    named_in_environment,
)

STANDARD_LIBRARY = str(Path(os.__file__).parent)
PLANTED = ("multiprocessing", "pickle", "yaml", "queue", "sitecustomize", "bottleneck")


@pytest.fixture
def strangers_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, full of modules that leave a file behind when they are imported."""
    folder = tmp_path / "cloned"
    folder.mkdir()
    for name in PLANTED:
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'a').write({name!r})\n")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def imported(tmp_path: Path) -> Path:
    """The file that modules of the stranger leave behind."""
    return tmp_path / "imported"


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """``sys.path`` of an interpreter that was started in the usual way; forgotten afterwards."""
    monkeypatch.setattr(sys, "path", [STANDARD_LIBRARY, "/site-packages"])
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    return sys.path


def test_a_module_that_is_planted_in_the_working_directory_is_imported_by_a_usual_interpreter(
    strangers_folder: Path, imported: Path
) -> None:
    subprocess.run([sys.executable, "-c", "import bottleneck"], check=True)
    assert imported.exists()


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@pytest.mark.parametrize("python_path", ["", ":", ".", "/nowhere:"])
def test_no_process_of_the_audit_imports_from_the_working_directory(
    method: isolation.Method, python_path: str, strangers_folder: Path, imported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", python_path)
    monkeypatch.setattr(sys, "path", ["", str(strangers_folder), *sys.path])
    isolation.prepare(method, hash_seed=0, preload=("yaml",))
    outcome = isolation.call(
        "support.isolation_targets:import_all", (PLANTED,), method=method, log=imported.parent / "log", timeout=120
    )
    assert outcome.failure is None, outcome.failure
    assert not imported.exists(), imported.read_text()


def test_a_process_that_a_process_of_the_audit_starts_is_guarded_too(
    strangers_folder: Path, imported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", ":")
    outcome = isolation.call(
        "support.isolation_targets:run_python",
        ("import importlib.util; print(importlib.util.find_spec('bottleneck'))",),
        method="spawn",
        log=imported.parent / "log",
        timeout=120,
    )
    assert outcome.value == "None"
    assert not imported.exists()


def test_the_callers_own_path_and_environment_are_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", ":")
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    before = (list(sys.path), dict(os.environ))
    with guarded_children():
        assert "" not in sys.path
        assert os.environ["PYTHONSAFEPATH"] == "1"
    assert (sys.path, dict(os.environ)) == before


def test_the_working_directory_and_what_python_was_started_with_are_taken_off_the_path(
    path: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path[:0] = ["", str(tmp_path), "/folder/of/a/script"]
    path.append(".snakemake/pip-deployments")
    import_nothing_from([])
    assert path == [STANDARD_LIBRARY, "/site-packages"]
    assert os.environ["PYTHONSAFEPATH"] == "1"


def test_folders_of_pythonpath_stay_unless_they_are_audited_or_the_working_directory(
    path: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audited, mine, link = tmp_path / "audited", tmp_path / "mine", tmp_path / "link"
    (audited / "src").mkdir(parents=True)
    mine.mkdir()
    link.symlink_to(audited)
    monkeypatch.chdir(tmp_path)
    named = [str(mine), "", str(link), str(audited / "src"), str(tmp_path)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(named))
    path[:0] = named
    import_nothing_from([str(audited)])
    assert path == [str(mine), STANDARD_LIBRARY, "/site-packages"]
    assert os.environ["PYTHONPATH"].split(os.pathsep) == [str(mine), LIBRARY]


def test_this_library_stays_on_the_path_where_it_lies_in_an_audited_folder(path: list[str]) -> None:
    path.insert(0, LIBRARY)
    import_nothing_from([str(Path(LIBRARY).parents[1])])
    assert path == [LIBRARY, STANDARD_LIBRARY, "/site-packages"]


def test_jobs_import_this_library_though_pythonpath_names_another_copy_and_what_lies_beside_that(
    path: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = [tmp_path / "robots", tmp_path / "clone"]
    for module in (named[0] / "train.py", named[1] / "robot.py", named[1] / "reload_audit/__init__.py"):
        module.parent.mkdir(parents=True, exist_ok=True)
        module.touch()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, named)))
    assert library_of_jobs(guest=False) == LIBRARY
    import_nothing_from([])
    assert named_in_environment() == [*map(str, named)]
    # As Snakemake starts a script, with its folder behind all others.
    code = f"import sys; sys.path.append({LIBRARY!r}); import reload_audit, robot, train"
    code += "; print(*(Path(one.__file__).parent for one in (reload_audit, robot, train)), sep=':')"
    done = subprocess.run(
        [sys.executable, "-c", f"from pathlib import Path; {code}"], stdout=subprocess.PIPE, text=True
    )
    assert done.stdout.strip().split(":") == [f"{LIBRARY}/reload_audit", str(named[1]), str(named[0])]


def test_another_copy_that_jobs_would_import_is_known_in_somebody_else_s_workflow(
    path: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert library_of_jobs(guest=True) == LIBRARY
    (tmp_path / "reload_audit").mkdir()
    (tmp_path / "reload_audit/__init__.py").touch()
    path.append(str(tmp_path))  # installed
    assert library_of_jobs(guest=True) == str(tmp_path)
    assert library_of_jobs(guest=False) == LIBRARY
    path.pop()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert library_of_jobs(guest=True) == str(tmp_path)


def test_in_somebody_else_s_workflow_their_own_folders_come_last_and_their_programs_start_as_ever(
    path: list[str],
) -> None:
    path[:0] = ["/their/workflow", LIBRARY]
    import_nothing_from([], guest=True)
    assert path == [LIBRARY, STANDARD_LIBRARY, "/site-packages", "/their/workflow"]
    assert not {"PYTHONSAFEPATH", "PYTHONPATH"} & {*os.environ}


# --- What Snakemake itself runs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("found", ["default", "profiles/default", ".snakemake/pip-deployments"])
def test_what_snakemake_may_run_from_an_audited_working_directory_is_warned_of(
    found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / found).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for audited in (".", str(tmp_path), str(tmp_path.parent)):
        assert f"is audited, and {found} in it can run any command" in warning([audited], Path("/workflow"), "", [])
    assert warning(["/elsewhere"], Path("/workflow"), "", []) == ""
    assert warning(["."], tmp_path, "", []) == "", "the workflow's own folder"
    chosen = warning(["."], Path("/workflow"), "", ["--workflow-profile", "none"])
    assert (chosen == "") is ("default" in found)


def test_a_configuration_that_happens_to_lie_in_an_audited_working_directory_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").touch()
    monkeypatch.chdir(tmp_path)
    assert "config/config.yaml in it" in warning(["."], Path("/workflow"), "config/config.yaml", [])
    assert warning(["."], Path("/workflow"), "", []) == "", "given with --configfile"
