"""Reload one model under every condition, each in a fresh process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reload_audit.jobs.diagnosis import Processes, Target, diagnose
from reload_audit.judging.criteria import Criteria
from reload_audit.processes import isolation
from reload_audit.processes.fork_servers import LIBRARIES, RELOAD_HASH_SEED
from reload_audit.records.examination import Examination
from reload_audit.records.specs import CANONICAL, FORMAT, EvaluationSpec, ReloadSpec, conditions
from reload_audit.records.storage import read_json, write_json

_EVALUATE = "reload_audit.evaluation.trained:evaluate"
_EXAMINE = "reload_audit.diagnosis.examine:examine_trained"

PRELOAD = (*LIBRARIES, *(target.partition(":")[0] for target in (_EVALUATE, _EXAMINE)))


def reload_model(folder: Path, record: Path, log: Path, reload: ReloadSpec, criteria: Criteria) -> None:
    """Reload the model in ``folder`` under every condition, each in a fresh process, and write what it earned.

    A model that does not earn what it earned at train time is examined, and further conditions are tried.

    :param record: the JSON file to write
    :param log: takes what the processes print
    """
    manifest = read_json(folder / "manifest.json")
    train_time = None if manifest["failure"] else read_json(folder / "evaluations.json")
    results: dict[str, Any] = {}
    examination: Examination | None = None
    if manifest["failure"] is None:
        spec = manifest["spec"]
        isolation.prepare(reload.isolation, hash_seed=RELOAD_HASH_SEED, preload=PRELOAD)
        processes = Processes(reload, log)
        planned = conditions(EvaluationSpec.from_dict(spec["evaluation"]), reload)
        for condition in planned:
            results[condition.name] = processes.evaluate(_EVALUATE, condition, str(folder), spec, condition, criteria)
        forced = reload.conditions == "all"
        if forced or not results[CANONICAL]["healthy"]:
            canonical = planned[0]
            episodes = results[CANONICAL]["episodes"]
            target = Target(
                _EXAMINE,
                (str(folder), spec, canonical, episodes, criteria, forced),
                _EVALUATE,
                lambda condition: (str(folder), spec, condition, criteria),
            )
            examination, tried = diagnose(processes, target, canonical, results)
            results |= tried
    write_json(
        record,
        {
            "format": FORMAT,
            "manifest": manifest,
            "train_time": train_time,
            "conditions": results,
            "diagnosis": None if examination is None else examination.to_dict(),
            "log": str(log),
        },
    )
