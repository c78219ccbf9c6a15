"""A claim that contradicts the model's own files and the reload alike is presumed to be of another model."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from reload_audit.causes.finding import Finding
from reload_audit.diagnosis.conclude import conclude
from reload_audit.diagnosis.contradiction import CONTRADICTED, contradiction
from reload_audit.diagnosis.effects import ConditionResult, TrialResult
from reload_audit.diagnosis.evidence import Evidence
from reload_audit.judging.comparison import compare_unpaired
from reload_audit.judging.judgement import Judgement
from reload_audit.records.specs import Claim
from support.builders import CRITERIA

TABLE = Claim("explicit", 287.9, 2.4, 123, "models.tsv, line 2")
OWN = Claim("training", 264.0, 81.0, 100, "model.zip, ep_info_buffer")


def drawn(mean: float, std: float, n: int, kind: str = "normal", seed: int = 0) -> np.ndarray:
    """Episodes whose reward has this mean and standard deviation, of one of four shapes."""
    random = np.random.default_rng(seed)
    if kind == "skewed":
        return mean + std * (1.0 - random.exponential(1.0, n))
    if kind in ("rarely failing", "bimodal"):
        chance = 0.05 if kind == "rarely failing" else 0.3
        return mean + std * (
            math.sqrt(chance / (1 - chance)) - (random.random(n) < chance) / math.sqrt(chance - chance**2)
        )
    return mean + std * random.standard_normal(n)


RELOAD, EXPLORING = drawn(232.8, 117.0, 320, seed=1), drawn(263.9, 81.0, 320, seed=2)


def test_a_claim_whose_spread_neither_training_nor_reload_can_have_is_of_another_model() -> None:
    found = contradiction([TABLE, OWN], TABLE, RELOAD, EXPLORING)
    assert found is not None
    assert not found.proof
    assert "287.9 ± 2.4 over 123 episodes (models.tsv, line 2)" in found.evidence
    assert "264 ± 81 over 100 episodes" in found.evidence


@pytest.mark.parametrize(
    ("claims", "claim", "reload", "exploring"),
    [
        pytest.param([TABLE], TABLE, RELOAD, EXPLORING, id="nothing in the files"),
        pytest.param([TABLE, OWN], replace(TABLE, std=70.0), RELOAD, EXPLORING, id="a spread as in training"),
        pytest.param([TABLE, OWN], replace(TABLE, std=None), RELOAD, EXPLORING, id="no spread claimed"),
        pytest.param([TABLE, OWN], replace(TABLE, n=5), RELOAD, EXPLORING, id="few episodes claimed"),
        pytest.param([TABLE, OWN], TABLE, RELOAD, EXPLORING - 55.0, id="exploring loses as much"),
        pytest.param([TABLE, OWN], TABLE, RELOAD, 230.0 + 0.1 * EXPLORING, id="exploring has another spread"),
        pytest.param([TABLE, OWN], TABLE, drawn(232.8, 2.0, 320), EXPLORING, id="only exploration spreads"),
        pytest.param([TABLE, OWN], OWN, RELOAD, EXPLORING, id="its own claim decides"),
    ],
)
def test_a_claim_stands_where_its_contradiction_has_another_explanation(
    claims: list[Claim], claim: Claim, reload: np.ndarray, exploring: np.ndarray
) -> None:
    assert contradiction(claims, claim, reload, exploring) is None


def test_rare_failures_that_a_short_claim_has_not_met_contradict_nothing() -> None:
    """Of twenty episodes that fail once in twenty, a third meets no failure at all."""
    reload = drawn(281.0, 40.0, 320, "rarely failing")
    own = replace(OWN, mean=281.0, std=40.0)
    claim = replace(TABLE, mean=290.0, std=0.5, n=20)
    assert contradiction([claim, own], claim, reload, drawn(281.0, 40.0, 320, "rarely failing", 2)) is None


def claim_of(rewards: np.ndarray, kind: str = "explicit") -> Claim:
    return Claim(kind, float(rewards.mean()), float(rewards.std()), rewards.size, "a table")  # type: ignore[arg-type]


@pytest.mark.parametrize(("lost", "best_of"), [(False, 1), (False, 20), (True, 1)])
def test_a_right_claim_is_hardly_ever_taken_for_that_of_another_model(lost: bool, best_of: int) -> None:
    """Whatever the shapes, and whatever exploration and damage do to mean and spread."""
    random, named = np.random.default_rng(3), 0
    for trial in range(0, 4_000, 10):
        shape, shape_exploring = random.choice(["normal", "skewed", "rarely failing", "bimodal"], 2)
        std = math.exp(random.uniform(0.0, math.log(120.0)))
        widened = min(150.0, std * math.exp(random.uniform(0.0, math.log(30.0))))
        cost, loss = random.uniform(0.0, 60.0), random.uniform(15.0, 300.0) if lost else 0.0
        n = int(random.choice([20, 50, 100, 500]))
        tables = [claim_of(drawn(300.0, std, n, shape, trial + k)) for k in range(min(best_of, 9))]
        own = claim_of(drawn(300.0 - cost, widened, 100, shape_exploring, 5_000 + trial), "training")
        reload = drawn(300.0 - loss, std * (3.0 if lost else 1.0), 320, shape, 10_000 + trial)
        exploring = drawn(300.0 - cost - loss, widened, 320, shape_exploring, 20_000 + trial)
        table = max(tables, key=lambda claim: claim.mean)
        named += contradiction([table, own], table, reload, exploring) is not None
    assert named <= 4


@pytest.mark.parametrize("episodes", [100, 320])
def test_the_claim_of_another_model_is_mostly_recognised(episodes: int) -> None:
    named = 0
    for seed in range(100):
        kind = ["normal", "skewed", "bimodal"][seed % 3]
        own = claim_of(drawn(264.0, 81.0, 100, kind, seed), "training")
        exploring = drawn(264.0, 81.0, episodes, kind, 2_000 + seed)
        named += contradiction([TABLE, own], TABLE, drawn(233.0, 117.0, 320, kind, 1_000 + seed), exploring) is not None
    assert named >= 80


# --- What is named -------------------------------------------------------------------------------------------------

LOST = Judgement(compare_unpaired((287.9, 2.4, 123), (232.8, 117.0, 320), 19.3, CRITERIA), TABLE)


def evidence(*trials: TrialResult, ran_as: str = "") -> Evidence:
    found = contradiction([TABLE, OWN], TABLE, RELOAD, EXPLORING)
    assert found is not None
    return Evidence(232.8, "", (8, 0), 117.0, 320, findings=(found,), trials=trials, ran_as=ran_as)


def test_the_cause_is_the_claim_and_it_is_presumed() -> None:
    stochastic = TrialResult(
        "stochastic", ("policy-mode",), {}, ConditionResult(263.9, "", 81.0, 320, 232.8, 31.1, 8.0)
    )
    (cause,) = conclude(evidence(stochastic, ran_as="Walker-v3 ran as Walker-v5"), "degraded", "", LOST, None).causes
    assert (cause.cause, cause.proven) == (CONTRADICTED, False)


def test_what_an_environment_keeps_comes_after_a_claim_that_is_contradicted() -> None:
    hidden = Finding("global-generator", "probe", True, "differs")
    causes = conclude(evidence(), "degraded", "", LOST, [hidden]).causes
    assert [cause.cause for cause in causes] == [CONTRADICTED, "global-generator"]


def test_a_trial_that_earns_what_is_claimed_comes_before_a_claim_that_is_contradicted() -> None:
    gave = ConditionResult(287.0, "", 2.5, 320, 232.8, 54.2, 6.0)
    twice = TrialResult("statistics=twice", ("vecnormalize-twice",), {}, gave)
    assert conclude(evidence(twice), "degraded", "", LOST, None).causes[0].cause == "vecnormalize-twice"
