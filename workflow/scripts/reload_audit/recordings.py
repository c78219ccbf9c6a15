"""What was recorded beside a model when it was trained: its manifest and its reference episodes.

The workflow's own ``train`` rule and :class:`reload_audit.ReferenceRecorder` write the same files. They may have come
from anywhere since, so they are read as what they are: data that may be wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reload_audit.episodes import TrainTime
from reload_audit.reading.refusal import Unreadable, refusing
from reload_audit.reading.texts import read_json
from reload_audit.specs import EvaluationSpec

_MAX_BYTES = 2**28
_MAX_NUMBER = 10**7
_MAX_SLOTS = 1000


@dataclass(frozen=True)
class Recording:
    """A model's manifest, the protocol of its reference episodes, and the episodes."""

    manifest: Mapping[str, Any]
    evaluation: EvaluationSpec
    train_time: TrainTime


def read_recording(folder: str | Path) -> Recording:
    """Read what was recorded into a folder.

    :raises Unreadable: it is not what a recorder writes
    """
    with refusing(f"{folder}: no recording of a reference"):
        manifest, evaluations = (
            read_json(Path(folder) / name, _MAX_BYTES) for name in ("manifest.json", "evaluations.json")
        )
        evaluation = _evaluation(manifest["spec"]["evaluation"])
        for name in ("digests", "acts_on", "versions"):
            dict(manifest[name])
        train_time = TrainTime.from_dict(evaluations)
        numbers = [episode.episode for episode in train_time.reference]
        if numbers != list(range(evaluation.episodes)) or len(train_time.quoted) != len(numbers):
            raise Unreadable(f"{folder}: expected the reference episodes 0 to {evaluation.episodes - 1}")
    return Recording(manifest, evaluation, train_time)


def _evaluation(data: Any) -> EvaluationSpec:
    evaluation = EvaluationSpec.from_dict(data)
    limits = {"episodes": _MAX_NUMBER, "seed": 2**32, "n_envs": _MAX_SLOTS, "max_episode_steps": 10**9}
    for name, limit in limits.items():
        number = getattr(evaluation, name)
        if not isinstance(number, int) or not (name == "seed") <= number + (name == "seed") or number > limit:
            raise ValueError(f"evaluation.{name}: expected a number up to {limit}, found {number!r}")
    if not evaluation.looks or not all(isinstance(look, int) and 1 < look <= _MAX_NUMBER for look in evaluation.looks):
        raise ValueError(f"evaluation.looks: expected numbers of episodes, found {evaluation.looks!r}")
    return evaluation
