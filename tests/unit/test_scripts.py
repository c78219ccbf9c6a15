"""What is computed, and said, of a script from what was seen of it and measured."""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from enum import Enum, IntEnum
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import films
import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import RecordVideo
from stable_baselines3.common.vec_env import VecVideoRecorder

from reload_audit.diagnosis.joint_effects import MOST_PAIRS, next_to_try, together
from reload_audit.forensics.model_files import FoundStatistics
from reload_audit.jobs.diagnosis import Processes
from reload_audit.jobs.script import Measuring
from reload_audit.observing.acting_line import normalized_by_its_own
from reload_audit.observing.alike import with_alike_joined
from reload_audit.observing.arguments import as_data, may_be_same, shown
from reload_audit.observing.built_seen import BuiltSeen
from reload_audit.observing.figure import figure_of
from reload_audit.observing.films import NO_FILM, allow_recorders
from reload_audit.observing.lines import UserLines
from reload_audit.observing.models_seen import ModelsSeen
from reload_audit.observing.own_classes import keep_arguments
from reload_audit.observing.printed import numbers_in
from reload_audit.observing.series import best_of_its_training, later_of_its_series
from reload_audit.observing.spaces_seen import contains, space_said
from reload_audit.observing.subject import NoSubject, own_statistics, subject_of
from reload_audit.observing.wrappers_seen import WrappersSeen
from reload_audit.planning.scripts import planned_scripts
from reload_audit.processes.imports import with_objects
from reload_audit.records.conditions import Condition
from reload_audit.records.environment_spec import WrapperSpec
from reload_audit.records.episodes import Episode
from reload_audit.records.model_record import Measurement
from reload_audit.records.observation import (
    Line,
    Observation,
    ObservedActs,
    ObservedEnvironment,
    ObservedEpisode,
    ObservedModel,
    ObservedNormalization,
    ObservedRun,
    ObservedWrapper,
)
from reload_audit.records.script_entry import ScriptCause, ScriptEntry
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
from reload_audit.records.specs import ExternalSpec, ScriptSpec
from reload_audit.reports.dashboard.report import render
from reload_audit.reports.scripts import about_scripts, of_models, scripts_answer
from reload_audit.results.scripts import counted, script_entries
from support.audit_contents import audit_of, trained_row
from support.builders import external_spec, resolved

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
    model_n=200,
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
    assert said == (
        "enjoy.py earns 10 ± 1 (20 episodes); robot earns 50 ± 2 (200 episodes): enjoy.py:8 load-not-assigned"
    )


def test_a_model_that_earned_more_in_training_is_not_said_to_earn_what_it_earns() -> None:
    same = replace(ENTRY, mean=50.0, causes=(), differs=False)
    assert "no more than chance" in " ".join(about_scripts((same,)))
    said = " ".join(about_scripts((replace(same, contradicted="its zip says that training earned 90"),)))
    assert "50 ± 2 (200 episodes) there, but its zip says that training earned 90" in said
    assert "no more than chance" not in said


BOX = spaces.Box(-1.0, 1.0, (2,), np.float32)
IMAGE = spaces.Box(0, 255, (84, 84, 3), np.uint8)
LARGEST = float(np.finfo(np.float32).max)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (BOX, spaces.Box(-1.0, 1.0, (2,), np.float64), True),
        (BOX, spaces.Box(-4.0, 4.0, (2,), np.float32), False),
        (BOX, spaces.Box(np.array([-1.0, -4.0]), np.array([1.0, 4.0]), dtype=np.float64), False),
        (IMAGE, spaces.Box(0, 255, (3, 84, 84), np.uint8), True),
        (IMAGE, spaces.Box(0, 255, (84, 84, 3), np.float32), False),
        (spaces.Box(-np.inf, np.inf, (2,)), spaces.Box(-LARGEST, LARGEST, (2,)), True),
        (spaces.Discrete(4), spaces.Discrete(16), False),
        (spaces.Discrete(4), spaces.Discrete(4, dtype=np.int32), True),
        (spaces.Discrete(4), spaces.Discrete(4, start=1), False),
        (spaces.MultiDiscrete([2, 3]), spaces.MultiDiscrete([2, 3], dtype=np.int32), True),
        (spaces.Tuple([BOX, spaces.Discrete(4)]), spaces.Tuple([BOX, spaces.Discrete(4, dtype=np.int32)]), True),
        (spaces.MultiDiscrete([2, 3]), spaces.MultiDiscrete([3, 2]), False),
        (spaces.Dict({"a": BOX, "b": IMAGE}), spaces.Dict({"b": IMAGE, "a": BOX}), True),
    ],
)
def test_spaces_are_the_same_where_the_same_model_acts_in_them(
    one: spaces.Space, other: spaces.Space, *, same: bool
) -> None:
    assert (space_said(one) == space_said(other)) is same


