"""When Snakemake's jobs began and ended, from its own records."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Job:
    """One job.

    :param start: seconds since the epoch
    """

    rule: str
    start: float
    seconds: float


def read(folder: Path) -> list[Job]:
    """All jobs that ran in a working directory, in the order in which they began.

    Each output has a record of its own, with slightly other times; those of one job have its log in common.
    """
    found: dict[tuple[str, ...], Job] = {}
    for path in sorted((folder / ".snakemake/metadata").rglob("*")):
        if path.is_file():
            record = json.loads(path.read_text())
            start, end = record["starttime"], record["endtime"]
            found.setdefault((record["rule"], *record["log"]), Job(record["rule"], start, end - start))
    return sorted(found.values(), key=lambda job: job.start)
