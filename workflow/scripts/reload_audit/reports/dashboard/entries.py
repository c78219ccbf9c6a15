"""The audit's models as the report needs them: typed, whatever is missing filled in, the worst first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reload_audit.judging.comparison import WORST_FIRST, Verdict
from reload_audit.reports.dashboard.number_format import count, finite, number
from reload_audit.reports.summary import is_found, printable, printable_code, was_measured

LOST: tuple[Verdict, ...] = ("error", "degraded")
TOGETHER = " + "
"""Stands in the name of a condition between the two that it joins."""

LONGEST_NAME = 200
_LONGEST_TEXT = 600
_LONGEST_DETAIL = 400
_LONGEST_FIX = 6_000
_DIFFERENCES = 6


@dataclass(frozen=True)
class Condition:
    """What one condition gave; ``difference`` is from the reference, paired by episode."""

    name: str
    n_envs: int | None
    mean: float | None
    std: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    identical: bool | None
    n_episodes: int | None
    reason: str


@dataclass(frozen=True)
class NamedCause:
    """One cause of a model's verdict.

    :param evidence: sentences
    :param proven: whether files or a contrast show it by themselves
    :param share: how much of the gap its remedy closes, 1 for all; None where that is not known
    :param fix: code to paste
    """

    name: str
    explanation: str
    evidence: tuple[str, ...]
    proven: bool
    share: float | None
    fix: str


@dataclass(frozen=True)
class Entry:
    """One model.

    :param found: whether others trained it
    :param measured: whether it is compared with episodes of train time, rather than with a claim
    :param train_mean: what was measured at train time, if anything was
    :param claim_mean: what the reload is compared with: the same, or what somebody claims
    :param plain_load_error: empty where a plain load works; None where that is not known
    :param remarks: what else was noticed: what cannot be pickled, files that cannot be read
    :param key: its name as it is, which may hold what a browser would obey; ``name`` is for showing
    :param claims: all that is said of what it earned, the deciding claim among them; sentences
    :param probe: the environment that was probed for it, by its name in ``audit.json``
    :param causes: what explains its verdict, the best explanation first
    :param ruled_out: what was looked at or tried and does not explain it
    :param divergence: where reference and reload differ first
    :param differences: in what: component, its value in the reference, its value after reload
    """

    key: str
    name: str
    experiment: str
    algo: str
    environment: str
    n_envs: int
    seed: int | None
    steps: int | None
    verdict: str
    reason: str
    gap: str
    log: str
    found: bool
    measured: bool
    source: str
    claim_kind: str
    claim_mean: float | None
    claim_std: float | None
    claim_n: int | None
    claim_source: str
    claims: tuple[str, ...]
    checks_failed: str
    probe: str
    loaded_with: str
    plain_load_error: str | None
    sb3_saved: str
    sb3_loaded: str
    version_changes: str
    remarks: str
    n_episodes: int | None
    random_mean: float | None
    train_mean: float | None
    reference_mean: float | None
    reload_mean: float | None
    reload_std: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    margin: float | None
    q: float | None
    conditions: tuple[Condition, ...]
    causes: tuple[NamedCause, ...]
    ruled_out: tuple[str, ...]
    divergence: str
    differences: tuple[tuple[str, str, str], ...]


def entries(models: Iterable[Mapping[str, Any]]) -> list[Entry]:
    """Every model of ``audit.json``, the worst verdicts first and by name among equals."""
    ordered = sorted(models, key=lambda model: (WORST_FIRST.index(model["verdict"]), _by_name(model["model"])))
    return [_entry(model) for model in ordered]


def worst_first(groups: Mapping[str, Sequence[Entry]]) -> list[tuple[str, Sequence[Entry]]]:
    """Groups of models by name, those before the others in which a model lost its reward or failed."""

    def key(group: tuple[str, Sequence[Entry]]) -> tuple[bool, list[tuple[int, str]]]:
        name, members = group
        return all(entry.verdict not in LOST for entry in members), _by_name(name)

    return sorted(groups.items(), key=key)


def _by_name(name: str) -> list[tuple[int, str]]:
    """A sort key with which ``n8`` comes before ``n16``: texts and numbers take turns in it."""
    parts = re.split("([0-9]{1,15})", name)
    return [(int(part), "") if position % 2 else (0, part) for position, part in enumerate(parts)]


def _entry(model: Mapping[str, Any]) -> Entry:
    def text(key: str, longest: int) -> str:
        return printable(model.get(key) or "", longest)

    plain_load_error = model.get("plain_load_error")
    divergence = model.get("first_divergence") or {}
    return Entry(
        key=model["model"],
        name=text("model", LONGEST_NAME),
        experiment=text("experiment", LONGEST_NAME),
        algo=text("algo", LONGEST_NAME),
        environment=text("env_id", LONGEST_NAME),
        n_envs=model.get("train_n_envs") or 0,
        seed=model.get("train_seed"),
        steps=model.get("num_timesteps"),
        verdict=model["verdict"],
        reason=text("reason", _LONGEST_TEXT),
        gap=text("gap", LONGEST_NAME),
        log=text("log", LONGEST_NAME),
        found=is_found(model),
        measured=was_measured(model),
        source=model.get("source") or "trained",
        claim_kind=text("claim_kind", LONGEST_NAME).replace("_", " "),
        claim_mean=finite(model.get("claim_mean")),
        claim_std=finite(model.get("claim_std")),
        claim_n=model.get("claim_n"),
        claim_source=text("claim_source", LONGEST_NAME),
        claims=tuple(_claim(claim) for claim in model.get("claims") or ()),
        checks_failed=text("checks_failed", _LONGEST_DETAIL),
        probe=text("probe", LONGEST_NAME),
        loaded_with=text("loaded_with", _LONGEST_DETAIL),
        plain_load_error=None if plain_load_error is None else printable(plain_load_error, LONGEST_NAME),
        sb3_saved=text("sb3_saved", LONGEST_NAME),
        sb3_loaded=text("sb3_loaded", LONGEST_NAME),
        version_changes=text("version_changes", _LONGEST_DETAIL),
        remarks=text("remarks", _LONGEST_TEXT),
        n_episodes=model.get("n_episodes"),
        random_mean=finite(model.get("random_mean_reward")),
        train_mean=finite(model.get("train_mean_reward")),
        reference_mean=finite(model.get("reference_mean_reward")),
        reload_mean=finite(model.get("reload_mean_reward")),
        reload_std=finite(model.get("reload_std_reward")),
        difference=finite(model.get("difference")),
        ci_low=finite(model.get("ci_low")),
        ci_high=finite(model.get("ci_high")),
        margin=finite(model.get("margin")),
        q=finite(model.get("q")),
        conditions=tuple(_condition(condition) for condition in model.get("conditions") or ()),
        causes=tuple(_named_cause(cause) for cause in model.get("causes") or ()),
        ruled_out=_sentences(model.get("ruled_out")),
        divergence=printable(divergence.get("text") or "", _LONGEST_DETAIL),
        differences=tuple(_difference(found) for found in (divergence.get("differences") or ())[:_DIFFERENCES]),
    )


def _named_cause(cause: Mapping[str, Any]) -> NamedCause:
    return NamedCause(
        name=printable(cause["cause"], LONGEST_NAME),
        explanation=printable(cause.get("explanation") or "", _LONGEST_DETAIL),
        evidence=_sentences(cause.get("evidence")),
        proven=bool(cause.get("proven")),
        share=finite(cause.get("share")),
        fix=printable_code(cause.get("fix") or "", _LONGEST_FIX),
    )


def _difference(found: Mapping[str, Any]) -> tuple[str, str, str]:
    component = str(found.get("component") or "").replace("_", " ")
    index = found.get("index")
    where = "" if index is None else f"[{', '.join(map(str, index))}]"
    before, after = ("not kept" if found.get(side) is None else str(found[side]) for side in ("reference", "reload"))
    return (
        printable(f"{component}{where}", LONGEST_NAME),
        printable(before, LONGEST_NAME),
        printable(after, LONGEST_NAME),
    )


def _claim(claim: Mapping[str, Any]) -> str:
    """``model card: 500 ± 0 over 10 episodes (README.md)``."""
    kind = printable(claim.get("kind") or "", LONGEST_NAME).replace("_", " ")
    std, n = finite(claim.get("std")), claim.get("n")
    earned = number(finite(claim.get("mean"))) + (f" ± {number(std)}" if std is not None else "")
    where = printable(claim.get("where") or "", _LONGEST_DETAIL)
    return f"{kind}: {earned}{f' over {count(n)} episodes' if n is not None else ''}{f' ({where})' if where else ''}"


def _sentences(texts: Iterable[str] | None) -> tuple[str, ...]:
    return tuple(printable(text, _LONGEST_DETAIL) for text in texts or ())


def _condition(condition: Mapping[str, Any]) -> Condition:
    return Condition(
        name=printable(condition["condition"], LONGEST_NAME),
        n_envs=condition.get("n_envs"),
        mean=finite(condition.get("mean_reward")),
        std=finite(condition.get("std_reward")),
        difference=finite(condition.get("difference")),
        ci_low=finite(condition.get("ci_low")),
        ci_high=finite(condition.get("ci_high")),
        identical=condition.get("identical"),
        n_episodes=condition.get("n_episodes"),
        reason=printable(condition.get("reason") or "", _LONGEST_DETAIL),
    )
