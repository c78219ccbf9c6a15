"""Of a script are seen the environments that it makes, their arguments and spaces, its runs and its lines."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from enum import Enum, IntEnum
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import films
import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import RecordVideo
from stable_baselines3.common.vec_env import VecVideoRecorder

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
from reload_audit.observing.spaces_seen import contains, space_said
from reload_audit.observing.subject import NoSubject, subject_of
from reload_audit.observing.wrappers_seen import WrappersSeen
from reload_audit.processes.imports import with_objects
from reload_audit.records.environment_spec import WrapperSpec
from reload_audit.records.observation import (
    Line,
    Observation,
    ObservedActs,
    ObservedEpisode,
    ObservedModel,
    ObservedNormalization,
    ObservedRun,
    ObservedWrapper,
)
from support.observed_scripts import environment_seen, script_in

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
    environment = environment_seen(wrappers=wrappers)
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


@pytest.mark.parametrize(
    ("text", "given", "line", "instead", "other"),
    [
        (
            "scaled = (obs - vn.obs_rms.mean) / (vn.obs_rms.var + 1e-8)\naction, _ = model.predict(scaled)\n"
            "obs, reward, done, info = env.step(action)\naction, _ = model.predict(obs)\n",
            2,
            1,
            "scaled = vn.normalize_obs(obs)",
            4,
        ),
        (
            "def norm(o):\n    return np.clip((o - vn.obs_rms.mean) / (vn.obs_rms.var + 1e-8), -10, 10)\n\n"
            "obs, _ = env.reset()\naction, _ = model.predict(norm(obs))\naction, _ = model.predict(other(obs))\n",
            5,
            2,
            "return vn.normalize_obs(o)",
            6,
        ),
    ],
    ids=["before the call that is given what it computes", "in the function that computes what is given"],
)
def test_the_line_of_a_formula_is_found(
    tmp_path: Path, text: str, given: int, line: int, instead: str, other: int
) -> None:
    script = tmp_path / "enjoy.py"
    script.write_text(text)
    lines = UserLines(script, [tmp_path])
    formula = lines.formula_of((str(script), given))
    assert formula is not None
    assert (formula.line, normalized_by_its_own(formula)) == (line, instead)
    assert lines.formula_of((str(script), other)) is None


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
    environments = [environment_seen(layers=("DummyVecEnv",), normalization=number) for number in range(3)]
    seen = Observation("enjoy.py", (), models, layers, environments, own, printed=(3.0,))
    joined = with_alike_joined(seen).runs
    assert len(joined) == runs
    assert sum(act.count for run in joined for act in run.acts) == 6
    assert [episode.ending for episode in joined[0].episodes] == ["cut", "cut", "open"][3 - len(joined[0].episodes) :]


def test_a_function_in_one_of_whose_calls_models_act_together_is_no_single_model_s() -> None:
    models, layers, (first, last) = zip(*map(seen_run, range(2)), strict=True)
    environments = [environment_seen(layers=("DummyVecEnv",), normalization=number) for number in range(2)]
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


def test_the_first_of_several_environments_counts_alone_only_where_its_mean_is_printed() -> None:
    line = Line("enjoy.py", 5, "venv.step(a)")
    earned = [(1, 100.0), (0, 200.0), (1, 120.0), (0, 220.0)]
    episodes = [ObservedEpisode(slot, reward, reward, 2, "ended") for slot, reward in earned]
    episodes += [ObservedEpisode(1, 5.0, 5.0, 1, "cut") for _ in range(2)]
    run = ObservedRun(0, 0, [], episodes, [], {}, 0, 0, 0, 0, 9, line)
    environment = environment_seen(layers=("DummyVecEnv",), n_envs=2)
    for printed in (160.0, 210.0):
        seen = Observation("enjoy.py", (), [], [], [environment], [run], printed=(printed,))
        figure = figure_of(seen, run)
        assert figure is not None
        assert figure.mean == printed


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
    environment = environment_seen()
    observation = Observation("enjoy.py", (), [replace(seen, learn_count=3.0)], [], [environment], [run])
    script = script_in(Path("/"), "enjoy.py")
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
    made = environment_seen(env_kwargs={"table": table})
    kept = keep_arguments([made] * 9, tmp_path)
    assert Counts.times == 1
    (name,) = (path.stem for path in tmp_path.iterdir())
    assert [one.env_kwargs for one in kept] == [{"table": {"object": f"classes_of_script:{name}"}}] * 9


def test_a_member_of_an_enum_that_no_module_has_is_kept_as_it_is() -> None:
    class Mode(IntEnum):
        SLOW = 1

    assert as_data({"mode": Mode.SLOW}, repr) == {"mode": repr(Mode.SLOW)}
