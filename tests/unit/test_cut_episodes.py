"""Episodes that were cut bound what whole ones would earn, and never show more than that."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from reload_audit.judging.claims import judge_by_claims
from reload_audit.judging.judgement import judge
from reload_audit.records.episodes import (
    Cut,
    Episode,
    Pays,
    TrainTime,
    are_alike,
    limit_paid_alike,
    paid_by,
    with_bounds,
)
from reload_audit.records.specs import Claim
from support.builders import CRITERIA

CLAIM = Claim("explicit", 100.0, 5.0, 10_000, "models.tsv")


def episodes(mean: float, cut: Cut = "", pays: Pays = "gains", n: int = 40) -> list[Episode]:
    spread = np.random.default_rng(0).normal(0.0, 5.0, n)
    return [
        Episode(k, k, mean + noise, 10, not cut, None, mean, {}, cut, pays) for k, noise in enumerate(spread.tolist())
    ]


@pytest.mark.parametrize(
    ("cut", "earned", "decided"),
    [
        ("", 50.0, "degraded"),
        ("lower", 50.0, None),
        ("upper", 50.0, "degraded"),
        ("open", 50.0, None),
        ("", 100.0, "equivalent"),
        ("lower", 100.0, "retained"),
        ("upper", 100.0, None),
        ("open", 100.0, None),
        ("lower", 150.0, "improved"),
        ("upper", 150.0, None),
    ],
)
def test_a_bound_decides_on_its_own_side_only(cut: Cut, earned: float, decided: str | None) -> None:
    judged = judge_by_claims([CLAIM], episodes(earned, cut), 0.0, CRITERIA)
    assert judged.decision == decided
    assert judged.obstacle == ("episodes_cut" if decided is None else "")
    assert judged.settled(CRITERIA)


def test_episodes_that_were_cut_at_the_same_step_on_both_sides_are_compared_as_they_are() -> None:
    recorded = episodes(100.0, "lower")
    assert judge(TrainTime(None, recorded, None), recorded, CRITERIA).decision == "identical"
    assert judge(TrainTime(None, recorded, None), episodes(50.0, "lower"), CRITERIA).decision == "degraded"


def test_a_reference_that_was_cut_bounds_from_the_other_side() -> None:
    random_policy = episodes(10.0)
    cut = TrainTime(None, episodes(100.0, "open"), random_policy)
    assert judge(cut, episodes(50.0), CRITERIA).decision == "degraded"
    assert judge(cut, episodes(150.0), CRITERIA).obstacle == "episodes_cut"


@pytest.mark.parametrize(
    ("own", "others", "bound"),
    [
        ("gains", "gains", "lower"),
        ("losses", "losses", "upper"),
        ("gains", "both", "open"),  # a penalty at the end
        ("gains", "losses", "open"),
        ("gains", "", "open"),  # how an episode ends was never seen
        ("both", "gains", "open"),
    ],
)
def test_what_steps_pay_has_to_be_known_of_episodes_that_ended(own: Pays, others: Pays, bound: Cut) -> None:
    assert {episode.cut for episode in with_bounds(episodes(1.0, "open", own), others)} == {bound}


def test_own_episodes_that_ended_say_what_steps_pay() -> None:
    mixed = [*episodes(1.0, "open", n=2), *episodes(1.0, "", "both", n=2)]
    assert paid_by(mixed) == "both"
    assert [episode.cut for episode in with_bounds(mixed, "")] == ["open", "open", "", ""]


def test_episodes_that_are_the_same_in_every_bit_are_alike_and_no_others() -> None:
    one = Episode(0, 0, 1.0, 10, True, None, 1.0, {"actions": "a"})
    same, other = replace(one, episode=1, seed=1), replace(one, episode=1, seed=1, trace={"actions": "b"})
    assert are_alike([one, same])
    assert not any(map(are_alike, ([], [one], [one, other], [replace(one, trace={}), replace(same, trace={})])))


FULL = Episode(0, 0, 20.0, 20, False, None, 20.0, {"raw_observations": "a", "rewards": "r"}, pays="gains")
OTHER = {"raw_observations": "b", "rewards": "r"}


@pytest.mark.parametrize(
    ("second", "steps"),
    [
        ({}, 20),
        ({"trace": FULL.trace}, 0),  # it may only ever begin there
        ({"trace": {**OTHER, "rewards": "s"}}, 0),
        ({"length": 19}, 0),
        ({"terminated": True}, 0),
        ({"cut": "lower"}, 0),
        ({"pays": "losses"}, 0),  # an episode that ends sooner would earn more
    ],
)
def test_nothing_more_can_be_earned_where_episodes_to_the_time_limit_are_all_paid_alike(
    second: dict[str, Any], steps: int
) -> None:
    assert limit_paid_alike([FULL, replace(FULL, **{"trace": OTHER, **second})]) == steps
