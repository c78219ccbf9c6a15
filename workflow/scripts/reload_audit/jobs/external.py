"""Audit a batch of external models: every model and condition in a fresh process of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from reload_audit.jobs.batch_cache import BatchCache
from reload_audit.jobs.diagnosis import Processes, Target, diagnose
from reload_audit.jobs.ended import note_end
from reload_audit.judging.claims import exploring_may_tell
from reload_audit.judging.criteria import Criteria
from reload_audit.models.recording import read_recording
from reload_audit.processes import isolation
from reload_audit.processes.fork_servers import JUDGING, LIBRARIES, RELOAD_HASH_SEED
from reload_audit.processes.full_disk import is_of_the_machine
from reload_audit.processes.job_log import log_traceback
from reload_audit.processes.notes import Note, leave
from reload_audit.reading.refusal import Unreadable, unforeseen
from reload_audit.records.conditions import CANONICAL, EXPLORING, Condition, conditions
from reload_audit.records.digests import digest
from reload_audit.records.episodes import RandomReward
from reload_audit.records.manifest import ExternalFacts, ExternalManifest
from reload_audit.records.model_record import Measurement, ModelRecord, check_record, write_batch
from reload_audit.records.specs import ExternalPolicy, ExternalSpec, ReloadSpec
from reload_audit.records.storage import plain

_EVALUATE = "reload_audit.evaluation.external:evaluate_external"
_EXAMINE = "reload_audit.diagnosis.examine:examine_external"

_EXPLORING_EPISODES = 100
"""Episodes with stochastic actions, at most: as many training episodes are in a model's zip."""

