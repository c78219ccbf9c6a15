"""What may be blamed: faults of environments where a loss is shown, errors before all else, luck within bounds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from reload_audit.causes.finding import Finding
from reload_audit.diagnosis.conclude import Diagnosis, conclude
from reload_audit.diagnosis.effects import ConditionResult, TrialResult
from reload_audit.diagnosis.evidence import Evidence
from reload_audit.judging.comparison import compare_paired, compare_unpaired
from reload_audit.judging.judgement import Judgement
from reload_audit.records.specs import Claim
from support.builders import CRITERIA

EVIDENCE = Evidence(reward=240.0, failure="", checks=(8, 0), std=60.0, n=320)
CLAIM = Claim("explicit", 300.0, 5.0, 100, "models.tsv, line 2")
LOST = Judgement(compare_unpaired((300.0, 5.0, 100), (240.0, 60.0, 320), 15.0, CRITERIA), CLAIM)
OPEN = Judgement(
    compare_unpaired((250.0, 60.0, 100), (240.0, 60.0, 320), 15.0, CRITERIA), replace(CLAIM, mean=250.0, std=60.0)
)
REUSED = Finding(
    "survives-reset", "probe", True, "With seed 0 and random actions, observation[3] is 0.1 instead of 0.2."
)
ADVANCES = replace(REUSED, cause="curriculum")
GLOBAL = replace(REUSED, cause="global-generator")


def recorded(differences: np.ndarray, first_difference: str | None, in_place: np.ndarray | None = None) -> Judgement:
    """A model whose episodes were recorded, of which the reload differs by so much."""
    return Judgement(
        compare_paired(differences, 15.0, CRITERIA),
        environment_gap=None if in_place is None else compare_paired(in_place, 15.0, CRITERIA),
        process_gap=compare_paired(differences, 15.0, CRITERIA),
        first_difference=first_difference,
    )


def used(effect: float, error: float) -> TrialResult:
    """What used environments gave, in place of new ones."""
    gave = ConditionResult(240.0 + effect, "", 60.0, 320, 240.0, effect, error)
    return TrialResult("used environments", ("curriculum",), {}, gave)


def names(diagnosis: Diagnosis) -> list[str]:
    return [cause.cause for cause in diagnosis.causes]


# --- Faults of environments ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [REUSED, ADVANCES, GLOBAL], ids=lambda fault: fault.cause)
@pytest.mark.parametrize(
    ("verdict", "judgement"),
    [
        ("inconclusive", OPEN),
        ("inconclusive", replace(LOST, obstacle="claim_with_exploration")),
        ("inconclusive", Judgement(None, obstacle="no_claim")),
        ("retained", OPEN),
        ("consistent", replace(OPEN, obstacle="claim_too_imprecise")),
    ],
)
def test_where_no_loss_is_shown_what_an_environment_keeps_or_draws_is_a_remark(
    fault: Finding, verdict: str, judgement: Judgement
) -> None:
    diagnosis = conclude(EVIDENCE, verdict, "", judgement, [fault])
    assert fault.cause not in names(diagnosis)
    (remark,) = diagnosis.remarks
    assert f"{fault.cause} ({fault.evidence.rstrip('.')})" in remark


def test_a_healthy_model_has_no_remark_on_its_environment() -> None:
    assert conclude(EVIDENCE, "identical", "", OPEN, [REUSED]) == Diagnosis()


def test_where_a_loss_to_a_claim_is_shown_a_fault_is_named_but_its_part_in_it_is_not_proven() -> None:
    diagnosis = conclude(EVIDENCE, "degraded", "", LOST, [GLOBAL])
    assert names(diagnosis) == ["global-generator"]
    assert not diagnosis.causes[0].proven
    assert "not measured" in diagnosis.causes[0].evidence[-1]
    assert diagnosis.remarks == ()


@pytest.mark.parametrize("fault", [REUSED, ADVANCES], ids=lambda fault: fault.cause)
def test_a_fault_is_not_the_cause_where_used_environments_earn_what_new_ones_do(fault: Finding) -> None:
    """On Box2D reused instances differ in some bits, on Atari an episode is a life: both without harm."""
    diagnosis = conclude(replace(EVIDENCE, trials=(used(1.0, 2.0),)), "degraded", "", LOST, [fault])
    assert names(diagnosis) == ["unexplained"]
    assert any(
        text.startswith(f"{fault.cause}: {fault.evidence.rstrip('.')}; used env") for text in diagnosis.ruled_out
    )


@pytest.mark.parametrize("fault", [REUSED, ADVANCES], ids=lambda fault: fault.cause)
def test_a_fault_is_proven_to_be_the_cause_where_used_environments_earn_the_claim(fault: Finding) -> None:
    diagnosis = conclude(replace(EVIDENCE, trials=(used(59.0, 2.0),)), "degraded", "", LOST, [fault])
    assert names(diagnosis) == [fault.cause]
    assert diagnosis.causes[0].proven


def test_a_fault_whose_trial_is_too_noisy_is_neither_named_nor_ruled_out() -> None:
    diagnosis = conclude(replace(EVIDENCE, trials=(used(10.0, 20.0),)), "degraded", "", LOST, [REUSED])
    assert names(diagnosis) == ["unexplained"]
    (said,) = diagnosis.not_excluded
    assert said.startswith("survives-reset")
    assert said in diagnosis.causes[0].evidence


def test_a_fault_that_makes_recorded_episodes_differ_stands_in_the_way_of_an_answer_and_is_named() -> None:
    noise = np.random.default_rng(0).normal(0.0, 80.0, 40)
    judgement = recorded(noise, "episode 0: raw_observations")
    assert names(conclude(EVIDENCE, "inconclusive", "", judgement, [replace(GLOBAL, cause="unseeded-generator")])) == [
        "unseeded-generator"
    ]


def test_a_trial_that_fits_by_chance_does_not_come_before_a_fault_that_makes_recorded_episodes_differ() -> None:
    """What is drawn when an environment is constructed is another one in every trial, and may be the right one."""
    noise = np.random.default_rng(0).normal(-60.0, 20.0, 40)
    drawn = replace(GLOBAL, cause="random-construction")
    judgement = recorded(noise, "episode 0: raw_observations", in_place=np.zeros(40))
    model = replace(EVIDENCE, trials=(used(60.0, 2.0),))
    assert names(conclude(model, "degraded", judgement.gap, judgement, [drawn])) == ["random-construction"]


def test_a_fault_is_a_remark_where_recorded_episodes_differ_by_rounding_alone() -> None:
    noise = np.random.default_rng(0).normal(0.0, 80.0, 40)
    model = replace(EVIDENCE, implied="numerics", last_bits="only the last bits differ")
    diagnosis = conclude(model, "inconclusive", "", recorded(noise, "episode 0: actions"), [REUSED])
    assert names(diagnosis) == ["numerics", "too-few-episodes"]
    assert len(diagnosis.remarks) == 1


def test_a_fault_is_not_the_cause_of_a_loss_that_begins_with_what_the_policy_was_given() -> None:
    noise = np.random.default_rng(0).normal(-80.0, 20.0, 40)
    model = replace(EVIDENCE, implied="statistics")
    judgement = recorded(noise, "episode 0: policy_observations", in_place=np.zeros(40))
    assert names(conclude(model, "degraded", judgement.gap, judgement, [REUSED])) == ["unexplained"]
    assert names(conclude(EVIDENCE, "degraded", judgement.gap, judgement, [REUSED])) == ["survives-reset"]


def test_what_survives_a_reset_is_named_where_only_episodes_in_place_differ() -> None:
    """Episodes in place ran in used environments, the reference in new ones."""
    noise = np.random.default_rng(0).normal(0.0, 80.0, 40)
    judgement = recorded(noise, None, in_place=-noise)
    assert names(conclude(EVIDENCE, "inconclusive", "", judgement, [REUSED])) == ["survives-reset"]
    hashes = replace(REUSED, cause="hash-order")  # acts in a fresh process only
    assert "hash-order" not in names(conclude(EVIDENCE, "inconclusive", "", judgement, [hashes]))


def test_damage_that_files_prove_is_remarked_on_where_a_claim_cannot_tell_what_is_lost() -> None:
    damage = Finding("statistics-missing", "forensics", True, "Its zip says that it was trained with VecNormalize.")
    model = replace(EVIDENCE, findings=(damage,))
    diagnosis = conclude(model, "consistent", "", replace(OPEN, obstacle="claim_too_imprecise"), None)
    assert diagnosis.causes == ()
    assert "statistics-missing" in diagnosis.remarks[0]


# --- Errors --------------------------------------------------------------------------------------------------------


def test_nothing_is_named_before_the_error_that_keeps_a_model_from_running() -> None:
    damage = Finding("statistics-of-another-checkpoint", "forensics", True, "They have counted more steps.")
    broken = replace(EVIDENCE, reward=None, failure="on reload: no module named robots", findings=(damage,))
    diagnosis = conclude(broken, "error", "", None, None)
    assert names(diagnosis) == ["not-runnable", "statistics-of-another-checkpoint"]
    assert diagnosis.causes[0].evidence == ("on reload: no module named robots",)


def test_only_a_condition_under_which_a_model_runs_comes_before_its_error() -> None:
    sign = Finding("frame-stack-missing", "forensics", False, "It observes 4 frames.", {"k": 4})
    runs = TrialResult("frame_stack=4", ("frame-stack-missing",), {}, ConditionResult(40.0, n=10))
    broken = replace(EVIDENCE, reward=None, failure="on reload: shapes differ", findings=(sign,), trials=(runs,))
    assert names(conclude(broken, "error", "", None, None))[0] == "frame-stack-missing"


# --- Luck ----------------------------------------------------------------------------------------------------------


def lucky(*nearest: float) -> Finding:
    evidence = "300 is the highest of 40 evaluations of 5 episodes."
    return Finding("best-of-k", "forensics", True, evidence, {"k": 40, "n": 5, "nearest": list(nearest)})


BEST = replace(LOST, obstacle="best_of_k", claim=replace(CLAIM, kind="best"))
AROUND = (282.0, 291.0, 275.0, 288.0, 295.0, 270.0, 284.0, 290.0)


def test_luck_explains_a_reload_that_earns_what_the_evaluations_around_the_chosen_one_did() -> None:
    model = replace(EVIDENCE, findings=(lucky(*(one - 45.0 for one in AROUND)),))
    assert names(conclude(model, "inconclusive", "", BEST, None)) == ["best-of-k"]


@pytest.mark.parametrize(("verdict", "judgement"), [("inconclusive", BEST), ("degraded", LOST)])
def test_luck_does_not_explain_a_reload_far_below_all_other_evaluations(verdict: str, judgement: Judgement) -> None:
    model = replace(EVIDENCE, findings=(lucky(*AROUND),))
    diagnosis = conclude(model, verdict, "", judgement, None)
    assert names(diagnosis) == ["unexplained"]
    assert "the 8 nearest to it earned 270 to 295, and the reload earns 240" in diagnosis.ruled_out[0]


def test_a_trial_explains_what_luck_does_not() -> None:
    explains = TrialResult("x", ("statistics-missing",), {}, ConditionResult(299.0, "", 5.0, 320, 240.0, 59.0, 3.0))
    model = replace(EVIDENCE, findings=(lucky(*AROUND),), trials=(explains,))
    assert names(conclude(model, "inconclusive", "", BEST, None)) == ["statistics-missing"]


def test_few_evaluations_do_not_rule_luck_out() -> None:
    model = replace(EVIDENCE, findings=(lucky(*AROUND[:4]),))
    assert names(conclude(model, "inconclusive", "", BEST, None)) == ["best-of-k"]


def test_luck_is_seldom_ruled_out_where_it_is_all() -> None:
    """Of equally good checkpoints the chosen one was lucky, and the reload earns what all of them do."""
    random = np.random.default_rng(0)
    ruled_out = 0
    for trial in range(2_000):
        episodes = random.normal(240.0, 60.0, (int(random.integers(5, 9)), 5))
        if trial % 2:  # one episode in twenty fails, and most evaluations meet none
            episodes = 253.8 - 275.3 * (random.random(episodes.shape) < 0.05)
        around = episodes.mean(axis=1)
        model = replace(EVIDENCE, reward=random.normal(240.0, 3.4), findings=(lucky(*around),))
        ruled_out += names(conclude(model, "inconclusive", "", BEST, None)) != ["best-of-k"]
    assert ruled_out <= 6


# --- What stands in the way ----------------------------------------------------------------------------------------


def said(judgement: Judgement, model: Evidence = EVIDENCE) -> str:
    (cause,) = conclude(model, "inconclusive", "", judgement, None).causes
    return " ".join(cause.evidence)


def test_an_open_comparison_says_whose_episodes_are_too_few() -> None:
    assert "single episodes vary by ± 60, and the margin is 15; 76 % of the uncertainty" in said(OPEN)
    assert "the claim's 100 episodes" in said(OPEN)
    many = replace(OPEN, claim=replace(CLAIM, n=10_000, std=60.0))
    assert "97 % of the uncertainty (as variance) is that of the reload's 320 episodes" in said(many)


def test_what_stands_in_the_way_is_not_ruled_out_where_something_else_is_named() -> None:
    noise = np.random.default_rng(0).normal(0.0, 80.0, 40)
    diagnosis = conclude(EVIDENCE, "inconclusive", "", recorded(noise, "episode 0: rewards"), [REUSED])
    assert names(diagnosis) == ["survives-reset"]
    assert diagnosis.ruled_out == ("files: what was loaded is what was saved, as far as it can be checked (8 in all)",)


def test_an_imprecise_claim_says_how_imprecise_it_is() -> None:
    few = replace(OPEN, claim=replace(CLAIM, std=60.0, n=9), obstacle="claim_too_imprecise")
    assert "standard error of 20 (± 60 over 9), and the margin is 15" in said(few)
    silent = replace(few, claim=replace(CLAIM, n=None))
    assert said(silent) == "models.tsv, line 2 does not state the episodes behind 300"


@pytest.mark.parametrize("std", [0.0, 1e-200, 1e160, np.inf])
@pytest.mark.parametrize("claimed", [0.0, 60.0, 1e99])
def test_numbers_of_any_size_are_said_in_words(std: float, claimed: float) -> None:
    for obstacle in ("", "claim_too_imprecise"):
        assert said(replace(OPEN, claim=replace(CLAIM, std=claimed), obstacle=obstacle), replace(EVIDENCE, std=std))


def test_nothing_is_tried_for_a_difference_that_is_not_shown() -> None:
    closes = TrialResult("x", ("policy-mode",), {}, ConditionResult(250.0, "", 60.0, 320, 240.0, 10.0, 1.0))
    diagnosis = conclude(replace(EVIDENCE, trials=(closes,)), "inconclusive", "", OPEN, None)
    assert names(diagnosis) == ["too-few-episodes"]
    assert not any("policy-mode" in text for text in (*diagnosis.ruled_out, *diagnosis.not_excluded))


def test_of_a_suspect_model_what_explains_its_loss_is_named_first() -> None:
    """Its own bounds show the loss, and the correction for the number of models overturns it."""
    closes: Any = TrialResult("x", ("policy-mode",), {}, ConditionResult(299.0, "", 5.0, 320, 240.0, 59.0, 3.0))
    assert names(conclude(replace(EVIDENCE, trials=(closes,)), "inconclusive", "", LOST, None)) == ["policy-mode"]
    assert "it may be chance" in said(LOST)
