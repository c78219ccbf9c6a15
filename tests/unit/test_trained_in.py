"""What a model is trained in is read off the environments, and refused where something else would be recorded."""

from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium as gym
import layered
import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecFrameStack, VecMonitor, VecNormalize

from reload_audit.records.environment_spec import EnvironmentSpec
from reload_audit.training.comparing import NotRebuilt
from reload_audit.training.layers import most_common, numbers_slots
from reload_audit.training.trained_in import Said, changed_attributes, environment_of


def environments(*kwargs: dict[str, Any], kind: type = layered.Judged) -> VecEnv:
    """Environments side by side, each with its own arguments."""
    return DummyVecEnv([partial(kind, **given) for given in kwargs])


def model(venv: VecEnv) -> PPO:
    made = PPO("MlpPolicy", venv, n_steps=8, batch_size=8, seed=0, device="cpu", policy_kwargs={"net_arch": [4]})
    venv.reset()
    return made


def read(venv: VecEnv, **said: Any) -> EnvironmentSpec:
    return environment_of(model(venv), Said(**said))


def refused(venv: VecEnv, **said: Any) -> str:
    with pytest.raises(NotRebuilt) as raised:
        read(venv, **said)
    return str(raised.value)


def test_a_vec_monitor_may_stand_anywhere() -> None:
    inside = layered.Mirrored(VecMonitor(make_vec_env(layered.Level, n_envs=2)), factor=0.5)
    spec = read(VecMonitor(VecFrameStack(VecNormalize(inside), 2)))
    names = [wrapper.name for wrapper in spec.vec_wrappers]
    assert names == ["layered.Mirrored", "VecNormalize", "VecFrameStack"]
    assert read(VecMonitor(environments({})), vec_wrappers=["VecMonitor"]).vec_wrappers == ()


def test_an_object_that_was_given_is_named_and_one_that_is_made_anew_is_not() -> None:
    assert read(environments({}, {})).env_kwargs == {}
    assert read(environments({"judge": layered.Judge()})).env_kwargs == {}
    said = refused(environments({"judge": layered.Judge(2.0)}))
    assert "what layered.Judged was given cannot be read off it and written down: judge; functions" in said
    doubled = gym.wrappers.TransformReward(layered.Level(), lambda reward: 2 * reward)
    assert "was given cannot be read off it and written down: func" in refused(DummyVecEnv([lambda: doubled]))


def test_arguments_that_are_passed_on_are_asked_for() -> None:
    said = refused(environments({"level": 3}))
    assert "level is 3, not 0 (what its constructor was given cannot be read: judge, **kwargs)" in said
    assert 'env_kwargs={"level": ...}' in said
    assert read(environments({"level": 3}), env_kwargs={"level": 3}).env_kwargs == {"level": 3}


def test_what_is_made_of_an_argument_is_compared_where_nothing_else_tells_it() -> None:
    said = refused(environments({"seed_of_map": 3}, kind=layered.Mapping))
    for hidden in ("map", "table", "shift", "judge"):
        assert f"{hidden} holds something else" in said
    assert (
        '(what its constructor was given cannot be read: seed_of_map); say its arguments: env_kwargs={"seed_of' in said
    )
    named = {"seed_of_map": 3}
    assert read(environments(named, kind=layered.Mapping), env_kwargs=named).env_kwargs == named
    weighted = refused(layered.Weighted(environments({}), 3.0))
    assert "weights holds something else" in weighted
    assert 'vec_wrappers=[{"layered.Weighted": {"weight": ...}}]' in weighted


def test_what_episodes_leave_behind_is_no_argument() -> None:
    venv = layered.Weighted(environments({}, {}, kind=layered.Mapping))
    trained = model(venv)
    for _ in range(12):
        venv.step(np.array([0, 1]))
    assert venv.earned
    assert environment_of(trained, Said()).env_kwargs == {}


def test_arguments_are_read_past_how_an_environment_is_rendered_and_past_a_function_that_makes_it() -> None:
    assert read(environments({"level": 2}, kind=layered.Drawn)).env_kwargs == {"level": 2}
    gym.register("MadeByFunction-v0", entry_point=lambda: layered.Level(3))
    try:
        spec = read(make_vec_env("MadeByFunction-v0"))
    finally:
        del gym.registry["MadeByFunction-v0"]
    assert (spec.env, spec.env_kwargs) == ("layered:Level", {"level": 3})


def test_environments_that_were_given_different_arguments_are_named_but_for_numbers_of_the_slots() -> None:
    said = refused(environments({"level": 1}, {"level": 1}, {"level": 5}, kind=layered.Level))
    assert "layered.Level is not the same in all environments that are trained in: level is one of 1, 5" in said
    assert read(environments({"port": 7}, {"port": 8}, {"port": 9})).env_kwargs == {"port": 7}


def test_what_a_vec_env_wrapper_was_given_is_read_or_named() -> None:
    assert [one.to_plain() for one in read(layered.Mapped(environments({}))).vec_wrappers] == ["layered.Mapped"]
    said = refused(layered.Mapped(environments({}), lambda observations: observations))
    assert "what layered.Mapped was given cannot be read off it and written down: function" in said
    assert "class MyMapped(Mapped)" in said
    said = refused(layered.Mapped(environments({}), scale=3.0))
    assert "factor is 3.0, not 1.0" in said
    assert "env_fns" not in said
    named = {"layered.Mapped": {"scale": 3.0}}
    assert [
        one.to_plain() for one in read(layered.Mapped(environments({}), scale=3.0), vec_wrappers=[named]).vec_wrappers
    ] == [named]


def test_what_training_changes_in_half_of_the_environments_is_named() -> None:
    venv = environments({}, {}, {}, {}, kind=layered.Level)
    trained = model(venv)
    spec = environment_of(trained, Said())
    venv.env_method("set_level", 4, indices=[2, 3])
    venv.env_method("set_wind", 4.0, indices=1)
    assert [(one.name, one.trained, one.new) for one in changed_attributes(venv, spec)] == [("level", 4, 0)]


@pytest.mark.parametrize(
    ("values", "counts"),
    [
        ([5, 6, 7], True),
        (["log_0", "log_1"], True),
        ([3, 3], True),
        ([0, 0, 4], False),
        (["a", "b"], False),
        ([1.5, 2.5], False),
    ],
)
def test_values_that_count_environments_are_none_of_their_own(values: list[Any], counts: bool) -> None:
    assert numbers_slots(values) == counts
    assert most_common([{"x": (value, -1)} for value in values]) == (
        {} if counts and values[0] != values[1] else {"x": (values[0], -1)}
    )
