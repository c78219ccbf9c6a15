"""Train one model into a folder of its own."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from reload_audit import isolation
from reload_audit.jobs import FORMAT, TRAIN_HASH_SEED
from reload_audit.records import write_json


def train_model(spec: Mapping[str, Any], folder: Path, log: Path, code: str) -> None:
    """Train one model into ``folder``, which appears complete or not at all.

    :param spec: a training spec (``configuration.training_spec``)
    :param log: takes the progress
    :param code: digest of the code that decides the result
    :raises KilledFromOutside: training was killed; worth another try
    """
    isolation.prepare("spawn", hash_seed=TRAIN_HASH_SEED)
    with _appearing_folder(folder) as building:
        outcome = isolation.call("reload_audit.training:train", (spec, str(building)), method="spawn", log=log)
        isolation.raise_if_killed(outcome.failure)
        manifest = {
            "format": FORMAT,
            "model": spec["model"],
            "spec": spec,
            "code": code,
            "failure": None if outcome.failure is None else asdict(outcome.failure),
            "process": asdict(outcome.usage),
            **(outcome.value or {}),
        }
        write_json(building / "manifest.json", manifest, indent=2)


@contextlib.contextmanager
def _appearing_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder to fill; becomes ``folder`` when the block ends, vanishes when it raises."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    building.chmod(0o755)
    try:
        yield building
        # A second copy of this job may have finished first (a restarted scheduler submits what still runs): both made
        # the same model, so either will do.
        with contextlib.suppress(FileExistsError):
            if folder.exists() and not (folder / "manifest.json").exists():
                shutil.rmtree(folder)
            if not folder.exists():
                building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
