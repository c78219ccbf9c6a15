"""Run the real workflow on a copy of the repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from support import warm_snakemake
from support.builders import ROOT, experiment

_COPIED = ("Snakefile", "workflow", "profiles", "examples", "requirements.txt", "config", "tests")
FIGURES = tuple(f"figures/{name}.{kind}" for name in ("scores", "causes", "n_envs", "seeds") for kind in ("svg", "png"))
TABLES = (
    *("episodes.parquet", "conditions.parquet", "models.parquet", "models.csv", "audit.json"),
    *("summary.txt", "summary.md", "junit.xml", "report.html", *FIGURES),
)


@dataclass(frozen=True)
class Run:
    """A finished call of snakemake.

    :param log: what it wrote into a log of its own, which has all that it says; empty where nothing ran
    """

    status: int
    output: str
    log: str = ""

    @property
    def jobs(self) -> dict[str, int]:
        """How many jobs of each rule were planned, from the table that snakemake prints, or keeps in its log."""
        table = re.search(r"^job +count\n[- ]+\n(.*?)^total", self.log or self.output, re.MULTILINE | re.DOTALL)
        return (
            {} if table is None else {name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", table[1], re.MULTILINE)}
        )


def logs(folder: Path) -> list[Path]:
    """Snakemake's own logs of what was run in a folder, the last one last."""
    return sorted((folder / ".snakemake/log").glob("*.log"))


class Workspace:
    """A copy of the workflow with a configuration of its own; a folder that is one already stays as it is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if (folder / "Snakefile").exists():
            return
        folder.mkdir(parents=True)
        for name in _COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(
                    source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "unit", "integration", "e2e")
                )
            else:
                shutil.copy2(source, folder / name)

    def copy(self, folder: Path) -> Workspace:
        """Another workspace with the same files, results, and all that Snakemake knows of them."""
        shutil.copytree(self.folder, folder)
        return Workspace(folder)

    def configure(self, config: dict[str, Any] | str) -> None:
        """Write ``config/config.yaml``."""
        text = config if isinstance(config, str) else yaml.safe_dump(config, sort_keys=False)
        (self.folder / "config/config.yaml").write_text(text)

    def snakemake(self, *arguments: str, cores: int = 2) -> Run:
        """Run Snakemake to its end."""
        environment = {**os.environ, "PYTHONPATH": ""}
        before = {*logs(self.folder)}
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder, "output.txt")
            command = ["--cores", str(cores), *arguments]
            status = warm_snakemake.run(self.folder, command, environment, output, timeout=1200)
            return Run(status, output.read_text(), "".join(log.read_text() for log in {*logs(self.folder)} - before))

    def start(self, log: Path, *arguments: str) -> subprocess.Popen:
        """Start Snakemake in a session of its own, while the test goes on; what it prints goes into ``log``."""
        with open(log, "w") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "snakemake", *arguments],
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": ""},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def append(self, path: str, text: str) -> None:
        """Add text to a file of the workspace."""
        with open(self.folder / path, "a") as file:
            file.write(text)

    def tables(self) -> dict[str, bytes]:
        """The content of every result, by name: what two equal audits have in common."""
        return {name: (self.folder / "results" / name).read_bytes() for name in TABLES}


def small_config(*experiments: dict[str, Any], **sections: Any) -> dict[str, Any]:
    """A configuration whose audit takes seconds."""
    return {
        "python_path": ["tests/environments", "examples"],
        "experiments": list(experiments) or [experiment()],
        "evaluation": {"episodes": 20, "n_envs": 4},
        "verdict": {"looks": [10, 20]},
        "reload": {"n_envs": [2], "other_vec_env": False},
        **sections,
    }


def config_with_a_failure() -> dict[str, Any]:
    """A configuration of three models: two healthy ones, and one whose training fails."""
    return small_config(
        experiment(name="healthy", normalize=True, n_envs=[1, 2]),
        experiment(name="falls", env="failing:RaisesInTraining"),
    )


def finished_audit(folder: Path) -> Workspace:
    """A workspace in which the audit of :func:`config_with_a_failure` has run to its end."""
    workspace = Workspace(folder)
    workspace.configure(config_with_a_failure())
    run = workspace.snakemake()
    assert run.status == 0, run.output
    return workspace
