"""From the records of all models to the result tables and ``audit.json``.

Nothing in them depends on times or process ids: two audits from scratch give the same bytes. What a job cost, and
in which process it ran, goes to ``processes.csv``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from reload_audit import __version__
from reload_audit.diagnosis.conclude import Diagnosis, conclude
from reload_audit.diagnosis.evidence import Evidence
from reload_audit.judging.claims import judge_external
from reload_audit.judging.criteria import VERDICTS, Criteria
from reload_audit.judging.divergence_wording import divergence_sentence
from reload_audit.judging.judgement import Judgement
from reload_audit.judging.reasons import FurtherEpisodes, reason
from reload_audit.judging.verdicts import JudgedVerdict, decide_verdicts
from reload_audit.probing.conclusions import CAPTIONS, findings
from reload_audit.reading.refusal import shown, unforeseen
from reload_audit.records.audit_file import SCHEMA_VERSION, AuditFile, NotComparableError, read_earlier
from reload_audit.records.conditions import EXPLORING
from reload_audit.records.culprits import culprits
from reload_audit.records.divergence import Divergence
from reload_audit.records.environment_health import EnvironmentHealth
from reload_audit.records.environment_spec import EnvironmentSpec
from reload_audit.records.manifest import Machine, TrainedManifest
from reload_audit.records.model_record import Check, ModelRecord, read_records
from reload_audit.records.probe_names import probe_name
from reload_audit.records.probe_record import ProbeRecord
from reload_audit.records.script_entry import ScriptEntry
from reload_audit.records.script_record import ScriptRecord
from reload_audit.records.since import Since
from reload_audit.records.specs import Claim
from reload_audit.records.storage import DamagedFileError, digest, json_text, plain, write_text
from reload_audit.results import tables
from reload_audit.results.candidates import candidates
from reload_audit.results.health import environment_health
from reload_audit.results.rows import checks_failed, condition_row, episode_rows, failed_row, model_row, process_rows
from reload_audit.results.scripts import script_entries
from reload_audit.results.since import AuditFiles, since
from reload_audit.results.tables import ConditionRow, ModelRow, ProcessRow


@dataclass(frozen=True)
class _Software:
    """What a model was trained with; None where training failed.

    :param versions: of Python and of the packages that decide what a model does, by name
    """

    versions: Mapping[str, str] | None
    machine: Machine | None

    @classmethod
    def of(cls, record: ModelRecord) -> _Software | None:
        """None for an external model."""
        if not isinstance(record.manifest, TrainedManifest):
            return None
        training = record.manifest.training
        if training is None:
            return cls(None, None)
        return cls(training.description.identity.versions, training.description.machine)


@dataclass(frozen=True)
class _Judged:
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
    software: _Software | None
    criteria: Criteria
    further: FurtherEpisodes
    reloaded_with: Mapping[str, str] = field(default_factory=dict)
    failed: bool = False

    @classmethod
    def of(cls, record: ModelRecord, criteria: Criteria, results: Path) -> _Judged:
        judgement = judge_record(record, criteria)
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
            software=_Software.of(record),
            criteria=of_record,
            further=_further_episodes(record, of_record),
            reloaded_with=_reloaded_with(record),
        )

    @classmethod
    def instead(cls, row: ModelRow, criteria: Criteria) -> _Judged:
        """What stands for a model whose record cannot be used.

        :param row: see :func:`rows.failed_row`
        """
        evidence = Evidence(None, row.reason or "", (0, 0))
        further = FurtherEpisodes("claim")
        return cls(row, None, (), evidence, "", None, None, (), (), (), None, criteria, further, failed=True)


@dataclass(frozen=True)
class _Tables:
    """All that is made of the records of all models, ready to be written.

    :param audit: the content of ``audit.json``
    """

    models: pa.Table
    conditions: pa.Table
    processes: pa.Table
    audit: str


@dataclass(frozen=True)
class Baseline:
    """An earlier audit that this one is compared with.

    :param audit: its ``audit.json``
    :param called: what the user calls it
    :param only: names of the models that this audit is restricted to; empty where it is not
    """

    audit: Path
    called: str
    only: Sequence[str] = ()


def aggregate(
    records: Iterable[Path],
    criteria: Criteria,
    settings: Mapping[str, Any],
    results: Path,
    probes: Sequence[Path] = (),
    passed_over: Sequence[str] = (),
    scripts: Sequence[Path] = (),
    baseline: Baseline | None = None,
    compare: Sequence[Mapping[str, str]] = (),
) -> None:
    """Write every result table, and ``audit.json``, into the folder ``results``.

    :param records: files of records, one a trained model and one a batch of external models, in the tables' order
    :param settings: the sections of the configuration that decided, for ``audit.json``
    :param probes: files of what probing the models' environments found
    :param passed_over: what lies beside external models and is none, in words
    :param scripts: files of what was seen of scripts
    :param baseline: the earlier audit that this one is compared with
    :param compare: pairs of models to compare, a ``candidate`` with the one that is ``shipping``
    """
    judged: list[_Judged] = []
    with tables.ParquetTable(results / "episodes.parquet", tables.EPISODES) as episodes:
        for path in records:
            judged += [_read(record, criteria, results, episodes) for record in read_records(path)]
    made = _made(judged, _Audited(criteria, settings, dict(_probed(probes)), passed_over, [*_observed(scripts)]))
    tables.write_parquet(results / "models.parquet", made.models)
    tables.write_csv(results / "models.csv", made.models)
    tables.write_parquet(results / "conditions.parquet", made.conditions)
    tables.write_csv(results / "processes.csv", made.processes)
    said = made.audit if baseline is None else _with_since(made.audit, baseline, criteria, results)
    if compare:
        content = json.loads(said)
        compared = candidates(compare, AuditFile.from_json(content), results, criteria)
        said = json_text({**content, "candidates": [result.to_dict() for result in compared]})
    write_text(results / "audit.json", said)


NO_EARLIER = "there is no earlier audit in this folder yet; this one is kept for the next"


def _with_since(audit: str, baseline: Baseline, criteria: Criteria, results: Path) -> str:
    """``audit.json`` with what has changed since the baseline; where that cannot be compared it says why.

    :param audit: what it is without
    """
    content = json.loads(audit)
    if not baseline.audit.exists():
        return json_text(content | {"since": Since(baseline.called, "", (), remarks=(NO_EARLIER,)).to_dict()})
    try:
        then = AuditFiles(read_earlier(baseline.audit), baseline.audit.parent, baseline.called)
    except NotComparableError as error:
        changes = Since(baseline.called, "", (), remarks=(f"nothing is compared: {error}",))
    else:
        changes = since(then, AuditFiles(AuditFile.from_json(content), results, "this audit"), criteria, baseline.only)
    return json_text({**content, "since": changes.to_dict()})


def _read(content: Mapping[str, Any], criteria: Criteria, results: Path, episodes: tables.ParquetTable) -> _Judged:
    """What is kept of a record, which may hold what a stranger's files said.

    :param results: the folder of results
    :param episodes: takes its episodes
    """
    try:
        record = ModelRecord.from_dict(content)
        judged = _Judged.of(record, criteria, results)
        episodes.add(map(vars, episode_rows(record)))
    except OSError:
        raise
    except Exception as error:
        return _Judged.instead(failed_row(content, error), criteria)
    return judged


def _probed(probes: Iterable[Path]) -> Iterator[tuple[str, ProbeRecord]]:
    """The probes by their names, without those that cannot be used: what they found is then not known."""
    for path in probes:
        try:
            probe = ProbeRecord.read(path)
            json_text(environment_entry(path.stem, probe))
        except (OSError, DamagedFileError):
            raise
        except Exception as error:
            print(f"{path} cannot be used: {unforeseen(error)}", file=sys.stderr)
            continue
        yield path.stem, probe


@dataclass(frozen=True)
class _Audited:
    """What an audit's models have in common.

    :param settings: the sections of the configuration that decided
    :param probed: what probing environments found, by name
    :param passed_over: what lies beside external models and is none, in words
    """

    criteria: Criteria
    settings: Mapping[str, Any]
    probed: Mapping[str, ProbeRecord]
    passed_over: Sequence[str]
    scripts: Sequence[ScriptEntry]


def _observed(scripts: Iterable[Path]) -> Iterator[ScriptEntry]:
    """What is to be said of scripts; those whose records cannot be used are left out, and standard error says why."""
    for path in scripts:
        try:
            entries = script_entries(ScriptRecord.read(path))
            json_text([entry.to_dict() for entry in entries])
        except (OSError, DamagedFileError):
            raise
        except Exception as error:
            print(f"{path} cannot be used: {unforeseen(error)}", file=sys.stderr)
            continue
        yield from entries


def _made(judged: Sequence[_Judged], audited: _Audited) -> _Tables:
    """The tables of all models; those that cannot be put into them are there as errors, with the reason."""

    def make(models: Sequence[_Judged]) -> _Tables:
        return _put_together(models, audited)

    while True:
        try:
            return make(judged)
        except Exception:
            faulty = {index: error for index, error in culprits(judged, make).items() if not judged[index].failed}
            if not faulty:
                raise
            judged = [
                _Judged.instead(failed_row(asdict(model.row), faulty[index]), model.criteria)
                if index in faulty
                else model
                for index, model in enumerate(judged)
            ]


def _put_together(judged: Sequence[_Judged], audited: _Audited) -> _Tables:
    rows, probed = _with_verdicts(judged, audited.criteria), audited.probed
    diagnoses = [_diagnose(model, row, probed.get(model.probe)) for model, row in zip(judged, rows, strict=True)]
    rows = [_with_cause(row, diagnosis) for row, diagnosis in zip(rows, diagnoses, strict=True)]
    audit = {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "reload-audit", "version": __version__},
        "settings": audited.settings,
        "reloaded_with": _all_versions(judged),
        "trained_with": [*_distinct(model.software for model in judged if model.software is not None)],
        "counts": count_verdicts([row.verdict for row in rows]),
        "models": [
            _entry(model, row, diagnosis, model.probe if model.probe in probed else None)
            for model, row, diagnosis in zip(judged, rows, diagnoses, strict=True)
        ],
        "environments": [environment_entry(name, probed[name]) for name in sorted(probed)],
        "environment_health": [health.to_dict() for health in _health(judged, probed)],
        "passed_over": [*audited.passed_over],
        "scripts": [script.to_dict() for script in audited.scripts],
    }
    return _Tables(
        models=tables.table(map(asdict, rows), tables.MODELS),
        conditions=tables.table((asdict(row) for model in judged for row in model.conditions), tables.CONDITIONS),
        processes=tables.table((asdict(row) for model in judged for row in model.processes), tables.PROCESSES),
        audit=json_text(audit),
    )


def _reloaded_with(record: ModelRecord) -> dict[str, str]:
    """Versions of the packages that reloaded a model, by name."""
    if isinstance(record.manifest, TrainedManifest):
        checks = [] if record.canonical is None else record.canonical.checks
        return {check.package: str(check.found) for check in checks if check.package is not None}
    versions = record.manifest.facts.versions
    return {package: version for package, version in versions.items() if package != "platform"}


def _all_versions(judged: Iterable[_Judged]) -> dict[str, list[str]]:
    """Of each package all versions that reloaded models, in order."""
    found: dict[str, set[str]] = {}
    for model in judged:
        for package, version in model.reloaded_with.items():
            found.setdefault(shown(package), set()).add(shown(version))
    return {package: sorted(versions) for package, versions in sorted(found.items())}


def _health(judged: Sequence[_Judged], probed: Mapping[str, ProbeRecord]) -> Iterator[EnvironmentHealth]:
    """The health of each distinct environment of the models, or of those that are probed without any, by name."""
    groups: dict[str, list[_Judged]] = {}
    for model in judged:
        if model.environment is not None:
            groups.setdefault(model.probe, []).append(model)
    for name, group in sorted(groups.items()):
        environment, models = group[0].environment, [model.row.model or "" for model in group]
        if environment is not None:
            yield environment_health(name, environment, probed.get(name), models, group[0].evidence.model)
    for name in () if judged else sorted(probed):  # the user asked for the probe alone
        yield environment_health(name, EnvironmentSpec.from_dict(probed[name].environment), probed[name])


def judge_record(record: ModelRecord, criteria: Criteria) -> Judgement | None:
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


def _criteria_of(record: ModelRecord, criteria: Criteria) -> Criteria:
    """The criteria with the looks of this model: its recorder's, and no further than there is a recording."""
    looked = replace(criteria, looks=record.looks or criteria.looks)
    return looked if record.train_time is None else looked.up_to(len(record.train_time.quoted))


