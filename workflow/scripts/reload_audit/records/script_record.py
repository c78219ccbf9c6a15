"""The record of one script: what it was seen to do, and what that costs. ``jobs.script`` writes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reload_audit.processes.isolation import Failure, Usage
from reload_audit.records.observation import Observation
from reload_audit.records.plain_data import PlainData
from reload_audit.records.specs import ScriptSpec
from reload_audit.records.storage import read_json, write_json


@dataclass(frozen=True)
class ScriptRecord(PlainData):
    """What a script was seen to do.

    :param observation: None where it could not be run, or did not end in time; ``failure`` says why
    :param process: that ran it
    :param log: file that took what it printed
    """

    spec: ScriptSpec
    observation: Observation | None
    failure: Failure | None
    process: Usage | None
    log: str

    @classmethod
    def read(cls, path: Path) -> ScriptRecord:
        """Read what :meth:`write` wrote."""
        return cls.from_dict(read_json(path))

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        write_json(path, self.to_dict())
