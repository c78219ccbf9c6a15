"""From the JSON of a model in ``audit.json`` to the typed model.

A key that is missing, and null in place of a text or a list, is read as an empty text or an empty tuple. Null in place
of a number is None; the texts ``nan`` and ``inf``, which stand for numbers that JSON does not have, are read as these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from reload_audit.judging.criteria import VERDICTS, Verdict
from reload_audit.reading.refusal import brief, shown, unforeseen
from reload_audit.reports.audited_model import AuditedModel, ClaimRow, ConditionRow, DivergingValue, NamedCause


@dataclass(frozen=True)
class JsonObject:
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

    def object(self, key: str) -> JsonObject:
        return JsonObject(self.content.get(key) or {})

    def objects(self, key: str) -> tuple[JsonObject, ...]:
        return tuple(map(JsonObject, self.content.get(key) or ()))


STANDS_IN = "in the report: its row cannot be used: "
"""How the reason of a stand-in begins."""


def model_or_stand_in(content: Any) -> AuditedModel:
    """The model of a row; where the row cannot be used, its stand-in (:func:`stand_in`)."""
    try:
        return _model(JsonObject(content))
    except Exception as error:
        return stand_in(content if isinstance(content, Mapping) else {}, error)


def stand_in(content: Mapping[str, Any], error: Exception) -> AuditedModel:
    """What stands for a model whose row cannot be used, as an error: its name, its source, and why it cannot be used.

    :param content: its row
    """
    kept = ("model", "experiment", "source", "algo", "env_id", "log")
    texts = {key: shown(content[key]) for key in kept if isinstance(content.get(key), str)}
    return _model(JsonObject({**texts, "verdict": "error", "reason": f"{STANDS_IN}{unforeseen(error)}"}))


def _model(row: JsonObject) -> AuditedModel:
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


def _condition(row: JsonObject) -> ConditionRow:
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
        spared=row.text("spared"),
    )


def _cause(cause: JsonObject) -> NamedCause:
    return NamedCause(
        name=cause.text("cause"),
        explanation=cause.text("explanation"),
        evidence=cause.texts("evidence"),
        proven=bool(cause.content.get("proven")),
        share=cause.number("share"),
        fix=cause.text("fix"),
    )


def _claim(claim: JsonObject) -> ClaimRow:
    return ClaimRow(
        kind=claim.text("kind"),
        mean=claim.number("mean"),
        std=claim.number("std"),
        n=claim.integer("n"),
        where=claim.text("where"),
    )


def _diverging(value: JsonObject) -> DivergingValue:
    index = value.content.get("index")
    before, after = value.content.get("reference"), value.content.get("reload")
    return DivergingValue(
        component=value.text("component"),
        index=None if index is None else tuple(index),
        reference=None if before is None else str(before),
        reload=None if after is None else str(after),
    )
