"""What a job of several models has finished: each says what it was made of, so that the next run makes only the others.

A job runs again because one of its models is new or has changed, because one was damaged, or because the job was killed
before its last. Snakemake sees none of this: it only sees whether all are finished.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from reload_audit.records.storage import folder_digest, plain, write_json

_NOTE = ".finished.json"
"""The file in a trained model's folder, and its key in a record."""

_KEY = "finished"


def made_of(*parts: object) -> str:
    """A digest of all that decides a result."""
    return _digest(parts)


def note_in_folder(folder: Path, made: str) -> None:
    """Note in a folder that all of its files are there, and what they are made of."""
    write_json(folder / _NOTE, {"made_of": made, "content": folder_digest(folder)})


def is_finished_folder(folder: Path, *made: str) -> bool:
    """Whether a folder holds what was written there, made of one of the given."""
    try:
        note = json.loads((folder / _NOTE).read_text(encoding="utf-8"))
        return note["made_of"] in made and note["content"] == folder_digest(folder)
    except (OSError, ValueError, TypeError, KeyError):
        return False


def with_note(record: Mapping[str, object], made: str) -> dict[str, object]:
    """A record that also says what it is made of."""
    return {**record, _KEY: {"made_of": made, "content": _digest(record)}}


def is_finished_record(path: Path, made: str) -> bool:
    """Whether a file holds the record that was written there, made of the given."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        note = record.pop(_KEY)
        return bool(note["made_of"] == made and note["content"] == _digest(record))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(plain(value), sort_keys=True).encode()).hexdigest()
