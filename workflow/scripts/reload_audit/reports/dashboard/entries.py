"""The audit's models as the page shows them: every text harmless and not too long, the worst models first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from reload_audit.judging.criteria import Verdict
from reload_audit.reports.audited_model import AuditedModel, ClaimRow, ConditionRow, DivergingValue, NamedCause, finite
from reload_audit.reports.safe_text import code_lines, one_line

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

LOST: tuple[Verdict, ...] = ("error", "degraded")

LONGEST_NAME = 200
LONGEST_TEXT = 600
LONGEST_DETAIL = 400
_LONGEST_FIX = 6_000

_LONGEST = {
    **dict.fromkeys(("reason", "remarks"), LONGEST_TEXT),
    **dict.fromkeys(("checks_failed", "loaded_with", "version_changes", "divergence"), LONGEST_DETAIL),
}
"""Characters of a model's texts that are shown, where they are not as few as a name's."""


@dataclass(frozen=True)
class Entry(AuditedModel):
    """A model whose texts may stand in a page: each on one line, without control characters, and not too long.

    Numbers that are not finite are None.

    :param key: its name as it is in the tables, which may hold what a browser would obey; ``name`` is for showing
    """

    key: str


def entries(models: Iterable[AuditedModel]) -> list[Entry]:
    """Every model, those of most concern first and by name among equals."""
    ordered = sorted(models, key=lambda model: (model.concern, _by_name(model.name)))
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


def _entry(model: AuditedModel) -> Entry:
    harmless = _harmless(model, _LONGEST) | {
        "claims": tuple(map(_claim, model.claims)),
        "conditions": tuple(map(_condition, model.conditions)),
        "causes": tuple(map(_cause, model.causes)),
        "ruled_out": _sentences(model.ruled_out),
        "not_excluded": _sentences(model.not_excluded),
        "diverging": tuple(map(_diverging, model.diverging)),
    }
    return Entry(**harmless, key=model.name)


def _claim(claim: ClaimRow) -> ClaimRow:
    return replace(claim, **_harmless(claim, {"where": LONGEST_DETAIL}))


def _condition(condition: ConditionRow) -> ConditionRow:
    return replace(condition, **_harmless(condition, {"reason": LONGEST_DETAIL}))


def _cause(cause: NamedCause) -> NamedCause:
    harmless = _harmless(cause, {"explanation": LONGEST_DETAIL}) | {"evidence": _sentences(cause.evidence)}
    return replace(cause, **harmless | {"fix": code_lines(cause.fix, _LONGEST_FIX)})


def _diverging(value: DivergingValue) -> DivergingValue:
    return replace(value, **_harmless(value, {}))


def _harmless(record: DataclassInstance, longest: Mapping[str, int]) -> dict[str, Any]:
    """The fields of a record, with its texts on one line each and its numbers finite or None.

    :param longest: characters of a field that are kept, if not those of a name
    """
    known = {field.name: getattr(record, field.name) for field in fields(record)}
    for name, value in known.items():
        if isinstance(value, str):
            known[name] = one_line(value, longest.get(name, LONGEST_NAME))
        elif isinstance(value, float):
            known[name] = finite(value)
    return known


def _sentences(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(one_line(text, LONGEST_DETAIL) for text in texts)
