"""Conditions are tried with few episodes, and with more where those leave open how much of a gap they close."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from reload_audit.jobs import diagnosis
from reload_audit.jobs.diagnosis import Processes, Target, diagnose
from reload_audit.records.conditions import CANONICAL, Condition
from reload_audit.records.examination import Examination, Trial
from reload_audit.records.model_record import Measurement
from reload_audit.records.specs import ReloadSpec
from support.trial_targets import earned

RELOAD = ReloadSpec((), False, "forkserver", 60.0, 4096)
CANON = Condition(CANONICAL, 1)
BEFORE = {CANONICAL: Measurement(CANON, None, None, episodes=earned(100.0, 640, 0))}
SHORT = replace(CANON, n_episodes=40)


def tried(
    means: Mapping[str, float], tmp_path: Path, *, target: float | None = 150.0, std: float | None = None
) -> dict[str, int]:
    """How many episodes each trial ran in the end, by its name; a trial ``used environments`` is of such."""
    used = {"used environments": replace(SHORT, name="used environments", episodes_before=5)}
    trials = tuple(Trial(used.get(name, replace(SHORT, name=name)), ("policy-mode",)) for name in means)
    wanted = Target(
        "support.trial_targets:examine",
        (Examination(target=target, target_std=std, trials=trials),),
        "support.trial_targets:evaluate",
        lambda condition: (condition, means[condition.name]),
    )
    made = diagnose(Processes(RELOAD, tmp_path / "log"), wanted, BEFORE)
    run = {name: len(found.episodes) for name, found in made.measured.items()}
    assert [trial.condition.name for trial in made.examination.trials] == list(means)
    return run


def test_a_trial_that_leaves_open_what_it_explains_is_made_again_with_more_episodes(tmp_path: Path) -> None:
    assert tried({"stochastic": 112.0}, tmp_path) == {"stochastic": 640}


def test_a_trial_that_explains_is_not_made_again(tmp_path: Path) -> None:
    assert tried({"stochastic": 112.0, "statistics=fresh": 150.0}, tmp_path) == {
        "stochastic": 40,
        "statistics=fresh": 40,
    }


def test_a_trial_that_is_ruled_out_is_not_made_again(tmp_path: Path) -> None:
    assert tried({"stochastic": -400.0}, tmp_path) == {"stochastic": 40}


def test_no_trial_is_made_again_where_no_loss_or_gain_is_shown(tmp_path: Path) -> None:
    assert tried({"stochastic": 112.0}, tmp_path, target=None) == {"stochastic": 40}


def test_no_trial_is_made_again_that_takes_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_CHEAP", 0.0)
    assert tried({"stochastic": 112.0}, tmp_path) == {"stochastic": 40}


def test_a_trial_whose_first_episodes_exclude_it_runs_no_others(tmp_path: Path) -> None:
    assert tried({"stochastic": -400.0, "swapped": 500.0}, tmp_path, target=500.0, std=20.0) == {
        "stochastic": 20,
        "swapped": 40,
    }


@pytest.mark.parametrize("std", [None, 2000.0])
def test_no_episode_of_a_trial_is_spared_where_the_gap_may_lie_in_few_of_them(
    std: float | None, tmp_path: Path
) -> None:
    assert tried({"stochastic": -400.0}, tmp_path, target=500.0, std=std) == {"stochastic": 40}


def test_environments_are_not_used_up_first_where_another_trial_explains(tmp_path: Path) -> None:
    explained = tried({"statistics=fresh": 150.0, "used environments": 150.0}, tmp_path)
    assert explained == {"statistics=fresh": 40}
    assert tried({"stochastic": -400.0, "used environments": -400.0}, tmp_path) == {
        "stochastic": 40,
        "used environments": 40,
    }
