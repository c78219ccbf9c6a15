"""An examination is the same after it was written into a model's record and read again."""

from __future__ import annotations

import json
from dataclasses import replace

from reload_audit.causes.finding import Finding
from reload_audit.records.examination import Estimate, Examination, Facts, Trial
from reload_audit.records.specs import CANONICAL, Condition

CANONICAL_CONDITION = Condition(CANONICAL, 10)
EXAMINATION = Examination(
    facts=Facts(num_timesteps=1_000, saved_with={"stable_baselines3": "2.9.2"}, statistics_paired=True),
    findings=(Finding("frame-stack-missing", "forensics", True, "It observes 4 frames.", {"k": 4}),),
    target=50.0,
    pairs=True,
    estimates=(Estimate("the first 10 episodes", "short-episode-bias", 12.5, {"n": 10, "n_envs": 4}),),
    trials=(
        Trial(
            replace(CANONICAL_CONDITION, name="frame_stack=4", environment={"frame_stack": 4}),
            ("frame-stack-missing",),
            {"k": 4},
        ),
        Trial(replace(CANONICAL_CONDITION, name="n_envs=1", n_envs=1)),
    ),
)


def read_again(examination: Examination) -> Examination:
    return Examination.from_dict(json.loads(json.dumps(examination.to_dict())))


def test_an_examination_is_read_as_it_was_written() -> None:
    assert read_again(EXAMINATION) == EXAMINATION


def test_an_examination_that_failed_is_written_as_its_failure_alone() -> None:
    failed = Examination(failure="it ran out of memory")
    assert failed.to_dict() == {"failure": "it ran out of memory"}
    assert read_again(failed) == failed