def count_verdicts(verdicts: Sequence[str | None]) -> dict[str, int]:
    """How many models have each verdict, in the verdicts' order, zeros included."""
    return {str(verdict): verdicts.count(verdict) for verdict in VERDICTS}


def _with_verdicts(models: Sequence[_Judged], criteria: Criteria) -> list[ModelRow]:
    """The rows with q, verdict, gap and reason, which need all models."""
    decided = decide_verdicts([model.judgement for model in models], criteria)
    return [_with_verdict(model, verdict) for model, verdict in zip(models, decided, strict=True)]


def _with_verdict(model: _Judged, judged: JudgedVerdict) -> ModelRow:
    if judged.verdict == "consistent" and model.checks_failed:
        # What is claimed predicts what was measured, but not of this model as it was saved: its files do not agree.
        judged = replace(judged, verdict="inconclusive")
    row = replace(model.row, q=judged.q, verdict=judged.verdict, suspect=judged.suspect)
    if model.judgement is None:
        return row
    said = reason(judged, model.judgement, model.checks_failed, model.criteria, model.further, row.largest_loss_share)
    return replace(row, gap=model.judgement.gap if judged.verdict in ("degraded", "improved") else "", reason=said)


def _with_cause(row: ModelRow, diagnosis: Diagnosis) -> ModelRow:
    """The row with its best cause, and with remarks on its environment."""
    best = diagnosis.causes[0] if diagnosis.causes else None
    return replace(
        row,
        cause="" if best is None else best.cause,
        cause_share=None if best is None else best.share,
        remarks="; ".join(filter(None, [row.remarks, *map(shown, diagnosis.remarks)])),
    )


