"""What was measured of one model, decoded from its record: of a model trained here, or by others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from reload_audit.judging.claims import judge_external
from reload_audit.judging.criteria import Criteria
from reload_audit.judging.judgement import Judgement
from reload_audit.records.episodes import Episode, TrainTime, episodes_from
from reload_audit.records.examination import Examination
from reload_audit.records.specs import CANONICAL, Claim, Condition, EvaluationSpec
from reload_audit.records.storage import read_json


@dataclass(frozen=True)
class Measurement:
    """What one condition gave: episodes, or the reason why there are none.

    :param process: which process it was, and what it cost; None where somebody else measured
    :param earned: which sum of an episode is its reward under this condition
    :param divergence: where it first differs from the reference; None where no bit does, or no steps are known
    :param paired: whether its episodes have the seeds of the others
    """

    condition: str
    n_envs: int
    vec_env: str
    deterministic: bool
    failure: str
    episodes: Sequence[Episode]
    process: Mapping[str, Any] | None
    checks: Sequence[Mapping[str, Any]]
    earned: Literal["reward", "step_reward", "monitor_reward"] = "reward"
    paired: bool = True
    divergence: Mapping[str, Any] | None = None

    @property
    def rewards(self) -> np.ndarray:
        """What each episode earned, as the condition counts it, shape ``(n,)``; not a number where that is unknown."""
        return np.asarray([getattr(episode, self.earned) for episode in self.episodes], dtype=np.float64)

    @property
    def checks_failed(self) -> list[Mapping[str, Any]]:
        return [check for check in self.checks if not check["passed"]]


@dataclass(frozen=True)
class ModelRecord:
    """One model's record.

    :param manifest: what was trained, or what was found in somebody else's files
    :param external: how it was found, for a model that others trained; None for one that this workflow trained
    :param claims: what others say that it earned
    :param random_mean: what a random policy earns in its environment
    :param examination: what examining it found, and which trials were made; None where there was no need
    :param looks: those of a recorded reference, which were the recorder's to choose; empty for the audit's own
    """

    name: str
    manifest: Mapping[str, Any]
    external: Mapping[str, Any] | None
    log: str
    train_time: TrainTime | None
    random_mean: float | None
    claims: Sequence[Claim]
    measurements: Mapping[str, Measurement]
    examination: Examination | None
    looks: tuple[int, ...]

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> ModelRecord:
        manifest = record["manifest"]
        train_time = None if record["train_time"] is None else TrainTime.from_dict(record["train_time"])
        external = manifest.get("external")
        measurements: dict[str, Measurement] = {}
        if train_time is not None and external is None:
            measurements |= _train_time_measurements(manifest, train_time)
        measurements |= {name: _measurement(name, content) for name, content in record["conditions"].items()}
        return cls(
            name=manifest["model"],
            manifest=manifest,
            external=external,
            log=record["log"],
            train_time=train_time,
            random_mean=record.get("random_mean") if train_time is None else train_time.random_mean,
            claims=[Claim.from_dict(claim) for claim in manifest.get("claims", [])],
            measurements=measurements,
            examination=None if record.get("diagnosis") is None else Examination.from_dict(record["diagnosis"]),
            looks=tuple(record.get("looks", [])),
        )

    @property
    def environment(self) -> Mapping[str, Any]:
        """How its environment is built, as the workflow planned it."""
        spec: Mapping[str, Any] = self.manifest["spec"] if self.external is None else self.external
        environment: Mapping[str, Any] = spec["environment"]
        return environment

    @property
    def canonical(self) -> Measurement | None:
        return self.measurements.get(CANONICAL)

    @property
    def failure(self) -> str:
        """Why there is no verdict on rewards, or nothing."""
        if self.manifest.get("failure"):
            return f"in training: {self.manifest['failure']['message']}"
        if self.manifest.get("problem"):
            return f"before reload: {self.manifest['problem']}"
        if self.canonical is None:
            return "on reload: nothing was measured"
        return f"on reload: {self.canonical.failure}" if self.canonical.failure else ""

    def judge(self, criteria: Criteria) -> Judgement | None:
        """What the measurements say; None where there are none."""
        if self.failure or self.canonical is None:
            return None
        criteria = replace(criteria, looks=self.looks or criteria.looks)
        return judge_external(self.train_time, self.claims, self.canonical.episodes, self.random_mean, criteria)

    @property
    def reference(self) -> Sequence[Episode]:
        """What the conditions are compared with: the recorded reference, or else the canonical reload."""
        if self.train_time is not None:
            return self.train_time.reference
        return [] if self.canonical is None else self.canonical.episodes


def read_records(path: Path) -> Iterator[ModelRecord]:
    """The records in a file: one of a trained model, or those of a batch."""
    content = read_json(path)
    for record in content if isinstance(content, list) else [content]:
        yield ModelRecord.from_dict(record)


def _train_time_measurements(manifest: Mapping[str, Any], train_time: TrainTime) -> dict[str, Measurement]:
    spec, process = manifest["spec"], manifest["process"]
    slots = EvaluationSpec.from_dict(spec["evaluation"]).n_envs
    return {
        "in_place": Measurement("in_place", spec["n_envs"], spec["vec_env"], True, "", train_time.quoted, process, ()),
        "reference": Measurement("reference", slots, "dummy", True, "", train_time.reference, process, ()),
    }


def _measurement(name: str, content: Mapping[str, Any]) -> Measurement:
    failure = content["failure"]
    condition = Condition.from_dict(
        {field.name: content[field.name] for field in fields(Condition)[1:]} | {"name": name}
    )
    return Measurement(
        condition=name,
        n_envs=content["n_envs"],
        vec_env=content["vec_env"],
        deterministic=content["deterministic"],
        failure="" if failure is None else failure["message"],
        episodes=episodes_from(content["episodes"]),
        process=content["process"],
        checks=content["checks"],
        earned=condition.earned,
        paired=condition.seeding == "episodes",
        divergence=content.get("divergence"),
    )
