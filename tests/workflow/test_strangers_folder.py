"""An audit that is started in a stranger's folder, and audits it, runs nothing that lies there."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from support.builders import experiment
from support.snakemake_runs import Workspace, small_config

pytestmark = pytest.mark.slow

# What the console script `snakemake` does; `python -m snakemake` puts the working directory on the path by itself.
CONSOLE_SCRIPT = "import sys; del sys.path[0]; from snakemake.cli import main; sys.exit(main())"

NOT_INSTALLED = ("bottleneck", "numexpr", "numba", "sitecustomize", "usercustomize", "robot", "coins")


def plant_modules(folder: Path, marker: Path) -> None:
    """A file for every module of Python's and of all installed packages, which leaves its name behind if it is run."""
    folder.mkdir(parents=True, exist_ok=True)
    named = {*sys.stdlib_module_names, *packages_distributions(), *NOT_INSTALLED} - {*sys.builtin_module_names}
    for name in filter(str.isidentifier, named):
        (folder / f"{name}.py").write_text(
            f"open({str(marker)!r}, 'a').write({name!r} + ' ')\nraise ModuleNotFoundError(name=__name__)\n"
        )


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command ``snakemake`` in a folder."""
    return subprocess.run(
        [sys.executable, "-c", CONSOLE_SCRIPT, *arguments],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTHONPATH")},
        capture_output=True,
        text=True,
        timeout=1200,
    )


def test_no_module_beside_the_snakefile_is_imported_while_an_audit_is_planned(tmp_path: Path) -> None:
    """Snakemake puts the folder of each Snakefile on its path."""
    workspace, marker = Workspace(tmp_path / "workflow"), tmp_path / "imported"
    workspace.configure(small_config())
    plant_modules(workspace.folder, marker)
    done = snakemake(workspace.folder, "--cores", "1", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert not marker.exists(), marker.read_text()


def test_no_module_in_a_stranger_s_folder_is_imported_by_an_audit_that_is_started_there(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workflow")
    cloned, marker = tmp_path / "cloned", tmp_path / "imported"
    for folder in (cloned, cloned / ".snakemake/scripts"):
        plant_modules(folder, marker)
    (cloned / "profiles/default").mkdir(parents=True)
    (cloned / "profiles/default/profile.yaml").write_text("keep-going: true\n")
    (cloned / "ppo-CartPole-v1.zip").write_bytes(b"no model")
    config = small_config(experiment(name="here", env="CartPole-v1", vec_env="subproc", n_envs=[2]), runs=["."])
    config["python_path"] = []
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config))
    snakefile = str(workspace.folder / "workflow/Snakefile")
    done = snakemake(cloned, "-s", snakefile, "--configfile", "../mine.yaml", "--cores", "2")
    assert done.returncode == 0, done.stderr
    assert not marker.exists(), marker.read_text()
    assert "is audited, and profiles/default in it can run any command" in done.stderr
    audit = (cloned / "results/models.csv").read_text()
    assert "here-seed0-n2" in audit
    assert "ppo-CartPole-v1" in audit
