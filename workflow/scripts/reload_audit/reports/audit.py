"""The content of ``audit.json``, typed: whatever people read is made of it.

A key that is missing, and null in place of a text or a list, is read as an empty text or an empty tuple. Null in place
of a number is None; the texts ``nan`` and ``inf``, which stand for numbers that JSON does not have, are read as these.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from reload_audit.judging.claims import OBSTACLE_OF_KIND
from reload_audit.judging.criteria import VERDICTS, WORST_FIRST, Criteria, Verdict
from reload_audit.judging.judgement import Obstacle
from reload_audit.reading.refusal import brief, shown, unforeseen
from reload_audit.records.conditions import CANONICAL
from reload_audit.records.culprits import culprits
from reload_audit.records.environment_health import EnvironmentHealth
from reload_audit.records.script_entry import ScriptEntry
from reload_audit.records.since import CandidateResult, Since
from reload_audit.records.storage import DamagedFileError, read_json

STAGES = ("in_place", "reference", CANONICAL)
"""The conditions that verdicts compare, by name: in place and reference at train time, then the canonical one."""


@dataclass(frozen=True)
class ConditionRow:
    """What one condition gave.

    :param name: ``in_place``, ``reference``, ``reload`` for the canonical condition, or what it changes of that
    :param difference: mean difference of episode rewards from the reference, paired by episode
    :param identical: whether every bit of every episode is as in the reference
    :param reason: why there are no episodes; empty where there are
    """

    name: str
    n_envs: int | None
    vec_env: str
    mean_reward: float | None
    std_reward: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    identical: bool
    n_episodes: int | None
    reason: str


@dataclass(frozen=True)
class NamedCause:
    """One cause of a model's verdict.

    :param name: identifier, see ``docs/causes``
    :param evidence: sentences
    :param proven: whether files or a contrast show it by themselves
    :param share: how much of the gap its best trial closes, 1 for all; None where that is not known
    :param fix: code to paste
    """

    name: str
    explanation: str
    evidence: tuple[str, ...]
    proven: bool
    share: float | None
    fix: str


@dataclass(frozen=True)
class ClaimRow:
    """A train-time reward that somebody or some file states.

    :param kind: where it comes from: ``explicit``, ``model_card``, …
    :param n: episodes behind it; None where it is not stated
    :param where: the file and place it was read from; of a model card its path
    """

    kind: str
    mean: float | None
    std: float | None
    n: int | None
    where: str


@dataclass(frozen=True)
class DivergingValue:
    """A component of a step that differs between reference and reload.

    :param index: of an array the element that differs; None where the whole value is given
    :param reference: its value in the reference; None where it was not recorded
    :param reload: its value after reload; None where it was not recorded
    """

    component: str
    index: tuple[int, ...] | None
    reference: str | None
    reload: str | None


@dataclass(frozen=True)
class AuditedModel:
    """One model: its row of ``models.csv``, and what ``audit.json`` has besides. Fields are called as there.

    :param source: ``trained`` by this workflow, or the layout or table by which discovery found it
    :param suspect: whether an inconclusive model's own bounds show a loss, which the number of models overturns
    :param claim_kind: what the reload is compared with; empty where nothing is known
    :param plain_load_error: what ``ALGO.load(path)`` would raise; empty where it works, None where that is not known
    :param largest_loss: the largest loss that is not excluded, in reward, and as a share of what was learned
    :param cause: the best of ``causes``, by name; empty where there is none
    :param causes: what explains the verdict, the best explanation first
    :param ruled_out: what was looked at or tried and does not explain it
    :param not_excluded: what was tried and may explain some of it, though not shown to
    :param claims: all that is said of what it earned, the deciding claim among them
    :param probe: the environment that was probed for it, by its name in ``environments``; empty where none was
    :param divergence: where reference and reload differ first, in one sentence; empty where no bit does
    :param diverging: the values that differ there
    """

    name: str
    experiment: str
    source: str
    algo: str
    env_id: str
    env_ran: str
    train_seed: int | None
    train_n_envs: int | None
    num_timesteps: int | None
    verdict: Verdict
    suspect: bool
    reason: str
    gap: str
    cause: str
    cause_share: float | None
    n_episodes: int | None
    claim_kind: str
    claim_mean: float | None
    claim_std: float | None
    claim_n: int | None
    claim_source: str
    train_mean_reward: float | None
    reference_mean_reward: float | None
    reload_mean_reward: float | None
    reload_std_reward: float | None
    random_mean_reward: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    margin: float | None
    largest_loss: float | None
    largest_loss_share: float | None
    q: float | None
    checks_failed: str
    loaded_with: str
    plain_load_error: str | None
    sb3_saved: str
    sb3_loaded: str
    version_changes: str
    remarks: str
    log: str
    probe: str
    claims: tuple[ClaimRow, ...]
    conditions: tuple[ConditionRow, ...]
    causes: tuple[NamedCause, ...]
    ruled_out: tuple[str, ...]
    not_excluded: tuple[str, ...]
    divergence: str
    diverging: tuple[DivergingValue, ...]

    @property
    def is_external(self) -> bool:
        """Whether this workflow did not train it."""
        return self.source != "trained"

    @property
    def concern(self) -> tuple[int, bool]:
        """A sort key: the models of most concern come first, of inconclusive ones those that are suspect."""
        return WORST_FIRST.index(self.verdict), not self.suspect

    @property
    def called(self) -> str:
        """Its verdict, and whether it is suspect."""
        return f"{self.verdict} (suspect)" if self.suspect else self.verdict

    def is_any_of(self, words: Collection[str]) -> bool:
        """Whether its verdict is among these words, or ``suspect`` is and the model is that."""
        return self.verdict in words or (self.suspect and "suspect" in words)

    @property
    def was_measured(self) -> bool:
        """Whether its reload is compared, or would have been, with episodes of train time rather than with a claim."""
        if self.claim_kind:
            return self.claim_kind in ("in_place", "reference")
        return self.source in ("trained", "recorded")

    @property
    def obstacle(self) -> Obstacle:
        """Why the comparison must not decide; empty unless the model is inconclusive for that reason.

        Of inconclusive models only those without an obstacle are tested together, which gives them a ``q``. A claim
        that is beyond the margin and must not decide is of a kind that is biased; any other is too imprecise.
        """
        if self.verdict != "inconclusive" or self.q is not None:
            return ""
        if self.difference is None:
            return "no_claim"
        of_one_episode = self.claim_n is not None and self.claim_n < 2
        if of_one_episode or not self._is_beyond_the_margin:
            return "claim_too_imprecise"
        return OBSTACLE_OF_KIND.get(self.claim_kind, "")

    @property
    def _is_beyond_the_margin(self) -> bool:
        if self.ci_low is None or self.ci_high is None or self.margin is None:
            return False
        return self.ci_high < -self.margin or self.ci_low > self.margin


@dataclass(frozen=True)
class Audit:
    """A whole audit.

    :param tool: name and version of what made it
    :param criteria: what counted as a difference; None where the audit does not say
    :param trained_with: of each software that trained models its versions, by package
    :param counts: how many models have each verdict, in the verdicts' order
    :param environments: the health of each distinct environment
    :param passed_over: what lies beside the models and is none: each kind, how many, and which
    :param scripts: scripts of the user's that were observed
    :param since: what has changed since the baseline; None without one
    :param candidates: candidates, each against the model that is shipping
    """

    tool: str
    criteria: Criteria | None
    trained_with: tuple[Mapping[str, str], ...]
    counts: Mapping[str, int]
    models: tuple[AuditedModel, ...]
    environments: tuple[EnvironmentHealth, ...]
    passed_over: tuple[str, ...] = ()
    scripts: tuple[ScriptEntry, ...] = ()
    since: Since | None = None
    candidates: tuple[CandidateResult, ...] = ()

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Audit:
        """From the content of ``audit.json``: see ``workflow/schemas/audit.schema.json``."""
        audit = _Object(content)
        models = tuple(map(_model_or_stand_in, content.get("models") or ()))
        tool, criteria = audit.object("tool"), audit.object("settings").object("verdict").content
        return cls(
            tool=f"{tool.text('name')} {tool.text('version')}".strip(),
            criteria=Criteria.from_dict(criteria) if criteria else None,
            trained_with=tuple(_versions(software) for software in audit.objects("trained_with")),
            counts=_counts(models),
            models=models,
            environments=tuple(EnvironmentHealth.from_dict(one.content) for one in audit.objects("environment_health")),
            passed_over=audit.texts("passed_over"),
            scripts=tuple(ScriptEntry.from_dict(found.content) for found in audit.objects("scripts")),
            since=Since.from_dict(content["since"]) if content.get("since") else None,
            candidates=tuple(CandidateResult.from_dict(one.content) for one in audit.objects("candidates")),
        )


def read_audit(path: Path) -> Audit:
    """Read ``audit.json``.

    :raises DamagedFileError: if the file is no JSON any more, or is not what an audit is
    """
    content = read_json(path)
    if not isinstance(content, Mapping) or not isinstance(content.get("models", []), list):
        raise DamagedFileError(path, "expected a mapping with a list of models")
    return Audit.from_json(content)


def with_stand_ins(audit: Audit, use: Callable[[Audit], object]) -> None:
    """Use an audit, for example to write a report of it; what raises is that model's error there, with the reason.

    :param use: it may be called many times, each time with some of the models, the last time with all of them
    """

    def use_models(models: Sequence[AuditedModel]) -> None:
        use(replace(audit, models=tuple(models), counts=_counts(models)))

    models = audit.models
    while True:
        try:
            return use_models(models)
        except Exception:
            found = culprits(models, use_models).items()
            faulty = {index: error for index, error in found if not models[index].reason.startswith(_STANDS_IN)}
            if not faulty:
                raise
            models = tuple(
                _stand_in({**vars(model), "model": model.name}, faulty[index]) if index in faulty else model
                for index, model in enumerate(models)
            )


def spread(kind: str, std: float | None, n: int | None) -> float | None:
    """What is written after the ± of a claim: the standard deviation of its episodes, of a trend its standard error.

    :param n: episodes behind it; of a trend one less than its evaluations
    """
    return std / math.sqrt(n) if kind == "trend" and std is not None and n is not None and n > 0 else std


def finite(value: float | None) -> float | None:
    """A number; None where it is none, or is not finite."""
    return value if value is not None and math.isfinite(value) else None


@dataclass(frozen=True)
class _Object:
    """A JSON object, some of whose keys may be missing or null."""

    content: Mapping[str, Any]

    def text(self, key: str) -> str:
        return str(self.content.get(key) or "")

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(self.content.get(key) or ())

    def number(self, key: str) -> float | None:
        """None for null and for what is no number."""
        try:
            return float(self.content[key])
        except (KeyError, TypeError, ValueError):
            return None

    def integer(self, key: str) -> int | None:
        return self.content.get(key)

    def object(self, key: str) -> _Object:
        return _Object(self.content.get(key) or {})

    def objects(self, key: str) -> tuple[_Object, ...]:
        return tuple(map(_Object, self.content.get(key) or ()))


_STANDS_IN = "in the report: its row cannot be used: "


def _model_or_stand_in(content: Any) -> AuditedModel:
    try:
        return _model(_Object(content))
    except Exception as error:
        return _stand_in(content if isinstance(content, Mapping) else {}, error)


def _stand_in(content: Mapping[str, Any], error: Exception) -> AuditedModel:
    """What stands for a model whose row cannot be used: what it is called, where it is from, and why.

    :param content: its row
    """
    kept = ("model", "experiment", "source", "algo", "env_id", "log")
    texts = {key: shown(content[key]) for key in kept if isinstance(content.get(key), str)}
    return _model(_Object({**texts, "verdict": "error", "reason": f"{_STANDS_IN}{unforeseen(error)}"}))


def _counts(models: Sequence[AuditedModel]) -> dict[str, int]:
    counts = Counter[str](model.verdict for model in models)
    return {verdict: counts[verdict] for verdict in VERDICTS}


def _model(row: _Object) -> AuditedModel:
    divergence = row.object("first_divergence")
    return AuditedModel(
        name=row.text("model"),
        experiment=row.text("experiment"),
        source=row.text("source") or "trained",
        algo=row.text("algo"),
        env_id=row.text("env_id"),
        env_ran=row.text("env_ran"),
        train_seed=row.integer("train_seed"),
        train_n_envs=row.integer("train_n_envs"),
        num_timesteps=row.integer("num_timesteps"),
        verdict=_verdict(row.content["verdict"]),
        suspect=row.content["verdict"] == "inconclusive" and bool(row.content.get("suspect")),
        reason=row.text("reason"),
        gap=row.text("gap"),
        cause=row.text("cause"),
        cause_share=row.number("cause_share"),
        n_episodes=row.integer("n_episodes"),
        claim_kind=row.text("claim_kind"),
        claim_mean=row.number("claim_mean"),
        claim_std=row.number("claim_std"),
        claim_n=row.integer("claim_n"),
        claim_source=row.text("claim_source"),
        train_mean_reward=row.number("train_mean_reward"),
        reference_mean_reward=row.number("reference_mean_reward"),
        reload_mean_reward=row.number("reload_mean_reward"),
        reload_std_reward=row.number("reload_std_reward"),
        random_mean_reward=row.number("random_mean_reward"),
        difference=row.number("difference"),
        ci_low=row.number("ci_low"),
        ci_high=row.number("ci_high"),
        margin=row.number("margin"),
        largest_loss=row.number("largest_loss"),
        largest_loss_share=row.number("largest_loss_share"),
        q=row.number("q"),
        checks_failed=row.text("checks_failed"),
        loaded_with=row.text("loaded_with"),
        plain_load_error=row.content.get("plain_load_error"),
        sb3_saved=row.text("sb3_saved"),
        sb3_loaded=row.text("sb3_loaded"),
        version_changes=row.text("version_changes"),
        remarks=row.text("remarks"),
        log=row.text("log"),
        probe=row.text("probe"),
        claims=tuple(_claim(claim) for claim in row.objects("claims")),
        conditions=tuple(_condition(condition) for condition in row.objects("conditions")),
        causes=tuple(_cause(cause) for cause in row.objects("causes")),
        ruled_out=row.texts("ruled_out"),
        not_excluded=row.texts("not_excluded"),
        divergence=divergence.text("text"),
        diverging=tuple(_diverging(value) for value in divergence.objects("differences")),
    )


def _verdict(word: Any) -> Verdict:
    if word not in VERDICTS:
        raise ValueError(f"expected a verdict, found {brief(word)}")
    return cast(Verdict, word)


def _condition(row: _Object) -> ConditionRow:
    return ConditionRow(
        name=row.text("condition"),
        n_envs=row.integer("n_envs"),
        vec_env=row.text("vec_env"),
        mean_reward=row.number("mean_reward"),
        std_reward=row.number("std_reward"),
        difference=row.number("difference"),
        ci_low=row.number("ci_low"),
        ci_high=row.number("ci_high"),
        identical=bool(row.content.get("identical")),
        n_episodes=row.integer("n_episodes"),
        reason=row.text("reason"),
    )


def _cause(cause: _Object) -> NamedCause:
    return NamedCause(
        name=cause.text("cause"),
        explanation=cause.text("explanation"),
        evidence=cause.texts("evidence"),
        proven=bool(cause.content.get("proven")),
        share=cause.number("share"),
        fix=cause.text("fix"),
    )


def _claim(claim: _Object) -> ClaimRow:
    return ClaimRow(
        kind=claim.text("kind"),
        mean=claim.number("mean"),
        std=claim.number("std"),
        n=claim.integer("n"),
        where=claim.text("where"),
    )


def _diverging(value: _Object) -> DivergingValue:
    index = value.content.get("index")
    before, after = value.content.get("reference"), value.content.get("reload")
    return DivergingValue(
        component=value.text("component"),
        index=None if index is None else tuple(index),
        reference=None if before is None else str(before),
        reload=None if after is None else str(after),
    )


def _versions(software: _Object) -> dict[str, str]:
    return {package: str(version) for package, version in software.object("versions").content.items() if version}
