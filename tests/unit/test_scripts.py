"""What is computed, and said, of a script from what was seen of it and measured."""

from __future__ import annotations

import numpy as np
import pytest

from reload_audit.records.episodes import Episode
from reload_audit.records.model_record import Measurement
from reload_audit.records.script_entry import ScriptCause, ScriptEntry
from reload_audit.records.specs import Condition
from reload_audit.reports.scripts import about_scripts, of_models
from reload_audit.results.scripts import counted

ENTRY = ScriptEntry(
    name="enjoy.py",
    model="robot",
    mean=10.0,
    std=1.0,
    n=20,
    where="enjoy.py:9",
    earned=10.0,
    model_mean=50.0,
    model_std=2.0,
    reproduced=20.0,
    agrees=False,
    gap=40.0,
    differs=True,
    causes=(
        ScriptCause("load-not-assigned", "enjoy.py:8", "model.load('robot')", "it never acts", "", 30.0, 30.0, 0.75),
    ),
    harmless=(),
    problem="",
    raised="",
    raised_at="",
    stopped="",
    remarks=(),
    together=30.0,
)


def measured(rewards: list[float], lengths: list[int]) -> Measurement:
    episodes = [
        Episode(index, index, reward, length, True, None, reward, {})
        for index, (reward, length) in enumerate(zip(rewards, lengths, strict=True))
    ]
    return Measurement(Condition("model", 4), None, None, episodes=episodes)


def test_episodes_that_finish_first_are_the_short_ones_and_all_of_them_are_not() -> None:
    model = measured([10.0, 80.0], [2, 16])
    few, many = (counted(model, "first", 8, n).mean() for n in (8, 400))
    assert few < 25 < many < 46
    assert counted(model, "rounds", 8, 20).mean() == pytest.approx(10.0, abs=2.0)
    same = measured([10.0, 80.0], [8, 8])
    assert counted(same, "first", 4, 40).mean() == pytest.approx(45.0, abs=2.0)
    assert np.isclose(counted(same, "rounds", 4, 40).mean(), 45.0, atol=2.0)


def test_what_no_line_explains_is_said_with_its_amount() -> None:
    assert "Alone it costs 30 of 40" in " ".join(about_scripts((ENTRY,)))


def test_a_model_s_page_says_what_scripts_earn_with_it() -> None:
    (said,) = of_models([ENTRY]).values()
    assert said == ("enjoy.py earns 10 ± 1 (20 episodes); robot earns 50 ± 2: enjoy.py:8 load-not-assigned")
