"""From the records of all models to the result tables and ``audit.json``.

Nothing in them depends on times or process ids: two audits from scratch give the same bytes. What a job cost, and
in which process it ran, goes to ``processes.csv``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from reload_audit.judging.criteria import Criteria
from reload_audit.reading.refusal import unforeseen
from reload_audit.records.audit_file import AuditFile, NotComparableError, read_earlier
from reload_audit.records.culprits import culprits
from reload_audit.records.model_record import ModelRecord, read_records
from reload_audit.records.probe_record import ProbeRecord
from reload_audit.records.script_entry import ScriptEntry
from reload_audit.records.script_record import ScriptRecord
from reload_audit.records.since import Since
from reload_audit.records.storage import DamagedFileError, json_text, write_text
from reload_audit.results import tables
from reload_audit.results.audit_content import Audited, audit_content, environment_entry
from reload_audit.results.candidates import candidates
from reload_audit.results.conclusions import conclude_all
from reload_audit.results.judged_model import JudgedModel
from reload_audit.results.rows import episode_rows, failed_row
from reload_audit.results.scripts import script_entries
from reload_audit.results.since import AuditFiles, since

_Content = TypeVar("_Content")


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
    :param passed_over: files beside external models that are no models, in words
    :param scripts: files of what was observed of scripts
    :param baseline: the earlier audit that this one is compared with
    :param compare: pairs of models to compare, a ``candidate`` with the one that is ``shipping``
    """
    judged: list[JudgedModel] = []
    with tables.ParquetTable(results / "episodes.parquet", tables.EPISODES) as episodes:
        for path in records:
            judged += [_read(record, criteria, results, episodes) for record in read_records(path)]
    probed = {file.stem: probe for file, probe in _usable(probes, _probe)}
    observed = [entry for _, entries in _usable(scripts, _script_entries) for entry in entries]
    made = _made(judged, Audited(criteria, settings, probed, passed_over, observed))
    tables.write_parquet(results / "models.parquet", made.models)
    tables.write_csv(results / "models.csv", _rows(made.models), made.models.schema)
    tables.write_parquet(results / "conditions.parquet", made.conditions)
    tables.write_csv(results / "processes.csv", _rows(made.processes), made.processes.schema)
    said = made.audit if baseline is None else _with_since(made.audit, baseline, criteria, results)
    if compare:
        content = json.loads(said)
        compared = candidates(compare, AuditFile.from_json(content), results, criteria)
        said = json_text({**content, "candidates": [result.to_dict() for result in compared]})
    write_text(results / "audit.json", said)


def _rows(content: pa.Table) -> Iterator[tables.Row]:
    """The rows of a table, of which a thousand at a time are held as objects."""
    for batch in content.to_batches(max_chunksize=1000):
        yield from batch.to_pylist()


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


def _read(content: Mapping[str, Any], criteria: Criteria, results: Path, episodes: tables.ParquetTable) -> JudgedModel:
    """What is kept of a record, which may hold what a stranger's files said.

    :param results: the folder of results
    :param episodes: takes its episodes
    """
    try:
        record = ModelRecord.from_dict(content)
        judged = JudgedModel.of(record, criteria, results)
        episodes.add(map(vars, episode_rows(record)))
    except OSError:
        raise
    except Exception as error:
        return JudgedModel.instead(failed_row(content, error), criteria)
    return judged


def _probe(file: Path) -> ProbeRecord:
    probe = ProbeRecord.read(file)
    json_text(environment_entry(file.stem, probe))
    return probe


def _script_entries(file: Path) -> list[ScriptEntry]:
    entries = [*script_entries(ScriptRecord.read(file))]
    json_text([entry.to_dict() for entry in entries])
    return entries


def _usable(files: Iterable[Path], read: Callable[[Path], _Content]) -> Iterator[tuple[Path, _Content]]:
    """Files with what they hold; those that cannot be used are left out, and standard error says why.

    :param read: raises where the content cannot be used, for example where it cannot be written as JSON
    """
    for file in files:
        try:
            content = read(file)
        except (OSError, DamagedFileError):
            raise
        except Exception as error:
            print(f"{file} cannot be used: {unforeseen(error)}", file=sys.stderr)
            continue
        yield file, content


def _made(judged: Sequence[JudgedModel], audited: Audited) -> _Tables:
    """The tables of all models; those that cannot be put into them are there as errors, with the reason."""

    def make(models: Sequence[JudgedModel]) -> _Tables:
        return _put_together(models, audited)

    while True:
        try:
            return make(judged)
        except Exception:
            faulty = {index: error for index, error in culprits(judged, make).items() if not judged[index].failed}
            if not faulty:
                raise
            judged = [
                JudgedModel.instead(failed_row(asdict(model.row), faulty[index]), model.criteria)
                if index in faulty
                else model
                for index, model in enumerate(judged)
            ]


def _put_together(judged: Sequence[JudgedModel], audited: Audited) -> _Tables:
    concluded = conclude_all(judged, audited.criteria, audited.probed)
    return _Tables(
        models=tables.table((vars(model.row) for model in concluded), tables.MODELS),
        conditions=tables.table((vars(row) for model in judged for row in model.conditions), tables.CONDITIONS),
        processes=tables.table((vars(row) for model in judged for row in model.processes), tables.PROCESSES),
        audit=json_text(audit_content(concluded, audited)),
    )
