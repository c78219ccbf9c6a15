"""Models that were trained and recorded on a GPU are audited on a CPU: their rewards hold, and rounding is called so.

``RELOAD_AUDIT_TRAINED_ON_GPU`` names what ``train_on_gpu.py`` left on a machine with a GPU, the folder or the archive.
Without it the models are trained here, if there is a GPU.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch as th

from reload_audit.records.storage import read_json
from support.builders import ROOT
from support.external_audits import audit_models
from support.snakemake_runs import Workspace, small_config

pytestmark = pytest.mark.slow

_VARIABLE = "RELOAD_AUDIT_TRAINED_ON_GPU"
_SCRIPT = ROOT / "tests/device/train_on_gpu.py"

Rows = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``train_on_gpu.py`` leaves."""
    folder = tmp_path_factory.mktemp("gpu") / "models"
    given = os.environ.get(_VARIABLE)
    if given and Path(given).is_dir():
        return Path(given).resolve()
    if given:
        with tarfile.open(given) as archive:
            archive.extractall(folder, filter="data")
        return next(folder.glob("*/facts.json")).parent
    if not th.cuda.is_available():
        pytest.skip(f"needs a GPU, or {_VARIABLE}=FOLDER with what {_SCRIPT.relative_to(ROOT)} FOLDER left on one")
    subprocess.run([sys.executable, str(_SCRIPT), str(folder)], check=True)
    return folder


@pytest.fixture(scope="module")
def audited(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """The row of every model in an audit on the CPU."""
    workspace = Workspace(tmp_path_factory.mktemp("audit") / "workspace")
    runs = [str(trained / kind) for kind in ("recorded", "trained")]
    workspace.configure({**small_config(), "experiments": [], "runs": runs, "verdict": {}, "trust": ["pictures"]})
    run = workspace.snakemake()
    assert run.status == 0, run.output
    rows = read_json(workspace.folder / "results/audit.json")["models"]
    # A model is named by its own folder, unless others are called so too.
    return {f"{Path(row['experiment']).name}/{Path(row['model']).name}": row for row in rows}


MODELS = ("recorded/cnn", "recorded/ppo", "recorded/sac", "trained/ppo")
ROUNDED = MODELS[:3]
"""Those whose actions are numbers: the fourth chooses between two, and rounding shows only where it tips a choice."""


def test_all_are_found_and_none_loses_reward(audited: Rows) -> None:
    assert sorted(audited) == sorted(MODELS)
    assert {audited[name]["verdict"] for name in ROUNDED} == {"equivalent"}
    assert audited["trained/ppo"]["verdict"] in ("identical", "equivalent")


def test_nothing_that_was_recorded_beside_them_contradicts_their_files(audited: Rows) -> None:
    assert {row["checks_failed"] for row in audited.values()} == {""}


@pytest.mark.parametrize("name", ROUNDED)
def test_reload_and_reference_part_first_in_an_action_and_that_is_called_rounding(audited: Rows, name: str) -> None:
    parted = audited[name]["first_divergence"]
    assert [difference["component"] for difference in parted["differences"]] == ["actions"]
    assert parted["implies"] == "numerics"


def test_where_rounding_leaves_the_verdict_open_it_is_the_cause(trained: Path, tmp_path: Path) -> None:
    """No margin is small enough for that by itself but one of next to nothing."""
    strict = {"margin_fraction": 0, "margin_std": 1e-12, "looks": [20, 40]}
    rows = audit_models(tmp_path, runs=[str(trained / "recorded")], trust=["pictures"], verdict=strict)
    assert {(row["verdict"], row["cause"]) for row in rows.values()} == {("inconclusive", "numerics")}


def test_an_experiment_with_device_cuda_trains(trained: Path) -> None:
    assert read_json(trained / "facts.json")["trained"]["failure"] == ""


def test_training_on_a_gpu_goes_on_after_a_recording_as_without_one(trained: Path) -> None:
    assert read_json(trained / "facts.json")["undisturbed"]


@pytest.mark.skipif(not th.cuda.is_available(), reason="needs a GPU")
def test_audited_on_the_gpu_that_trained_them_all_are_identical(trained: Path, tmp_path: Path) -> None:
    runs = [{"folder": str(trained / kind), "device": "cuda"} for kind in ("recorded", "trained")]
    rows = audit_models(tmp_path, runs=runs, trust=["pictures"])
    assert {name: row["verdict"] for name, row in rows.items() if row["verdict"] != "identical"} == {}