@pytest.mark.parametrize(
    ("outer", "inner", "holds"),
    [
        (spaces.Box(-np.inf, np.inf, (2,)), BOX, True),
        (spaces.Box(np.array([-1.0, -4.0]), np.array([1.0, 4.0]), dtype=np.float64), BOX, True),
        (BOX, spaces.Box(np.array([-1.0, -4.0]), np.array([1.0, 4.0]), dtype=np.float64), False),
        (spaces.Box(-4.0, 4.0, (3,)), BOX, False),
        (spaces.Discrete(16), spaces.Discrete(4), True),
        (spaces.Discrete(4), spaces.Discrete(4, start=1), False),
        (BOX, spaces.Discrete(4), False),
    ],
)
def test_a_space_holds_another_one_where_each_of_its_actions_can_be_taken(
    outer: spaces.Space, inner: spaces.Space, *, holds: bool
) -> None:
    assert contains(space_said(outer), space_said(inner)) is holds


def test_a_wrapper_that_only_watches_changes_no_observation_though_some_are_nan() -> None:
    inner, seen = gym.make("CartPole-v1").unwrapped, WrappersSeen()
    watching, changing = gym.Wrapper(inner), gym.Wrapper(inner)
    seen.around([watching, changing])
    for env, first in ((inner, 1.0), (watching, 1.0 + 1e-12), (changing, 2.0)):
        seen.began(env, (np.array([np.nan, first]), {}))
    wrappers = [ObservedWrapper(WrapperSpec(f"a:{name}", {}), None) for name in ("Watching", "Changing")]
    environment = ObservedEnvironment(None, "", "a:B", {}, {}, None, wrappers, False, (), None, 1)
    (noted,) = seen.noted([environment])
    assert [one.changes_observations for one in noted.wrappers or ()] == [False, True]


def test_environments_that_are_made_in_several_threads_are_in_no_wrapper_of_another_one(tmp_path: Path) -> None:
    built = BuiltSeen(UserLines(tmp_path / "enjoy.py", []), lambda error: pytest.fail(str(error)))
    wrapper, env = gym.Wrapper(gym.Env()), gym.Env()

    def build() -> None:
        with built.building(env, ()):
            pass

    with built.building(wrapper, (wrapper.env,)):
        thread = threading.Thread(target=build)
        thread.start()
        thread.join()
    assert id(env) not in built.inside
    with built.building(wrapper, (wrapper.env,)):
        build()
    assert built.inside[id(env)] is wrapper


def write_zip(path: Path, **said: object) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data", json.dumps(said))


def test_a_checkpoint_that_is_not_the_last_of_its_series_is_remarked_on(tmp_path: Path) -> None:
    steps_of = {"cp_8000_steps": 8_000, "cp_16000_steps": 16_000, "seed_9": 16_000, "seed_8": 16_000}
    for name, steps in {**steps_of, "seed1_1000": 1_000, "seed2_2000": 2_000}.items():
        write_zip(tmp_path / f"{name}.zip", num_timesteps=steps)
    script = enjoying(tmp_path, 'model = PPO.load(sorted(glob("cp_*.zip"))[-1])  # 8000', "--seed", "16")
    line = Line("enjoy.py", 1, "model = PPO.load(latest)")
    (tmp_path / "train.py").write_text('PPO("MlpPolicy", env).learn(8000).save("cp_8000_steps")')
    ((later, said),) = later_of_its_series(script, line, tmp_path / "cp_8000_steps.zip").items()
    assert (later.name, said[-32:]) == ("cp_16000_steps.zip", ".zip lies beside it, with 16,000")
    for name in ("cp_16000_steps", "seed_8", "seed1_1000"):
        assert later_of_its_series(script, line, tmp_path / f"{name}.zip") == {}


