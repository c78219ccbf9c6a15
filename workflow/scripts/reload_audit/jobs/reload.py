"""Reload one model under every condition, each in a fresh process."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from reload_audit import isolation
from reload_audit.jobs import FORMAT, PRELOAD, RELOAD_HASH_SEED
from reload_audit.records import read_json, write_json
from reload_audit.specs import Condition, EvaluationSpec, ReloadSpec, conditions
from reload_audit.verdicts import Criteria


def reload_model(folder: Path, record: Path, log: Path, reload: ReloadSpec, criteria: Criteria) -> None:
    """Reload the model in ``folder`` under every condition, each in a fresh process, and write what it earned.

    :param record: the JSON file to write
    :param log: takes what the processes print
    """
    manifest = read_json(folder / "manifest.json")
    results: dict[str, Any] = {}
    if manifest["failure"] is None:
        spec = manifest["spec"]
        isolation.prepare(reload.isolation, hash_seed=RELOAD_HASH_SEED, preload=PRELOAD)
        for condition in conditions(EvaluationSpec.from_dict(spec["evaluation"]), reload):
            outcome = isolation.call(
                "reload_audit.evaluation:evaluate",
                (str(folder), spec, condition, criteria),
                method=reload.isolation,
                log=log,
                timeout=reload.timeout,
                memory=reload.memory,
            )
            results[condition.name] = _condition_record(condition, outcome)
    train_time = None if manifest["failure"] else read_json(folder / "evaluations.json")
    write_json(
        record,
        {"format": FORMAT, "manifest": manifest, "train_time": train_time, "conditions": results, "log": str(log)},
    )


def _condition_record(condition: Condition, outcome: isolation.Outcome) -> dict[str, Any]:
    return {
        **asdict(condition),
        "failure": None if outcome.failure is None else asdict(outcome.failure),
        "process": asdict(outcome.usage),
        **(outcome.value or {"checks": [], "episodes": []}),
    }
