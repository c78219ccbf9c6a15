"""What each thing costs that a script does otherwise is measured, and told from chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from reload_audit.diagnosis.joint_effects import MOST_PAIRS, next_to_try, together
from reload_audit.jobs.diagnosis import Processes
from reload_audit.jobs.script import Measuring
from reload_audit.records.conditions import Condition
from reload_audit.records.episodes import Episode
from reload_audit.records.model_record import Measurement
from reload_audit.records.observation import (
    Line,
    Observation,
)
from reload_audit.records.script_record import (
    AS_MODEL,
    AS_SCRIPT,
    Compared,
    Comparison,
    Figure,
    Found,
    ScriptDifference,
    ScriptRecord,
    alone,
    only,
    put_right,
)
from reload_audit.records.specs import ExternalSpec
from reload_audit.reports.scripts import about_scripts, scripts_answer
from reload_audit.results.scripts import counted, script_entries
from support.builders import external_spec
from support.observed_scripts import script_in


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


def under_conditions(causes: str, earns: Callable[[set[str]], float]) -> dict[str, Measurement]:
    """What a job measures of differences whose causes have names of one letter, each condition when it is asked for.

    :param earns: mean reward where the script does some of them
    """

    def of(changed: set[str]) -> Measurement:
        return measured([earns(changed) - 1.0, earns(changed) + 1.0] * 10, [8] * 20)

    found = {AS_MODEL: of(set()), AS_SCRIPT: of({*causes})}
    for cause in causes:
        found[alone(cause)], found[put_right(cause)] = of({cause}), of({*causes} - {cause})
    while groups := next_to_try(found, [*causes]):
        found |= {only(group, [*causes]): of({*group}) for group in groups}
    return found


def test_differences_that_cost_something_only_together_are_found_where_another_hides_them() -> None:
    def earns(changed: set[str]) -> float:
        return 0.0 if "z" in changed else 20.0 if {"a", "c"} <= changed else 50.0

    found = under_conditions("abcz", earns)
    assert together(found, [*"abcz"]) == {"a": ("a", "c"), "c": ("a", "c")}
    assert len(found) == 2 + 2 * 4 + 3
    line = Line("enjoy.py", 1, "x")
    differences = [ScriptDifference(cause, line, "it does so", changes={"deterministic": False}) for cause in "abcz"]
    figure = Figure.of(np.zeros(20), np.zeros(20), line)
    (entry,) = script_entries(
        ScriptRecord(
            script_in(Path("/"), "enjoy.py"),
            Observation("enjoy.py"),
            None,
            None,
            "log",
            [Comparison(Compared("robot", "/robot.zip", figure, differences), found)],
        )
    )
    said = [*about_scripts((entry,))]
    assert any("(a). Together with c it costs 30 of 50" in line for line in said), said
    assert [cause.cause for cause in entry.harmless] == ["b"]


@pytest.mark.parametrize("reproduced", [[-28.0] * 20, [-28.0, -20.0] * 10])
def test_episodes_that_all_earn_the_same_are_one_only_where_those_of_the_audit_differ(reproduced: list[float]) -> None:
    lengths = [30] * 20
    conditions = {AS_MODEL: measured([3.0, 5.0] * 10, lengths), AS_SCRIPT: measured(reproduced, lengths)}
    figure = Figure.of(np.full(20, -28.0), np.full(20, -28.0), None)
    unmasked = ScriptDifference("action-masks-missing", None, "it is not given masks", changes={"give_masks": False})
    comparison = Comparison(Compared("m", "", figure, [unmasked]), conditions)
    spec = script_in(Path("/"), "enjoy.py")
    record = ScriptRecord(spec, None, None, None, "", [comparison])
    (entry,) = script_entries(record)
    assert any("same one over and over" in remark for remark in entry.remarks) == (len({*reproduced}) > 1)


@pytest.mark.parametrize("certain", [True, False])
def test_an_untrained_model_that_is_lucky_is_named_and_what_is_no_fault_in_itself_is_not(certain: bool) -> None:
    found = under_conditions("a", lambda changed: 49.9 if changed else 50.0)
    line = Line("enjoy.py", 8, "model.load('robot')")
    different = ScriptDifference("a", line, "it never acts", changes={"model_file": "new.zip"}, certain=certain)
    figure = Figure.of(found[AS_SCRIPT].rewards, found[AS_SCRIPT].rewards, line)
    compared = Compared("robot", "/robot.zip", figure, [different])
    spec = script_in(Path("/"), "enjoy.py")
    record = ScriptRecord(spec, Observation("enjoy.py"), None, None, "log", [Comparison(compared, found)])
    (entry,) = script_entries(record)
    assert ([cause.cause for cause in entry.causes], entry.differs) == (["a"] if certain else [], False)
    assert scripts_answer((entry,)).startswith("enjoy.py has a fault" if certain else "enjoy.py earns what its model")
    said = " ".join(about_scripts((entry,)))
    assert ("What that costs is no more than chance" in said) == certain, said


def test_episodes_that_begin_with_one_seed_are_no_more_than_one_also_where_they_differ() -> None:
    found = {AS_MODEL: measured([30.0, 70.0] * 10, [8] * 20)}
    for one_seed in (False, True):
        figure = replace(
            Figure.of(np.asarray([29.0, 31.0] * 10), np.asarray([29.0, 31.0] * 10), None), one_seed=one_seed
        )
        spec = script_in(Path("/"), "enjoy.py")
        comparison = Comparison(Compared("robot", "/robot.zip", figure), found)
        (entry,) = script_entries(ScriptRecord(spec, Observation("enjoy.py"), None, None, "log", [comparison]))
        assert entry.differs == (not one_seed)
        assert any("begin with one and the same seed" in remark for remark in entry.remarks) == one_seed


def test_differences_are_tried_together_only_where_that_can_tell_something() -> None:
    for causes in ("ab", "abc", "abcdefgh"):
        harmless = under_conditions(causes, lambda changed: 0.0 if "b" in changed else 50.0)
        assert len(harmless) <= 2 + 2 * len(causes) + 1
        assert together(harmless, [*causes]) == {}
    every = under_conditions("abcdefghz", lambda changed: 0.0 if "z" in changed or len(changed) > 6 else 50.0)
    assert len(every) <= 2 + 2 * 9 + 1 + MOST_PAIRS


@pytest.mark.parametrize(("gain", "named"), [(4.0, "later"), (0.0, "loaded")])
def test_a_better_model_beside_the_loaded_one_is_found_where_few_episodes_leave_that_open(
    gain: float, named: str
) -> None:
    drawn = np.random.default_rng(0).normal(12.0, 9.0, size=(2, 200))
    earned = {"loaded": drawn[0], "later": drawn[1] + gain}
    numbers_of_episodes = []

    def evaluate(_: str, condition: Condition, model: ExternalSpec, *others: object) -> Measurement:
        n = condition.n_episodes or 0
        numbers_of_episodes.append(n)
        return replace(measured([*map(float, earned[model.model][:n])], [10] * n), condition=condition)

    figure = Figure.of(drawn[0][:20], drawn[0][:20], None)
    loaded, later = (Found(Compared(name, f"/{name}.zip", figure), external_spec(name)) for name in earned)
    unused: Any = None
    measuring = Measuring(cast("Processes", SimpleNamespace(evaluate=evaluate)), unused, unused)
    found = measuring.with_the_best_model(replace(loaded, beside=(later,)))
    assert found.compared.model == named
    assert max(numbers_of_episodes) == 200


def test_where_time_allows_for_few_episodes_alone_a_model_is_measured_anew_but_once() -> None:
    asked = []

    def evaluate(_: str, condition: Condition, model: ExternalSpec, *others: object) -> Measurement:
        asked.append(model.model)
        n, better = 30, 4.0 if model.model == "later" else 0.0
        drawn = np.random.default_rng(len(asked)).normal(12.0 + better, 9.0, size=n)
        return replace(measured([*map(float, drawn)], [10] * n), condition=condition, out_of_time=True)

    figure = Figure.of(np.full(20, 12.0), np.full(20, 12.0), None)
    loaded, later = (Found(Compared(name, f"/{name}.zip", figure), external_spec(name)) for name in ("loaded", "later"))
    unused: Any = None
    measuring = Measuring(cast("Processes", SimpleNamespace(evaluate=evaluate)), unused, unused)
    measuring.with_the_best_model(replace(loaded, beside=(later,)))
    assert asked.count("later") <= 4
