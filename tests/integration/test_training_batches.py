"""A job trains several models: as new interpreters do, bit by bit; what one run has finished, the next one keeps."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reload_audit.jobs.reload import Folders, reload_batch
from reload_audit.jobs.train import train_batch
from reload_audit.processes.fork_servers import RELOAD_HASH_SEED, TRAIN_HASH_SEED
from reload_audit.records.specs import Limits, ReloadSpec
from reload_audit.records.storage import DamagedFileError, read_json
from support import builders
from support.builders import training_spec

pytestmark = pytest.mark.slow

LIMITS = Limits(timeout=120, memory=4096)
RELOAD = ReloadSpec(n_envs=(), other_vec_env=False, isolation="forkserver", timeout=60, memory=4096)
CRITERIA = replace(builders.CRITERIA, looks=(10, 20))
NAMES = ("m0", "m1", "m2")


class Job:
    """Trains and reloads models, as jobs of the workflow do.

    :ivar specs: training specs by name
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.specs = {name: spec(name) for name in NAMES}

    def train(self, limits: Limits = LIMITS) -> None:
        log = self.folder / "logs/train/batch.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        codes = ["code"] * len(self.specs)
        train_batch(list(self.specs.values()), codes, self.folder / "trained.json", self.trained, log, limits)

    def reload(self, reload: ReloadSpec = RELOAD, compared: Collection[str] = ()) -> None:
        log = self.folder / "logs/reload/batch.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        folders = Folders(self.trained, self.folder / "reloaded")
        codes = dict.fromkeys(self.specs, "code")
        reload_batch(codes, self.folder / "reloaded.json", folders, log, reload, CRITERIA, compared)

    @property
    def trained(self) -> Path:
        return self.folder / "trained"

    def made(self) -> dict[str, tuple[int, int]]:
        """For each model when its folder and its record were made."""
        paths = {name: (self.trained / name, self.folder / f"reloaded/{name}.json") for name in self.specs}
        return {name: (_time(folder), _time(record)) for name, (folder, record) in paths.items()}


def spec(name: str, **settings: Any) -> dict[str, Any]:
    return {**training_spec(name=name, **settings), "model": name}


def _time(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def made_again(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> tuple[list[str], list[str]]:
    """Names of models that were trained again, and of those that were reloaded again."""
    trained, reloaded = ([name for name in after if after[name][i] != before.get(name, (0, 0))[i]] for i in (0, 1))
    return trained, reloaded


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    folder = tmp_path_factory.mktemp("job")
    with contextlib.chdir(folder):  # as in the workflow, whose paths are relative
        made = Job(Path())
        made.specs["m2"] = spec("m2", env="unhealthy:GoesElsewhere")
        made.train()
        made.reload()
    made.folder = folder
    return made


def test_models_of_a_job_train_and_reload_in_processes_of_their_own_with_other_hash_seeds(job):
    processes = []
    for name in NAMES:
        record = read_json(job.folder / f"reloaded/{name}.json")
        assert record["manifest"]["machine"]["python_hash_seed"] == str(TRAIN_HASH_SEED) != str(RELOAD_HASH_SEED)
        assert record["conditions"]["reload"]["failure"] is None
        processes += [record["manifest"]["process"], record["conditions"]["reload"]["process"]]
    assert len({(process["pid"], process["started"]) for process in processes}) == 2 * len(NAMES)
    assert (job.folder / "logs/train/m1.log").exists()
    assert "closing the environment raised ConnectionError" in (job.folder / "logs/reload/m2.log").read_text()
    assert read_json(job.folder / "reloaded.json") == {"models": [*NAMES]}


def test_a_further_model_a_changed_or_damaged_one_is_made_and_no_other(job):
    before = job.made()
    job.specs |= {"m3": spec("m3"), "m1": spec("m1", hyperparams={"n_steps": 32, "batch_size": 32, "gamma": 0.5})}
    os.truncate(job.trained / "m2/model.zip", 1000)
    job.train()
    job.reload()
    after = job.made()
    assert made_again(before, after) == (["m1", "m2", "m3"], ["m1", "m2", "m3"])
    (job.folder / "reloaded/m0.json").write_text((job.folder / "reloaded/m0.json").read_text().replace("true", "false"))
    (job.folder / "reloaded/m1.json").unlink()
    before = job.made()
    job.train()
    job.reload()
    assert made_again(before, job.made()) == ([], ["m0", "m1"])


def test_a_model_that_is_compared_with_another_runs_all_its_episodes(job):
    before = job.made()
    job.reload(compared=["m0"])
    assert made_again(before, job.made()) == ([], ["m0"])
    records = [read_json(job.folder / f"reloaded/{name}.json") for name in ("m0", "m2")]
    assert [len(record["conditions"]["reload"]["episodes"]) for record in records] == [20, 10]


def test_other_limits_train_only_what_has_failed(tmp_path):
    job = Job(tmp_path)
    job.specs = {"m0": spec("m0")}
    job.train()
    job.specs["endless"] = spec("endless", total_timesteps=10**9)
    short = replace(LIMITS, timeout=2)
    job.train(short)
    before = job.made()
    job.train(short)
    assert job.made() == before
    job.train(replace(short, timeout=3))
    assert made_again(before, job.made()) == (["endless"], [])


def test_a_job_that_fails_at_one_model_keeps_those_before_it(tmp_path):
    job = Job(tmp_path)
    job.specs = {"m0": spec("m0"), "m1": spec("m1")}
    (job.trained).mkdir()
    blocked = tmp_path / "logs/train/m1.log"
    blocked.mkdir(parents=True)  # its log cannot be written
    with pytest.raises(OSError, match=r"m1\.log"):
        job.train()
    before = job.made()
    assert not (tmp_path / "trained.json").exists()
    blocked.rmdir()
    job.train()
    assert made_again(before, job.made()) == (["m1"], [])


def test_a_damaged_model_keeps_no_other_from_being_reloaded(tmp_path):
    job = Job(tmp_path)
    job.specs = {"m0": spec("m0"), "m1": spec("m1")}
    job.train()
    (job.trained / "m0/manifest.json").write_text("[")
    with pytest.raises(DamagedFileError, match=r"m0/manifest\.json"):
        job.reload()
    assert (tmp_path / "reloaded/m1.json").exists()
    assert not (tmp_path / "reloaded.json").exists()
