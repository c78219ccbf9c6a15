"""Reload the models of a batch under every condition, each in a fresh process."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from reload_audit.jobs.diagnosis import Processes, Target, diagnose
from reload_audit.jobs.ended import note_end
from reload_audit.jobs.finished import is_finished_record, made_of, with_note
from reload_audit.judging.criteria import Criteria
from reload_audit.processes import isolation, job_memory
from reload_audit.processes.fork_servers import JUDGING, LIBRARIES, RELOAD_HASH_SEED
from reload_audit.processes.full_disk import is_of_the_machine
from reload_audit.processes.job_log import log_traceback
from reload_audit.processes.notes import Note, leave
from reload_audit.processes.outcome import Failure
from reload_audit.reading.refusal import unforeseen
from reload_audit.records.conditions import CANONICAL, Condition, conditions
from reload_audit.records.episodes import TrainTime, first_difference
from reload_audit.records.first_look import SameBits
from reload_audit.records.manifest import TrainedManifest
from reload_audit.records.model_record import Measurement, ModelRecord, check_record
from reload_audit.records.specs import ReloadSpec
from reload_audit.records.storage import DamagedFileError, folder_digest, read_json, write_json

T = TypeVar("T", TrainedManifest, TrainTime)

_EVALUATE = "reload_audit.evaluation.trained:evaluate"
_EXAMINE = "reload_audit.diagnosis.examine:examine_trained"


@dataclass(frozen=True)
class Folders:
    """Where models are.

    :param trained: the folder in which each trained model has one of its own
    :param reloaded: the folder for the records
    """

    trained: Path
    reloaded: Path


PRELOAD = (*LIBRARIES, *JUDGING, *(target.partition(":")[0] for target in (_EVALUATE, _EXAMINE)))


def reload_batch(
    models: Mapping[str, str],
    batch: Path,
    folders: Folders,
    log: Path,
    reload: ReloadSpec,
    criteria: Criteria,
    compared: Collection[str] = (),
) -> None:
    """Reload models one after the other, but for those that an earlier run of this job has finished.

    :param models: for each model's name a digest of the code that decides its record
    :param batch: the JSON file to write when all are reloaded
    :param log: of the job; beside it, each model that is reloaded gets one of its own
    :param compared: names of those that are compared with other models, which run all of their episodes
    :raises DamagedFileError: what training wrote of a model is something else now; all others are reloaded
    """
    damaged: list[DamagedFileError] = []
    for name, code in models.items():
        folder, record = folders.trained / name, folders.reloaded / f"{name}.json"
        judged_by = replace(criteria, to_last_look=name in compared)
        made = made_of(folder_digest(folder), asdict(reload), asdict(judged_by), code)
        if is_finished_record(record, made):
            leave(log, Note(name, ended=True))
            continue
        own = log.with_name(f"{name}.log")
        own.write_text("", encoding="utf-8")
        try:
            reload_model(folder, record, own, reload, judged_by, made=made)
        except DamagedFileError as error:
            damaged.append(error)
        if own != log:
            with open(log, "a", encoding="utf-8") as file:
                file.write(f"reloaded {name}: {own}\n")
    if damaged:
        raise damaged[0]
    write_json(batch, {"models": [*models]})


def reload_model(
    folder: Path, record: Path, log: Path, reload: ReloadSpec, criteria: Criteria, *, made: str = ""
) -> None:
    """Reload the model in ``folder`` under every condition, each in a fresh process, and write what it earned.

    A model that does not earn what it earned at train time is examined, and further conditions are tried.

    :param record: the JSON file to write
    :param log: takes what the processes print
    :param made: what the record is made of
    """
    killed_before = job_memory.kills()
    manifest = _read(folder / "manifest.json", TrainedManifest)
    train_time = None if manifest.failure else _read(folder / "evaluations.json", TrainTime)
    model = ModelRecord(manifest, str(log), train_time)
    if manifest.failure is None:
        isolation.prepare(reload.isolation, hash_seed=RELOAD_HASH_SEED, preload=PRELOAD)
        model = _measured_or_failed(model, folder, Processes(reload, log), reload, criteria)
    content = model.to_dict()
    if job_memory.kills() == killed_before:  # else it may be the job's fault
        content = with_note(content, made)
    write_json(record, content)
    note_end(log, model)


def _read(path: Path, kind: type[T]) -> T:
    """Read what training wrote.

    :raises DamagedFileError: it is something else now, or gone
    """
    if not path.exists():
        raise DamagedFileError(path, "there is nothing")
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
        return str(folder.absolute()), spec, condition, criteria  # an environment may change its folder

    trained = model.manifest.training_spec
    planned = conditions(trained.evaluation, reload, own_vec_env=trained.environment.vec_env is not None)
    forced = reload.conditions == "all"
    canonical = processes.evaluate(_EVALUATE, planned[0], *arguments(planned[0]))
    first_look = None if forced else _first_look(model, canonical)
    results = {CANONICAL: canonical}
    for condition in planned[1:]:
        results[condition.name] = processes.evaluate(_EVALUATE, condition, *arguments(condition), first_look)
    if canonical.healthy and not forced:
        return replace(model, conditions=results)
    examined = (str(folder), spec, canonical.condition, canonical.episodes, criteria, forced)
    found = diagnose(processes, Target(_EXAMINE, examined, _EVALUATE, arguments), results)
    return replace(model, conditions={**results, **found.measured}, examination=found.examination)


def _first_look(model: ModelRecord, canonical: Measurement) -> SameBits | None:
    """What further conditions may end after: as many episodes as the canonical one's, if all that it ran are sound.

    :return: None where a bit of these is other than at train time, or the user's own VecEnv seeds all slots together
    """
    assert isinstance(model.manifest, TrainedManifest)
    episodes = canonical.episodes
    if not canonical.healthy or model.manifest.training_spec.environment.vec_env is not None:
        return None
    return SameBits(episodes) if first_difference(model.reference[: len(episodes)], episodes) is None else None
