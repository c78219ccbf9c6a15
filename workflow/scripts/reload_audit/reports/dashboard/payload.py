"""What the page holds of an audit, small enough for ten thousand models: columns for all, details for those that fit.

Each part is JSON, compressed and written as Base64, which a browser unpacks without a library. Details are cut into
chunks that are unpacked only when a model of theirs is opened.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reload_audit.reports.dashboard import grids
from reload_audit.reports.dashboard.causes import certainty
from reload_audit.reports.dashboard.details import details
from reload_audit.reports.dashboard.entries import LONGEST_NAME, Entry
from reload_audit.reports.dashboard.episodes import Pairs
from reload_audit.reports.dashboard.scores import places
from reload_audit.reports.summary import cause_page, printable

DIGITS = 6
"""Significant digits of a number in the page; ``models.csv`` has them all."""

MAX_DETAILS = 290_000
"""Compressed bytes of details, worst models first. What is left out is in ``audit.json``."""

_CHUNK = 25
_CODED = ("verdict", "algorithm", "environment", "experiment", "cause", "kind", "source", "gap", "at")
_TYPE = "application/gzip+base64"


@dataclass(frozen=True)
class Part:
    """One compressed part of the page."""

    name: str
    content: str


def parts(models: Sequence[Entry], environments: Mapping[str, Any], pairs: Mapping[str, Pairs]) -> list[Part]:
    """Everything the page needs, compressed.

    :param models: the worst first
    :param environments: what is said of each environment that was probed, by name
    :param pairs: the episodes of models, by their keys; not of all
    """
    chunks = list(_chunks(models, pairs))
    said = {
        "columns": columns(models),
        "cells": [_brief(row) for row in grids.cells(models)],
        "seeds": [_brief(row) for row in grids.seeds(models)],
        "causes": _explanations(models),
        "environments": environments,
        "detailed": len(chunks) * _CHUNK,
        "chunk": _CHUNK,
    }
    return [Part("audit", _packed(said)), *(Part(f"details-{k}", chunk) for k, chunk in enumerate(chunks))]


def columns(models: Sequence[Entry]) -> dict[str, Any]:
    """The table, column by column: a list of values, or ``words`` and for each model the position of its word."""
    rows = [_row(entry) | place for entry, place in zip(models, map(_placed, places(models)), strict=True)]
    names = list(rows[0]) if rows else []
    found = {name: [row[name] for row in rows] for name in names}
    return {name: _coded(values) if name in _CODED else values for name, values in found.items()}


def read(html: str) -> dict[str, Any]:
    """What a page holds, unpacked: the audit, and ``details`` of the models that have some."""
    found = re.findall(rf'<script type="{re.escape(_TYPE)}" id="([a-z0-9-]+)">([^<]*)</script>', html)
    content = {name: json.loads(gzip.decompress(base64.b64decode(text))) for name, text in found if _is_data(name)}
    chunks = [content[name] for name in content if name.startswith("details-")]
    return {**content["audit"], "details": [model for chunk in chunks for model in chunk]}


def _is_data(name: str) -> bool:
    return name == "audit" or name.startswith("details-")


def pack(text: str) -> str:
    """A text as it stands in the page; the same text gives the same characters."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _packed(content: Any) -> str:
    return pack(json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")))


def _row(entry: Entry) -> dict[str, Any]:
    """What the table shows, sorts and searches. Of a model that is as before, only what it earned is written."""
    same = entry.reload_mean == entry.claim_mean and entry.reload_std == entry.claim_std
    row = {
        "model": entry.name,
        "key": _key(entry),
        "verdict": entry.verdict,
        "algorithm": entry.algo,
        "environment": entry.environment,
        "experiment": entry.experiment,
        "source": entry.source,
        "n_envs": entry.n_envs,
        "seed": entry.seed,
        "before": entry.claim_mean,
        "before_std": entry.claim_std,
        "claim_n": entry.claim_n,
        "kind": entry.claim_kind,
        "same": int(same),
        "after": None if same else entry.reload_mean,
        "after_std": None if same else entry.reload_std,
        "difference": entry.difference,
        "low": entry.ci_low,
        "high": entry.ci_high,
        "margin": entry.margin,
        "n_episodes": entry.n_episodes,
        "q": entry.q,
        "cause": entry.causes[0].name if entry.causes else "",
        "share": entry.causes[0].share if entry.causes else None,
        "gap": entry.gap,
        "reason": entry.reason,
        "random": entry.random_mean,
        "other_causes": [cause.name for cause in entry.causes[1:]] or 0,
    }
    return _brief(row)


def _key(entry: Entry) -> str | None:
    """The name as it is, for links and commands, where it is shown shortened; None where both are the same."""
    return entry.key if entry.key != entry.name and entry.key.isprintable() else None


def _placed(place: Any) -> dict[str, Any]:
    return {"x": None, "y": None, "at": ""} if place is None else {"x": place.x, "y": place.y, "at": place.at}


def _brief(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: short(value) if isinstance(value, float) else value for name, value in row.items()}


def short(value: float) -> float | int:
    """A number with few digits; a whole one as such."""
    rounded = float(f"{value:.{DIGITS}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def _coded(values: Sequence[str]) -> dict[str, Any]:
    words = list(dict.fromkeys(values))
    at = {word: position for position, word in enumerate(words)}
    return {"words": words, "at": [at[value] for value in values]}


def _explanations(models: Iterable[Entry]) -> dict[str, Any]:
    """For each cause what it is, and its page."""
    found = {cause.name: cause for entry in models for cause in entry.causes}
    return {name: {"explanation": cause.explanation, "page": cause_page(name)} for name, cause in sorted(found.items())}


def _chunks(models: Sequence[Entry], pairs: Mapping[str, Pairs]) -> Iterable[str]:
    room = MAX_DETAILS * 4 // 3
    for first in range(0, len(models), _CHUNK):
        chunk = _packed([_detailed(entry, pairs.get(entry.key)) for entry in models[first : first + _CHUNK]])
        room -= len(chunk)
        if room < 0:
            return
        yield chunk


def _detailed(entry: Entry, pairs: Pairs | None) -> dict[str, Any]:
    """What a model's panel says, without what is empty."""
    known = {
        "details": details(entry),
        "claims": entry.claims,
        "causes": [
            {"cause": cause.name, "certainty": certainty(cause), "evidence": cause.evidence, "fix": cause.fix}
            for cause in entry.causes
        ],
        "ruled_out": entry.ruled_out,
        "divergence": entry.divergence,
        "differences": entry.differences,
        "conditions": [
            _brief(
                {
                    "condition": condition.name,
                    "n": condition.n_episodes,
                    "mean": condition.mean,
                    "std": condition.std,
                    "difference": condition.difference,
                    "low": condition.ci_low,
                    "high": condition.ci_high,
                    "identical": int(bool(condition.identical)),
                    "reason": condition.reason,
                }
            )
            for condition in entry.conditions
        ],
        "probe": entry.probe,
        "log": entry.log,
        "pairs": None if pairs is None else pairs.to_dict(short),
    }
    return {name: value for name, value in known.items() if value}


def environment_findings(audit: Mapping[str, Any]) -> dict[str, Any]:
    """What the probes of an audit found, by the name that models refer to."""
    return {
        printable(environment["name"], LONGEST_NAME): {
            "findings": [
                {"cause": printable(finding["cause"], LONGEST_NAME), "evidence": printable(finding["evidence"], 600)}
                for finding in environment.get("findings") or ()
            ],
            "remark": printable(environment.get("remark") or "", 400),
        }
        for environment in audit.get("environments") or ()
    }
