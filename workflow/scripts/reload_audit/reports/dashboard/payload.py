"""What the page holds of an audit, small enough for ten thousand models: columns for all, details for those that fit.

Each part is JSON, compressed and written as Base85, which a browser unpacks without a library. Details are cut into
chunks that are unpacked only when a model of theirs is opened.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from reload_audit.records.environment_health import EnvironmentHealth
from reload_audit.records.replay import Moment, Replay
from reload_audit.reports.audit import Audit
from reload_audit.reports.audited_model import ClaimRow, ConditionRow, DivergingValue, spread
from reload_audit.reports.dashboard import grids
from reload_audit.reports.dashboard.causes import certainty
from reload_audit.reports.dashboard.entries import LONGEST_DETAIL, LONGEST_NAME, LONGEST_TEXT, Entry
from reload_audit.reports.dashboard.episodes import Pairs
from reload_audit.reports.dashboard.history import Point
from reload_audit.reports.dashboard.number_format import count, number, percent
from reload_audit.reports.dashboard.scores import Place, places
from reload_audit.reports.dashboard.since import said_of_models, states_of
from reload_audit.reports.environments import fragile
from reload_audit.reports.safe_text import one_line
from reload_audit.reports.scripts import of_models
from reload_audit.reports.short_fix import cause_page
from reload_audit.reports.since import when

Value = float | str | Sequence[str] | None
"""What stands in a column of the table."""

Coded = Mapping[str, Sequence[Value] | Sequence[int]]
"""A column as its different words, and for each row the position of its word."""

DIGITS = 6
"""Significant digits of a number in the page; ``models.csv`` has them all."""

MAX_DETAILS = 290_000
"""Compressed bytes of details, worst models first. What is left out is in ``audit.json``."""

_CHUNK = 25
"""Models whose details are unpacked together."""

_MOST_DIVERGING = 6
"""Values that are shown of where reference and reload differ first."""

_CODED = (
    *("verdict", "suspect", "algorithm", "environment", "ran", "experiment", "cause", "kind", "source", "gap", "at"),
)
_TYPE = "application/gzip+base85"
_TO_HTML, _FROM_HTML = bytes.maketrans(b"&<>", b",./"), bytes.maketrans(b",./", b"&<>")
"""Three digits of Base85 mean something in HTML, so others stand for them; ``page/unpack.js`` has the same."""

_AUDIT = "audit"


@dataclass(frozen=True)
class Part:
    """One compressed part of the page."""

    name: str
    content: str


def parts(
    models: Sequence[Entry],
    audit: Audit,
    pairs: Mapping[str, Pairs],
    history: Mapping[str, Sequence[Point]] = MappingProxyType({}),
    replays: Mapping[str, Replay] = MappingProxyType({}),
) -> list[Part]:
    """Everything the page needs, compressed.

    :param models: the worst first
    :param pairs: the episodes of models, by their keys; not of all
    :param history: what models were in earlier audits, likewise
    :param replays: two episodes of models side by side, likewise
    """
    since, title = said_of_models(audit.since), "" if audit.since is None else f"Since {when(audit.since)}"
    scripts, shaded = of_models(audit.scripts), fragile(audit)

    def detail(entry: Entry) -> dict[str, object]:
        others = (title, since.get(entry.key, "")), ("Your scripts", scripts.get(entry.key, ""))
        return _detailed(entry, pairs.get(entry.key), others, history.get(entry.key, ()))

    chunks = list(_chunks(models, detail))
    replayed = {index: replays[entry.key] for index, entry in enumerate(models) if entry.key in replays}
    said = {
        "columns": columns(models),
        "cells": [_brief(asdict(cell)) for cell in grids.cells(models)],
        "seeds": [_brief(asdict(mean)) for mean in grids.seeds(models)],
        "causes": _explanations(models),
        "environments": environment_findings(audit.environments),
        "fragile": [index for index, entry in enumerate(models) if entry.key in shaded],
        "since": states_of(audit.since, models),
        "replayed": [*replayed],
        "detailed": len(chunks) * _CHUNK,
        "chunk": _CHUNK,
    }
    return [
        Part(_AUDIT, _packed(said)),
        *(Part(_details_name(k), chunk) for k, chunk in enumerate(chunks)),
        *(Part(f"replay-{index}", _packed(shown_replay(replay))) for index, replay in replayed.items()),
    ]


def columns(models: Sequence[Entry]) -> dict[str, Sequence[Value] | Coded]:
    """The table, column by column: a list of values, or ``words`` and for each model the position of its word."""
    rows = [_row(entry) | place for entry, place in zip(models, map(_placed, places(models)), strict=True)]
    names = list(rows[0]) if rows else []
    found = {name: [row[name] for row in rows] for name in names}
    return {name: _coded(values) if name in _CODED else values for name, values in found.items()}


def read(html: str) -> dict[str, Any]:
    """What a page holds, unpacked: the audit, and ``details`` of the models that have some."""
    packed = dict(re.findall(rf'<script type="{re.escape(_TYPE)}" id="([a-z0-9-]+)">([^<]*)</script>', html))
    audit = _unpacked(packed[_AUDIT])
    chunks = range(audit["detailed"] // audit["chunk"])
    return {**audit, "details": [model for k in chunks for model in _unpacked(packed[_details_name(k)])]}


def _details_name(k: int) -> str:
    """Id of the part with the details of the ``k``-th chunk of models; the page's script asks for it by that."""
    return f"details-{k}"