def test_the_last_checkpoint_is_looked_for_though_the_script_is_gone(tmp_path: Path) -> None:
    for steps in (8_000, 16_000):
        write_zip(tmp_path / f"cp_{steps}_steps.zip", num_timesteps=steps)
    script = enjoying(tmp_path, "")
    Path(script.script).unlink()
    (later,) = later_of_its_series(script, Line("enjoy.py", 1, "load(x)"), tmp_path / "cp_8000_steps.zip")
    assert later.stem == "cp_16000_steps"


@pytest.mark.parametrize(
    ("code", "text", "args", "beside"),
    [
        ('model = PPO.load("cp_8000_steps")', "", (), ""),
        ("PPO.load(MODEL)", 'MODEL = "cp_8000_steps.zip"', (), ""),
        ("PPO.load(path)", 'path = f"{folder}/cp_8000_steps"', (), ""),
        ("PPO.load(path)", "", ("--model", "logs/cp_8000_steps.zip"), ""),
        ("PPO.load(path)", "", ("--load-checkpoint=8000",), ""),
        ("PPO.load(config.model)", "", (), "seed: 1\nmodel: models/cp_8000_steps\n"),
    ],
)
def test_a_checkpoint_that_a_script_names_is_meant(
    tmp_path: Path, code: str, text: str, args: tuple[str, ...], beside: str
) -> None:
    for steps in (8_000, 16_000):
        write_zip(tmp_path / f"cp_{steps}_steps.zip", num_timesteps=steps)
    (tmp_path / "config.yaml").write_text(beside)
    script, line = enjoying(tmp_path, text, *args), Line("enjoy.py", 1, code)
    assert later_of_its_series(script, line, tmp_path / "cp_8000_steps.zip") == {}


def enjoying(folder: Path, text: str, *args: str) -> ScriptSpec:
    """A script of one line that loads a model."""
    script = folder / "enjoy.py"
    script.write_text(text)
    return ScriptSpec("enjoy", str(script), args, str(folder), {}, "", 60.0, 1024)


def test_the_best_model_counts_beside_another_one_only_where_both_are_of_one_training(tmp_path: Path) -> None:
    (tmp_path / "best").mkdir()
    write_zip(tmp_path / "final.zip", start_time=1795900931869870716)
    write_zip(tmp_path / "best_model.zip", start_time=1795900931869870717)
    write_zip(tmp_path / "best/best_model.zip", start_time=1795900931869870716)
    ((best, said),) = best_of_its_training(tmp_path / "final.zip").items()
    assert (best, "best/best_model.zip lies beside it" in said) == (tmp_path / "best/best_model.zip", True)
    assert best_of_its_training(best) == best_of_its_training(tmp_path / "best_model.zip") == {}


def test_the_line_of_a_formula_is_found_before_the_call_that_is_given_what_it_computes(tmp_path: Path) -> None:
    script = tmp_path / "enjoy.py"
    script.write_text(
        "scaled = (obs - vn.obs_rms.mean) / (vn.obs_rms.var + 1e-8)\naction, _ = model.predict(scaled)\n"
        "obs, reward, done, info = env.step(action)\naction, _ = model.predict(obs)\n"
    )
    lines = UserLines(script, [tmp_path])
    formula = lines.formula_of((str(script), 2))
    assert formula is not None
    assert (formula.line, normalized_by_its_own(formula)) == (1, "scaled = vn.normalize_obs(obs)")
    assert lines.formula_of((str(script), 4)) is None


def test_the_line_of_a_formula_is_found_in_the_function_that_computes_what_is_given(tmp_path: Path) -> None:
    script = tmp_path / "enjoy.py"
    script.write_text(
        "def norm(o):\n    return np.clip((o - vn.obs_rms.mean) / (vn.obs_rms.var + 1e-8), -10, 10)\n\n"
        "obs, _ = env.reset()\naction, _ = model.predict(norm(obs))\naction, _ = model.predict(other(obs))\n"
    )
    lines = UserLines(script, [tmp_path])
    formula = lines.formula_of((str(script), 5))
    assert formula is not None
    assert (formula.line, normalized_by_its_own(formula)) == (2, "return vn.normalize_obs(o)")
    assert lines.formula_of((str(script), 6)) is None


