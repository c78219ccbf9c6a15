"""Audit a batch of models that others trained: every model and condition in a fresh process of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from reload_audit.jobs.batch_cache import Kept
from reload_audit.jobs.diagnosis import Processes, Target, condition_record, diagnose
from reload_audit.judging.criteria import Criteria
from reload_audit.models.recording import read_recording
from reload_audit.processes import isolation
from reload_audit.processes.fork_servers import LIBRARIES, RELOAD_HASH_SEED
from reload_audit.reading.refusal import Unreadable
from reload_audit.records.examination import Examination
from reload_audit.records.specs import (
    CANONICAL,
    FORMAT,
    Condition,
    ExternalPolicy,
    ExternalSpec,
    ReloadSpec,
    conditions,
)
from reload_audit.records.storage import digest, plain, write_json

_EVALUATE = "reload_audit.evaluation.external:evaluate_external"
_EXAMINE = "reload_audit.diagnosis.examine:examine_external"

PRELOAD = (*LIBRARIES, *(target.partition(":")[0] for target in (_EVALUATE, _EXAMINE)))


def audit_batch(
    models: Sequence[Mapping[str, Any]],
    records: Path,
    log: Path,
    policy: ExternalPolicy,
    reload: ReloadSpec,
    criteria: Criteria,
    *,
    code: str = "",
) -> None:
    """Audit models one after the other and write their records into one file.

    :param models: what ``ExternalSpec.from_dict`` reads
    :param records: the JSON file to write; beside it, in ``kept/``, lies what need not be done again
    :param log: takes what the processes print
    :param code: digest of the code that decides the records
    """
    kept = Kept(records.parent / "kept", records.stem, [asdict(part) for part in (policy, reload, criteria)] + [code])
    audited = kept.find(models)
    if audited:
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"{len(audited)} of {len(models)} models are as they were when they were audited before\n")
    isolation.prepare(reload.isolation, hash_seed=RELOAD_HASH_SEED, preload=PRELOAD)
    batch = _Batch(log, policy, reload, criteria)
    for model in models:
        if model["model"] not in audited:
            audited[model["model"]] = record = batch.audit(ExternalSpec.from_dict(model), model)
            kept.add(model, record)
    write_json(records, [{**audited[model["model"]], "log": str(log)} for model in models])


class _Batch:
    """What the models of a batch share: settings, and what a random policy earns in each environment."""

    def __init__(self, log: Path, policy: ExternalPolicy, reload: ReloadSpec, criteria: Criteria) -> None:
        self._processes = Processes(reload, log)
        self._log = log
        self._policy = policy
        self._reload = reload
        self._criteria = criteria
        self._random_means: dict[str, float | None] = {}

    def audit(self, spec: ExternalSpec, data: Mapping[str, Any]) -> dict[str, Any]:
        """One model's record. Conditions besides the canonical one run only where that leaves a question."""
        found: Mapping[str, Any] = {}
        results: dict[str, Any] = {}
        examination: Examination | None = None
        problem, random_mean = spec.problem, None
        recording = None
        try:
            recording = read_recording(spec.recording) if spec.recording and spec.judged_by_recording else None
        except Unreadable as unreadable:
            problem = problem or str(unreadable)
        if problem is None:
            random_mean = self._random_mean(spec) if recording is None else None
            evaluation = self._policy.evaluation if recording is None else recording.evaluation
            deterministic = spec.deterministic or recording is not None  # as reference episodes are
            planned = conditions(evaluation, self._reload, deterministic=deterministic)
            found, results, examination = self._measure(spec, planned, random_mean)
        measured = any(result["episodes"] for result in results.values())
        if measured and random_mean is None and recording is None:
            remark = "what a random policy earns could not be measured: the margin rests on the claim alone"
            found = {**found, "remarks": [*found["remarks"], remark]}
        return {
            "format": FORMAT,
            "manifest": {"model": spec.model, "external": dict(data), "problem": problem, **found},
            "random_mean": random_mean,
            "looks": [] if recording is None else list(recording.evaluation.looks),
            "train_time": None if recording is None else recording.train_time.to_dict(),
            "conditions": results,
            "diagnosis": None if examination is None else examination.to_dict(),
            "log": str(self._log),
        }

    def _measure(
        self, spec: ExternalSpec, planned: Sequence[Condition], random_mean: float | None
    ) -> tuple[Mapping[str, Any], dict[str, Any], Examination | None]:
        """What was found in the model's files, the records of its conditions, and what may explain them."""
        results: dict[str, Any] = {}
        found: Mapping[str, Any] = {}

        def arguments(condition: Condition) -> tuple[Any, ...]:
            return spec, self._policy, condition, self._criteria, random_mean

        forced = self._reload.conditions == "all"
        canonical = planned[0]
        for condition in planned:
            outcome = self._processes.call(_EVALUATE, *arguments(condition))
            results[condition.name] = condition_record(condition, outcome)
            found = found or (outcome.value or {}).get("found", {})
            healthy = results[CANONICAL]["healthy"]
            if not results[CANONICAL]["episodes"] or (healthy and not forced):
                break
        if results[CANONICAL]["healthy"] and not forced:
            return found, results, None
        episodes = results[CANONICAL]["episodes"]
        examined = (spec, self._policy, canonical, episodes, random_mean, self._criteria, forced)
        target = Target(_EXAMINE, examined, _EVALUATE, arguments)
        examination, tried = diagnose(self._processes, target, canonical, results)
        return found, {**results, **tried}, examination

    def _random_mean(self, spec: ExternalSpec) -> float | None:
        key = digest([plain(asdict(replace(spec.environment, normalize=None))), spec.named_by_user])
        if key not in self._random_means:
            self._random_means[key] = self._processes.call(
                "reload_audit.evaluation.external:random_policy_reward", spec, self._policy
            ).value
        return self._random_means[key]
