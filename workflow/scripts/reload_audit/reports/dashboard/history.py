"""What models earned in earlier audits, for small plots on a model's page."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reload_audit.judging.criteria import VERDICTS
from reload_audit.records.audit_file import AuditFile, ComparedRow, NotComparableError, read_earlier
from reload_audit.reports.dashboard.entries import Entry
from reload_audit.reports.safe_text import one_line
from reload_audit.results.since import date_of

MOST_AUDITS = 30
"""Earlier audits that are shown, the latest ones."""

_LONGEST_NAME = 40


@dataclass(frozen=True)
class EarlierAudit:
    """An earlier audit.

    :param when: the day on which it started its last process; where that is not known, what its folder is called
    """

    when: str
    audit: AuditFile


def read_history(files: Iterable[Path]) -> list[EarlierAudit]:
    """Earlier audits in the order of their days, those without one first; standard error names what cannot be used."""
    found = []
    for file in files:
        try:
            audit = read_earlier(file)
        except NotComparableError as error:
            print(f"history: {error}", file=sys.stderr)
            continue
        found.append((date_of(file.parent), one_line(file.parent.name, _LONGEST_NAME), audit))
    ordered = sorted(found, key=lambda one: one[0])[-MOST_AUDITS:]
    return [EarlierAudit(date or name, audit) for date, name, audit in ordered]


Point = tuple[str, str, float | None, float | None, float | None]
"""When; verdict; mean reward after reload; its standard deviation; difference from train time or claim, in margins."""


def series(history: Sequence[EarlierAudit], models: Iterable[Entry]) -> Mapping[str, list[Point]]:
    """By the keys of models what each was in the earlier audits, and now; without those that are in none of them."""
    found: dict[str, list[Point]] = {}
    for model in models:
        earlier = [_point(one.when, one.audit.models[model.key]) for one in history if model.key in one.audit.models]
        if earlier:
            margins = model.difference / model.margin if model.difference is not None and model.margin else None
            now = ("now", model.verdict, model.reload_mean_reward, model.reload_std_reward, margins)
            found[model.key] = [*earlier, now]
    return found


def _point(when: str, row: ComparedRow) -> Point:
    margins = row.difference / row.margin if row.difference is not None and row.margin else None
    return when, row.verdict if row.verdict in VERDICTS else "", row.mean, row.std, margins
