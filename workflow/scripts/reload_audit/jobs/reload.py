"""Reload one model under every condition, each in a fresh process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from reload_audit.jobs.diagnosis import Processes, Target, diagnose
from reload_audit.jobs.ended import note_end
from reload_audit.judging.criteria import Criteria
from reload_audit.processes import isolation
from reload_audit.processes.fork_servers import LIBRARIES, RELOAD_HASH_SEED
from reload_audit.processes.full_disk import is_of_the_machine
from reload_audit.processes.isolation import Failure
from reload_audit.processes.job_log import log_traceback
from reload_audit.reading.refusal import unforeseen
from reload_audit.records.episodes import TrainTime
from reload_audit.records.manifest import TrainedManifest
from reload_audit.records.model_record import Measurement, ModelRecord, check_record, write_record
from reload_audit.records.specs import CANONICAL, Condition, ReloadSpec, conditions
from reload_audit.records.storage import DamagedFileError, read_json

T = TypeVar("T", TrainedManifest, TrainTime)

_EVALUATE = "reload_audit.evaluation.trained:evaluate"
_EXAMINE = "reload_audit.diagnosis.examine:examine_trained"

PRELOAD = (*LIBRARIES, *(target.partition(":")[0] for target in (_EVALUATE, _EXAMINE)))


def reload_model(folder: Path, record: Path, log: Path, reload: ReloadSpec, criteria: Criteria) -> None:
    """Reload the model in ``folder`` under every condition, each in a fresh process, and write what it earned.

    A model that does not earn what it earned at train time is examined, and further conditions are tried.

    :param record: the JSON file to write
    :param log: takes what the processes print
    """
    manifest = _read(folder / "manifest.json", TrainedManifest)
    train_time = None if manifest.failure else _read(folder / "evaluations.json", TrainTime)
    model = ModelRecord(manifest, str(log), train_time)
    if manifest.failure is None:
        isolation.prepare(reload.isolation, hash_seed=RELOAD_HASH_SEED, preload=PRELOAD)
        model = _measured_or_failed(model, folder, Processes(reload, log), reload, criteria)
    write_record(record, model)
    note_end(log, model)


def _read(path: Path, kind: type[T]) -> T:
    """Read what training wrote.

    :raises DamagedFileError: it is something else now
    """
    content = read_json(path)
    try:
        return kind.from_dict(content)
    except Exception as error:
        raise DamagedFileError(path, unforeseen(error)) from None


def _measured_or_failed(
    model: ModelRecord, folder: Path, processes: Processes, reload: ReloadSpec, criteria: Criteria
) -> ModelRecord:
    """As :func:`_measured`. Whatever the model's data makes this process raise is why it could not be reloaded."""
    try:
        measured = _measured(model, folder, processes, reload, criteria)
        check_record(measured)
    except Exception as error:
        if is_of_the_machine(error):
            raise
        log_traceback(Path(model.log))
        failure = Failure("exception", unforeseen(error), "")
        return replace(model, conditions={CANONICAL: Measurement(Condition(CANONICAL, 1), failure, None)})
    return measured


def _measured(
    model: ModelRecord, folder: Path, processes: Processes, reload: ReloadSpec, criteria: Criteria
) -> ModelRecord:
    """The record with what every condition gave, and with the examination if there was need of one."""
    assert isinstance(model.manifest, TrainedManifest)
    spec = model.manifest.spec

    def arguments(condition: Condition) -> tuple[Any, ...]:
        return str(folder), spec, condition, criteria

    trained = model.manifest.training_spec
    planned = conditions(trained.evaluation, reload, own_vec_env=trained.environment.vec_env is not None)
    results = {condition.name: processes.evaluate(_EVALUATE, condition, *arguments(condition)) for condition in planned}
    canonical = results[CANONICAL]
    forced = reload.conditions == "all"
    if canonical.healthy and not forced:
        return replace(model, conditions=results)
    examined = (str(folder), spec, canonical.condition, canonical.episodes, criteria, forced)
    examination, tried = diagnose(processes, Target(_EXAMINE, examined, _EVALUATE, arguments), results)
    return replace(model, conditions={**results, **tried}, examination=examination)
