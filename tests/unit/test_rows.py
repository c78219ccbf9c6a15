"""What the table of models says of the loss that may have been missed."""

from __future__ import annotations

import pytest

from reload_audit.judging.comparison import Comparison, compare_paired
from reload_audit.results.rows import _unlearned, loss_columns
from reload_audit.results.tables import ModelRow
from support.builders import CRITERIA


def between(low: float, high: float) -> Comparison:
    """A comparison that leaves differences between these bounds open."""
    return Comparison(20, (low + high) / 2, low, high, 2.0, 0.5, 0.5)


def test_the_largest_loss_is_how_far_the_lower_bound_lies_below_zero() -> None:
    assert loss_columns(between(-15.0, 3.0), 60.0, 10.0) == {"largest_loss": 15.0, "largest_loss_share": 0.3}


def test_a_gain_that_is_shown_excludes_every_loss() -> None:
    assert loss_columns(between(1.0, 3.0), 60.0, 10.0) == {"largest_loss": 0.0, "largest_loss_share": 0.0}


def test_equal_episodes_exclude_every_loss() -> None:
    assert loss_columns(compare_paired([0.0] * 20, 1.0, CRITERIA), 60.0, 10.0)["largest_loss"] == 0.0


def test_rewards_below_zero_have_the_same_shares() -> None:
    assert loss_columns(between(-15.0, 3.0), -10.0, -60.0)["largest_loss_share"] == 0.3


@pytest.mark.parametrize(("earned", "random"), [(60.0, None), (None, 10.0), (10.0, 10.0), (1e308, -1e308)])
def test_a_share_needs_to_know_what_was_learned(earned: float | None, random: float | None) -> None:
    expected = {"largest_loss": 15.0, "largest_loss_share": None}
    assert loss_columns(between(-15.0, 3.0), earned, random) == expected


def test_a_loss_without_a_bound_has_no_share() -> None:
    assert loss_columns(between(float("-inf"), 3.0), 60.0, 10.0)["largest_loss_share"] is None


@pytest.mark.parametrize(
    ("measured", "said"),
    [
        ({"num_timesteps": 0}, ["before its training"]),
        ({"reload_mean_reward": 10.5}, ["no more than a random policy"]),
        ({"reload_mean_reward": -5.0}, ["no more than a random policy"]),
        ({"reload_mean_reward": 15.0}, []),
        ({"reload_mean_reward": 10.5, "episodes_cut": 3}, []),
        ({"reload_mean_reward": 10.5, "random_mean_reward": None}, []),
        ({}, []),
    ],
)
def test_a_model_that_has_learned_nothing_is_remarked_on(measured: dict[str, float | None], said: list[str]) -> None:
    row = ModelRow(
        **{"num_timesteps": 100, "random_mean_reward": 10.0, "reload_std_reward": 4.0, "n_episodes": 16, **measured}  # type: ignore[arg-type]
    )
    remarks = list(_unlearned(row))
    assert len(remarks) == len(said)
    assert all(part in remark for part, remark in zip(said, remarks, strict=True))
