"""The causes of an audit's verdicts: one row each, with its fix, to which every model of that cause refers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from reload_audit.causes.catalogue import UNEXPLAINED
from reload_audit.judging.criteria import WORST_FIRST
from reload_audit.reports.audited_model import NamedCause
from reload_audit.reports.dashboard.entries import Entry
from reload_audit.reports.dashboard.number_format import percent
from reload_audit.reports.short_fix import cause_page


@dataclass(frozen=True)
class CauseRow:
    """One cause, over all models.

    :param page: where it is described, from the top of the repository; empty where it is not
    :param models: how many it explains, alone or among others
    :param best: how many it is the best explanation of
    :param example: the model that shows it best, and of it the cause
    """

    name: str
    explanation: str
    page: str
    models: int
    best: int
    verdicts: tuple[tuple[str, int], ...]
    example: Entry
    shown: NamedCause

    @property
    def fix(self) -> str:
        return self.shown.fix


def cause_rows(models: Sequence[Entry]) -> list[CauseRow]:
    """A row for each cause, those that best explain most models first."""
    explained: dict[str, list[tuple[Entry, NamedCause]]] = {}
    for entry in models:
        for cause in entry.causes:
            explained.setdefault(cause.name, []).append((entry, cause))
    rows = [_row(name, found) for name, found in explained.items()]
    return sorted(rows, key=lambda row: (-row.best, -row.models, row.name))


def certainty(cause: NamedCause) -> list[str]:
    """``proven``, ``closes 97 % of the gap``."""
    share = "" if cause.share is None else f"closes {percent(max(0.0, round(cause.share, 2)))} of the gap"
    proof = "" if cause.name == UNEXPLAINED else "proven" if cause.proven else "not proven"
    return [text for text in (proof, share) if text]


def _row(name: str, found: Sequence[tuple[Entry, NamedCause]]) -> CauseRow:
    verdicts = Counter(entry.verdict for entry, _ in found)
    example, shown = max(found, key=_persuasion)
    return CauseRow(
        name=name,
        explanation=shown.explanation,
        page=cause_page(name),
        models=len(found),
        best=sum(_is_best(entry, cause) for entry, cause in found),
        verdicts=tuple((verdict, verdicts[verdict]) for verdict in reversed(WORST_FIRST) if verdicts[verdict]),
        example=example,
        shown=shown,
    )


def _persuasion(found: tuple[Entry, NamedCause]) -> tuple[bool, bool, float]:
    """A sort key: how well a model shows a cause, by proof, rank and share of the gap."""
    entry, cause = found
    return _is_best(entry, cause), cause.proven, -1.0 if cause.share is None else cause.share


def _is_best(entry: Entry, cause: NamedCause) -> bool:
    return entry.causes[0] is cause
