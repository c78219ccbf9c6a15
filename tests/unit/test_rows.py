"""What the table of models says of the loss that may have been missed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reload_audit.judging.comparison import Comparison, compare_paired
from reload_audit.records.conditions import CANONICAL, Condition
from reload_audit.records.episodes import Episode
from reload_audit.records.manifest import ExternalFacts, ExternalManifest
from reload_audit.records.model_record import Measurement, ModelRecord
from reload_audit.records.specs import Claim
from reload_audit.results.rows import _said_elsewhere, _unlearned, loss_columns, model_row
from reload_audit.results.tables import ModelRow
from support.builders import CRITERIA, external_spec


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


def test_what_somebody_else_says_of_a_model_than_what_decides_is_remarked_on() -> None:
    row = ModelRow(claim_mean=9.6, margin=0.5, reload_mean_reward=9.4)
    claims = [
        Claim("training", 20.0, 1.0, 100, "model.zip"),
        Claim("stated", 9.9, None, None, "notes.txt:2"),
        Claim("stated", 31.5, 20.0, None, "README.md:4"),
    ]
    assert list(_said_elsewhere(row, claims)) == ["README.md:4 says something else: 31.5 ± 20; it earns 9.4"]
    assert not list(_said_elsewhere(ModelRow(claim_mean=9.6), claims))


def test_episodes_that_are_the_same_whatever_their_seeds_are_said_to_count_as_one() -> None:
    same = [Episode(k, 7 + k, 6.0, 5, True, None, 0.0, {"raw_observations": "a", "rewards": "b"}) for k in range(20)]
    another = replace(same[0], trace={"raw_observations": "c", "rewards": "b"})

    def remarks(episodes: list[Episode]) -> str:
        reload = Measurement(Condition(CANONICAL, 1), None, None, episodes=episodes)
        manifest = ExternalManifest("model", external_spec("model"), None, ExternalFacts())
        return model_row(ModelRecord(manifest, "log", conditions={CANONICAL: reload}), None).remarks

    assert remarks(same) == "its 20 episodes are the same in every bit, whatever their seeds: they count as one"
    assert remarks([*same, another]) == ""
