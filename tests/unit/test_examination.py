"""An examination is the same after it was written into a model's record and read again."""

from __future__ import annotations

import json

from reload_audit.records.examination import Examination
from support.builders import EXAMINATION


def read_again(examination: Examination) -> Examination:
    return Examination.from_dict(json.loads(json.dumps(examination.to_dict())))


def test_an_examination_is_read_as_it_was_written() -> None:
    assert read_again(EXAMINATION) == EXAMINATION


def test_an_examination_that_failed_is_written_as_its_failure_alone() -> None:
    failed = Examination(failure="it ran out of memory")
    assert failed.to_dict() == {"failure": "it ran out of memory"}
    assert read_again(failed) == failed
