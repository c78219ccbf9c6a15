"""A wheel is built, installed, and used in a folder elsewhere: from nothing to verdicts, without a clone."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
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
    pip = [sys.executable, "-m", "pip"]
    build = [*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source)]
    subprocess.run(build, check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    (site,) = (folder / "venv/lib").glob("python*/site-packages")
    (site / "present.pth").write_text(sysconfig.get_paths()["purelib"])
    python = folder / "venv/bin/python"
    (wheel,) = folder.glob("*.whl")
    subprocess.run(
        [*pip, "--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True
    )
    shutil.rmtree(source)
    for path in [*(site / "reload_audit").rglob("*"), site / "reload_audit"]:
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    return folder / "venv/bin/reload-audit"


def call(command: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run(
        [str(command), *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=600
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: a model, a file that is none, and modules that nobody asks to import."""
    folder = tmp_path_factory.mktemp("home") / "my work"
    folder.mkdir()
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=64, batch_size=64, seed=0, device="cpu")
    model.learn(128)
    model.save(folder / "my model.zip")
    for name in ("yaml", "numpy", "snakemake"):
        (folder / f"{name}.py").write_text("raise SystemExit('imported from the working directory')")
    return folder


def test_one_command_from_a_zip_to_a_verdict_and_its_exit_status(command: Path, home: Path) -> None:
    first = call(command, "my model.zip", "--env", "CartPole-v1", "--claim", "20", "--fail-on", "error", cwd=home)
    assert first.returncode == 0, first.stdout + first.stderr
    results = home / "my-model-audit"
    assert f"Report: {results}/report.html" in first.stdout
    assert {path.name for path in home.iterdir()} == {
        *("my model.zip", "my-model-audit", "yaml.py", "numpy.py", "snakemake.py")
    }
    assert read_yaml(results / "config.yaml")["runs"][0]["env"] == "CartPole-v1"
    again = call(command, "my model.zip", "--env", "CartPole-v1", "--claim", "20", "--fail-on", "error", cwd=home)
    assert again.returncode == 0
    assert again.stdout.strip() == (results / "summary.txt").read_text().strip()
    whatever = "identical,equivalent,retained,improved,consistent,inconclusive,degraded"
    closed = call(command, "my model.zip", "--env", "CartPole-v1", "--claim", "20", "--fail-on", whatever, cwd=home)
    assert closed.returncode == 1
    assert "gate: models that are identical or equivalent or" in closed.stderr


def test_a_zip_that_holds_no_model_is_refused_in_one_message(command: Path, home: Path) -> None:
    (home / "broken.zip").write_bytes(b"PK\x03\x04 and no more")
    done = call(command, "broken.zip", "--env", "CartPole-v1", cwd=home)
    (home / "broken.zip").unlink()
    assert done.returncode == 1
    assert "broken.zip" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
