"""The record of one model: what it earned right after training or is claimed to have earned, and after its reload.

``jobs.reload`` writes one of a trained model, ``jobs.external`` those of a batch; ``results.aggregate`` reads them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from reload_audit.processes.outcome import Failure, Outcome, Usage
from reload_audit.records.conditions import CANONICAL, Condition
from reload_audit.records.divergence import Divergence
from reload_audit.records.episodes import Episode, TrainTime
from reload_audit.records.examination import Examination
from reload_audit.records.first_look import Spared
from reload_audit.records.manifest import ExternalFacts, ExternalManifest, TrainedManifest
from reload_audit.records.plain_data import BESIDE, PlainData
from reload_audit.records.specs import FORMAT, Claim, ExternalSpec
from reload_audit.records.storage import DamagedFileError, json_text, read_json, write_json


@dataclass(frozen=True)
class Check(PlainData):
    """One comparison of what was loaded with what was saved.

    :param package: whose version is compared; None for all other checks
    """

    name: str
    passed: bool
    expected: Any
    found: Any
    package: str | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Check:
        return cls(data["check"], data["passed"], data["expected"], data["found"], data["package"])

    def to_dict(self) -> dict[str, Any]:
        """What :meth:`from_dict` reads."""
        return {
            "check": self.name,
            "passed": self.passed,
            "expected": self.expected,
            "found": self.found,
            "package": self.package,
        }


@dataclass(frozen=True)
class Evaluation:
    """What evaluating a model under one condition gave, in the process that did it.

    :param checks: of what was loaded; under the canonical condition only
    :param healthy: whether it is shown that nothing is lost, or gained; under the canonical condition only, and where
        stochastic actions decide what that leaves open
    :param divergence: where the episodes first differ from the reference; None where they do not, or are not compared
    :param problem: why the model cannot be evaluated, or None
    :param facts: what the files of an external model say
    :param out_of_time: whether fewer episodes were run than were asked for, because the time for them ended
    :param under_way: how far the episodes were that had no time to end
    :param spared: why further episodes were spared; empty where none were
    :param migration: where its observations or actions do not fit, what is known to make them fit, by its name in
        ``migrations.yaml``; None where they fit, or nothing is known
    """

    checks: Sequence[Check] = ()
    episodes: Sequence[Episode] = ()
    healthy: bool = False
    divergence: Divergence | None = None
    problem: str | None = None
    facts: ExternalFacts = field(default_factory=ExternalFacts)
    migration: str | None = None
    out_of_time: bool = False
    under_way: str = ""
    spared: Spared = ""


_NO_TIME = "its time limit leaves no time for episodes"


@dataclass(frozen=True)
class Measurement(PlainData):
    """What a model earned under one condition: episodes, or the reason why there are none.

    :param failure: why there are no episodes, or None
    :param process: the process that ran the episodes, and what it cost; None where no job of this audit ran them
    :param checks: of what was loaded; under the canonical condition only
    :param healthy: whether it is shown that nothing is lost, or gained; under the canonical condition only, and where
        stochastic actions decide what that leaves open
    :param divergence: where the episodes first differ from the reference; None where no bit does, or no steps are known
    :param out_of_time: whether the time ended before all episodes could be run that were asked for
    :param spared: why further episodes were spared; empty where none were
    """

    condition: Condition = field(metadata=BESIDE)
    failure: Failure | None
    process: Usage | None
    checks: Sequence[Check] = ()
    episodes: Sequence[Episode] = ()
    healthy: bool = False
    divergence: Divergence | None = None
    out_of_time: bool = False
    spared: Spared = ""

    @classmethod
    def of(cls, condition: Condition, outcome: Outcome) -> Measurement:
        """The measurement from the outcome of a process whose function returns an :class:`Evaluation`.

        Where time ended, the episodes count that it had handed over: a mean and a spread need two of them.
        """
        found: Evaluation = outcome.value or Evaluation()
        failure = Failure("refused", found.problem, "") if found.problem else outcome.failure
        out_of_time = found.out_of_time or (failure is not None and failure.kind == "timeout")
        if out_of_time:
            ended = failure.message if failure else _NO_TIME
            said = "; ".join(filter(None, [ended, found.under_way]))
            failure = None if len(found.episodes) > 1 else Failure("timeout", said, "")
        episodes = () if failure else found.episodes
        measured = (
            found.checks,
            episodes,
            found.healthy,
            found.divergence,
            out_of_time and failure is None,
            found.spared,
        )
        return cls(condition, failure, outcome.usage, *measured)

    @property
    def reason(self) -> str:
        """Why there are no episodes; empty where there are."""
        return "" if self.failure is None else self.failure.message

    @property
    def paired(self) -> bool:
        """Whether episode *k* has the seed of episode *k* under every other condition."""
        return self.condition.seeding == "episodes"

    @property
    def rewards(self) -> np.ndarray:
        """What each episode earned, as the condition counts it, shape ``(n,)``; not a number where that is unknown."""
        return np.asarray([getattr(episode, self.condition.earned) for episode in self.episodes], dtype=np.float64)

    @property
    def checks_failed(self) -> list[Check]:
        """The checks that did not pass."""
        return [check for check in self.checks if not check.passed]


Recorded = Mapping[str, Any]
"""A record as its file has it."""


@dataclass(frozen=True)
class ModelRecord:
    """All that the audit measured and found out about one model.

    :param log: file that took what its processes printed
    :param train_time: what it earned right after training; None where that was not recorded
    :param conditions: what it earned after its reload, by the condition's name; empty where it was not reloaded
    :param examination: what examining it gave; None where there was no need
    :param random_mean: mean reward of a random policy in an external model's environment, where it was measured
    :param looks: numbers of episodes at which the recorder of an external model's reference looked; empty where the
        looks of this audit apply
    """

    manifest: TrainedManifest | ExternalManifest
    log: str
    train_time: TrainTime | None = None
    conditions: Mapping[str, Measurement] = field(default_factory=dict)
    examination: Examination | None = None
    random_mean: float | None = None
    looks: tuple[int, ...] = ()

    @classmethod
    def from_dict(cls, data: Recorded) -> ModelRecord:
        train_time, manifest = data["train_time"], data["manifest"]
        random_mean, examination = data.get("random_mean"), data["diagnosis"]
        return cls(
            manifest=(ExternalManifest if "external" in manifest else TrainedManifest).from_dict(manifest),
            log=data["log"],
            train_time=None if train_time is None else TrainTime.from_dict(train_time),
            conditions={name: Measurement.from_dict(content) for name, content in data["conditions"].items()},
            examination=None if examination is None else Examination.from_dict(examination),
            random_mean=None if random_mean is None else float(random_mean),
            looks=tuple(data.get("looks", ())),
        )

    def to_dict(self) -> dict[str, Any]:
        """What :meth:`from_dict` reads."""
        of_external = {"random_mean": self.random_mean, "looks": list(self.looks)}
        return {
            "format": FORMAT,
            "manifest": self.manifest.to_dict(),
            **({} if self.external is None else of_external),
            "train_time": None if self.train_time is None else self.train_time.to_dict(),
            "conditions": {name: measurement.to_dict() for name, measurement in self.conditions.items()},
            "diagnosis": None if self.examination is None else self.examination.to_dict(),
            "log": self.log,
        }

    @property
    def external(self) -> ExternalSpec | None:
        """The files and settings of an external model; None for one that this workflow trained."""
        return self.manifest.external if isinstance(self.manifest, ExternalManifest) else None

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.model if isinstance(self.manifest, TrainedManifest) else self.manifest.external.model

    @property
    def algo(self) -> str:
        """The name of its algorithm's class."""
        manifest = self.manifest
        return manifest.training_spec.algo if isinstance(manifest, TrainedManifest) else manifest.external.algo

    @property
    def environment(self) -> Mapping[str, Any]:
        """How its environment is built, as it was planned: what ``EnvironmentSpec.from_dict`` reads."""
        if isinstance(self.manifest, ExternalManifest):
            return self.manifest.external.environment.to_dict()
        environment: Mapping[str, Any] = self.manifest.spec["environment"]
        return environment

    @property
    def claims(self) -> tuple[Claim, ...]:
        """The claims about an external model; none for one that this workflow trained."""
        return self.manifest.facts.claims if isinstance(self.manifest, ExternalManifest) else ()

    @property
    def random_policy_mean(self) -> float | None:
        """Mean reward of a random policy in its environment; None where it could not be measured."""
        return self.random_mean if self.train_time is None else self.train_time.random_mean

    @cached_property
    def measurements(self) -> Mapping[str, Measurement]:
        """All that was measured, by the condition's name: for a trained model also in place and as reference."""
        if self.train_time is None or isinstance(self.manifest, ExternalManifest):
            return self.conditions
        spec, process = self.manifest.training_spec, self.manifest.process
        in_place = Condition("in_place", spec.n_envs, spec.vec_env)
        reference = Condition("reference", spec.evaluation.n_envs)
        return {
            "in_place": Measurement(in_place, None, process, episodes=self.train_time.quoted),
            "reference": Measurement(reference, None, process, episodes=self.train_time.reference),
            **self.conditions,
        }

    @property
    def canonical(self) -> Measurement | None:
        """What it earned under the canonical condition; None where it was not reloaded."""
        return self.conditions.get(CANONICAL)

    @property
    def failure(self) -> str:
        """Why rewards cannot be judged, because training, loading or reloading failed; empty where they can."""
        if isinstance(self.manifest, TrainedManifest) and self.manifest.failure is not None:
            return f"in training: {self.manifest.failure.message}"
        if isinstance(self.manifest, ExternalManifest) and self.manifest.problem:
            return f"before reload: {self.manifest.problem}"
        if self.canonical is None:
            return "on reload: nothing was measured"
        return f"on reload: {self.canonical.reason}" if self.canonical.reason else ""

    @property
    def reference(self) -> Sequence[Episode]:
        """The episodes that conditions are compared with: the recorded reference, or else the canonical reload."""
        if self.train_time is not None:
            return self.train_time.reference
        return [] if self.canonical is None else self.canonical.episodes


def check_record(record: ModelRecord) -> None:
    """Write a record and read it again, in memory; raises whatever keeps it from being written, or read."""
    ModelRecord.from_dict(json.loads(json_text(record.to_dict())))


def write_batch(path: Path, records: Sequence[ModelRecord]) -> None:
    """Write the records of a batch of external models."""
    write_json(path, [record.to_dict() for record in records])


def read_records(path: Path) -> Iterator[Recorded]:
    """The records in a file, one by one: that of a trained model, or those of a batch. ``from_dict`` reads each.

    :raises DamagedFileError: it is not JSON any more, or holds something that names no model
    """
    content = read_json(path)
    for record in content if isinstance(content, list) else [content]:
        if not isinstance(recorded_text(record, "manifest", "model"), str):
            raise DamagedFileError(path, "expected records that name their models")
        yield record


def recorded_text(record: Any, *keys: str) -> str | None:
    """A text in a record that may be damaged; None where it is not there.

    :param keys: that lead to it
    """
    for key in keys:
        record = record.get(key) if isinstance(record, Mapping) else None
    return record if isinstance(record, str) else None
