"""Train one model into a folder of its own."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from reload_audit.processes import isolation
from reload_audit.processes.fork_servers import TRAIN_HASH_SEED
from reload_audit.processes.notes import Note, leave
from reload_audit.records.manifest import TrainedManifest
from reload_audit.records.specs import Limits
from reload_audit.records.storage import read_json, write_json


def train_model(spec: Mapping[str, Any], folder: Path, log: Path, code: str, limits: Limits) -> None:
    """Train one model into ``folder``, which appears complete or not at all.

    :param spec: a training spec (``configuration.training_spec``)
    :param log: takes the progress
    :param code: digest of the code that decides the result
    :param limits: seconds and MiB that training may take
    """
    isolation.prepare("spawn", hash_seed=TRAIN_HASH_SEED)
    checkpoints = folder.parent / ".checkpoints" / folder.name
    with _appearing_folder(folder) as building:
        outcome = isolation.call(
            "reload_audit.training.train:train",
            (spec, str(building), str(checkpoints), code),
            method="spawn",
            log=log,
            timeout=limits.timeout,
            memory=limits.memory,
        )
        manifest = TrainedManifest(spec["model"], spec, code, outcome.failure, outcome.usage, outcome.value)
        write_json(building / "manifest.json", manifest.to_dict(), indent=2)
    said = "" if outcome.failure is None else f"in training: {outcome.failure.message}"
    leave(log, Note(str(spec["model"]), ended=True, verdict="error" if said else "", said=said))
    if outcome.failure is None:
        shutil.rmtree(checkpoints, ignore_errors=True)


@contextlib.contextmanager
def _appearing_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder to fill; becomes ``folder`` when the block ends, vanishes when it raises."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder.parent)
    mark = f".{folder.name}@{platform.node()}@{os.getpid()}@"
    building = Path(tempfile.mkdtemp(prefix=mark, dir=folder.parent))
    building.chmod(0o755)
    (building / ".snakemake_timestamp").touch()  # else Snakemake makes it, and on a full disk cannot, and discards all
    try:
        yield building
        _put_in_place(building, folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _remove_leftovers(parent: Path) -> None:
    """Remove folders that jobs of this machine left when they were killed while they trained."""
    for path in parent.glob(f".*@{glob.escape(platform.node())}@*@*"):
        pid = path.name.split("@")[-2]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(path, ignore_errors=True)


def _put_in_place(built: Path, folder: Path) -> None:
    """Replace what is there, unless it is the same model: a second copy of this job may have finished first.

    A restarted scheduler submits what still runs, and both copies make the same model, so either will do.
    """
    while not _is_same_model(built, folder):
        shutil.rmtree(folder, ignore_errors=True)
        try:
            built.rename(folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            continue  # the copy has put its folder there just now: look again
        return


def _is_same_model(one: Path, other: Path) -> bool:
    if not (other / "manifest.json").exists():
        return False
    manifests = [read_json(folder / "manifest.json") for folder in (one, other)]
    return all(manifests[0][key] == manifests[1][key] for key in ("spec", "code"))
