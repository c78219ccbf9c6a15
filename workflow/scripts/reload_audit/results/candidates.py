"""Candidates against the models that are shipping: two models of one audit, compared on the same seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from reload_audit.judging.criteria import Criteria
from reload_audit.judging.judgement import Judgement
from reload_audit.judging.since import earns, smallest_shown
from reload_audit.judging.verdicts import JudgedVerdict, decide_verdicts
from reload_audit.records.audit_file import AuditFile, ComparedRow
from reload_audit.records.since import CandidateResult, Paired
from reload_audit.results.since import judged_rows, read_episodes


def candidates(
    pairs: Sequence[Mapping[str, str]], audit: AuditFile, results: Path, criteria: Criteria
) -> list[CandidateResult]:
    """Compare each candidate with the model that is shipping.

    :param pairs: each with the names of a ``candidate`` and of the one that is ``shipping``
    :param results: the folder with ``episodes.parquet``
    """
    named = [(audit.models.get(pair["candidate"]), audit.models.get(pair["shipping"])) for pair in pairs]
    found = read_episodes(results, {row.name for pair in named for row in pair if row is not None})
    episodes = {} if isinstance(found, str) else found
    compared: list[tuple[Judgement | None, Paired]] = [
        (None, "") if now is None or then is None else judged_rows(then, now, episodes, episodes, criteria)
        for now, then in named
    ]
    verdicts = decide_verdicts([judgement for judgement, _ in compared], criteria)
    return [
        _result(pair, rows[0], *one, judged, criteria)
        for pair, rows, one, judged in zip(pairs, named, compared, verdicts, strict=True)
    ]


def _result(
    pair: Mapping[str, str],
    candidate: ComparedRow | None,
    judgement: Judgement | None,
    paired: Paired,
    judged: JudgedVerdict,
    criteria: Criteria,
) -> CandidateResult:
    result = CandidateResult(pair["candidate"], pair["shipping"], "" if candidate is None else candidate.environment)
    if judgement is None or judgement.comparison is None:
        return result
    comparison = judgement.comparison
    return replace(
        result,
        earns=earns(judged),
        paired=paired,
        n=comparison.n_episodes,
        difference=comparison.difference,
        ci_low=comparison.ci_low,
        ci_high=comparison.ci_high,
        margin=comparison.margin,
        q=judged.q,
        smallest=smallest_shown(comparison, criteria),
    )
