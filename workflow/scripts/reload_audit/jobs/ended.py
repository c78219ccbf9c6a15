"""Say to those who watch that the work on a model has ended."""

from __future__ import annotations

from pathlib import Path

from reload_audit.processes.notes import Note, leave
from reload_audit.records.model_record import ModelRecord


def note_end(log: Path, record: ModelRecord) -> None:
    """Leave a note that a model is done, and where it could not be run, why.

    Its verdict was noted by the process that evaluated it, see ``evaluation.said``: this one judges nothing.

    :param log: of the job
    """
    leave(log, Note(record.name, ended=True, verdict="error" if record.failure else "", said=record.failure))
