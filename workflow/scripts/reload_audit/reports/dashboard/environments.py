"""The section on environments: one row each, those of most concern first, with what is wrong and the fix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reload_audit.judging.criteria import WORST_FIRST
from reload_audit.records.environment_health import EnvironmentHealth
from reload_audit.reports.audit import Audit
from reload_audit.reports.dashboard.entries import LONGEST_NAME, LONGEST_TEXT, Entry
from reload_audit.reports.environments import fragile, is_faulty, state, worst_first
from reload_audit.reports.safe_text import code_lines, one_line, sentences
from reload_audit.reports.short_fix import cause_page

_MOST = 200
_MOST_MODELS = 12
_LONGEST_FIX = 6_000


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with an environment.

    :param page: where its cause is described, from the top of the repository; empty where it is not
    """

    name: str
    explanation: str
    evidence: tuple[str, ...]
    where: str
    page: str
    fix: str


@dataclass(frozen=True)
class EnvironmentRow:
    """An environment with which something is wrong, or of which not all is known.

    :param mark: how it is marked: ``broken``, ``faulty`` or ``unknown``
    :param verdicts: of its models
    :param fragile: how many of them earn what they earned all the same
    :param models: the first of them, and ``left`` how many more there are
    """

    called: str
    state: str
    mark: str
    verdicts: tuple[tuple[str, int], ...]
    fragile: int
    faults: tuple[Fault, ...]
    unknown: tuple[str, ...]
    remark: str
    models: tuple[str, ...]
    left: int


def environment_rows(audit: Audit, models: Sequence[Entry]) -> list[EnvironmentRow]:
    """A row for each environment of which there is something to say."""
    known = {entry.key: entry for entry in models}
    shaded = fragile(audit)
    told = [one for one in worst_first(audit.environments) if is_faulty(one) or one.reproducible is None or one.unknown]
    return [_row(one, known, shaded) for one in told[:_MOST]]


def healthy(audit: Audit) -> list[str]:
    """What the environments are called with which nothing is wrong."""
    found = [one for one in audit.environments if one.reproducible is True and not is_faulty(one) and not one.unknown]
    return sorted(one_line(one.called, LONGEST_NAME) for one in found)[:_MOST]


def _row(environment: EnvironmentHealth, known: Mapping[str, Entry], shaded: set[str]) -> EnvironmentRow:
    here = [known[name] for name in environment.models if name in known]
    verdicts = Counter(entry.verdict for entry in here)
    mark = "broken" if environment.reproducible is False else "faulty" if is_faulty(environment) else "unknown"
    return EnvironmentRow(
        called=one_line(environment.called, LONGEST_NAME),
        state=state(environment),
        mark=mark,
        verdicts=tuple((verdict, verdicts[verdict]) for verdict in reversed(WORST_FIRST) if verdicts[verdict]),
        fragile=sum(entry.key in shaded for entry in here),
        faults=tuple(
            Fault(
                name=one_line(problem.name, LONGEST_NAME),
                explanation=one_line(problem.explanation, LONGEST_TEXT),
                evidence=tuple(sentences(said, LONGEST_TEXT) for said in problem.evidence),
                where=one_line(problem.where, LONGEST_NAME),
                page=cause_page(problem.name),
                fix=code_lines(problem.fix, _LONGEST_FIX),
            )
            for problem in environment.problems
        ),
        unknown=tuple(sentences(said, LONGEST_TEXT) for said in environment.unknown),
        remark=one_line(environment.remark, LONGEST_TEXT),
        models=tuple(entry.name for entry in here[:_MOST_MODELS]),
        left=max(0, len(here) - _MOST_MODELS),
    )
