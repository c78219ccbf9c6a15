"""What the table of models says of the loss that may have been missed."""

from __future__ import annotations

import pytest

from reload_audit.judging.comparison import Comparison, compare_paired
from reload_audit.results.rows import loss_columns
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