def pack(text: str) -> str:
    """A text as it stands in the page; the same text gives the same characters."""
    return base64.b85encode(gzip.compress(text.encode(), 9, mtime=0)).translate(_TO_HTML).decode()


def _packed(content: Any) -> str:
    return pack(json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")))


def _unpacked(text: str) -> Any:
    return json.loads(gzip.decompress(base64.b85decode(text.encode().translate(_FROM_HTML))))


def _row(entry: Entry) -> dict[str, Value]:
    """What the table shows, sorts and searches. Of a model that is as before, only what it earned is written."""
    same = entry.reload_mean_reward == entry.claim_mean and entry.reload_std_reward == entry.claim_std
    row: dict[str, Value] = {
        "model": entry.name,
        "key": _key(entry),
        "verdict": entry.verdict,
        "suspect": int(entry.suspect),
        "algorithm": entry.algo,
        "environment": entry.env_id,
        "ran": "" if entry.env_ran == entry.env_id else entry.env_ran,
        "experiment": entry.experiment,
        "source": entry.source,
        "n_envs": entry.train_n_envs or 0,
        "seed": entry.train_seed,
        "before": entry.claim_mean,
        "before_std": entry.claim_std,
        "claim_n": entry.claim_n,
        "kind": _spaced(entry.claim_kind),
        "same": int(same),
        "after": None if same else entry.reload_mean_reward,
        "after_std": None if same else entry.reload_std_reward,
        "difference": entry.difference,
        "low": entry.ci_low,
        "high": entry.ci_high,
        "margin": entry.margin,
        "largest_loss": entry.largest_loss,
        "loss_share": entry.largest_loss_share,
        "n_episodes": entry.n_episodes,
        "q": None if entry.verdict == "identical" else entry.q,  # nothing there could be chance
        "cause": entry.causes[0].name if entry.causes else "",
        "share": entry.causes[0].share if entry.causes else None,
        "gap": entry.gap,
        "reason": entry.reason,
        "random": entry.random_mean_reward,
        "other_causes": [cause.name for cause in entry.causes[1:]] or 0,
    }
    return _brief(row)


def _key(entry: Entry) -> str | None:
    """The name as it is, for links and commands, where it is shown shortened; None where both are the same."""
    return entry.key if entry.key != entry.name and entry.key.isprintable() else None


def _placed(place: Place | None) -> dict[str, Value]:
    """Where a model is drawn; its score after reload is written where it is not the one before."""
    if place is None:
        return {"x": None, "y": None, "at": ""}
    return {"x": place.x, "y": None if place.y == place.x else place.y, "at": place.at}


def _brief(row: Mapping[str, Value]) -> dict[str, Value]:
    """A row whose numbers have few digits."""
    return {name: short(value) if isinstance(value, float) else value for name, value in row.items()}


def short(value: float) -> float | int:
    """A number with few digits; a whole one as such."""
    rounded = float(f"{value:.{DIGITS}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def _coded(values: Sequence[Value]) -> Coded:
    """A column as its different words, and for each row the position of its word."""
    words = list(dict.fromkeys(values))
    at = {word: position for position, word in enumerate(words)}
    return {"words": words, "at": [at[value] for value in values]}


def _explanations(models: Iterable[Entry]) -> dict[str, dict[str, str]]:
    """For each cause what it is, and its page."""
    found = {cause.name: cause for entry in models for cause in entry.causes}
    return {name: {"explanation": cause.explanation, "page": cause_page(name)} for name, cause in sorted(found.items())}


def _chunks(models: Sequence[Entry], detail: Callable[[Entry], dict[str, object]]) -> Iterable[str]:
    """The details of models, a chunk of models at a time, as long as there is room."""
    room = MAX_DETAILS * 5 // 4
    for first in range(0, len(models), _CHUNK):
        chunk = _packed([detail(entry) for entry in models[first : first + _CHUNK]])
        room -= len(chunk)
        if room < 0:
            return
        yield chunk


def _detailed(
    entry: Entry, pairs: Pairs | None, others: Iterable[tuple[str, str]], history: Sequence[Point]
) -> dict[str, object]:
    """What a model's panel says, without what is empty.

    :param others: titles and texts of what the audit knows beside the model's row
    :param history: what it was in earlier audits, and now
    """
    known: dict[str, object] = {
        "details": [*details(entry), *((title, text) for title, text in others if text)],
        "claims": [_claim_text(claim) for claim in entry.claims],
        "causes": [
            {"cause": cause.name, "certainty": certainty(cause), "evidence": cause.evidence, "fix": cause.fix}
            for cause in entry.causes
        ],
        "ruled_out": entry.ruled_out,
        "not_excluded": entry.not_excluded,
        "divergence": entry.divergence,
        "differences": [_diverging_texts(value) for value in entry.diverging[:_MOST_DIVERGING]],
        "conditions": [_condition(condition) for condition in entry.conditions],
        "probe": entry.probe,
        "log": entry.log,
        "pairs": None if pairs is None else pairs.to_dict(short),
        "history": [[short(cell) if isinstance(cell, float) else cell for cell in point] for point in history],
    }
    return {name: value for name, value in known.items() if value}


def shown_replay(replay: Replay) -> dict[str, object]:
    """What the page shows of two episodes: texts, and for each side its moments as lists."""
    if replay.problem:
        return {"problem": one_line(replay.problem, LONGEST_TEXT)}
    before, after = (one_line(side.condition, LONGEST_NAME) for side in replay.sides)
    where = (
        f"Episode {count(replay.episode)}, seed {replay.seed}, from step {count(replay.steps[0])}, where the two part."
    )
    if replay.closes is None:
        left, stands_for = "As before", f"{before}, which went step for step as before"
    else:
        closes = percent(round(replay.closes, 2))
        left, stands_for = (
            f"With {before}",
            f"{before}, which comes closest to what was before: it closes {closes} of the gap",
        )
    return {
        "said": f"{where} Left: {stands_for}. Right: {after}.",
        "steps": replay.steps,
        "sides": [
            {
                "title": title,
                "length": side.length,
                "moments": [*map(_moment, side.moments)],
                "last_frame": side.last_frame,
            }
            for title, side in zip((left, "After reload"), replay.sides, strict=True)
        ],
    }


def _moment(moment: Moment) -> tuple[str, str, str, float, float]:
    observation, action = (one_line(said, LONGEST_TEXT) for said in (moment.observation, moment.action))
    return moment.frame, observation, action, short(moment.reward), short(moment.earned)


def _condition(condition: ConditionRow) -> dict[str, Value]:
    row: dict[str, Value] = {
        "condition": condition.name,
        "n": condition.n_episodes,
        "mean": condition.mean_reward,
        "std": condition.std_reward,
        "difference": condition.difference,
        "low": condition.ci_low,
        "high": condition.ci_high,
        "identical": int(condition.identical),
        "reason": condition.reason,
        "spared": condition.spared,
    }
    return _brief(row)


def details(entry: Entry) -> list[tuple[str, str]]:
    """Titles and texts in a model's panel of what the table of models has no column for; whatever of it is known."""
    algo = entry.algo or "ALGO"
    plain_load = "" if entry.plain_load_error is None else entry.plain_load_error or "would work"
    known = [
        ("Trained for", f"{count(entry.num_timesteps)} steps" if entry.num_timesteps else ""),
        ("Needed to load it", entry.loaded_with),
        (f"A plain {algo}.load", f"would raise {plain_load}" if entry.plain_load_error else plain_load),
        ("Versions", entry.version_changes or _version(entry)),
        ("Checks that failed", entry.checks_failed),
        ("Remarks", entry.remarks),
    ]
    return [(title, text) for title, text in known if text]


def _version(entry: Entry) -> str:
    saved = f"stable_baselines3 {entry.sb3_saved}" if entry.sb3_saved else ""
    return f"{saved}, as saved" if saved and entry.sb3_saved == entry.sb3_loaded else saved


def _claim_text(claim: ClaimRow) -> str:
    """``model card: 500 ± 0 over 10 episodes (README.md)``."""
    earned = number(claim.mean) + (
        f" ± {number(spread(claim.kind, claim.std, claim.n))}" if claim.std is not None else ""
    )
    over = f" over {count(claim.n)} episodes" if claim.n is not None and claim.kind != "trend" else ""
    return f"{_spaced(claim.kind)}: {earned}{over}{f' ({claim.where})' if claim.where else ''}"


def _diverging_texts(value: DivergingValue) -> tuple[str, str, str]:
    """``raw observations[2]``, its value in the reference, and after reload."""
    where = "" if value.index is None else f"[{', '.join(map(str, value.index))}]"
    before, after = ("not kept" if found is None else found for found in (value.reference, value.reload))
    return one_line(f"{_spaced(value.component)}{where}", LONGEST_NAME), before, after


def _spaced(identifier: str) -> str:
    return identifier.replace("_", " ")


def environment_findings(environments: Iterable[EnvironmentHealth]) -> dict[str, dict[str, object]]:
    """What is wrong with environments, by the names that models refer to."""
    return {
        one_line(environment.name, LONGEST_NAME): {
            "reproducible": environment.reproducible,
            "problems": [
                {"name": one_line(problem.name, LONGEST_NAME), "evidence": one_line(said, LONGEST_TEXT)}
                for problem in environment.problems
                for said in problem.evidence
            ],
            "unknown": [one_line(said, LONGEST_TEXT) for said in environment.unknown],
            "remark": one_line(environment.remark, LONGEST_DETAIL),
        }
        for environment in environments
    }
