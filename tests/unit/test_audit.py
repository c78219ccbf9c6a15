"""What all reports read of ``audit.json``, as one type."""

from __future__ import annotations

import math
from dataclasses import asdict
from itertools import product
from typing import Any

import numpy as np
import pytest

from reload_audit.judging.claims import STRENGTH, judge_by_claims
from reload_audit.judging.criteria import VERDICTS
from reload_audit.judging.judgement import Judgement
from reload_audit.records.episodes import Episode
from reload_audit.records.specs import Claim
from reload_audit.records.storage import write_json
from reload_audit.reports.audit import Audit, read_audit
from reload_audit.reports.audited_model import AuditedModel
from support.audit_contents import external_row, inconclusive_row, suspect_row, trained_row
from support.builders import CRITERIA
from support.fleet import fleet


def read(row: dict[str, Any]) -> AuditedModel:
    (only,) = Audit.from_json({"models": [row]}).models
    return only


def episodes(mean: float, n: int) -> list[Episode]:
    rewards = mean + np.random.default_rng(n).standard_normal(n)
    return [Episode(k, k, float(reward), 10, True, None, float(reward), {}) for k, reward in enumerate(rewards)]


def judged_row(judgement: Judgement) -> dict[str, Any]:
    """An inconclusive model with the numbers of a judgement; with ``q`` where models are tested together."""
    comparison, claim = judgement.comparison, judgement.claim
    numbers = {} if comparison is None else asdict(comparison)
    said = {} if claim is None else {"claim_kind": claim.kind, "claim_n": claim.n}
    q = 0.5 if comparison is not None and not judgement.obstacle else None
    return {"model": "a", "verdict": "inconclusive", "source": "hub", "q": q, **numbers, **said}


CLAIMS = [
    [Claim(kind, mean, std, n, "README.md")]
    for kind, mean, std, n in product(STRENGTH, (10.0, 49.9, 50.0, 51.0, 90.0), (None, 0.0, 1.0), (None, 1, 2, 300))
]


@pytest.mark.parametrize("n", [2, 20, 80])
def test_the_obstacle_read_from_an_audit_is_that_of_the_judgement(n: int) -> None:
    judged = [judge_by_claims(claims, episodes(50.0, n), 0.0, CRITERIA) for claims in [[], *CLAIMS]]
    undecided = [judgement for judgement in judged if judgement.decision is None]
    assert len({judgement.obstacle for judgement in undecided}) >= 5
    assert [read(judged_row(judgement)).obstacle for judgement in undecided] == [one.obstacle for one in undecided]


@pytest.mark.parametrize("verdict", sorted({*VERDICTS} - {"inconclusive"}))
def test_a_verdict_that_was_reached_met_no_obstacle(verdict: str) -> None:
    assert read(external_row(verdict=verdict, q=None)).obstacle == ""


def test_too_few_episodes_are_no_obstacle() -> None:
    assert read(trained_row(verdict="inconclusive", q=0.3)).obstacle == ""


def test_the_obstacle_does_not_depend_on_the_wording_of_the_reason() -> None:
    assert read(inconclusive_row("best_of_k", reason="no_claim: in other words")).obstacle == "best_of_k"


@pytest.mark.parametrize(("text", "number"), [("inf", math.inf), ("-inf", -math.inf), (None, None), (1, 1.0)])
def test_numbers_that_json_does_not_have_are_read_from_their_texts(text: Any, number: float | None) -> None:
    assert read(trained_row(claim_std=text)).claim_std == number
    assert math.isnan(read(trained_row(claim_std="nan")).claim_std or 0.0)


def test_the_models_of_most_concern_come_first_and_suspect_ones_right_after_degraded_ones() -> None:
    rows = [trained_row(verdict=verdict) for verdict in VERDICTS]
    ordered = sorted((read(row) for row in [*rows, suspect_row()]), key=lambda model: model.concern)
    assert [model.called for model in ordered] == [
        *("error", "degraded", "inconclusive (suspect)", "inconclusive", "consistent"),
        *("improved", "retained", "equivalent", "identical"),
    ]


def test_only_an_inconclusive_model_is_suspect() -> None:
    assert read(suspect_row()).suspect
    assert not read(trained_row(verdict="degraded", suspect=True)).suspect


def test_an_audit_without_anything_is_read(tmp_path) -> None:
    write_json(tmp_path / "audit.json", {})
    audit = read_audit(tmp_path / "audit.json")
    assert (audit.models, audit.criteria, audit.tool) == ((), None, "")


def test_every_model_of_an_audit_is_read(tmp_path) -> None:
    content = fleet(100)
    write_json(tmp_path / "audit.json", content)
    audit = read_audit(tmp_path / "audit.json")
    assert [one.name for one in audit.models] == [row["model"] for row in content["models"]]
    assert audit.counts == content["counts"]
