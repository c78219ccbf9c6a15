"""Keep the records of a batch for its next run, which audits only those of its models that changed.

Snakemake removes a batch's records file before it runs the job again: because one of its models is new, say, or because
the job was killed before its last model. So every record is also kept in a file of its own, one line a model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from reload_audit.planning.watched_files import found_files
from reload_audit.records.digests import digest
from reload_audit.records.model_record import ModelRecord
from reload_audit.records.specs import ExternalSpec
from reload_audit.records.storage import atomic_path, plain


class BatchCache:
    """The records of one batch, each under a digest of its model, the model's files, and all else that decides it.

    :param folder: where the caches of all batches are
    :param batch: its name, ``batch-0101``; records of the batches that it was split from or put together of count too
    :param decides: what decides every model's record besides the model itself
    """

    def __init__(self, folder: Path, batch: str, decides: Any) -> None:
        self._path = folder / f"{batch}.jsonl"
        self._decides = digest(plain(decides))
        self._before: dict[str, str] = {}
        for path in sorted(folder.glob("batch*.jsonl")):
            if path.stem.startswith(batch) or batch.startswith(path.stem):
                self._before |= _read(path)

    def find(self, models: Iterable[ExternalSpec]) -> dict[str, ModelRecord]:
        """The records, by name, of those models of which nothing has changed; all others are forgotten."""
        found: dict[str, ModelRecord] = {}
        with atomic_path(self._path) as temporary, open(temporary, "w", encoding="utf-8") as file:
            for model in models:
                kept = self._kept(model)
                if kept is not None:
                    line, found[model.model] = kept
                    file.write(line + "\n")
        return found

    def add(self, record: ModelRecord) -> None:
        """Keep the record of an external model, unless something failed: that may be over the next time."""
        assert record.external is not None
        if record.conditions and all(measurement.failure is None for measurement in record.conditions.values()):
            try:
                line = _line(self._key(record.external), record)
            except Exception:
                return  # it is audited again the next time
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(line)

    def _kept(self, model: ExternalSpec) -> tuple[str, ModelRecord] | None:
        """The line of a model's record, and the record; None where there is none, or not what was written there."""
        try:
            line = self._before[self._key(model)]
            _, seal, content = json.loads(line)
            return (line, ModelRecord.from_dict(content)) if _seal(content) == seal else None
        except Exception:
            return None

    def _key(self, model: ExternalSpec) -> str:
        files = [[file, stat.st_size, stat.st_mtime_ns] for file, stat in found_files(model)]
        return digest([plain(model.to_dict()), files, self._decides])


def _line(key: str, record: ModelRecord) -> str:
    content = plain(record.to_dict())
    return json.dumps([key, _seal(content), content], allow_nan=False) + "\n"


def _seal(content: Any) -> str:
    """A digest of a record, by which it is seen that it was edited since."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _read(path: Path) -> dict[str, str]:
    """The lines of a file by their keys, without those that are not whole: the last may have been cut off."""
    found: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            key, _, _ = json.loads(line)
            found[key] = line
        except (ValueError, TypeError, RecursionError):
            continue
    return found
