"""Against a claim, the strongest decides; what is weak by nature never makes a loss alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from reload_audit.judging.claims import STRENGTH, judge_by_claim, judge_by_claims, judge_external
from reload_audit.judging.judgement import judge
from reload_audit.judging.verdicts import decide_verdicts
from reload_audit.records.episodes import Episode, TrainTime
from reload_audit.records.specs import Claim, ClaimKind
from support.builders import CRITERIA

CHEAP = replace(CRITERIA, further_looks=(640, 1280, 2560))
"""Of a model whose episodes are cheap."""


def episodes(mean: float, std: float = 1.0, n: int = 40) -> list[Episode]:
    """Episodes whose rewards have exactly this mean and standard deviation."""
    noise = np.random.default_rng(0).standard_normal(n)
    noise = (noise - noise.mean()) / noise.std()
    return [
        Episode(k, k, float(reward), 10, True, float(reward), float(reward), {"actions": "a"})
        for k, reward in enumerate(mean + std * noise)
    ]


def claim(kind: ClaimKind, mean: float, std: float | None = 1.0, n: int | None = 100) -> Claim:
    return Claim(kind, mean, std, n, "somewhere")


def decision(*claims: Claim, reload: Sequence[Episode]) -> tuple[object, str]:
    judgement = judge_by_claims(claims, reload, 0.0, CRITERIA)
    return judgement.decision, judgement.obstacle


@pytest.mark.parametrize("kind", STRENGTH)
def test_a_model_that_earns_what_is_claimed_is_equivalent_whatever_kind_of_claim_it_is(kind):
    assert decision(claim(kind, 100.0), reload=episodes(100.0)) == ("equivalent", "")


@pytest.mark.parametrize("kind", ["explicit", "evaluations", "model_card", "reported"])
def test_against_a_fair_claim_a_loss_is_degraded_and_a_gain_is_improved(kind):
    assert decision(claim(kind, 100.0), reload=episodes(50.0)) == ("degraded", "")
    assert decision(claim(kind, 100.0), reload=episodes(150.0)) == ("improved", "")


def test_a_claim_that_is_off_by_two_margins_is_caught():
    honest = claim("explicit", 100.0, 1.0, 300)
    width = judge_by_claims([honest], episodes(100.0), 0.0, CRITERIA).comparison.margin
    assert decision(replace(honest, mean=100.0 + 2 * width), reload=episodes(100.0))[0] == "degraded"
    assert decision(replace(honest, mean=100.0 - 2 * width), reload=episodes(100.0))[0] == "improved"


def test_the_best_of_many_evaluations_alone_never_makes_degraded():
    assert decision(claim("best", 100.0), reload=episodes(50.0)) == (None, "best_of_k")
    assert decision(claim("best", 100.0), reload=episodes(150.0)) == ("improved", "")


def test_training_episodes_alone_do_not_show_a_loss_and_to_earn_more_is_no_gain():
    assert decision(claim("training", 100.0), reload=episodes(50.0)) == (None, "claim_with_exploration")
    assert decision(claim("training", 100.0), reload=episodes(150.0)) == ("retained", "")


def test_the_last_evaluation_of_a_final_model_alone_does_not_show_a_loss_and_to_earn_more_is_no_gain():
    """SB3 updates the policy once more after it: an untouched model may well earn something else."""
    assert decision(claim("last_evaluation", 100.0), reload=episodes(50.0)) == (None, "before_last_update")
    assert decision(claim("last_evaluation", 100.0), reload=episodes(150.0)) == ("retained", "")


@pytest.mark.parametrize("n", [None, 100])
def test_what_a_text_states_shows_no_loss_not_even_with_another_weak_claim_and_to_earn_more_is_no_gain(n):
    stated = claim("stated", 100.0, n=n)
    assert decision(stated, reload=episodes(50.0)) == (None, "claim_too_imprecise")
    assert decision(stated, reload=episodes(150.0)) == ("retained", "")
    assert decision(stated, claim("training", 90.0), reload=episodes(50.0))[0] is None


def test_a_reload_that_earns_what_a_text_states_is_consistent_with_it_where_episodes_vary():
    assert decision(claim("stated", 100.0, None, None), reload=episodes(101.0, 30.0))[0] == "consistent"


def test_both_weak_claims_together_make_degraded_because_their_faults_point_in_opposite_directions():
    weak = claim("best", 100.0), claim("training", 90.0)
    assert decision(*weak, reload=episodes(50.0)) == ("degraded", "")
    assert decision(*weak, reload=episodes(90.0)) == (None, "best_of_k")


def test_more_episodes_are_run_while_biased_claims_may_yet_show_a_loss_together():
    """What a policy earned in its best evaluation and in training, a hundred times its reload, beside a wild trend."""
    best, training = claim("best", 1028.2, 1.2, 20), claim("training", 223.5, 265.4)
    claims = [claim("trend", 480.6, 868.9, 9), best, training]
    criteria = replace(CRITERIA, looks=(20, 40, 80, 160, 320))
    early, late = (judge_by_claims(claims, episodes(47.0, 0.9, n), 21.0, criteria) for n in (20, 160))
    assert (early.decision, early.settled(criteria)) == ("consistent", False)
    assert late.decision == "degraded"


def test_the_more_cautious_of_two_weak_claims_is_the_one_that_decides():
    judgement = judge_by_claims([claim("best", 100.0), claim("training", 60.0)], episodes(50.0), 0.0, CRITERIA)
    assert judgement.claim is not None
    assert judgement.claim.kind == "training"


@pytest.mark.parametrize("stronger", range(len(STRENGTH) - 1))
def test_the_strongest_claim_decides_in_whatever_order_they_were_found(stronger):
    strong, weak = claim(STRENGTH[stronger], 100.0), claim(STRENGTH[stronger + 1], 10.0)
    for claims in ([strong, weak], [weak, strong]):
        assert judge_by_claims(claims, episodes(100.0), 0.0, CRITERIA).claim == strong


def test_without_a_claim_the_verdict_is_open_and_no_further_episodes_are_run():
    judgement = judge_by_claims([], episodes(50.0), 0.0, CRITERIA)
    assert (judgement.decision, judgement.obstacle) == (None, "no_claim")
    assert judgement.settled(CRITERIA)


def test_a_claim_of_few_noisy_episodes_cannot_show_more_than_that_the_reload_is_consistent_with_it():
    judgement = judge_by_claims([claim("model_card", 100.0, 50.0, 5)], episodes(100.0, 50.0, 320), 0.0, CRITERIA)
    assert (judgement.decision, judgement.obstacle) == ("consistent", "claim_too_imprecise")
    assert judgement.settled(CRITERIA)


def test_a_reload_that_earns_less_than_an_imprecise_claim_predicts_is_not_consistent_with_it():
    judgement = judge_by_claims([claim("model_card", 100.0, 50.0, 10)], episodes(60.0, 50.0, 320), 0.0, CRITERIA)
    assert (judgement.decision, judgement.obstacle) == (None, "claim_too_imprecise")


def test_a_claim_of_one_episode_is_consistent_with_what_it_says():
    assert decision(claim("explicit", 100.0, 0.0, 1), reload=episodes(100.0)) == ("consistent", "claim_too_imprecise")


def test_a_fair_and_precise_claim_that_is_undecided_is_not_consistent():
    assert decision(claim("explicit", 100.0, 50.0, 5000), reload=episodes(97.0, 50.0, 40)) == (None, "")


def test_a_model_that_is_shown_not_to_have_lost_stops_where_nothing_more_is_in_reach():
    imprecise = claim("explicit", 100.0, 25.0, 100)  # margin 5, and its own error is half of it
    lucky = judge_by_claims([imprecise], episodes(104.0, 25.0, 320), 0.0, CRITERIA)
    early = judge_by_claims([imprecise], episodes(110.0, 25.0, 80), 0.0, CRITERIA)
    assert (lucky.decision, lucky.settled(CRITERIA)) == ("retained", True)
    assert (early.decision, early.settled(CRITERIA)) == ("retained", False)  # a gain may yet show
    assert early.settled(replace(CRITERIA, stop_when_retained=True))


# --- A trend of evaluations ----------------------------------------------------------------------------------------


def test_a_trend_shows_a_loss_alone_and_to_earn_more_than_it_is_no_gain():
    trend = claim("trend", 100.0, 3.0, 9)  # one more evaluation would be off by 1
    assert decision(trend, reload=episodes(80.0)) == ("degraded", "")
    assert decision(trend, reload=episodes(120.0)) == ("retained", "")


def test_a_trend_that_scatters_is_consistent_with_what_it_predicts():
    trend = claim("trend", 100.0, 60.0, 9)
    assert decision(trend, reload=episodes(90.0)) == ("consistent", "claim_too_imprecise")


def test_the_evaluation_that_a_model_was_chosen_for_shows_that_nothing_is_lost_where_the_trend_does_not_tell():
    trend, best = claim("trend", 90.0, 60.0, 9), claim("best", 100.0)
    for claims in ([trend, best], [best, trend]):
        judgement = judge_by_claims(claims, episodes(99.0), 0.0, CRITERIA)
        assert judgement.claim == best
        assert judgement.decision == "equivalent"


def test_a_chosen_model_that_earns_less_than_its_evaluation_but_what_the_trend_predicts_is_consistent():
    """It may have been lucky, or truly better and have lost that."""
    trend, best = claim("trend", 100.0, 3.0, 9), claim("best", 130.0)
    judgement = judge_by_claims([trend, best], episodes(100.0), 0.0, CRITERIA)
    assert (judgement.decision, judgement.claim) == ("consistent", trend)


def test_a_final_model_that_earns_what_the_trend_predicts_is_equivalent():
    trend, last = claim("trend", 100.0, 3.0, 9), claim("last_evaluation", 130.0)
    judgement = judge_by_claims([trend, last], episodes(100.0), 0.0, CRITERIA)
    assert (judgement.decision, judgement.claim) == ("equivalent", trend)


def test_of_two_claims_of_a_final_model_that_only_predict_the_narrower_one_is_reported():
    trend, last = claim("trend", 100.0, 120.0, 9), claim("last_evaluation", 95.0, 20.0, 5)
    for claims in ([trend, last], [last, trend]):
        judgement = judge_by_claims(claims, episodes(94.0, 20.0, 320), 0.0, CRITERIA)
        assert (judgement.decision, judgement.claim) == ("consistent", last)


def test_a_final_model_that_was_exchanged_has_lost_what_evaluations_and_training_earned():
    claims = [claim("trend", 100.0, 120.0, 9), claim("last_evaluation", 100.0, 1.0, 5), claim("training", 60.0, 20.0)]
    assert judge_external(None, claims, episodes(9.0), 0.0, CRITERIA, episodes(20.0)).decision == "degraded"


# --- Stochastic actions, as in training ----------------------------------------------------------------------------

OPEN, TRAINING = claim("trend", 100.0, 60.0, 9), claim("training", 60.0)


def exploring(*claims: Claim, reload: float, with_stochastic_actions: float) -> tuple[object, Claim | None, bool]:
    explored = episodes(with_stochastic_actions)
    judgement = judge_external(None, claims, episodes(reload), 0.0, CRITERIA, explored)
    return judgement.decision, judgement.claim, judgement.exploring


@pytest.mark.parametrize("earned", [60.0, 90.0])
def test_a_model_that_earns_with_stochastic_actions_what_its_training_did_has_kept_it(earned):
    assert exploring(OPEN, TRAINING, reload=100.0, with_stochastic_actions=earned) == ("retained", TRAINING, True)


def test_actions_that_are_worse_without_exploration_are_compared_with_it():
    """Training episodes that explore earn more than deterministic actions do: that alone is no question."""
    assert exploring(TRAINING, reload=40.0, with_stochastic_actions=60.0) == ("retained", TRAINING, True)


def test_less_than_training_earned_shows_nothing_because_the_policy_changed_since():
    assert exploring(OPEN, TRAINING, reload=100.0, with_stochastic_actions=40.0) == ("consistent", OPEN, False)


def test_what_training_earned_does_not_outweigh_evaluations_that_make_a_loss_likely():
    assert exploring(OPEN, TRAINING, reload=70.0, with_stochastic_actions=60.0)[0] == "consistent"
    best = claim("best", 100.0)
    assert exploring(best, TRAINING, reload=80.0, with_stochastic_actions=60.0)[0] is None


def test_a_decided_verdict_is_not_changed_by_exploration():
    stated = claim("explicit", 100.0)
    assert exploring(stated, TRAINING, reload=50.0, with_stochastic_actions=90.0)[:2] == ("degraded", stated)


# --- A claim of too few episodes -----------------------------------------------------------------------------------


def test_against_an_imprecise_claim_more_episodes_are_run_while_a_loss_could_show():
    judgement = judge_by_claims([claim("model_card", 100.0, 50.0, 10)], episodes(50.0, 50.0, 20), 0.0, CRITERIA)
    assert judgement.obstacle == "claim_too_imprecise"
    assert not judgement.settled(CRITERIA)


def test_a_claim_of_few_noisy_episodes_can_show_that_very_much_is_lost():
    assert decision(claim("evaluations", -160.0, 100.0, 10), reload=episodes(-1356.0, 100.0)) == ("degraded", "")


def test_a_claim_of_a_single_episode_decides_nothing():
    assert decision(claim("explicit", 100.0, 0.0, 1), reload=episodes(0.0)) == (None, "claim_too_imprecise")


def test_a_claim_without_a_number_of_episodes_counts_as_one_of_ten_episodes():
    unnamed, ten = (
        judge_by_claims([claim("explicit", 100.0, 5.0, n)], episodes(99.0, 5.0), 0.0, CRITERIA) for n in (None, 10)
    )
    assert unnamed.comparison == ten.comparison


def test_a_claim_without_a_standard_deviation_takes_that_of_the_reload():
    unnamed, given = (
        judge_by_claims([claim("explicit", 100.0, std, 100)], episodes(99.0, 5.0), 0.0, CRITERIA) for std in (None, 5.0)
    )
    assert unnamed.comparison.difference == given.comparison.difference
    assert unnamed.comparison.margin == pytest.approx(given.comparison.margin)


def test_without_spread_or_random_policy_the_margin_is_a_part_of_the_claim_itself():
    rounded = claim("model_card", -8.27, 0.0, 10)
    assert judge_by_claims([rounded], episodes(-8.2749, 0.0), None, CRITERIA).decision == "equivalent"


def test_constant_rewards_are_decided_once_a_rare_loss_would_have_shown():
    perfect = claim("explicit", 500.0, 0.0, 300)
    settled = [
        judge_by_claims([perfect], episodes(500.0, 0.0, n), 22.0, CRITERIA).settled(CRITERIA) for n in (20, 40, 80)
    ]
    assert settled == [False, False, True]


@pytest.mark.parametrize(
    ("stated", "settled"),
    [
        (claim("model_card", 500.0, 0.0, 10), True),  # its episodes cannot be of the reload's distribution
        (claim("model_card", 800.0, 60.0, 10), True),  # its own error stays
        (claim("model_card", 400.0, 60.0, 100), False),
    ],
)
def test_a_loss_is_settled_once_only_the_claim_keeps_it_from_becoming_clearer(stated, settled):
    judged = judge_by_claims([stated], episodes(270.0, 150.0, 40), 22.0, CRITERIA)
    assert (judged.decision, judged.settled(CRITERIA)) == ("degraded", settled)


@pytest.mark.parametrize(("stated", "most"), [(200.0, 20), (250.0, 640), (300.0, 640), (370.0, 160), (500.0, 640)])
def test_a_claim_that_is_a_number_alone_costs_no_episodes_that_could_tell_no_more(stated, most):
    earned = np.clip(370.0 + 55.0 * np.random.default_rng(0).standard_normal(2560), 0.0, 500.0)
    number = claim("explicit", stated, None, None)
    judged = {look: judge_by_claim(number, earned[:look], 20.0, CHEAP) for look in CHEAP.planned.all}
    assert next(look for look, judgement in judged.items() if judgement.settled(CHEAP)) <= most


@pytest.mark.parametrize("stated", [250.0, 500.0])
def test_at_the_last_look_a_loss_or_gain_is_as_clear_as_its_claim_lets_it_become(stated):
    earned = np.clip(370.0 + 55.0 * np.random.default_rng(0).standard_normal(320), 0.0, 500.0)
    judgement = judge_by_claim(claim("explicit", stated, None, None), earned, 20.0, CRITERIA)
    assert judgement.decision in ("degraded", "improved")
    assert judgement.settled(CRITERIA)


@pytest.mark.parametrize(("loss", "most"), [(62.0, 1280), (120.0, 80)])
@pytest.mark.parametrize("models", [1_000, 10_000])
def test_the_only_loss_of_a_large_fleet_is_found_though_its_episodes_end_before_the_last_look(loss, most, models):
    """A claim of 50 episodes, whose own error keeps the loss from becoming ever clearer."""
    earned = np.random.default_rng(25).normal(300.0 - loss, 60.0, 2560)
    stated = claim("explicit", 300.0, 60.0, 50)
    judged = {look: judge_by_claim(stated, earned[:look], 20.0, CHEAP) for look in CHEAP.planned.all}
    ends = next(look for look, judgement in judged.items() if judgement.settled(CHEAP))
    retained = judge_by_claim(stated, earned + loss, 20.0, CHEAP)
    others = [replace(retained, comparison=replace(retained.comparison, p_degraded=1.0))] * (models - 1)
    assert ends <= most
    for look in (ends, 2560):
        assert decide_verdicts([judged[look], *others], CHEAP)[0].verdict == "degraded"


def test_a_recorded_reference_without_in_place_has_no_environment_gap():
    judgement = judge(TrainTime(None, episodes(100.0), None), episodes(50.0), CRITERIA)
    assert judgement.environment_gap is None
    assert judgement.decision == "degraded"


@pytest.mark.parametrize(
    ("trained", "doubted"), [(claim("training", 40.0, 8.0, 4), False), (claim("training", 60.0, 8.0, 100), True)]
)
def test_only_training_episodes_that_certainly_earned_more_cast_doubt_on_a_recorded_reference(trained, doubted):
    reference = episodes(9.5, 0.7, 20)
    judgement = judge_external(TrainTime(None, reference, None), [trained], reference, 20.0, CRITERIA)
    assert judgement.decision == (None if doubted else "identical")
    assert judgement.obstacle == ("claim_with_exploration" if doubted else "")
