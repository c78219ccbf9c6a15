"""One model judged by its record: what is kept of the record until those of all models are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from reload_audit.diagnosis.evidence import Evidence
from reload_audit.judging.claims import judge_external
from reload_audit.judging.criteria import Criteria
from reload_audit.judging.judgement import Judgement
from reload_audit.judging.reasons import FurtherEpisodes
from reload_audit.records.conditions import EXPLORING
from reload_audit.records.divergence import Divergence
from reload_audit.records.environment_spec import EnvironmentSpec
from reload_audit.records.manifest import Machine, TrainedManifest
from reload_audit.records.model_record import Check, ModelRecord
from reload_audit.records.probe_names import probe_name
from reload_audit.records.specs import Claim
from reload_audit.results.rows import checks_failed, condition_row, model_row, process_rows
from reload_audit.results.tables import ConditionRow, ModelRow, ProcessRow


@dataclass(frozen=True)
class TrainedWith:
    """What a model was trained with; None where training failed.

    :param versions: of Python and of the packages that decide what a model does, by name
    """

    versions: Mapping[str, str] | None
    machine: Machine | None

    @classmethod
    def of(cls, record: ModelRecord) -> TrainedWith | None:
        """None for an external model."""
        if not isinstance(record.manifest, TrainedManifest):
            return None
        training = record.manifest.training
        if training is None:
            return cls(None, None)
        return cls(training.description.identity.versions, training.description.machine)


@dataclass(frozen=True)
class JudgedModel:
    """What is kept of a model's record until all are read: its rows, and what verdict, reason and causes rest on.

    :param software: what a model was trained with; None for an external model
    :param criteria: with the looks of this model
    :param probe: the name of the file that says what probing its environment found, if it was probed
    :param environment: None where it is not known
    :param reloaded_with: versions of the packages that reloaded it, by name
    :param failed: whether its record cannot be used: then the row says why, and nothing else is known
    """

    row: ModelRow
    judgement: Judgement | None
    checks_failed: Sequence[Check]
    evidence: Evidence
    probe: str
    environment: EnvironmentSpec | None
    divergence: Divergence | None
    claims: Sequence[Claim]
    conditions: Sequence[ConditionRow]
    processes: Sequence[ProcessRow]
    software: TrainedWith | None
    criteria: Criteria
    further: FurtherEpisodes
    reloaded_with: Mapping[str, str] = field(default_factory=dict)
    failed: bool = False

    @classmethod
    def of(cls, record: ModelRecord, criteria: Criteria, results: Path) -> JudgedModel:
        judgement = _judge(record, criteria)
        of_record = _criteria_of(record, criteria)
        return cls(
            row=model_row(record, judgement),
            judgement=judgement,
            checks_failed=checks_failed(record),
            evidence=Evidence.of(record, judgement, results),
            probe=probe_name(record.environment),
            environment=EnvironmentSpec.from_dict(record.environment) if record.environment["env"] else None,
            divergence=None if record.canonical is None else record.canonical.divergence,
            claims=record.claims,
            conditions=[condition_row(record, measurement, of_record) for measurement in record.measurements.values()],
            processes=[*process_rows(record)],
            software=TrainedWith.of(record),
            criteria=of_record,
            further=_further_episodes(record, of_record),
            reloaded_with=_reloaded_with(record),
        )

    @classmethod
    def instead(cls, row: ModelRow, criteria: Criteria) -> JudgedModel:
        """What stands for a model whose record cannot be used.

        :param row: see :func:`rows.failed_row`
        """
        evidence = Evidence(None, row.reason or "", (0, 0))
        further = FurtherEpisodes("claim")
        return cls(row, None, (), evidence, "", None, None, (), (), (), None, criteria, further, failed=True)


def _judge(record: ModelRecord, criteria: Criteria) -> Judgement | None:
    """Judge a model by its record; None where nothing was measured."""
    if record.failure or record.canonical is None:
        return None
    of_record = _criteria_of(record, criteria)
    episodes = record.canonical.episodes
    exploring = record.measurements.get(EXPLORING)
    return judge_external(
        record.train_time,
        record.claims,
        episodes,
        record.random_policy_mean,
        of_record,
        () if exploring is None else exploring.episodes,
    )


def _criteria_of(record: ModelRecord, criteria: Criteria) -> Criteria:
    """The criteria with the looks of this model: its recorder's, and no further than there is a recording."""
    looked = replace(criteria, looks=record.looks or criteria.looks)
    return looked if record.train_time is None else looked.up_to(len(record.train_time.quoted))


def _further_episodes(record: ModelRecord, criteria: Criteria) -> FurtherEpisodes:
    """Where further episodes of a model would come from.

    :param criteria: those of this model
    """
    canonical = record.canonical
    seconds, missing = None, 0
    if canonical is not None and canonical.process is not None and canonical.episodes:
        seconds = canonical.process.wall_seconds / len(canonical.episodes)
        missing = max(0, criteria.looks[-1] - len(canonical.episodes)) if canonical.out_of_time else 0
    if record.train_time is None:
        return FurtherEpisodes("claim", seconds, missing)
    return FurtherEpisodes("training" if record.external is None else "recording", seconds, missing)


def _reloaded_with(record: ModelRecord) -> dict[str, str]:
    """Versions of the packages that reloaded a model, by name."""
    if isinstance(record.manifest, TrainedManifest):
        checks = [] if record.canonical is None else record.canonical.checks
        return {check.package: str(check.found) for check in checks if check.package is not None}
    versions = record.manifest.facts.versions
    return {package: version for package, version in versions.items() if package != "platform"}
