"""From what was seen to what is said: a cause is named only with evidence, and what explains most comes first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reload_audit.causes.finding import Finding
from reload_audit.causes.fixes import ModelToFix
from reload_audit.causes.trials import TRIALS, Circumstances
from reload_audit.diagnosis.conclude import conclude
from reload_audit.diagnosis.effects import ConditionResult, TrialResult
from reload_audit.diagnosis.evidence import Evidence
from reload_audit.diagnosis.gap import share_closed
from reload_audit.diagnosis.pairs import pairs
from reload_audit.diagnosis.trials import Order, plan
from reload_audit.judging.comparison import compare_unpaired
from reload_audit.judging.judgement import Judgement
from reload_audit.records.conditions import CANONICAL, Condition
from reload_audit.records.environment_spec import WrapperSpec, vec_wrappers_of
from reload_audit.records.examination import Trial
from reload_audit.records.specs import Claim
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
) -> Evidence:
    """A model that earns ``now``, with findings and the mean rewards of trials."""
    return Evidence(
        reward=now,
        failure="" if now is not None else "on reload: its observations do not fit",
        checks=(8, 0),
        findings=findings,
        trials=tuple(
            TrialResult(
                name,
                causes,
                {},
                ConditionResult(None, "it crashed")
                if mean is None
                else ConditionResult(mean, n=100, instead=now, effect=mean - (now or 0.0)),
            )
            for name, (causes, mean) in (tried or {}).items()
        ),
    )


def changed(model: Evidence, **changes: dict[str, Any]) -> Evidence:
    """The same evidence, but with something else in the results of some trials, by their names."""
    return replace(
        model,
        trials=tuple(
            replace(trial, result=replace(trial.result, **changes.get(trial.name, {}))) for trial in model.trials
        ),
    )


def named(model: Evidence, verdict: str = "degraded", gap: str = "", **more: Any) -> list[str]:
    judgement = more.pop("judgement", LOST if verdict == "degraded" else None)
    return [cause.cause for cause in conclude(model, verdict, gap, judgement, more.pop("probed", None)).causes]


MOVED = replace(observed(), ran_as="Walker2d-v3 ran as Walker2d-v4")


def test_a_loss_in_a_successor_that_nothing_else_explains_is_presumed_to_come_from_it() -> None:
    (cause,) = conclude(MOVED, "degraded", "", LOST, None).causes
    assert (cause.cause, cause.proven, cause.evidence) == ("env-version", False, ("Walker2d-v3 ran as Walker2d-v4",))


def ran_as(env: str, ran: str) -> Evidence:
    return replace(observed(), ran_as=f"{env} ran as {ran}", model=ModelToFix(env=ran, env_named=env))


def test_what_is_known_to_have_changed_between_two_versions_is_said_with_the_cause() -> None:
    (cause,) = conclude(ran_as("BipedalWalker-v2", "BipedalWalker-v3"), "degraded", "", LOST, None).causes
    assert cause.evidence[1:] == ("between them, lidar returns the closest trace instead of the furthest",)


@pytest.mark.parametrize(
    ("failure", "fix"),
    [
        (
            "on reload: untrusted_pickle __main__.Own; it was in the script that saved the model: move it into a "
            "module that can be imported, and configure classes: {__main__.Own: my_module.Own}",
            "classes: {'__main__.Own': 'my_module.Own'}",
        ),
        (
            'on reload: configure classes: {__main__.f.<locals>.Own: my_module.Own, "a b": my_module.function}',
            "classes: {'__main__.f.<locals>.Own': 'my_module.Own', 'a b': 'my_module.function'}",
        ),
        ("on reload: untrusted_pickle robots.Arm; if it is yours, add 'robots' to trust", "trust: [robots]"),
        ("on reload: PandaReach-v3 needs panda_gym, which is not installed: pip install 'panda-gym'", ""),
        ("on reload: did not finish within 1800 seconds", "reload: {timeout: 7200}"),
        ("in training: held more memory than its limit of 4096 MiB", "training: {memory: 16384}"),
        ("on reload: ValueError: the motor is off", ""),
        ("on reload: /a/classes: {builtins.print: os.system}/model.zip: no zip", ""),
        ("on reload: /a/add 'os' to trust/model.zip: no zip", ""),
    ],
)
def test_the_fix_of_what_does_not_run_is_what_the_error_says(failure: str, fix: str) -> None:
    (cause,) = conclude(replace(observed(now=None), failure=failure), "error", "", None, None).causes
    assert cause.cause == "not-runnable"
    assert "\n".join(line for line in cause.fix.splitlines() if not line.startswith("#")) == fix
    assert ('pip install "panda-gym"' in cause.fix) == ("panda_gym" in failure)
    assert ("The error says what to repair" in cause.fix) == (not fix and "panda_gym" not in failure)


def test_a_successor_of_which_only_harmless_changes_are_known_is_not_the_cause() -> None:
    assert named(ran_as("Taxi-v3", "Taxi-v4")) == ["unexplained"]


def test_a_migration_that_closes_the_gap_is_measured_evidence_for_the_successor() -> None:
    tried = observed(tried={"zeros": (("env-version",), 49.0), "stochastic": (("policy-mode",), 46.0)}).trials
    cause, *_ = conclude(replace(MOVED, trials=tried), "degraded", "", LOST, None).causes
    assert (cause.cause, cause.share) == ("env-version", pytest.approx(0.98))


def test_a_migration_that_closes_nothing_leaves_the_successor_presumed() -> None:
    tried = observed(tried={"zeros": (("env-version",), 1.0)}).trials
    (cause,) = conclude(replace(MOVED, trials=tried), "degraded", "", LOST, None).causes
    assert (cause.cause, cause.proven) == ("env-version", False)


def test_another_order_is_the_cause_where_it_gives_the_reward_back_and_nowhere_else() -> None:
    def tried(mean: float) -> Evidence:
        return observed(tried={"vec_wrappers=VecNormalize,Mirrored": (("env-changed",), mean)})

    assert [named(tried(mean)) for mean in (49.0, 25.0, 1.0)] == [["env-changed"], ["unexplained"], ["unexplained"]]


def test_a_successor_is_not_blamed_for_what_a_condition_explains() -> None:
    moved = replace(MOVED, trials=observed(tried={"stochastic": (("policy-mode",), 49.0)}).trials)
    assert named(moved) == ["policy-mode"]


def test_a_successor_is_the_cause_before_the_luck_of_the_best_of_many() -> None:
    assert named(replace(MOVED, findings=(proof("best-of-k"),)))[0] == "env-version"


def test_nothing_is_said_of_a_successor_where_no_loss_is_shown() -> None:
    undecided = Judgement(compare_unpaired((50.0, 50.0, 100), (45.0, 50.0, 100), 2.5, CRITERIA), CLAIM)
    assert named(MOVED, "inconclusive", judgement=undecided) == ["too-few-episodes"]
    gained = Judgement(compare_unpaired((50.0, 5.0, 100), (90.0, 5.0, 100), 2.5, CRITERIA), CLAIM)
    assert named(replace(MOVED, reward=90.0), "improved", judgement=gained) == ["unexplained"]


@pytest.mark.parametrize("verdict", ["identical", "equivalent"])
def test_a_healthy_model_has_no_cause_whatever_its_files_show(verdict: str) -> None:
    assert named(observed(proof("statistics-of-another-checkpoint")), verdict) == []


def test_without_evidence_the_loss_is_unexplained_and_what_was_tried_is_listed() -> None:
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


def test_a_mismatch_whose_trial_changes_nothing_is_not_the_cause() -> None:
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


def test_a_claim_from_training_that_exploration_explains_has_no_further_cause() -> None:
    claim = replace(CLAIM, kind="training")
    judgement = replace(LOST, claim=claim, obstacle="claim_with_exploration")
    tried = {"stochastic": (("policy-mode",), 49.0), "statistics=twice": (("vecnormalize-twice",), 50.0)}
    assert named(observed(tried=tried), "inconclusive", judgement=judgement) == ["policy-mode"]
    tried["stochastic"] = (("policy-mode",), 1.0)
    assert named(observed(tried=tried), "inconclusive", judgement=judgement) == ["vecnormalize-twice"]


def test_a_proved_cause_comes_before_one_that_a_trial_suggests() -> None:
    tried = {"statistics=fresh": (("statistics-missing",), 48.0), "stochastic": (("policy-mode",), 50.0)}
    assert named(observed(proof("statistics-missing"), tried=tried))[0] == "statistics-missing"


def test_of_several_measuring_mistakes_that_fit_only_the_closest_is_named() -> None:
    """A reward that is lost altogether resembles many wrong ways to measure."""
    tried = {"statistics=twice": (("vecnormalize-twice",), 45.0), "reward normalized": (("reward-normalized",), 50.0)}
    assert named(observed(tried=tried)) == ["reward-normalized"]


def test_of_trials_with_equal_means_the_one_with_the_claimed_spread_is_named() -> None:
    tried = {"statistics=twice": (("vecnormalize-twice",), 50.0), "reward normalized": (("reward-normalized",), 50.0)}
    model = observed(tried=tried)
    spread = {"statistics=twice": {"std": 0.1}, "reward normalized": {"std": 5.0}}
    assert named(changed(model, **spread)) == ["reward-normalized"]


def test_a_trial_that_earns_the_claimed_reward_comes_before_one_that_is_merely_close() -> None:
    tried = {"exact": (("reward-normalized",), 50.0), "near": (("vecnormalize-twice",), 42.0)}
    model = observed(tried=tried)
    assert named(changed(model, near={"std": 30.0}))[0] == "reward-normalized"


def test_a_change_of_reward_within_the_noise_is_no_evidence() -> None:
    model = observed(
        proof("statistics-of-another-checkpoint"), tried={"x": (("statistics-of-another-checkpoint",), 12.0)}
    )
    assert named(changed(model, x={"error": 5.0})) == ["unexplained"]


def test_a_trial_that_explains_the_loss_comes_before_a_probe_s_finding() -> None:
    hidden = [Finding("clock", "probe", True, "differs")]
    model = observed(tried={"stochastic": (("policy-mode",), 50.0)})
    assert named(model, probed=hidden)[0] == "policy-mode"


def test_an_unproved_finding_does_not_replace_best_of_k_as_the_cause() -> None:
    model = observed(sign("parameters-of-another-checkpoint"))
    assert named(model, "inconclusive", judgement=replace(LOST, obstacle="best_of_k"))[0] == "best-of-k"


def test_a_model_without_a_claim_is_not_explained_by_hidden_state() -> None:
    hidden = [Finding("global-generator", "probe", True, "differs")]
    assert (
        named(observed(), "inconclusive", judgement=Judgement(None, obstacle="no_claim"), probed=hidden)[0]
        == "no-claim"
    )


def test_a_failed_probe_explains_no_model_that_runs() -> None:
    broken = [Finding("not-runnable", "probe", True, "a second instance finds its port taken")]
    assert named(observed(), probed=broken) == ["unexplained"]


def test_a_failed_examination_is_reported() -> None:
    model = replace(observed(), examination_failure="it ran out of memory")
    assert any("ran out of memory" in text for text in conclude(model, "degraded", "", LOST, None).ruled_out)


def test_an_unproved_finding_decides_between_trials_of_equal_effect() -> None:
    tried = {
        "reward normalized": (("reward-normalized",), 50.0),
        "monitor outside": (("monitor-outside-vecnormalize",), 49.8),
    }
    model = observed(sign("monitor-outside-vecnormalize"), tried=tried)
    assert named(model)[0] == "monitor-outside-vecnormalize"


def test_an_unproved_finding_alone_is_no_cause() -> None:
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


def test_a_trial_under_which_a_failing_model_runs_names_the_cause() -> None:
    tried = {"frame_stack=3": (("frame-stack-missing",), 40.0)}
    model = observed(sign("frame-stack-missing", k=3), tried=tried, now=None)
    assert named(model, "error")[0] == "frame-stack-missing"
    assert named(observed(now=None), "error") == ["not-runnable"]


def test_a_model_that_does_not_run_is_not_explained_by_what_its_environment_hides() -> None:
    hidden = Finding("global-generator", "probe", True, "differs")
    assert named(observed(now=None), "error", probed=[hidden]) == ["not-runnable"]


def test_a_probe_s_finding_counts_only_in_the_gap_that_it_can_open() -> None:
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
def test_why_a_claim_must_not_decide_is_the_cause_of_an_inconclusive_verdict(obstacle: Any, cause: str) -> None:
    judgement = replace(LOST, obstacle=obstacle)
    assert named(observed(), "inconclusive", judgement=judgement) == [cause]


def test_an_inconclusive_model_with_proved_damage_has_the_damage_as_its_cause() -> None:
    no_claim = Judgement(None, obstacle="no_claim")
    assert named(observed(), "inconclusive", judgement=no_claim) == ["no-claim"]
    assert named(observed(proof("statistics-missing")), "inconclusive", judgement=no_claim) == ["statistics-missing"]


def test_details_of_a_finding_are_in_its_fix() -> None:
    found = proof("time-limit", max_episode_steps=123)
    diagnosis = conclude(observed(found), "degraded", "", LOST, None)
    assert "123" in diagnosis.causes[0].fix


def test_the_share_is_the_part_of_the_gap_that_a_trial_closes() -> None:
    assert share_closed(50.0, 0.0, 50.0) == 1.0
    assert share_closed(50.0, 0.0, 25.0) == 0.5
    assert share_closed(50.0, 0.0, 100.0) == 0.0
    assert share_closed(50.0, 0.0, -50.0) == -1.0
    assert share_closed(50.0, 50.0, 50.0) == 0.0


def test_healthy_models_are_evaluated_under_no_trials() -> None:
    assert plan(CANON, replace(NORMALIZED, lost=False), []) == []
    assert plan(CANON, replace(NORMALIZED, lost=False), [proof("statistics-missing")]) == []


def test_other_ways_to_measure_are_tried_only_against_a_claim() -> None:
    """What this audit measured itself at train time was measured right."""
    tried = {trial.causes for trial in plan(CANON, NORMALIZED, [])}
    assert {("policy-mode",), ("reward-normalized",), ("vecnormalize-twice",)} <= tried
    assert plan(CANON, replace(NORMALIZED, claimed=False), []) == []


def test_no_trial_replaces_statistics_that_are_proved_to_be_the_model_s_own() -> None:
    tried = {trial.condition.statistics for trial in plan(CANON, replace(NORMALIZED, paired=True), [])}
    assert not tried & {"fresh", "swapped"}


def test_another_order_is_a_trial_of_its_own_and_what_would_change_the_order_beside_is_none() -> None:
    """A normaliser of one's own stands inside all wrappers of a VecEnv, also where VecNormalize stands outside."""
    order = vec_wrappers_of(["VecNormalize", {"mine.Mirrored": {"scale": 2}}])
    orders: list[Order] = [("vec_wrappers", order), ("wrappers", [WrapperSpec("mine.Alone", {"scale": 2})])]
    trials = {trial.condition.name: trial for trial in plan(CANON, NORMALIZED, [], orders=orders)}
    assert "posted wrapper" in trials
    tried = trials["vec_wrappers=VecNormalize,Mirrored"]
    assert tried.condition.environment == {"vec_wrappers": ["VecNormalize", {"mine.Mirrored": {"scale": 2}}]}
    assert tried.causes == ("env-changed",)
    assert trials["wrappers=Alone"].condition.environment == {"all_wrappers": [["mine.Alone", {"scale": 2}]]}
    inside = plan(CANON, replace(NORMALIZED, own_wrappers_inside=True), [])
    assert "posted wrapper" not in {trial.condition.name for trial in inside}
    assert plan(CANON, replace(NORMALIZED, lost=False), [], orders=orders) == []


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