def _entry(model: _Judged, row: ModelRow, diagnosis: Diagnosis, probe: str | None) -> Mapping[str, Any]:
    """What ``audit.json`` says of a model.

    :param probe: under which name the file says what probing its environment found; None where it was not probed
    """
    divergence = model.divergence
    return {
        **asdict(row),
        "causes": [asdict(cause) for cause in diagnosis.causes],
        "ruled_out": diagnosis.ruled_out,
        "not_excluded": diagnosis.not_excluded,
        "first_divergence": None
        if divergence is None
        else {**divergence.to_dict(), "text": divergence_sentence(divergence)},
        "probe": probe,
        "claims": [asdict(claim) for claim in model.claims],
        "conditions": [asdict(condition) for condition in model.conditions],
    }


def environment_entry(name: str, probe: ProbeRecord) -> Mapping[str, Any]:
    """What ``audit.json`` says of an environment that was probed, without durations.

    :param name: of the probe
    """
    contrasts = {
        contrast: {"what": CAPTIONS[contrast], **asdict(compared)}
        for contrast, compared in probe.effects.contrasts.items()
    }
    record = probe.to_dict() | {"contrasts": contrasts}
    return {
        "name": name,
        "environment": probe.environment,
        "findings": [asdict(finding) for finding in findings(probe)],
        **{key: _without_details(record[key]) for key in ("failure", "remark", "contrasts", "checks", "vectorized")},
    }


def _without_details(content: Any) -> Any:
    """Failures without the ends of logs, which hold paths and addresses."""
    if isinstance(content, Mapping):
        failure = content.keys() == {"kind", "message", "details"}
        return {key: _without_details(value) for key, value in content.items() if not (failure and key == "details")}
    return [_without_details(item) for item in content] if isinstance(content, list | tuple) else content


def _diagnose(model: _Judged, row: ModelRow, probe: ProbeRecord | None) -> Diagnosis:
    """What explains a model's verdict.

    :param probe: what probing its environment found; None where it was not probed
    """
    if model.failed:
        return Diagnosis()
    found = None if probe is None else findings(probe)
    return conclude(model.evidence, row.verdict or "", row.gap or "", model.judgement, found)


def _distinct(entries: Iterable[_Software]) -> Iterator[Mapping[str, Any]]:
    """Every different entry once, with the number of models it stands for."""
    groups: dict[str, list[_Software]] = {}
    for entry in entries:
        groups.setdefault(digest(plain(asdict(entry))), []).append(entry)
    for group in groups.values():
        yield {**asdict(group[0]), "models": len(group)}
