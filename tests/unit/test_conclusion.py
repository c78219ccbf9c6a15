"""From what was seen to what is said: a cause is named only with evidence, and what explains most comes first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reload_audit.causes.catalogue import CAUSES
from reload_audit.causes.finding import Finding
from reload_audit.diagnosis.conclude import conclude
from reload_audit.diagnosis.evidence import Observed, Tried
from reload_audit.diagnosis.trials import Circumstances, Trial, pairs, plan, share_closed
from reload_audit.judging.comparison import compare_unpaired
from reload_audit.judging.judgement import Judgement
from reload_audit.records.specs import CANONICAL, Claim, Condition
from support.builders import CRITERIA

CANON = Condition(CANONICAL, 10)
CLAIM = Claim("explicit", 50.0, 5.0, 100, "models.tsv, line 2")
LOST = Judgement(compare_unpaired((50.0, 5.0, 100), (0.0, 5.0, 100), 2.5, CRITERIA), CLAIM)
NOTHING_KNOWN = Circumstances(
    claimed=True,
    runs=True,
    lost=True,
    environment_gap=False,
    statistics=False,
    never_normalized=False,
    paired=False,
    norm_reward=False,
    dictionary=False,
    recurrent=False,
    maskable=False,
    deterministic=True,
    time_limit=False,
    other_device=None,
    episodes_trained=10,
)
NORMALIZED = replace(NOTHING_KNOWN, statistics=True, norm_reward=True)


def trial(name: str, *causes: str, **details: Any) -> Trial:
    return Trial(replace(CANON, name=name), causes, details)


def proof(cause: str, **details: Any) -> Finding:
    return Finding(cause, "forensics", True, f"{cause} is seen in the files", details)


def sign(cause: str, **details: Any) -> Finding:
    return replace(proof(cause, **details), proof=False)


def observed(
    *findings: Finding, tried: dict[str, tuple[tuple[str, ...], float | None]] | None = None, now: float | None = 0.0
) -> Observed:
    """A model that earns ``now``, with findings and the mean rewards of trials."""
    tried = tried or {}
    return Observed(
        now=now,
        failure="" if now is not None else "on reload: its observations do not fit",
        checks=(8, 0),
        examined={
            "findings": [finding.to_dict() for finding in findings],
            "trials": [{"name": name, "causes": causes, "details": {}} for name, (causes, _) in tried.items()],
        },
        tried={
            name: Tried(None, "it crashed") if mean is None else Tried(mean, n=100, moved=mean - (now or 0.0))
            for name, (_, mean) in tried.items()
        },
    )


def named(model: Observed, verdict: str = "degraded", gap: str = "", **more: Any) -> list[str]:
    judgement = more.pop("judgement", LOST if verdict == "degraded" else None)
    return [cause.cause for cause in conclude(model, verdict, gap, judgement, more.pop("probed", None)).causes]


@pytest.mark.parametrize("verdict", ["identical", "equivalent"])
def test_a_healthy_model_has_no_cause_whatever_is_seen_in_its_files(verdict: str) -> None:
    assert named(observed(proof("statistics-of-another-checkpoint")), verdict) == []


def test_where_nothing_speaks_for_a_cause_it_says_so_and_lists_what_was_tried() -> None:
    diagnosis = conclude(observed(tried={"stochastic": (("policy-mode",), 3.0)}), "degraded", "", LOST, probed=[])
    assert [cause.cause for cause in diagnosis.causes] == ["unexplained"]
    assert any("policy-mode: stochastic: it earns 3" in text for text in diagnosis.ruled_out)
    assert any("(8 in all)" in text for text in diagnosis.ruled_out)
    assert any("probe" in text for text in diagnosis.ruled_out)


def test_a_condition_that_closes_the_gap_names_its_cause_with_numbers() -> None:
    diagnosis = conclude(observed(tried={"stochastic": (("policy-mode",), 49.0)}), "degraded", "", LOST, None)
    (cause,) = diagnosis.causes
    assert cause.cause == "policy-mode"
    assert cause.share == pytest.approx(0.98)
    assert "it earns 49 instead of 0, which closes 98 % of the gap (to 50)" in cause.evidence[-1]


def test_a_mismatch_whose_remedy_changes_nothing_is_not_the_cause() -> None:
    model = observed(
        proof("statistics-of-another-checkpoint"),
        tried={
            "statistics=fresh": (("statistics-of-another-checkpoint",), 1.0),
            "stochastic": (("policy-mode",), 50.0),
        },
    )
    assert named(model) == ["policy-mode"]
    ruled_out = conclude(model, "degraded", "", LOST, None).ruled_out
    assert any(text.startswith("statistics-of-another-checkpoint") for text in ruled_out)


def test_training_episodes_explore_and_where_that_explains_them_nothing_else_is_supposed() -> None:
    claim = replace(CLAIM, kind="training")
    judgement = replace(LOST, claim=claim, obstacle="claim_with_exploration")
    tried = {"stochastic": (("policy-mode",), 49.0), "statistics=twice": (("vecnormalize-twice",), 50.0)}
    assert named(observed(tried=tried), "inconclusive", judgement=judgement) == ["policy-mode"]
    tried["stochastic"] = (("policy-mode",), 1.0)
    assert named(observed(tried=tried), "inconclusive", judgement=judgement) == ["vecnormalize-twice"]


def test_a_proof_comes_before_a_coincidence() -> None:
    tried = {"statistics=fresh": (("statistics-missing",), 48.0), "stochastic": (("policy-mode",), 50.0)}
    assert named(observed(proof("statistics-missing"), tried=tried))[0] == "statistics-missing"


def test_of_ways_to_measure_that_come_near_only_the_nearest_counts() -> None:
    """A reward that is lost altogether resembles many wrong ways to measure."""
    tried = {"statistics=twice": (("vecnormalize-twice",), 45.0), "reward normalized": (("reward-normalized",), 50.0)}
    assert named(observed(tried=tried)) == ["reward-normalized"]


def test_of_trials_with_the_same_mean_the_one_with_the_stated_spread_counts() -> None:
    tried = {"statistics=twice": (("vecnormalize-twice",), 50.0), "reward normalized": (("reward-normalized",), 50.0)}
    model = observed(tried=tried)
    spread = {"statistics=twice": 0.1, "reward normalized": 5.0}
    spreads = {name: replace(found, std=spread[name]) for name, found in model.tried.items()}
    assert named(replace(model, tried=spreads)) == ["reward-normalized"]


def test_a_trial_that_hits_the_target_beats_one_that_only_comes_near() -> None:
    tried = {"exact": (("reward-normalized",), 50.0), "near": (("vecnormalize-twice",), 42.0)}
    model = observed(tried=tried)
    noisy = {**model.tried, "near": replace(model.tried["near"], std=30.0)}
    assert named(replace(model, tried=noisy))[0] == "reward-normalized"


def test_what_lies_within_the_noise_has_not_moved_the_reward() -> None:
    model = observed(
        proof("statistics-of-another-checkpoint"), tried={"x": (("statistics-of-another-checkpoint",), 12.0)}
    )
    still = {"x": replace(model.tried["x"], moved=0.0)}
    assert named(replace(model, tried=still)) == ["unexplained"]


def test_a_condition_that_explains_comes_before_what_the_probe_found_but_nobody_measured() -> None:
    hidden = [Finding("clock", "probe", True, "differs")]
    model = observed(tried={"stochastic": (("policy-mode",), 50.0)})
    assert named(model, probed=hidden)[0] == "policy-mode"


def test_an_unproved_sign_does_not_push_aside_that_the_best_of_many_is_too_high() -> None:
    model = observed(sign("parameters-of-another-checkpoint"))
    assert named(model, "inconclusive", judgement=replace(LOST, obstacle="best_of_k"))[0] == "best-of-k"


def test_a_model_of_which_nothing_is_claimed_has_nothing_that_hidden_state_could_explain() -> None:
    hidden = [Finding("global-generator", "probe", True, "differs")]
    assert (
        named(observed(), "inconclusive", judgement=Judgement(None, obstacle="no_claim"), probed=hidden)[0]
        == "no-claim"
    )


def test_a_model_that_runs_is_not_explained_by_a_probe_that_does_not() -> None:
    broken = [Finding("not-runnable", "probe", True, "a second instance finds its port taken")]
    assert named(observed(), probed=broken) == ["unexplained"]


def test_an_examination_that_failed_is_said() -> None:
    model = replace(observed(), examined={"failure": "it ran out of memory", "findings": [], "trials": []})
    assert any("ran out of memory" in text for text in conclude(model, "degraded", "", LOST, None).ruled_out)


def test_a_sign_decides_between_equals() -> None:
    tried = {
        "reward normalized": (("reward-normalized",), 50.0),
        "monitor outside": (("monitor-outside-vecnormalize",), 49.8),
    }
    model = observed(sign("monitor-outside-vecnormalize"), tried=tried)
    assert named(model)[0] == "monitor-outside-vecnormalize"


def test_a_sign_alone_is_no_cause() -> None:
    assert named(observed(sign("time-limit"))) == ["unexplained"]


def test_two_factors_that_close_the_gap_only_together_are_both_named() -> None:
    tried = {
        "statistics=fresh": (("statistics-missing",), 20.0),
        "stochastic": (("policy-mode",), 1.0),
        "statistics=fresh + stochastic": (("statistics-missing", "policy-mode"), 50.0),
    }
    diagnosis = conclude(observed(proof("statistics-missing"), tried=tried), "degraded", "", LOST, None)
    assert {cause.cause for cause in diagnosis.causes[:2]} == {"statistics-missing", "policy-mode"}
    assert all("two factors together" in cause.evidence[-1] for cause in diagnosis.causes[:2])


def test_a_pair_is_not_named_where_one_of_them_alone_explains() -> None:
    tried = {
        "statistics=fresh": (("statistics-missing",), 50.0),
        "statistics=fresh + stochastic": (("statistics-missing", "policy-mode"), 50.0),
    }
    assert named(observed(proof("statistics-missing"), tried=tried)) == ["statistics-missing"]


def test_a_remedy_with_which_a_model_runs_that_otherwise_does_not_is_its_cause() -> None:
    tried = {"frame_stack=3": (("frame-stack-missing",), 40.0)}
    model = observed(sign("frame-stack-missing", k=3), tried=tried, now=None)
    assert named(model, "error")[0] == "frame-stack-missing"
    assert named(observed(now=None), "error") == ["not-runnable"]


def test_a_model_that_does_not_run_is_not_explained_by_what_its_environment_hides() -> None:
    hidden = Finding("global-generator", "probe", True, "differs")
    assert named(observed(now=None), "error", probed=[hidden]) == ["not-runnable"]


def test_what_the_probe_proves_must_fit_where_the_loss_appears() -> None:
    """A fresh process alone cannot lose what a new environment in the old process has lost already."""
    hidden = [Finding("hash-order", "probe", True, "differs"), Finding("curriculum", "probe", True, "differs")]
    assert named(observed(), gap="environment", probed=hidden) == ["curriculum"]
    assert named(observed(), gap="process", probed=hidden) == ["hash-order"]


@pytest.mark.parametrize(
    ("obstacle", "cause"),
    [
        ("best_of_k", "best-of-k"),
        ("claim_too_imprecise", "claim-too-imprecise"),
        ("before_last_update", "before-last-update"),
        ("claim_with_exploration", "training-episodes"),
    ],
)
def test_what_keeps_a_claim_from_deciding_is_the_cause_of_an_open_verdict(obstacle: Any, cause: str) -> None:
    judgement = replace(LOST, obstacle=obstacle)
    assert named(observed(), "inconclusive", judgement=judgement) == [cause]


def test_an_open_verdict_of_a_model_with_proved_damage_names_the_damage() -> None:
    no_claim = Judgement(None, obstacle="no_claim")
    assert named(observed(), "inconclusive", judgement=no_claim) == ["no-claim"]
    assert named(observed(proof("statistics-missing")), "inconclusive", judgement=no_claim) == ["statistics-missing"]


def test_details_of_a_finding_are_in_its_fix() -> None:
    found = proof("time-limit", max_episode_steps=123)
    diagnosis = conclude(observed(found), "degraded", "", LOST, None)
    assert "123" in diagnosis.causes[0].fix


def test_the_share_of_a_gap_that_is_closed() -> None:
    assert share_closed(50.0, 0.0, 50.0) == 1.0
    assert share_closed(50.0, 0.0, 25.0) == 0.5
    assert share_closed(50.0, 0.0, 100.0) == 0.0
    assert share_closed(50.0, 0.0, -50.0) == -1.0
    assert share_closed(50.0, 50.0, 50.0) == 0.0


def test_healthy_models_pay_for_no_trials() -> None:
    assert plan(CANON, replace(NORMALIZED, lost=False), []) == []
    assert plan(CANON, replace(NORMALIZED, lost=False), [proof("statistics-missing")]) == []


def test_other_ways_to_measure_are_tried_only_against_a_claim() -> None:
    """What this audit measured itself at train time was measured right."""
    tried = {trial.causes for trial in plan(CANON, NORMALIZED, [])}
    assert {("policy-mode",), ("reward-normalized",), ("vecnormalize-twice",)} <= tried
    assert plan(CANON, replace(NORMALIZED, claimed=False), []) == []


def test_statistics_that_are_proved_to_be_its_own_are_not_replaced() -> None:
    tried = {trial.condition.statistics for trial in plan(CANON, replace(NORMALIZED, paired=True), [])}
    assert not tried & {"fresh", "swapped"}


@pytest.mark.parametrize(
    ("facts", "cause"),
    [
        ({"recurrent": True}, "recurrent-state-dropped"),
        ({"maskable": True}, "action-masks-missing"),
        ({"environment_gap": True, "claimed": False}, "curriculum"),
    ],
)
def test_each_kind_of_model_has_trials_of_its_own(facts: dict[str, Any], cause: str) -> None:
    assert (cause,) in {trial.causes for trial in plan(CANON, replace(NOTHING_KNOWN, **facts), [])}


def test_every_finding_that_can_be_remedied_is_tried_and_its_trial_speaks_for_it() -> None:
    details: dict[str, dict[str, Any]] = {
        "statistics-missing": {"file": "vecnormalize.pkl"},
        "statistics-of-another-checkpoint": {},
        "statistics-of-another-agent": {},
        "statistics-updated-since": {},
        "statistics-swapped": {},
        "action-space-rescaled": {"low": -3.0, "high": 3.0},
        "observation-dtype": {"dtype": "uint8", "low": 0.0, "high": 255.0},
        "frame-stack-missing": {"k": 4},
        "time-limit": {"max_episode_steps": 100},
        "env-kwargs": {"env_kwargs": {"price": 1.0}},
    }
    for cause, known in details.items():
        trials = plan(CANON, replace(NOTHING_KNOWN, claimed=False), [sign(cause, **known)])
        assert {trial.causes for trial in trials} == {(cause,)}
        assert all(trial.condition.changes(CANON) for trial in trials)
    assert details.keys() <= CAUSES.keys()


def test_pairs_leave_out_what_excludes_each_other_and_what_makes_no_sense() -> None:
    trials = plan(CANON, NORMALIZED, [])
    for both in pairs(CANON, trials):
        changed = both.condition.changes(CANON)
        assert len(changed) == 2
        assert not ("reward" in changed and changed.get("statistics") in ("none", "posted wrapper"))
    assert pairs(CANON, trials)


def test_all_conditions_can_be_forced_for_a_table_of_sensitivities() -> None:
    facts = replace(NORMALIZED, lost=False, time_limit=True, other_device="cuda")
    names = {trial.condition.name for trial in plan(CANON, facts, [], forced=True)}
    assert {
        *("stochastic", "n_envs=1", "SubprocVecEnv", "evaluate_policy", "unseeded", "other processor", "wrapper"),
        *("statistics=none", "statistics=fresh", "statistics=updating", "statistics=swapped", "statistics=twice"),
        *("reward normalized", "monitor outside", "posted wrapper", "time_limit=none", "device=cuda"),
    } <= names