def test_a_report_of_scripts_alone_shows_their_lines_each_as_deep_as_it_is() -> None:
    page = render(audit_of(scripts=[ENTRY.to_dict()]))
    assert '<main class="of-scripts">' in page
    assert '<span style="--depth:0">enjoy.py earns 10 ± 1' in page
    assert '<span style="--depth:5">see docs/causes/load-not-assigned.md' in page
    assert "<main>" in render(audit_of(trained_row(), scripts=[ENTRY.to_dict()]))


def seen_run(number: int, *, moments: str = "same") -> tuple[ObservedModel, ObservedNormalization, ObservedRun]:
    """What a function does that loads its model and its statistics each time that it is called."""
    line = Line("enjoy.py", 5, "model.predict(obs)")
    model = ObservedModel("PPO", "loaded", line, "/ppo.zip", weights_acting="w")
    layer = ObservedNormalization("loaded", line, "/ppo.pkl", 2, moments=moments)
    acts = [ObservedActs("predict", line, True, False, False, False, False, 2)]
    episode = ObservedEpisode(0, 3.0, 3.0, 2, "open")
    return model, layer, ObservedRun(number, number, acts, [episode], [], {}, 0, 0, 0, 0, 2, line)


@pytest.mark.parametrize(("moments", "runs"), [(["a", "a", "a"], 1), (["a", "a", "b"], 2)])
def test_a_function_that_is_called_again_and_again_is_one_run_unless_it_does_something_else(
    moments: list[str], runs: int
) -> None:
    parts = [seen_run(number, moments=own) for number, own in enumerate(moments)]
    models, layers, own = zip(*parts, strict=True)
    environments = [
        ObservedEnvironment(None, "", "a:B", {}, {}, None, [], False, ("DummyVecEnv",), number, 1)
        for number in range(3)
    ]
    seen = Observation("enjoy.py", (), models, layers, environments, own, printed=(3.0,))
    joined = with_alike_joined(seen).runs
    assert len(joined) == runs
    assert sum(act.count for run in joined for act in run.acts) == 6
    assert [episode.ending for episode in joined[0].episodes] == ["cut", "cut", "open"][3 - len(joined[0].episodes) :]


def test_a_function_in_one_of_whose_calls_models_act_together_is_no_single_model_s() -> None:
    models, layers, (first, last) = zip(*map(seen_run, range(2)), strict=True)
    environments = [
        ObservedEnvironment(None, "", "a:B", {}, {}, None, [], False, ("DummyVecEnv",), number, 1)
        for number in range(2)
    ]
    runs = (replace(first, together=(0, 1)), last)
    (joined,) = with_alike_joined(Observation("enjoy.py", (), models, layers, environments, runs)).runs
    assert joined.together == (0, 1)


def test_a_line_is_shown_without_the_comment_at_its_end(tmp_path: Path) -> None:
    script = tmp_path / "enjoy.py"
    script.write_text("env = VecNormalize(env)  # as in training\nprint('#1')\nx = (1 +  # one\n     2)\n")
    lines = UserLines(script, [])
    shown = [lines.at((str(script), number)) for number in (1, 2, 3)]
    assert [line.code for line in shown if line] == ["env = VecNormalize(env)", "print('#1')", "x = 1 + 2"]


def test_numbers_are_read_as_numpy_prints_them() -> None:
    assert numbers_in("Score:[80.] of [ 7.25 -1.e+02], 3 episodes, ppo2 v1.2.3. Mean 9.5.") == [
        80.0,
        7.25,
        -100.0,
        3,
        9.5,
    ]


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
            ScriptSpec("enjoy.py", "/enjoy.py", (), "/", {}, "", 60, 1000, ()),
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
    spec = ScriptSpec("enjoy.py", "/enjoy.py", (), "/", {}, "", 60, 1000, ())
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
    spec = ScriptSpec("enjoy.py", "/enjoy.py", (), "/", {}, "", 60, 1000, ())
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
        spec = ScriptSpec("enjoy.py", "/enjoy.py", (), "/", {}, "", 60, 1000, ())
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