def test_every_finding_that_asks_for_a_trial_is_supported_by_that_trial() -> None:
    details: dict[str, dict[str, Any]] = {
        "statistics-missing": {"file": "vecnormalize.pkl"},
        "statistics-of-another-checkpoint": {"file": "vecnormalize.pkl"},
        "statistics-of-another-agent": {"file": "vecnormalize.pkl"},
        "statistics-updated-since": {"file": "vecnormalize.pkl"},
        "statistics-swapped": {},
        "action-space-rescaled": {"low": -3.0, "high": 3.0},
        "observation-dtype": {"dtype": "uint8", "low": 0.0, "high": 255.0},
        "frame-stack-missing": {"k": 4},
        "time-limit": {"max_episode_steps": 100},
        "env-kwargs": {"env_kwargs": {"price": 1.0}},
        "curriculum": {
            "attribute": "level",
            "set": "level",
            "set_on_vec_env": "level",
            "trained": 1,
            "env_kwargs": {"level": 1},
        },
    }
    asked_for = {name: [trial for trial in TRIALS[name].trials if trial.turn is None] for name in TRIALS}
    assert details.keys() == {name for name, declared in asked_for.items() if declared}
    for cause, known in details.items():
        trials = plan(CANON, replace(NOTHING_KNOWN, claimed=False), [sign(cause, **known)])
        assert {trial.causes for trial in trials} == {(cause,)}
        assert len(trials) == len(asked_for[cause])
        assert all(trial.condition.changes(CANON) for trial in trials)


