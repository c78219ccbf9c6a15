"""What is printed to be written in place of a script's line is that line, with what is wrong about it put right."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reload_audit.observing.building_line import with_environment, with_wrappers
from reload_audit.observing.statement import LEFT_OUT
from reload_audit.records.environment_spec import EnvironmentSpec, WrapperSpec
from reload_audit.records.observation import Line, ObservedEnvironment


def line(code: str, number: int = 5) -> Line:
    return Line("enjoy.py", number, code)


def environment(
    code: str, env_class: str = "robot:Robot", wrappers: dict[str, str] | None = None
) -> ObservedEnvironment:
    """An environment that a line makes, with wrappers of ``robot`` put around it by lines of their own.

    :param wrappers: by their names, the innermost first
    """
    own = wrappers or {}
    return ObservedEnvironment(
        line=line(code),
        env_id="",
        env_class=env_class,
        env_kwargs={},
        env_defaults={},
        time_limit=None,
        wrappers=[WrapperSpec(f"robot:{name}", {}) for name in own],
        wrapper_defaults=[{} for _ in own],
        wrapper_lines=[line(text, 5 if text == code else 6) for text in own.values()],
        monitored=False,
        layers=(),
        frame_stack=None,
        normalization=None,
        n_envs=1,
    )


MADE = 'env = gym.make("Robot-v0")'
VEC = "venv = make_vec_env(Robot, n_envs=2)"
REWRAPPED = [
    (MADE, {}, ["Scales"], 5, 'from robot import Scales; env = Scales(gym.make("Robot-v0"))'),
    (VEC, {}, ["Scales"], 5, f"from robot import Scales; {VEC[:-1]}, wrapper_class=Scales)"),
    (
        VEC,
        {},
        ["Scales", "Clips"],
        5,
        "from robot import Scales; from robot import Clips; venv = make_vec_env(Robot, n_envs=2, "
        "wrapper_class=lambda env: Clips(Scales(env)))",
    ),
    (
        "venv = DummyVecEnv([Robot])",
        {},
        ["Scales"],
        5,
        "from robot import Scales; venv = DummyVecEnv([lambda: Scales(Robot())])",
    ),
    (MADE, {"Logs": "env = Logs(env, verbose=1)"}, [], 6, LEFT_OUT),
    (MADE, {"Logs": "env = Logs(env)"}, ["Scales"], 6, "from robot import Scales; env = Scales(env)"),
    (
        MADE,
        {"Logs": "env = Logs(env)"},
        ["Scales", "Logs"],
        5,
        'from robot import Scales; env = Scales(gym.make("Robot-v0"))',
    ),
    (MADE, {"Logs": "env = Logs(env)"}, ["Logs", "Scales"], 6, "from robot import Scales; env = Scales(Logs(env))"),
    (
        "return Clips(Logs(Robot()))",
        {"Logs": "return Clips(Logs(Robot()))", "Clips": "return Clips(Logs(Robot()))"},
        ["Clips"],
        5,
        "return Clips(Robot())",
    ),
    (
        "venv = make_vec_env(Robot, wrapper_class=Logs)",
        {"Logs": "venv = make_vec_env(Robot, wrapper_class=Logs)"},
        [],
        5,
        "venv = make_vec_env(Robot, wrapper_class=None)",
    ),
    (MADE, {"Logs": "env = Logs(env)", "Clips": "env = Clips(env)"}, [], 6, ""),
]


@pytest.mark.parametrize(("code", "wrappers", "expected", "number", "instead"), REWRAPPED)
def test_wrappers_are_put_right_on_the_line_that_puts_them_there(
    code: str, wrappers: dict[str, str], expected: list[str], number: int, instead: str
) -> None:
    seen = environment(code, wrappers=wrappers)
    names = [*wrappers]
    found, made = with_wrappers(
        seen, [WrapperSpec(f"robot:{name}", {}) for name in expected], lambda one, other: names[one] == expected[other]
    )
    assert (found and found.line, made) == (number, instead)


REBUILT = [
    (
        'env = gym.make(args.env, render_mode="rgb_array", speed=3)',
        "Robot-v0",
        {},
        "env = gym.make('Robot-v0', render_mode=\"rgb_array\")",
    ),
    ('env = gym.make("Other-v0")', "Robot-v0", {"speed": 2}, "env = gym.make('Robot-v0', speed=2)"),
    ("venv = make_vec_env(env_id, n_envs=4)", "Robot-v0", {}, "venv = make_vec_env('Robot-v0', n_envs=4)"),
    (
        "venv = make_vec_env(Other, 4)",
        "robot:Robot",
        {"speed": 2},
        "from robot import Robot; venv = make_vec_env(Robot, 4, env_kwargs={'speed': 2})",
    ),
    (
        "venv = DummyVecEnv([lambda: Monitor(Other())])",
        "lab.robot:Robot",
        {},
        "from lab.robot import Robot; venv = DummyVecEnv([lambda: Monitor(Robot())])",
    ),
    ("env = Other(speed=1)", "Robot-v0", {}, "import gymnasium as gym; env = gym.make('Robot-v0')"),
    ("env = build()", "Robot-v0", {}, ""),
]


@pytest.mark.parametrize(("code", "env", "kwargs", "instead"), REBUILT)
def test_the_environment_of_training_is_built_on_the_line_that_builds_another(
    code: str, env: str, kwargs: dict[str, object], instead: str
) -> None:
    spec = EnvironmentSpec(env, kwargs, (), "env", (), ())
    assert with_environment(environment(code, "games:Other"), spec) == instead


def test_what_cannot_be_rewritten_on_one_line_is_left_alone() -> None:
    assert (
        with_environment(environment("if x: env = gym.make(y)"), EnvironmentSpec("Robot-v0", {}, (), "env", (), ()))
        == "if x: env = gym.make('Robot-v0')"
    )
    kept = replace(environment(MADE), line=None)
    assert with_wrappers(kept, [WrapperSpec("robot:Scales", {})], lambda *_: False) == (None, "")
    odd = [WrapperSpec("robot:Scales", {"by": float("nan")})]
    assert with_wrappers(environment(MADE), odd, lambda *_: False)[1] == ""
