"""External models as the main process writes them down for the processes of jobs, which then do not look for them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reload_audit.records.specs import ExternalSpec


class RememberedModels(Mapping[str, ExternalSpec]):
    """External models by name, read from plain data when they are asked for: a job needs few of many.

    :param models: what ``ExternalSpec.from_dict`` reads
    """

    def __init__(self, models: Sequence[Mapping[str, Any]]) -> None:
        self._models = {str(model["model"]): model for model in models}

    def __getitem__(self, name: str) -> ExternalSpec:
        return ExternalSpec.from_dict(self._models[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)


def write(results: str, models: Iterable[ExternalSpec], passed_over: Sequence[str]) -> None:
    """Write down external models, and what was passed over beside them; nothing stays where there are none.

    :param results: the folder of results
    """
    file, others = _files(results)
    others.unlink(missing_ok=True)
    content = [model.to_dict() for model in models]
    if not content:
        file.unlink(missing_ok=True)  # those of another configuration
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    complete = file.with_suffix(".new")
    complete.write_text(json.dumps(content, indent=1), "utf-8")
    complete.replace(file)
    if passed_over:
        others.write_text(json.dumps(passed_over, indent=1), "utf-8")


def read(results: str) -> tuple[Mapping[str, ExternalSpec], Sequence[str]] | None:
    """The models by their names, and what was passed over; None where nothing is written down.

    :param results: the folder of results
    """
    file, others = _files(results)
    if not file.exists():
        return None
    passed_over = json.loads(others.read_text(encoding="utf-8")) if others.exists() else []
    return RememberedModels(json.loads(file.read_text(encoding="utf-8"))), passed_over


def _files(results: str) -> tuple[Path, Path]:
    """The file with the models, and the one with what was passed over, if anything."""
    return Path(results, "external/models.json"), Path(results, "external/passed_over.json")
