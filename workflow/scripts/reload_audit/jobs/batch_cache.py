"""Records of models that were audited before: a batch that runs again audits only those of its models that changed.

Snakemake removes a batch's file before it runs its job again, be it that one model of many is new, or that the job was
killed before its last one. So every record is kept beside, in a file that grows by a line a model.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from reload_audit.planning.watched_files import files_of
from reload_audit.records.specs import ExternalSpec
from reload_audit.records.storage import atomic_path, digest, plain

Record = dict[str, Any]


class Kept:
    """The records of one batch.

    :param folder: of all batches' records
    :param batch: its name, ``batch-0101``; records of the batches that it was split from or put together of count too
    :param decides: what decides every model's record besides the model itself
    """

    def __init__(self, folder: Path, batch: str, decides: Any) -> None:
        self._path = folder / f"{batch}.jsonl"
        self._decides = digest(plain(decides))
        self._before: dict[str, Record] = {}
        for path in sorted(folder.glob("batch*.jsonl")):
            if path.stem.startswith(batch) or batch.startswith(path.stem):
                self._before |= _read(path)

    def find(self, models: Iterable[Mapping[str, Any]]) -> dict[str, Record]:
        """The records of those models of which nothing has changed; all others are forgotten."""
        found: dict[str, Record] = {}
        with atomic_path(self._path) as temporary, open(temporary, "w", encoding="utf-8") as file:
            for model in models:
                key = self._key(model)
                if key in self._before:
                    found[model["model"]] = self._before[key]
                    file.write(_line(key, self._before[key]))
        return found

    def add(self, model: Mapping[str, Any], record: Mapping[str, Any]) -> None:
        """Keep a record, unless something failed: that may be over the next time."""
        if record["conditions"] and all(condition["failure"] is None for condition in record["conditions"].values()):
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(_line(self._key(model), record))

    def _key(self, model: Mapping[str, Any]) -> str:
        """Of the model, its files, and all that decides."""
        stats = [(file, Path(file).stat()) for file in files_of(ExternalSpec.from_dict(model))]
        files = [[file, stat.st_size, stat.st_mtime_ns] for file, stat in stats]
        return digest([plain(model), files, self._decides])


def _line(key: str, record: Mapping[str, Any]) -> str:
    return json.dumps([key, plain(record)], allow_nan=False) + "\n"


def _read(path: Path) -> dict[str, Record]:
    """Whatever is whole: the last line may have been cut off."""
    found: dict[str, Record] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            key, record = json.loads(line)
        except ValueError:
            continue
        found[key] = record
    return found
