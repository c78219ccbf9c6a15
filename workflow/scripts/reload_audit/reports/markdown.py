"""The summary as Markdown, for a pull request or a chat message.

Names and messages come from files of unknown origin. They stand in code spans: there nothing is a link, a mention, an
image, HTML or a formula.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from reload_audit.reports.audit import Audit
from reload_audit.reports.audited_model import AuditedModel
from reload_audit.reports.environments import about_environments
from reload_audit.reports.groups import Group, groups_of_wrong, shown_evidence
from reload_audit.reports.headline import headline
from reload_audit.reports.model_cards import FOLDER, Suggestion, about_cards, patch_names
from reload_audit.reports.safe_text import one_line
from reload_audit.reports.scripts import about_scripts
from reload_audit.reports.short_fix import cause_page
from reload_audit.reports.since import about_since, candidates_of
from reload_audit.reports.summary import (
    LONGEST_NAME,
    PARAGRAPHS,
    ROWS,
    about_verdict,
    counted_causes,
    explained,
    passed_over,
    plain_loads,
    rewards,
    title,
    why,
)

_MOST_CARDS = 10
_MOST_NAMES = 150
_MOST_LINES = 60
_MOST_CAUSES = 50
_LONGEST_PATH = 120


def summarize(audit: Audit, report: str, cards: Sequence[Suggestion] = ()) -> str:
    """A message of a few screens at most, however many models there are: GitHub takes 65,536 characters in one.

    :param report: path of the HTML report
    :param cards: model cards whose figure is not what was measured
    """
    models = audit.models
    groups = groups_of_wrong(models)
    blocks = [
        f"**{headline(audit)}**",
        _verdicts(audit.counts, models),
        _as_it_is([*about_since(audit.since), *candidates_of(audit.candidates)]),
    ]
    blocks += _groups(groups)
    blocks += [*_causes(models), *_cards(cards)]
    blocks += [
        _as_it_is(about_environments(audit, shown_evidence(groups[:PARAGRAPHS]))),
        _as_it_is(about_scripts(audit.scripts)),
    ]
    loads = plain_loads(models)
    blocks += [*map(code, filter(None, [loads, passed_over(audit)])), f"Report: {code(report)}"]
    return "\n\n".join(filter(None, blocks)) + "\n"


def _as_it_is(said: Iterable[str]) -> str:
    """Lines as a block of text that is shown as it is."""
    lines = [line.replace("```", "") for line in said]
    return "\n".join(["```text", *lines[:_MOST_LINES], "```"]) if lines else ""


def code(text: str) -> str:
    """A code span that shows a text of printable characters as it is, backticks included."""
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    space = " " if "`" in (text[:1], text[-1:]) else ""
    return f"{fence}{space}{text}{space}{fence}" if text else ""


def _verdicts(counts: Mapping[str, int], models: Sequence[AuditedModel]) -> str:
    rows = [[verdict, f"{count:,}", about_verdict(verdict, models)] for verdict, count in counts.items() if count]
    return _table(["verdict", "models", ""], rows)


def _groups(groups: Sequence[Group]) -> Iterator[str]:
    """A row for each cause in each environment; of the groups that are too many, the names alone."""
    if groups:
        heads = ["model", "verdict", "train or claim → reload", "why", "cause"]
        yield _table(heads, [_row(group) for group in groups[:PARAGRAPHS]])
    room = _MOST_NAMES
    lines = []
    for group in groups:
        shown = ROWS if group in groups[:PARAGRAPHS] else 0
        others = group.models[shown:] if group.worst.verdict != "error" else ()
        if others:
            more = f" and {len(others) - room:,} more" if len(others) > room else ""
            names = ", ".join(code(one_line(model.name, LONGEST_NAME)) for model in others[:room])
            lines.append(f"- {code(title(group))}: {f'{names}{more}' if names else f'{len(others):,} models'}")
            room = max(0, room - len(others))
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"- and {len(lines) - _MOST_LINES:,} more causes and environments"]
    if lines:
        yield "\n".join(["Further models, by cause and environment:", "", *lines])


def _row(group: Group) -> list[str]:
    worst = group.worst
    cause = "<br>".join(map(code, filter(None, [explained(worst), cause_page(worst.cause)])))
    shown = group.models[:ROWS]
    names = [code(one_line(model.name, LONGEST_NAME)) for model in shown]
    earned = [f"{rewards(model)}{f' ({model.claim_kind})' if model.claim_kind else ''}" for model in shown]
    left = len(group.models) - ROWS
    more = [f"and {left:,} more"] if left > 0 else []
    called = worst.called if len(group.models) == 1 else group.verdicts
    return ["<br>".join([*names, *more]), called, "<br>".join(earned).replace("_", " "), code(why(worst)), cause]


def _causes(models: Sequence[AuditedModel]) -> Iterator[str]:
    counted = counted_causes(models)
    if counted:
        rows = [[code(cause), f"{count:,}", code(cause_page(cause))] for cause, count in counted[:_MOST_CAUSES]]
        yield from _details("Causes of all models", _table(["cause", "models", "page"], rows))


def _cards(cards: Sequence[Suggestion]) -> Iterator[str]:
    if cards:
        yield about_cards(cards)
        lines = [
            f"- {code(f'{FOLDER}/{name}')}: {code(suggestion.old)} → {code(suggestion.new)} "
            f"on {code(one_line(suggestion.card, _LONGEST_PATH))}, whose model is {suggestion.verdict}"
            for name, suggestion in patch_names(cards)
        ]
        more = [f"- and {len(lines) - _MOST_CARDS:,} more"] if len(lines) > _MOST_CARDS else []
        if lines:
            title = "Suggested corrections of model cards; nothing was changed"
            yield from _details(title, "\n".join([*lines[:_MOST_CARDS], *more]))


def _details(title: str, content: str) -> Iterator[str]:
    """Blocks of Markdown that are folded under a title and shown when it is clicked on."""
    yield from (f"<details><summary>{title}</summary>", content, "</details>")


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if rows else ""
