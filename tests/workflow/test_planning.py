"""What every snakemake process imports before it knows what to do is little, and travels with the workflow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from counting import Process, counted

from reload_audit.planning.code_digest import imported_files, locate_in
from reload_audit.planning.job_code import JobCode
from support.builders import ROOT
from support.snakemake_runs import Workspace, small_config

SCRIPTS = ROOT / "workflow/scripts"
DASHBOARD = SCRIPTS / "reload_audit/reports/dashboard"

IMPORTS = """
import sys
before = set(sys.modules)
from reload_audit.planning import for_rules, ledger, plan, snakemake_internals
print(*sorted(set(sys.modules) - before))
"""


def imported() -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], cwd=SCRIPTS, stdout=subprocess.PIPE, text=True, check=True, env={}
    )
    return set(done.stdout.split())


def test_planning_imports_no_heavy_library():
    packages = {module.partition(".")[0] for module in imported()}
    assert packages.isdisjoint({"numpy", "pandas", "torch", "gymnasium", "stable_baselines3", "scipy", "pyarrow"})


def test_planning_never_imports_snakemake():
    assert "snakemake" not in {module.partition(".")[0] for module in imported()}


def test_a_workflow_that_is_used_from_afar_fetches_all_that_planning_imports():
    fetched: set[str] = set()
    for name in ("for_rules", "ledger", "plan", "snakemake_internals"):
        file = SCRIPTS / f"reload_audit/planning/{name}.py"
        files = imported_files(file, f"reload_audit.planning.{name}", locate_in([SCRIPTS]))
        fetched |= {str(path) for path in (file, *files)}
    names = [module.replace(".", "/") for module in imported() if module.partition(".")[0] == "reload_audit"]
    needed = {str(file) for name in names for file in (SCRIPTS / f"{name}.py", SCRIPTS / name / "__init__.py")}
    assert {file for file in needed if Path(file).exists()} <= fetched


def data_files(script: str) -> set[Path]:
    return {file.resolve() for file in JobCode((ROOT / "workflow").joinpath, [], []).data_files(script)}


def test_an_edit_of_any_part_of_the_page_renders_the_report_again():
    parts = {file for folder in ("page", "vendor") for file in (DASHBOARD / folder).iterdir()}
    code = {file for file in parts if file.suffix in (".css", ".j2", ".js")}
    assert len(code) >= 12
    assert code <= data_files("report.py")


@pytest.mark.parametrize("script", ["aggregate.py", "summarize.py", "report.py"])
def test_an_edit_of_a_causes_texts_runs_again_what_shows_them(script):
    assert {SCRIPTS / "reload_audit/causes/causes.yaml", SCRIPTS / "reload_audit/causes/migrations.yaml"} <= data_files(
        script
    )


def test_the_summary_does_not_depend_on_the_page():
    assert not any(DASHBOARD in file.parents for file in data_files("summarize.py"))


# --- Fork servers ----------------------------------------------------------------------------------------------------


def fork_servers_of(folder: Path, *arguments: str) -> tuple[list[Process], list[str]]:
    """The fork servers that a call of Snakemake on a new audit has started, and what it left of them."""
    workspace = Workspace(folder / "workspace")
    workspace.configure(small_config())
    (workspace.folder / ".snakemake/locks").mkdir(parents=True)
    (workspace.folder / ".snakemake/locks/0.output.lock").write_text("results/trained/.batches/small-seed0-n1.json\n")
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
    _, processes = counted(command, workspace.folder, folder / "counts")
    servers = [process for process in processes if "multiprocessing.forkserver" in " ".join(process.arguments)]
    return servers, [path.name for path in (folder / "counts/temp").glob("reload-audit-*")]


def test_a_fork_server_is_started_while_jobs_are_planned_and_ends_where_none_can_run(tmp_path: Path) -> None:
    servers, left = fork_servers_of(tmp_path)
    assert len(servers) == 1
    assert not psutil.pid_exists(servers[0].pid)
    assert left == []


def test_no_fork_server_is_started_where_no_job_is_to_run(tmp_path: Path) -> None:
    assert fork_servers_of(tmp_path, "--dry-run") == ([], [])


# --- How processes end -----------------------------------------------------------------------------------------------

SAYS_AT_ITS_END = "import atexit, gc; atexit.register(lambda: print('frozen', gc.get_freeze_count()));"


@pytest.mark.parametrize(
    "code",
    [
        "import runpy, sys; sys.argv[1:] = ['--dry-run', '--cores', '1', '--quiet', 'all']\n"
        "runpy.run_module('snakemake', run_name='__main__', alter_sys=True)",
        f"import sys; sys.path.append({str(SCRIPTS)!r})\n"
        "from reload_audit.processes.job_log import job_log\nwith job_log('job.log'): pass",
    ],
    ids=["Snakemake", "job"],
)
def test_a_process_looks_for_no_garbage_when_it_ends(code: str, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    workspace.configure(small_config())
    command = [sys.executable, "-c", f"{SAYS_AT_ITS_END}\n{code}"]
    done = subprocess.run(command, cwd=workspace.folder, stdout=subprocess.PIPE, text=True, check=True)
    assert int(done.stdout.split("frozen ")[-1]) > 1000


def test_a_program_that_calls_snakemake_loses_nothing_that_it_has_not_closed(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    workspace.configure(small_config())
    script = tmp_path / "program.py"
    script.write_text("""
from snakemake.cli import main

left_open = open("left open", "w")
left_open.write("all of it")

def own(): ...

main(["--dry-run", "--cores", "1", "--quiet", "all"])
""")
    subprocess.run([sys.executable, script], cwd=workspace.folder, check=True)
    assert (workspace.folder / "left open").read_text() == "all of it"