def test_statistics_that_are_nowhere_else_are_estimated_anew() -> None:
    trials = plan(CANON, replace(NOTHING_KNOWN, claimed=False), [sign("statistics-missing")])
    assert [trial.condition.statistics for trial in trials] == ["fresh"]


def test_trials_that_exclude_each_other_or_make_no_sense_together_are_not_paired() -> None:
    trials = plan(CANON, NORMALIZED, [])
    for both in pairs(CANON, trials):
        changed = both.condition.changes(CANON)
        assert len(changed) == 2
        assert not ("reward" in changed and changed.get("statistics") in ("none", "posted wrapper"))
    assert pairs(CANON, trials)


def test_all_trials_can_be_run_whatever_the_verdict() -> None:
    facts = replace(NORMALIZED, lost=False, time_limit=True, other_device="cuda", forced=True)
    names = {trial.condition.name for trial in plan(CANON, facts, [])}
    assert {
        *("stochastic", "n_envs=1", "SubprocVecEnv", "evaluate_policy", "unseeded", "other processor", "wrapper"),
        *("statistics=none", "statistics=fresh", "statistics=updating", "statistics=swapped", "statistics=twice"),
        *("reward normalized", "monitor outside", "posted wrapper", "time_limit=none", "device=cuda"),
    } <= names


