"""The reason of a verdict says in one sentence what was seen, and what would decide where it is open, at what cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reload_audit.judging.claims import judge_by_claim
from reload_audit.judging.comparison import compare_paired, compare_unpaired
from reload_audit.judging.judgement import Judgement
from reload_audit.judging.reasons import FurtherEpisodes, reason
from reload_audit.judging.verdicts import JudgedVerdict, decide_verdicts
from reload_audit.records.specs import Claim
from support.builders import CRITERIA

TABLE = Claim("explicit", 100.0, 50.0, 10, "claims.csv, line 3")
FAST = FurtherEpisodes("claim", 0.03)


def rewards(mean: float, std: float, n: int) -> np.ndarray:
    """Rewards that have exactly this mean and standard deviation."""
    noise = np.random.default_rng(0).standard_normal(n)
    return mean + std * (noise - noise.mean()) / noise.std()


def said(judgement: Judgement, further: FurtherEpisodes = FAST, share: float | None = None) -> tuple[str, str]:
    """The verdict of the only model of an audit, and its reason."""
    (judged,) = decide_verdicts([judgement], CRITERIA)
    return judged.verdict, reason(judged, judgement, [], CRITERIA, further, share)


def test_a_consistent_model_s_reason_says_the_largest_loss_that_is_not_excluded_and_what_claim_would_tell():
    verdict, sentence = said(judge_by_claim(TABLE, rewards(98.0, 50.0, 320), 0.0, CRITERIA), share=0.434)
    assert verdict == "consistent"
    assert sentence.startswith("earns what this claim predicts, which cannot tell more: 100 ± 50 over 10 episodes")
    assert ", 43 % of what was learned, is not excluded; a claim of at least " in sentence
    _, sentence = said(judge_by_claim(TABLE, rewards(98.0, 50.0, 320), 0.0, CRITERIA), share=108.6)
    assert ", all that was learned, is not excluded; " in sentence


def test_the_claim_that_is_asked_for_would_have_told():
    judgement = judge_by_claim(TABLE, rewards(98.0, 50.0, 320), 0.0, CRITERIA)
    _, sentence = said(judgement)
    n = int(sentence.partition("at least ")[2].split()[0].replace(",", ""))
    longer = replace(CRITERIA, looks=(*CRITERIA.looks, 20 * n))
    assert judge_by_claim(replace(TABLE, n=n), rewards(100.0, 50.0, 20 * n), 0.0, longer).decision == "equivalent"


def test_an_open_comparison_with_a_claim_says_how_many_more_episodes_would_decide_and_how_long_they_take():
    claim = replace(TABLE, n=5000)
    verdict, sentence = said(judge_by_claim(claim, rewards(95.0, 50.0, 320), 0.0, CRITERIA))
    assert verdict == "inconclusive"
    assert "320 episodes cannot tell: the difference lies between" in sentence
    n = int(sentence.partition("; ")[2].split()[0].replace(",", ""))
    assert f"{n:,} more episodes, about " in sentence
    assert sentence.endswith(" s, would decide (verdict.further_looks, verdict.seconds)")
    assert judge_by_claim(claim, rewards(95.0, 50.0, 320 + n), 0.0, CRITERIA).decision is not None


@pytest.mark.parametrize(
    ("ends_with", "asked"),
    [("training", "at train time would decide (evaluation.episodes"), ("recording", "a recording of")],
)
def test_where_a_recording_ended_the_reason_asks_for_a_longer_one_and_only_for_what_somebody_can_do(ends_with, asked):
    judgement = Judgement(compare_paired(rewards(-2.0, 20.0, 40), 3.0, CRITERIA), first_difference="step")
    verdict, sentence = said(judgement, FurtherEpisodes(ends_with))
    assert verdict == "inconclusive"
    assert asked in sentence
    assert ("evaluation.episodes" in sentence) == (ends_with == "training")


def test_a_difference_that_no_number_of_episodes_decides_is_not_sent_for_more():
    comparison = compare_unpaired((100.0, 0.0, 50), (95.0, 3.0, 320), 5.0, CRITERIA)
    _, sentence = said(Judgement(comparison, replace(TABLE, std=0.0, n=50)))
    assert "more episodes" not in sentence


def test_a_suspect_model_s_reason_names_the_loss_and_that_the_number_of_models_overturns_it():
    judgement = Judgement(compare_paired(rewards(-2.0, 5.0, 40), 0.5, CRITERIA), first_difference="step")
    judged = JudgedVerdict("inconclusive", 0.31, suspect=True)
    sentence = reason(judged, judgement, [], CRITERIA, FAST, None)
    assert sentence.startswith("a loss beyond the margin of 0.5 is likely (the difference lies between -")
    assert "among so many models it may be chance (q = 0.31 > 0.05)" in sentence


def test_where_episodes_ended_because_the_claim_tells_no_more_a_suspect_model_s_reason_asks_for_a_better_claim():
    """Its p-value is above the one of the last look, but near it: the audit itself runs no further episodes."""
    criteria = replace(CRITERIA, further_looks=(640, 1280, 2560))
    table = Claim("explicit", 300.0, 60.0, 50, "claims.csv, line 3")
    judgement = judge_by_claim(table, rewards(237.0, 60.0, 320), 20.0, criteria)
    assert judgement.settled(criteria)
    assert judgement.comparison.p_degraded > judgement.comparison.final_p(criteria)
    sentence = reason(JudgedVerdict("inconclusive", 0.31, suspect=True), judgement, [], criteria, FAST, None)
    assert sentence.endswith("; a claim of at least 139 episodes would tell")


def test_without_a_known_cost_the_number_of_further_episodes_reads_as_one_sentence():
    judgement = Judgement(compare_paired(rewards(-2.0, 20.0, 40), 3.0, CRITERIA), first_difference="step")
    _, sentence = said(judgement, FurtherEpisodes("claim"))
    assert " more episodes would decide (verdict.further_looks, verdict.seconds)" in sentence


def test_a_gain_that_the_number_of_models_overturns_is_said_to_be_likely_not_open():
    gains = Judgement(compare_paired(rewards(11.6, 3.0, 40), 10.3, CRITERIA), first_difference="step")
    assert gains.decision == "improved"
    nothing = Judgement(compare_paired(rewards(0.0, 3.0, 40), 10.3, CRITERIA), first_difference="step")
    kept, overturned = (decide_verdicts([gains, *others], CRITERIA)[0] for others in ([], 500 * [nothing]))
    assert (kept.verdict, overturned.verdict) == ("improved", "retained")
    sentence = reason(overturned, gains, [], CRITERIA, FAST, None)
    assert sentence.startswith("loses no more than the margin of 10.3; a gain beyond it is likely (the difference lies")
    assert f"may be chance (q = {overturned.q:.2g} > 0.05)" in sentence
    assert "open" not in sentence


def test_to_earn_more_than_training_episodes_is_retained_and_said_to_be_expected():
    claim = Claim("training", 100.0, 5.0, 100, "m.zip, ep_info_buffer")
    verdict, sentence = said(judge_by_claim(claim, rewards(150.0, 5.0, 40), 0.0, CRITERIA))
    assert verdict == "retained"
    assert sentence.startswith("earns 50 more than claimed, as such a claim lets expect: 100 ± 5 over 100 episodes")


def test_a_trend_is_quoted_with_its_standard_error():
    trend = Claim("trend", 100.0, 30.0, 9, "evaluations.npz, trend of 10 evaluations around 1,000 steps")
    _, sentence = said(judge_by_claim(trend, rewards(20.0, 5.0, 40), 0.0, CRITERIA))
    assert "earns 80 less than claimed: 100 ± 10 (evaluations.npz, trend of 10 evaluations" in sentence


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "about 1 s"), (38, "about 50 s"), (64, "about 50 s"), (140, "about 2 min"), (9000, "about 2 h")],
)
def test_a_duration_is_said_to_one_of_a_few_round_numbers(seconds, text):
    judgement = Judgement(compare_paired(rewards(-2.0, 20.0, 40), 3.0, CRITERIA), first_difference="step")
    _, without = said(judgement, FurtherEpisodes("claim"))
    more = int(without.partition("; ")[2].split()[0].replace(",", ""))
    _, sentence = said(judgement, FurtherEpisodes("claim", seconds / more))
    assert f"{more:,} more episodes, {text}, would decide" in sentence
