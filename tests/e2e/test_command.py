"""A wheel is built, installed, and used in a folder elsewhere: from nothing to verdicts, without a clone.

What installs and calls it are the steps of ``action.yml``, and the lines that ``docs/ci.md`` shows.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml
from stable_baselines3 import PPO

from reload_audit.planning.configuration import read_yaml
from support.builders import ROOT

pytestmark = pytest.mark.slow

SHIPPED = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "Snakefile", "requirements.txt")
FOLDERS = ("config", "examples", "profiles", "workflow")


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``reload-audit`` of a wheel, in a virtual environment that sees what is installed here; it cannot be written."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    for name in FOLDERS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in SHIPPED:
        shutil.copy2(ROOT / name, source / name)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    (site,) = (folder / "venv/lib").glob("python*/site-packages")
    (site / "present.pth").write_text(sysconfig.get_paths()["purelib"])
    python = folder / "venv/bin/python"
    pip = {"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}  # 0 for pip: not isolated
    installed = step("Install", pip | {"PYTHON": str(python), "SOURCE": str(source)}, folder)
    assert installed.returncode == 0, installed.stderr
    shutil.rmtree(source)
    for path in [*(site / "reload_audit").rglob("*"), site / "reload_audit"]:
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    return folder / "venv/bin/reload-audit"


def call(*command: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")} | variables
    return subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)


def step(name: str, variables: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the shell script of a step of ``action.yml`` as GitHub does."""
    (found,) = [
        one for one in yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"] if one["name"] == name
    ]
    assert set(found["env"]) <= set(variables)
    bash = ("bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c")
    return call(*bash, found["run"], cwd=cwd, **variables)


def shown(key: str) -> Any:
    """What the YAML in ``docs/ci.md`` says under a key at its top."""
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/ci.md").read_text(), re.DOTALL)
    (content,) = [content[key] for content in map(yaml.safe_load, blocks) if key in content]
    return content


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: a model, a file that is none, and modules that nobody asks to import."""
    folder = tmp_path_factory.mktemp("home") / "my work"
    (folder / "models").mkdir(parents=True)
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=64, batch_size=64, seed=0, device="cpu")
    model.learn(128)
    model.save(folder / "models/ppo-CartPole-v1.zip")
    (folder / "claims.csv").write_text("name,claim_mean\nppo-CartPole-v1,9\n")
    for name in ("yaml", "numpy", "snakemake"):
        (folder / f"{name}.py").write_text("raise SystemExit('imported from the working directory')")
    return folder


@pytest.fixture(scope="module")
def on_gitlab(command: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """The line that GitLab runs, with nothing audited yet."""
    *_, line = shown("reload-audit")["script"]
    return call("bash", "-ec", line, cwd=home, PATH=f"{command.parent}:{os.environ['PATH']}")


def test_one_command_from_a_folder_to_a_verdict_and_its_exit_status(command: Path, home: Path, on_gitlab) -> None:
    results, job = home / "audit", shown("reload-audit")["artifacts"]
    assert on_gitlab.returncode == 0, on_gitlab.stdout + on_gitlab.stderr
    assert on_gitlab.stdout.strip() == (results / "summary.txt").read_text().strip()
    assert f"Report: {results}/report.html" in on_gitlab.stdout
    assert all(Path(home, path).exists() for path in (*job["paths"], job["reports"]["junit"]))
    assert {path.name for path in home.iterdir()} == {
        *("models", "claims.csv", "audit", "yaml.py", "numpy.py", "snakemake.py")
    }
    assert read_yaml(results / "config.yaml")["runs"][0]["folder"] == str(home / "models")


def test_the_step_of_github_says_how_the_audit_ended(command: Path, home: Path, on_gitlab) -> None:
    arguments = next(one["with"]["arguments"] for one in shown("steps") if "arguments" in one.get("with", {}))
    told = {"PYTHON": str(command.with_name("python")), "GITHUB_STEP_SUMMARY": str(home.parent / "summary.md")}
    again = step("Audit", told | {"ARGUMENTS": arguments}, home)
    assert again.returncode == 0, again.stderr
    assert again.stdout.strip() == on_gitlab.stdout.strip()
    assert (home.parent / "summary.md").read_text() == (home / "audit/summary.md").read_text()
    whatever = "identical,equivalent,retained,improved,consistent,inconclusive,degraded"
    closed = step("Audit", told | {"ARGUMENTS": f"{arguments} --fail-on '{whatever}'"}, home)
    assert closed.returncode == 1
    assert "gate: models that are identical or equivalent or" in closed.stderr


def test_a_zip_that_holds_no_model_is_refused_in_one_message(command: Path, home: Path) -> None:
    (home / "broken.zip").write_bytes(b"PK\x03\x04 and no more")
    done = call(command, "broken.zip", "--env", "CartPole-v1", cwd=home)
    (home / "broken.zip").unlink()
    assert done.returncode == 1
    assert "broken.zip" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "common.smk" not in done.stdout + done.stderr