def test_scripts_with_the_longest_names_that_files_can_have_are_told_apart(tmp_path: Path) -> None:
    paths = [tmp_path / folder / f"{252 * 'n'}.py" for folder in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        path.touch()
    planned = planned_scripts(resolved(scripts=list(map(str, paths))), [], "mine.yaml")
    assert [spec.script for spec in planned.values()] == list(map(str, paths))
    assert max(map(len, planned)) < 160


def test_the_first_of_several_environments_counts_alone_only_where_its_mean_is_printed() -> None:
    line = Line("enjoy.py", 5, "venv.step(a)")
    earned = [(1, 100.0), (0, 200.0), (1, 120.0), (0, 220.0)]
    episodes = [ObservedEpisode(slot, reward, reward, 2, "ended") for slot, reward in earned]
    episodes += [ObservedEpisode(1, 5.0, 5.0, 1, "cut") for _ in range(2)]
    run = ObservedRun(0, 0, [], episodes, [], {}, 0, 0, 0, 0, 9, line)
    environment = ObservedEnvironment(None, "", "a:B", {}, {}, None, [], False, ("DummyVecEnv",), None, 2)
    for printed in (160.0, 210.0):
        seen = Observation("enjoy.py", (), [], [], [environment], [run], printed=(printed,))
        figure = figure_of(seen, run)
        assert figure is not None
        assert figure.mean == printed


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


def test_models_of_one_name_are_told_apart_by_their_folders() -> None:
    paths = {"/runs/ppo_0/model.zip": "ppo_0/model", "/runs/ppo_1/model.zip": "ppo_1/model", "/runs/a2c.zip": "a2c"}
    comparisons = [Comparison(Compared(Path(path).stem, path, None)) for path in (*paths, "")]
    spec = ScriptSpec("compare.py", "/compare.py", (), "/", {}, "", 60, 1000, ())
    entries = script_entries(ScriptRecord(spec, None, None, None, "log", comparisons))
    assert [entry.model for entry in entries] == [*paths.values(), ""]
    assert entries[0].name == "compare.py (ppo_0/model)"


def test_of_statistics_that_no_bit_proves_those_of_another_name_are_not_taken_for_a_model_s(tmp_path: Path) -> None:
    names = ("a.pkl", "b.pkl", "c.pkl", "robot_vecnormalize.pkl", "norm_robot.pkl", "robot2.pkl", "my_robots.pkl")
    one, copy, other, named, rival, *longer = (tmp_path / name for name in names)
    for path in (one, copy, other, named, rival, *longer):
        path.write_text(path.name)
    copy.write_bytes(one.read_bytes())

    def chosen(*found: tuple[Path, bool]) -> list[str]:
        statistics = [FoundStatistics(str(path), proved) for path, proved in found]
        return [Path(path).name for path in own_statistics(statistics, tmp_path / "robot.zip")][:1]

    assert chosen((one, False)) == chosen((one, False), (copy, False)) == ["a.pkl"]
    assert chosen((one, False), (other, False)) == chosen() == []
    assert chosen((one, False), (named, False)) == ["robot_vecnormalize.pkl"]
    assert chosen(*((path, False) for path in longer), (named, False)) == ["robot_vecnormalize.pkl"]
    assert chosen((named, False), (rival, False)) == chosen((one, False), (longer[0], False)) == []
    assert chosen((one, True), (named, False)) == ["a.pkl"]


def test_a_model_is_known_to_be_trained_where_its_statistics_cannot_be_saved(tmp_path: Path) -> None:
    def save(path: str) -> None:
        raise OSError(path)

    normalize = SimpleNamespace(save=save, obs_rms=SimpleNamespace(count=3.0))
    model: Any = SimpleNamespace(policy=None, get_vec_normalize_env=lambda: normalize)
    models, line = ModelsSeen(tmp_path), Line("enjoy.py", 5, "model.learn(10)")
    models.made(model, "constructed", line, None, None)
    with pytest.raises(OSError, match="trained0"):
        models.learned(model, 10, line)
    (seen,) = (one.seen for one in models._models)
    assert (seen.learned, seen.learn_statistics) == (10, "")
    run = seen_run(0)[2]
    environment = ObservedEnvironment(None, "", "a:B", {}, {}, None, [], False, (), None, 1)
    observation = Observation("enjoy.py", (), [replace(seen, learn_count=3.0)], [], [environment], [run])
    script = ScriptSpec("enjoy.py", "/enjoy.py", (), "/", {}, "", 60, 1000, ())
    policy: Any = None
    with pytest.raises(NoSubject, match="could not be saved"):
        subject_of(observation, run, [], script, policy, str(tmp_path))
    loaded = replace(seen, made="loaded", path=str(tmp_path / "ppo.zip"), learned=0)
    with pytest.raises(NoSubject, match=r"ppo\.zip was loaded, and is no longer there when the script ends"):
        subject_of(replace(observation, models=[loaded]), run, [], script, policy, str(tmp_path))


@pytest.mark.skipif(find_spec("moviepy") is not None, reason="it writes videos where moviepy is installed")
def test_a_script_finds_no_moviepy_where_its_recorders_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for kind, name in ((RecordVideo, "stop_recording"), (VecVideoRecorder, "_stop_recording")):
        for method in ("__init__", name):
            monkeypatch.setattr(kind, method, getattr(kind, method))
    said: list[str] = []
    allow_recorders(said.append)
    env = RecordVideo(films.Dial(render_mode="rgb_array"), str(tmp_path), episode_trigger=lambda _: True)
    env.reset(seed=0)
    env.step(env.action_space.sample())
    env.close()
    assert said == [NO_FILM]
    assert find_spec("moviepy") is None


class Level(IntEnum):
    """How hard an environment is."""

    EASY = 1
    HARD = 2


class Kind(str, Enum):  # noqa: UP042
    """What an environment gives."""

    DENSE = "dense"


class Colour(Enum):
    RED = 1


def test_a_member_of_an_enum_that_a_script_gives_an_environment_is_given_to_the_audit_s_own() -> None:
    given = {"level": Level.HARD, "kinds": (Kind.DENSE,), "named": {"colour": Colour.RED}, "n": 2, "s": np.float64(0.5)}
    made = with_objects(json.loads(json.dumps(as_data(given))))
    assert made["level"] is Level.HARD
    assert made["kinds"][0] is Kind.DENSE
    assert made["named"]["colour"] is Colour.RED
    assert (type(made["n"]), type(made["s"])) == (int, float)
    assert may_be_same(as_data(Level.HARD), 2)
    assert may_be_same({"levels": (as_data(Level.HARD),)}, {"levels": [2]})
    assert not may_be_same(as_data(Level.HARD), 1)
    assert not may_be_same(as_data(Level.HARD), as_data(Level.EASY))
    assert not may_be_same(as_data(Level.EASY), as_data(Colour.RED))
    assert not may_be_same({"object": "a:B", "arguments": {"size": 3}}, {"object": "a:B", "arguments": {"size": 4}})
    assert shown({"object": "a:B", "arguments": {"value": 3}}) == "'a:B(value=3)'"


def test_an_argument_that_many_environments_were_given_is_written_once(tmp_path: Path) -> None:
    class Counts:
        times = 0

        def __reduce__(self) -> Any:
            Counts.times += 1
            return int, ()

    table = Counts()
    made = ObservedEnvironment(None, "", "a:B", {"table": table}, {}, None, [], False, (), None, 1)
    kept = keep_arguments([made] * 9, tmp_path)
    assert Counts.times == 1
    (name,) = (path.stem for path in tmp_path.iterdir())
    assert [one.env_kwargs for one in kept] == [{"table": {"object": f"classes_of_script:{name}"}}] * 9


def test_a_member_of_an_enum_that_no_module_has_is_kept_as_it_is() -> None:
    class Mode(IntEnum):
        SLOW = 1

    assert as_data({"mode": Mode.SLOW}, repr) == {"mode": repr(Mode.SLOW)}
