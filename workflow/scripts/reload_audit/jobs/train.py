"""Train the models of a batch, each in a fresh process and into a folder of its own."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import psutil

from reload_audit.jobs.finished import is_finished_folder, made_of, note_in_folder
from reload_audit.processes import isolation, job_memory
from reload_audit.processes.fork_servers import TRAIN_HASH_SEED
from reload_audit.processes.notes import Note, leave
from reload_audit.records.manifest import TrainedManifest
from reload_audit.records.specs import Limits
from reload_audit.records.storage import read_json, write_json

_TRAIN = "reload_audit.training.train:train"

PRELOAD = (_TRAIN.partition(":")[0],)


def train_batch(
    specs: Sequence[Mapping[str, object]], codes: Sequence[str], batch: Path, trained: Path, log: Path, limits: Limits
) -> None:
    """Train models one after the other, but for those that an earlier run of this job has finished.

    :param codes: for each model a digest of the code that decides the result
    :param batch: the JSON file to write when all are trained
    :param trained: the folder in which each model gets one of its own
    :param log: of the job; beside it, each model that is trained gets one of its own
    """
    names = [str(spec["model"]) for spec in specs]
    for name, spec, code in zip(names, specs, codes, strict=True):
        if is_trained(trained / name, spec, code, limits):
            leave(log, Note(name, ended=True))
        else:
            own = log.with_name(f"{name}.log")
            own.write_text("", encoding="utf-8")
            shutil.rmtree(trained / name, ignore_errors=True)  # of another spec, damaged, or of a run that was killed
            train_model(spec, trained / name, own, code, limits)
            if own != log:
                with open(log, "a", encoding="utf-8") as file:
                    file.write(f"trained {name}: {own}\n")
    write_json(batch, {"models": names})


def is_trained(folder: Path, spec: Mapping[str, object], code: str, limits: Limits) -> bool:
    """Whether a model is trained already, with no file changed since; under the same limits if training has failed."""
    return is_finished_folder(folder, made_of(spec, code), made_of(spec, code, asdict(limits)))


def train_model(spec: Mapping[str, object], folder: Path, log: Path, code: str, limits: Limits) -> None:
    """Train one model into ``folder``, which appears complete or not at all.

    :param spec: a training spec (``training_specs.training_spec``)
    :param log: takes the progress
    :param code: digest of the code that decides the result
    :param limits: what training may take
    """
    isolation.prepare(limits.isolation, hash_seed=TRAIN_HASH_SEED, preload=PRELOAD)
    checkpoints = folder.parent / ".checkpoints" / folder.name
    killed_before = job_memory.kills()
    with _appearing_folder(folder) as building:
        outcome = isolation.call(
            _TRAIN,
            (spec, str(building.absolute()), str(checkpoints.absolute()), code),  # an environment may change its folder
            method=limits.isolation,
            log=log,
            timeout=limits.timeout,
            memory=limits.memory,
        )
        manifest = TrainedManifest(str(spec["model"]), spec, code, outcome.failure, outcome.usage, outcome.value)
        write_json(building / "manifest.json", manifest.to_dict(), indent=2)
        if job_memory.kills() == killed_before:  # else it may be the job's fault
            failed = [] if outcome.failure is None else [asdict(limits)]
            note_in_folder(building, made_of(spec, code, *failed))
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
