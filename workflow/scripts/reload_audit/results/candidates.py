"""Candidates against the models that are shipping: two models of one audit, compared on the same seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from reload_audit.judging.criteria import Criteria
from reload_audit.judging.judgement import Judgement
from reload_audit.judging.since import earns, judge_since, smallest_shown
from reload_audit.judging.verdicts import JudgedVerdict, decide_verdicts
from reload_audit.records.audit_file import AuditFile, ComparedRow
from reload_audit.records.since import CandidateResult
from reload_audit.results.since import earned, read_episodes


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
    judgements, paired = [], []
    for candidate, shipping in named:
        judgement, in_pairs = None, False
        now, then = (None if row is None else earned(row, episodes) for row in (candidate, shipping))
        if candidate is not None and now is not None and then is not None:
            judgement, in_pairs = judge_since(then, now, candidate.random_mean, criteria)
        judgements.append(judgement)
        paired.append(in_pairs)
    verdicts = decide_verdicts(judgements, criteria)
    return [
        _result(pair, rows[0], judgement, judged, in_pairs, criteria)
        for pair, rows, judgement, judged, in_pairs in zip(pairs, named, judgements, verdicts, paired, strict=True)
    ]


def _result(
    pair: Mapping[str, str],
    candidate: ComparedRow | None,
    judgement: Judgement | None,
    judged: JudgedVerdict,
    in_pairs: bool,
    criteria: Criteria,
) -> CandidateResult:
    result = CandidateResult(pair["candidate"], pair["shipping"], "" if candidate is None else candidate.environment)
    if judgement is None or judgement.comparison is None:
        return result
    comparison = judgement.comparison
    return replace(
        result,
        earns=earns(judged),
        paired="seeds" if in_pairs else "means",
        n=comparison.n_episodes,
        difference=comparison.difference,
        ci_low=comparison.ci_low,
        ci_high=comparison.ci_high,
        margin=comparison.margin,
        q=judged.q,
        smallest=smallest_shown(comparison, criteria),
    )