PRELOAD = (*LIBRARIES, *JUDGING, *(target.partition(":")[0] for target in (_EVALUATE, _EXAMINE)))


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
    :param records: the JSON file to write; beside it, in ``kept/``, lies the batch cache
    :param log: takes what the processes print
    :param code: digest of the code that decides the records
    """
    specs = [ExternalSpec.from_dict(model) for model in models]
    cache = BatchCache(
        records.parent / "kept", records.stem, [asdict(part) for part in (policy, reload, criteria)] + [code]
    )
    audited = cache.find(specs)
    if audited:
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"{len(audited)} of {len(models)} models are as they were when they were audited before\n")
        leave(log, *(Note(model, ended=True) for model in audited))
    isolation.prepare(reload.isolation, hash_seed=RELOAD_HASH_SEED, preload=PRELOAD)
    batch = _Batch(log, policy, reload, criteria)
    for spec in specs:
        if spec.model not in audited:
            leave(log, Note(spec.model, doing="reading"))
            audited[spec.model] = record = batch.audit(spec)
            cache.add(record)
    write_batch(records, [replace(audited[spec.model], log=str(log)) for spec in specs])


class _Batch:
    """Audits the models of one batch; measures a random policy once in each of their environments."""

    def __init__(self, log: Path, policy: ExternalPolicy, reload: ReloadSpec, criteria: Criteria) -> None:
        self._processes = Processes(reload, log)
        self._log = log
        self._policy = policy
        self._reload = reload
        self._criteria = criteria
        self._random: dict[str, RandomReward | None] = {}

    def audit(self, spec: ExternalSpec) -> ModelRecord:
        """Audit one model. Whatever its data makes this process raise is why it could not be audited."""
        try:
            record = self._audited(spec)
            check_record(record)
            note_end(self._log, record)
        except Exception as error:
            if is_of_the_machine(error):
                raise
            log_traceback(self._log)
            problem = f"its files cannot be used: {unforeseen(error)}"
            leave(self._log, Note(spec.model, ended=True, verdict="error", said=problem))
            return self._record(spec.failed(problem), problem)
        return record

    def _audited(self, spec: ExternalSpec) -> ModelRecord:
        try:
            judged_by = read_recording(spec.recording) if spec.recording and spec.judged_by_recording else None
        except Unreadable as unreadable:
            return self._record(spec, spec.problem or str(unreadable))
        record = self._record(spec, spec.problem)
        if judged_by is not None:
            record = replace(record, looks=judged_by.evaluation.looks, train_time=judged_by.train_time)
        if spec.problem is not None:
            return record
        random = self._random_reward(spec, None) if judged_by is None else None
        evaluation = self._policy.evaluation if judged_by is None else judged_by.evaluation
        deterministic = spec.deterministic or judged_by is not None  # as reference episodes are
        own = spec.environment.vec_env is not None
        planned = conditions(evaluation, self._reload, deterministic=deterministic, own_vec_env=own)
        record = self._measured(record, spec, planned, random)
        measured = any(measurement.episodes for measurement in record.conditions.values())
        return _with_remark(record) if measured and random is None and judged_by is None else record

    def _record(self, spec: ExternalSpec, problem: str | None) -> ModelRecord:
        return ModelRecord(ExternalManifest(spec.model, spec, problem, ExternalFacts()), str(self._log))

    def _measured(
        self, record: ModelRecord, spec: ExternalSpec, planned: Sequence[Condition], random: RandomReward | None
    ) -> ModelRecord:
        """The record with what the model's files say, what conditions gave, and what may explain that.

        Conditions that the configuration asks for besides the canonical one run only where that leaves a question which
        no trial answers, and which is not why the model earns more than is claimed.

        :param random: what a random policy earns in its environment, where that was measured
        """
        record = replace(record, random_mean=None if random is None else random.mean)
        criteria = replace(self._criteria, to_last_look=spec.compared)

        def arguments(condition: Condition) -> tuple[Any, ...]:
            return spec, self._policy, condition, criteria, random

        forced = self._reload.conditions == "all"
        outcome = self._processes.call(_EVALUATE, *arguments(planned[0]))
        migration = None if outcome.value is None else outcome.value.migration
        if migration is not None:  # its spaces do not fit, and this is known to make them fit
            random = None if record.train_time is not None else self._random_reward(spec, migration)
            migrated = [replace(condition, migration=migration) for condition in planned]
            return self._measured(record, spec, migrated, random)
        canonical = Measurement.of(planned[0], outcome)
        measured = {CANONICAL: canonical}
        if outcome.value is not None:
            record = replace(record, manifest=ExternalManifest(spec.model, spec, None, outcome.value.facts))
        if canonical.healthy and not forced:
            return replace(record, conditions=measured)
        asked_for = planned[1:] if canonical.episodes else ()
        if forced:  # trials may be the same conditions
            measured |= self._evaluated(asked_for, arguments)
        exploring = _exploring(record, planned[0], canonical)
        tried = {} if exploring is None else self._evaluated([exploring], arguments, None, canonical.episodes)
        if not forced and any(one.healthy for one in tried.values()):
            return replace(record, conditions=measured | tried)
        examined = (spec, self._policy, planned[0], canonical.episodes, record.random_mean, criteria, forced)
        target = Target(_EXAMINE, examined, _EVALUATE, arguments)
        found = diagnose(self._processes, target, measured | tried)
        if not (forced or found.explained or found.examination.gained):
            measured |= self._evaluated(asked_for, arguments)
        return replace(record, conditions={**measured, **tried, **found.measured}, examination=found.examination)

    def _evaluated(
        self, conditions: Sequence[Condition], arguments: Callable[[Condition], tuple[Any, ...]], *further: Any
    ) -> dict[str, Measurement]:
        """What conditions gave, by their names.

        :param further: arguments
        """
        return {one.name: self._processes.evaluate(_EVALUATE, one, *arguments(one), *further) for one in conditions}

    def _random_reward(self, spec: ExternalSpec, migration: str | None) -> RandomReward | None:
        key = digest([plain(asdict(spec.environment.unnormalized())), spec.named_by_user, migration])
        if key not in self._random:
            self._random[key] = self._processes.call(
                "reload_audit.evaluation.external:random_policy_reward", spec, self._policy, migration
            ).value
        return self._random[key]


def _exploring(record: ModelRecord, canonical: Condition, measured: Measurement) -> Condition | None:
    """The condition with as much exploration as in training, for a model of which training episodes are known.

    :return: None where there are none, where those of train time were recorded, or where actions are stochastic anyway
    """
    if record.train_time is not None or record.external is None or len(measured.episodes) < 2:
        return None
    if not exploring_may_tell(record.claims, record.external.algo, deterministic=canonical.deterministic):
        return None
    episodes = min(len(measured.episodes), _EXPLORING_EPISODES)
    return replace(canonical, name=EXPLORING, deterministic=False, n_episodes=episodes)


def _with_remark(record: ModelRecord) -> ModelRecord:
    assert isinstance(record.manifest, ExternalManifest)
    facts = record.manifest.facts
    remark = "what a random policy earns could not be measured: the margin rests on the claim alone"
    return replace(record, manifest=replace(record.manifest, facts=replace(facts, remarks=(*facts.remarks, remark))))