def below_random(reward: float, random: float) -> Evidence:
    return replace(observed(now=reward), random=random, std=10.0, n=100)


def test_a_loss_below_what_random_actions_earn_is_presumed_to_come_from_another_environment() -> None:
    (cause,) = conclude(below_random(0.0, 40.0), "degraded", "", LOST, None).causes
    assert (cause.cause, cause.proven) == ("env-changed", False)
    assert "it earns 0, and random actions earn 40" in cause.evidence[0]


def test_a_claim_of_more_than_lasting_can_earn_today_is_presumed_to_come_from_another_environment() -> None:
    model = replace(observed(now=20.0), n=100, paid_alike=20)
    (cause,) = conclude(model, "degraded", "", LOST, None).causes
    assert (cause.cause, cause.proven) == ("env-changed", False)
    assert "last to the time limit of 20 steps" in cause.evidence[0]
    assert "where lasting alone is paid, no policy earns more than 20 today, and 50 are claimed" in cause.evidence[0]


def test_another_environment_is_presumed_before_a_generator_is_accused() -> None:
    fault = Finding("global-generator", "probe", True, "it draws from NumPy's global generator")
    causes = named(below_random(0.0, 40.0), probed=[fault])
    assert causes[0] == "env-changed"


def test_no_other_environment_is_presumed_where_random_actions_may_earn_as_little() -> None:
    assert named(below_random(0.0, 5.0)) == ["unexplained"]


def test_no_other_environment_is_presumed_where_a_condition_explains() -> None:
    model = below_random(0.0, 40.0)
    tried = observed(tried={"stochastic": (("policy-mode",), 49.0)}).trials
    assert named(replace(model, trials=tried)) == ["policy-mode"]
