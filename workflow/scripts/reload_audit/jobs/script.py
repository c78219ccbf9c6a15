"""Observe a script of the user's, and measure what it costs that it does otherwise than training did."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reload_audit.diagnosis.chance import WORTH_NAMING, differ, is_open
from reload_audit.diagnosis.joint_effects import gained, is_certain, next_to_try
from reload_audit.jobs.diagnosis import Processes
from reload_audit.judging.claims import exploring_may_tell, judge_by_claims
from reload_audit.judging.criteria import Criteria
from reload_audit.judging.judgement import Judgement
from reload_audit.processes import isolation
from reload_audit.processes.fork_servers import JUDGING, LIBRARIES, RELOAD_HASH_SEED
from reload_audit.records.conditions import Condition
from reload_audit.records.model_record import Measurement
from reload_audit.records.observation import Observation
from reload_audit.records.script_record import (
    AS_MODEL,
    AS_SCRIPT,
    Compared,
    Comparison,
    Found,
    ScriptDifference,
    ScriptRecord,
    alone,
    only,
    put_right,
)
from reload_audit.records.specs import ExternalPolicy, ExternalSpec, ReloadSpec, ScriptSpec

_OBSERVE = "reload_audit.observing.run_script:observe_script"
_COMPARE = "reload_audit.observing.differences:compared_with_models"
_EVALUATE = "reload_audit.evaluation.external:evaluate_external"

PRELOAD = (*LIBRARIES, *JUDGING, *(target.partition(":")[0] for target in (_OBSERVE, _COMPARE, _EVALUATE)))

_FEWEST, _MOST = 20, 200
"""Episodes of a condition: as many as the script ran, but no fewer and no more."""

_MOST_STEPS = 50_000
"""Steps of a condition that is measured once more."""


def audit_script(
    script: ScriptSpec,
    models: Sequence[ExternalSpec],
    policy: ExternalPolicy,
    reload: ReloadSpec,
    criteria: Criteria,
    record: Path,
    log: Path,
) -> None:
    """Run a script under its limits, observed; compare it with its model; measure what its differences cost.

    :param models: those of the audit that it may be about
    :param record: the JSON file to write
    :param log: takes what the script prints
    """
    with tempfile.TemporaryDirectory() as folder:
        made = observe(script, reload, folder, log)
        if made.observation is not None:
            processes = Processes(reload, log)
            made = _compared(made, made.observation, processes, (models, policy, criteria, folder))
    made.write(record)


def observe(script: ScriptSpec, reload: ReloadSpec, folder: str, log: Path) -> ScriptRecord:
    """Run a script in a fresh process, observed.

    :param folder: takes the models that act in it
    :param log: takes what it prints
    """
    isolation.prepare(reload.isolation, hash_seed=RELOAD_HASH_SEED, preload=PRELOAD)
    outcome = isolation.call(
        _OBSERVE, (script, folder), method=reload.isolation, log=log, timeout=script.timeout, memory=script.memory
    )
    return ScriptRecord(script, outcome.value, outcome.failure, outcome.usage, str(log))


def _compared(
    record: ScriptRecord,
    observation: Observation,
    processes: Processes,
    settings: tuple[Sequence[ExternalSpec], ExternalPolicy, Criteria, str],
) -> ScriptRecord:
    models, policy, criteria, folder = settings
    policy = replace(policy, trust=(*policy.trust, *observation.own_packages))  # which the script itself has run
    outcome = processes.call(_COMPARE, observation, record.spec, models, policy, folder)
    if outcome.failure is not None:
        return replace(record, comparisons=[Comparison(Compared("", "", None, problem=outcome.failure.message))])
    found: list[Found] = outcome.value
    measuring = Measuring(processes, policy, criteria)
    return replace(record, comparisons=[measuring.with_the_best_model(one) for one in found])


@dataclass(frozen=True)
class Measuring:
    """Measures what models earn that act in a script.

    :param fewest: episodes of a condition, where the script ran fewer
    """

    processes: Processes
    policy: ExternalPolicy
    criteria: Criteria
    fewest: int = _FEWEST

    def with_the_best_model(self, found: Found) -> Comparison:
        """A model measured, or one that the script may have meant, and that certainly earns more than the script.

        It is measured first as a model alone is, as most of those that lie beside another one are no better. Where few
        episodes leave open whether it is, all is measured with more.
        """
        made = self.with_environment_of_training(found)
        plain = made.conditions.get(AS_MODEL)
        for other in found.beside if plain is not None else ():
            assert plain is not None
            if other.model is None:
                continue
            alone = self._evaluate(other.model, plain.condition)
            more = _more_episodes(plain)
            is_first = self.fewest == _FEWEST
            if is_first and more > len(plain.episodes) and _is_worth_naming(plain, alone, certain=False):
                return replace(self, fewest=more).with_the_best_model(found)
            if not _is_worth_naming(plain, alone):
                continue
            better = self.with_environment_of_training(other)
            if _is_worth_naming(plain, better.conditions.get(AS_MODEL)):
                return better
        return made

    def with_environment_of_training(self, found: Found) -> Comparison:
        """A model measured as its repository says that it was trained, or where that does not hold, as its zip says.

        It does not hold where the model certainly earns less so than in training, nor where it certainly earns more,
        and in the script's environment what it earned in training: then the repository has changed since.
        """
        if found.stated is None:
            return self._by_its_zip(found, self._measured(found))
        tried, made = self._measured(found.stated), None
        why = self._cannot_be(found, found.stated, tried)
        if not why and _is(self._judged(found, tried.conditions.get(AS_MODEL)), "improved"):
            made = self._measured(found)
            here = self._judged(found, made.conditions.get(AS_MODEL))
            if here is not None and here.decision in ("consistent", "equivalent"):
                why = f"the model earns more, and in that of the script what its zip says: {found.trained}"
        if not why:
            return tried
        made = self._by_its_zip(found, made or self._measured(found))
        others = [one.evidence for one in found.stated.compared.differences if one not in found.compared.differences]
        remark = f"{'; '.join(others) or 'its repository'}: not believed, as in that environment {why}"
        return replace(made, compared=replace(made.compared, remarks=(*made.compared.remarks, remark)))

    def _cannot_be(self, found: Found, stated: Found, tried: Comparison) -> str:
        """Why a model was certainly not trained in the environment that its repository says; empty where it may be."""
        measured = tried.conditions.get(AS_MODEL)
        if measured is None or not measured.episodes:
            return "the model cannot be evaluated"
        if self._earns_less(replace(found, model=stated.model), tried):
            return f"the model earns less, and its zip says that {found.trained}"
        return ""

    def _by_its_zip(self, found: Found, made: Comparison) -> Comparison:
        """A model measured, in the environment of the script or, where its zip speaks for that, in another one.

        What its zip says of training speaks for another environment where its spaces are others, or where the model
        certainly earns less in that of the script. Another one is taken for that of training only where the model
        certainly earns more there, and then, unless its spaces speak for it, what it earned.

        :param made: the model measured in the environment of the script
        """
        less = self._earns_less(found, made)
        for other in found.others if found.doubtful or less else ():
            tried = self._measured(other)
            if _earns_more(tried, made) and (
                found.doubtful or not self._earns_less(replace(found, model=other.model), tried)
            ):
                return tried
        if not less:
            return made
        listed = f": {', '.join(found.suspects)} may not be of training" if found.suspects else ""
        remark = f"its zip says that {found.trained}: nothing that was tried explains why it earns less here{listed}"
        compared = made.compared
        contradicted = f"its zip says that {found.trained}"
        return replace(made, compared=replace(compared, contradicted=contradicted, remarks=(*compared.remarks, remark)))

    def _earns_less(self, found: Found, made: Comparison) -> bool:
        """Whether a model certainly earns less than in training, also where it explores as it did there."""
        measured = made.conditions.get(AS_MODEL)
        if found.model is None or measured is None or not found.claims or not self._loses(found, measured):
            return False
        if not exploring_may_tell(found.claims, found.model.algo, deterministic=measured.condition.deterministic):
            return True
        exploring = replace(measured.condition, name="exploring", deterministic=False)
        return self._loses(found, self._evaluate(found.model, exploring))

    def _loses(self, found: Found, measured: Measurement) -> bool:
        return _is(self._judged(found, measured), "degraded")

    def _judged(self, found: Found, measured: Measurement | None) -> Judgement | None:
        """What a model earns, compared with what its zip says of training; None where that cannot be told."""
        if measured is None or len(measured.episodes) < 2 or not found.claims:
            return None
        return judge_by_claims(found.claims, measured.episodes, None, self.criteria)

    def _evaluate(self, model: ExternalSpec, condition: Condition) -> Measurement:
        return self.processes.evaluate(_EVALUATE, condition, model, self.policy, condition, self.criteria, None)

    def _measured(self, found: Found) -> Comparison:
        if found.model is None or found.compared.problem or found.compared.figure is None:
            return Comparison(found.compared)
        return _measured(found.compared, found.model, functools.partial(self._evaluate, found.model), self.fewest)


def _is(judged: Judgement | None, decision: str) -> bool:
    return judged is not None and judged.comparison is not None and judged.comparison.decision == decision


def _is_worth_naming(plain: Measurement, other: Measurement | None, *, certain: bool = True) -> bool:
    """Whether another model earns more than one does, and so much that it matters.

    :param certain: whether that is more than chance, or may be chance
    """
    gain = gained(plain, other)
    if gain is None or gain.mean is None or is_certain(gain) != certain:
        return False
    return gain.effect > WORTH_NAMING * abs(gain.mean)


def _earns_more(tried: Comparison, made: Comparison) -> bool:
    """Whether a model earns more in one environment than in another, beyond chance, or can act only there."""
    here, there = made.conditions.get(AS_MODEL), tried.conditions.get(AS_MODEL)
    gain = gained(here, there)
    if gain is None:
        return there is not None and bool(there.episodes)
    return is_certain(gain) and gain.effect > 0.0


def _measured(
    compared: Compared, model: ExternalSpec, evaluate: Callable[[Condition], Measurement], fewest: int
) -> Comparison:
    """What a model earns under its own condition, the script's, and those with some of the differences.

    Where that leaves open what they cost, it is measured once more, with more episodes.

    :param fewest: episodes of a condition, where the script ran fewer
    """
    assert compared.figure is not None
    n = min(max(compared.figure.n, fewest), _MOST)
    plain = Condition(
        AS_MODEL,
        compared.n_envs,
        deterministic=model.deterministic,
        n_episodes=n,
        anew_after=min(compared.figure.n, _MOST),
    )
    measured = _earned(plain, compared.differences, evaluate)
    more = _more_episodes(measured[AS_MODEL])
    if more > n and is_open(compared.figure, measured, [*_changes(compared.differences)]):
        plain = replace(plain, n_episodes=more)
        measured = _earned(plain, compared.differences, evaluate)
    settled = _settled(compared, measured)
    if [one.changes for one in settled.differences] != [one.changes for one in compared.differences]:
        measured = _earned(plain, settled.differences, evaluate)
    return Comparison(settled, measured)


def _settled(compared: Compared, measured: Mapping[str, Measurement]) -> Compared:
    """What a script is compared with, after measurement has told what was in doubt.

    It is as supposed where the audit gets what the script gets, and without it something else; it is not where the
    script earns what its model earns. Where neither is so, it stays in doubt, and is not measured.
    """
    model, script = measured[AS_MODEL], measured.get(AS_SCRIPT)
    if compared.figure is None or script is None or not (model.episodes and script.episodes):
        return compared
    earned = compared.figure.drawn
    differences = list(compared.differences)
    for place, one in enumerate(compared.differences):
        if one.in_doubt and one.changes is not None:
            without = measured.get(put_right(one.cause), model)
            agrees = not differ(earned, script.rewards) and differ(earned, without.rewards)
            evidence = f"{one.evidence}; so evaluated, the model earns the same"
            settled = replace(one, in_doubt=False, evidence=evidence)
            differences[place] = settled if agrees else replace(one, changes=None)
    if not differ(earned, model.rewards):
        differences = [one for one in differences if one in compared.differences or not one.in_doubt]
    return replace(compared, differences=differences)


def _more_episodes(measured: Measurement) -> int:
    """How many episodes a second measurement has: the most, unless they are long."""
    steps = [episode.length for episode in measured.episodes]
    return min(_MOST, _MOST_STEPS * len(steps) // max(sum(steps), 1)) if steps else 0


def _earned(
    plain: Condition, differences: Sequence[ScriptDifference], evaluate: Callable[[Condition], Measurement]
) -> dict[str, Measurement]:
    """What a model earns under all conditions that tell what differences cost, by their names.

    :param plain: the model's own condition
    """
    measured = {condition.name: evaluate(condition) for condition in _conditions(plain, differences)}
    changes = _changes(differences)
    while groups := next_to_try(measured, [*changes]):
        for group in groups:
            condition = _with(plain, only(group, changes), *(changes[cause] for cause in group))
            measured[condition.name] = evaluate(condition)
    return measured


def _conditions(model: Condition, differences: Sequence[ScriptDifference]) -> list[Condition]:
    """The model's own condition, the script's, and each difference alone and put right."""
    changes = _changes(differences)
    if not changes:
        return [model]
    made = [model, _with(model, AS_SCRIPT, *changes.values())]
    if len(changes) == 1:
        return made
    for cause, own in changes.items():
        others = [change for name, change in changes.items() if name != cause]
        made += [_with(model, alone(cause), own), _with(model, put_right(cause), *others)]
    return made


def _changes(differences: Sequence[ScriptDifference]) -> dict[str, Mapping[str, object]]:
    """By their causes, what conditions change to do as differences do."""
    return {one.cause: one.changes for one in differences if one.changes is not None}


def _with(condition: Condition, name: str, *changes: Mapping[str, object]) -> Condition:
    """A condition with changes, those of the environment put together."""
    merged: dict[str, object] = {}
    environment: dict[str, Any] = {}
    for change in changes:
        merged |= {key: value for key, value in change.items() if key != "environment"}
        part = change.get("environment", {})
        assert isinstance(part, Mapping)
        wrappers = [*environment.get("wrappers", ()), *part.get("wrappers", ())]
        environment |= {**part, "wrappers": wrappers} if wrappers else part
    return replace(condition, name=name, environment=environment, **merged)  # type: ignore[arg-type]
