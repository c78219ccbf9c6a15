"""The sections on what has changed since the baseline, and on candidates against models that are shipping."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reload_audit.judging.criteria import Verdict
from reload_audit.records.since import CandidateResult, Earns, Since, State
from reload_audit.reports.dashboard.entries import LONGEST_TEXT, Entry
from reload_audit.reports.safe_text import one_line
from reload_audit.reports.since import MEANINGS, about_since, against, earned, when, worst_candidates

_LOOKS: dict[State, Verdict] = {
    "regressed": "degraded",
    "recovered": "improved",
    "changed": "inconclusive",
    "same": "equivalent",
    "new": "retained",
}
"""Whose colour the tile of a state has."""


@dataclass(frozen=True)
class StateTile:
    """How many models are in a state.

    :param verdict: whose colour it has
    """

    name: State
    verdict: Verdict
    meaning: str
    count: int
    share: float
    kind: str = "since"


@dataclass(frozen=True)
class SinceSection:
    """What has changed since the baseline.

    :param when: the baseline's day, or what it is called
    :param tiles: of the states of models that are in this audit, to filter by
    :param lines: what the console says, without its first line
    """

    when: str
    tiles: tuple[StateTile, ...]
    lines: tuple[str, ...]


def since_section(since: Since | None, models: Sequence[Entry]) -> SinceSection | None:
    """The section; None without a baseline."""
    if since is None:
        return None
    states = since.states
    counts = Counter(states[entry.key] for entry in models if entry.key in states)
    total = len(models) or 1
    tiles = (
        StateTile(state, verdict, MEANINGS[state], counts[state], counts[state] / total)
        for state, verdict in _LOOKS.items()
        if counts.total()
    )
    _, *lines = about_since(since)
    return SinceSection(when(since), tuple(tiles), tuple(line.strip() for line in lines))


@dataclass(frozen=True)
class CandidateRow:
    """A candidate, compared with the model that is shipping.

    :param verdict: whose colour it has
    :param state: what it is, in a word or two
    :param models: names of both, each with whether it has a page of its own
    :param on: the environment of both
    :param said: what it earns, and how small a loss would have shown
    """

    verdict: Verdict
    state: str
    models: tuple[tuple[str, bool], ...]
    on: str
    said: str


_STATES: dict[Earns, tuple[Verdict, str]] = {
    "less": ("degraded", "worse"),
    "": ("error", "not compared"),
    "open": ("inconclusive", "open"),
    "same": ("equivalent", "as good"),
    "identical": ("identical", "identical"),
    "more": ("improved", "better"),
}


def candidate_rows(candidates: Sequence[CandidateResult], models: Sequence[Entry]) -> list[CandidateRow]:
    """A row for each candidate, the worst first."""
    names = {entry.key: entry.name for entry in models}
    return [
        CandidateRow(
            *_STATES[one.earns],
            tuple((names.get(key, one_line(key, LONGEST_TEXT)), key in names) for key in (one.candidate, one.shipping)),
            one_line(one.environment, LONGEST_TEXT),
            against(one).removeprefix("not compared: "),
        )
        for one in worst_candidates(candidates)
    ]


def states_of(since: Since | None, models: Sequence[Entry]) -> dict[str, list[int]]:
    """Of each state the places of its models, for the page's script."""
    found: dict[str, list[int]] = {}
    states: Mapping[str, State] = {} if since is None else since.states
    for place, entry in enumerate(models):
        if entry.key in states:
            found.setdefault(states[entry.key], []).append(place)
    return found


def said_of_models(since: Since | None) -> dict[str, str]:
    """By the names of models, what each earns compared with then, and its state."""
    if since is None:
        return {}
    return {
        model.model: one_line(
            f"{model.state}{f', then {model.verdict_then}' if model.verdict_then else ''}; {earned(model)}".rstrip(
                "; "
            ),
            LONGEST_TEXT,
        )
        for model in since.models
    }
