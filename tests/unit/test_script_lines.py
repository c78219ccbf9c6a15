"""What is printed to be written in place of a script's line is that line, with what is wrong about it put right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import pytest
from stable_baselines3.common import vec_env
from stable_baselines3.common.env_util import make_vec_env

from reload_audit.observing.acting_line import (
    asked_deterministically,
    normalized_as_trained,
    state_to_empty,
    with_masks,
    with_new_observation,
    with_state,
    without_training_mode,
)
from reload_audit.observing.building_line import (
    with_arguments,
    with_environment,
    with_normalization,
    with_wrappers,
)
from reload_audit.observing.counting import without_reset
from reload_audit.observing.environment import environment_differences
from reload_audit.observing.frames import Frames, frames_of_training, with_frames_stacked
from reload_audit.observing.statement import LEFT_OUT
from reload_audit.observing.weights import _assigned, _with_file, with_file_loaded
from reload_audit.records.environment_spec import EnvironmentSpec, WrapperSpec
from reload_audit.records.observation import (
    Line,
    ObservedActs,
    ObservedEnvironment,
    ObservedModel,
    ObservedRun,
    ObservedWrapper,
)


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
        wrappers=[
            ObservedWrapper(WrapperSpec(f"robot:{name}", {}), line(text, 5 if text == code else 6))
            for name, text in own.items()
        ],
        monitored=False,
        layers=(),
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


@pytest.mark.parametrize(
    ("code", "instead"),
    [
        ("env = Monitor(Robot(2 + 3))", ""),
        ("env = Monitor(Robot())", "env = Monitor(Robot(speed=2))"),
        ("env = Robot(limit=9)", "env = Robot(limit=9, speed=2)"),
        ("env = Robot(**config)", ""),
        ("env = build()", ""),
    ],
)
def test_an_environment_is_given_what_training_gave_it_where_its_class_is_called(code: str, instead: str) -> None:
    assert with_arguments(environment(code), {"speed": 2}) == instead


@pytest.mark.parametrize(
    "given",
    [
        {"weigh": {"object": "robot:heavy"}},
        {"weights": {"object": "numpy:asarray", "arguments": {"a": [1.0, 2.0], "dtype": "float32"}}},
        {"stages": [{"speed": {"object": "robot:fast"}}]},
        {"reward_fn": "robot:upright"},
    ],
)
def test_a_function_or_an_array_of_training_is_never_written_as_what_stands_for_it(given: dict[str, object]) -> None:
    spec = EnvironmentSpec("robot:Robot", given, (), "env", (), ())
    (name,) = given
    wrapper = [WrapperSpec("robot:Scales", given)]
    made = environment(f"env = Robot({name}=1)")
    assert with_arguments(made, given) == with_environment(made, spec) == ""
    assert with_wrappers(made, wrapper, lambda *_: False)[1] == ""
    seen = replace(made, env_kwargs={name: 1}, time_limit=None)
    subject: Any = SimpleNamespace(
        known=True,
        environment=seen,
        spec=SimpleNamespace(environment=spec, named_by_user=()),
        run=SimpleNamespace(own_limit=None),
    )
    policy: Any = SimpleNamespace(trust=())
    (found,) = environment_differences(subject, policy)
    assert (found.cause, found.instead) == ("env-kwargs", "")


def test_statistics_are_applied_around_a_single_environment_and_its_last_wrapper() -> None:
    found, made = with_normalization(environment("env = Robot(2)"), "robot.pkl")
    assert found is not None
    assert made == "from reload_audit import NormalizeAsTrained; env = NormalizeAsTrained(Robot(2), 'robot.pkl')"
    found, made = with_normalization(environment("env = Robot(2)", wrappers={"Logs": "env = Logs(env)"}), "robot.pkl")
    assert found is not None
    assert (found.line, made[-40:]) == (6, "env = NormalizeAsTrained(Logs(env), 'robot.pkl')"[-40:])


ASKED = [
    ("action, _ = model.predict(obs)", "predict", "action, _ = model.predict(obs, deterministic=True)"),
    ("a, _ = model.predict(obs, None, None, False)", "predict", "a, _ = model.predict(obs, None, None, True)"),
    (
        "a = model.predict(f(obs), deterministic=not x)[0]",
        "predict",
        "a = model.predict(f(obs), deterministic=True)[0]",
    ),
    ("m, s = evaluate_policy(model, env, 10, False)", "predict", "m, s = evaluate_policy(model, env, 10, True)"),
    ("a, v, p = model.policy(obs)", "policy()", "a, v, p = model.policy(obs, deterministic=True)"),
    ("a, v, p = model.policy(obs, False)", "policy()", "a, v, p = model.policy(obs, True)"),
    (
        "a = policy.get_distribution(obs).sample()",
        "the policy's distribution",
        "a = policy.get_distribution(obs).mode()",
    ),
    ("a = dist.get_actions()", "the policy's distribution", "a = dist.get_actions(deterministic=True)"),
    ("while not done:", "predict", ""),
    ("a, v, p, s = model.policy.forward(obs, states, starts)", "policy()", ""),
    ("a, v, p = policy(obs, *rest)", "policy()", ""),
    (
        "a, v, p, s = policy.forward(obs, states, starts, deterministic=det)",
        "policy()",
        "a, v, p, s = policy.forward(obs, states, starts, deterministic=True)",
    ),
]


@pytest.mark.parametrize(("code", "how", "instead"), ASKED)
def test_deterministic_actions_are_asked_for_whichever_way_a_line_asks(code: str, how: str, instead: str) -> None:
    act = ObservedActs(how, line(code), False, False, False, False, False)
    assert asked_deterministically(act, deterministic=True) == instead


def run(asks: str, steps: str) -> ObservedRun:
    act = ObservedActs("predict", line(asks), True, False, False, False, False, 9)
    return ObservedRun(0, 0, [act], [], [], {}, 0, 0, 0, 0, 9, line(steps, 6))


S = "locals().get('lstm_states')"
STATES = [
    (
        "a, states = model.predict(obs, episode_start=starts)",
        "obs, r, starts, i = env.step(a)",
        "a, states = model.predict(obs, episode_start=starts, state=locals().get('states'))",
    ),
    (
        "a, states = model.predict(obs, states)",
        "obs, r, done, i = env.step(a)",
        "a, states = model.predict(obs, states, episode_start=None if states is None else done)",
    ),
    (
        "a, _ = model.predict(obs)",
        "obs, r, done, i = env.step(a)",
        f"a, lstm_states = model.predict(obs, state={S}, episode_start=None if {S} is None else done)",
    ),
    (
        "a = model.predict(obs)[0]",
        "obs, r, te, tr, i = env.step(a)",
        f"a, lstm_states = model.predict(obs, state={S}, episode_start=None if {S} is None else [te or tr])",
    ),
    ("a = np.argmax(model.predict(obs)[0])", "obs, r, done, i = env.step(a)", ""),
    ("a, _ = model.predict(obs); n += 1", "obs, r, done, i = env.step(a)", ""),
    ("a, self.state = model.predict(obs)", "obs, r, done, i = env.step(a)", ""),
    (
        "a, _ = model.predict(obs)",
        "obs, r, te, _, i = env.step(a)",
        f"a, lstm_states = model.predict(obs, state={S})",
    ),
]


@pytest.mark.parametrize(("asks", "steps", "instead"), STATES)
def test_a_recurrent_policy_is_given_its_state_whatever_its_line_calls_it(asks: str, steps: str, instead: str) -> None:
    assert with_state(run(asks, steps)) == instead


STEPS = "obs, r, done, trunc, i = env.step(a)"
EMPTIED = [
    ("done = False\nwhile not done:", STEPS, "lstm_states"),
    ("obs, done, total = env.reset()[0], False, 0.0\nwhile not done:", STEPS, "lstm_states"),
    ("while True:", STEPS, ""),
    ("while True:", "obs, r, done, _, i = env.step(a)", "lstm_states"),
]


@pytest.mark.parametrize(("head", "steps", "name"), EMPTIED)
def test_a_state_is_to_be_emptied_where_the_end_of_an_episode_is_forgotten_before_the_policy_is_asked(
    tmp_path: Path, head: str, steps: str, name: str
) -> None:
    asks = "a, lstm_states = model.predict(obs)"
    (tmp_path / "enjoy.py").write_text(f"{head}\n    {asks}\n    {steps}\n")
    assert state_to_empty(run(asks, steps), tmp_path) == name


def test_other_lines_that_ask_for_actions_are_put_right() -> None:
    masked = with_masks(run("a, _ = model.predict(obs)", "obs, r, te, tr, i = self.env.step(a)"))
    assert masked.endswith("; a, _ = model.predict(obs, action_masks=get_action_masks(self.env))")
    evaluated = with_masks(run("mean, std = evaluate_policy(model, env)", "obs, r, d, i = env.step(a)"))
    assert evaluated.startswith("from sb3_contrib.common.maskable.evaluation import evaluate_policy; mean, std")
    drops = without_training_mode(line("a, _, _ = model.policy(model.policy.obs_to_tensor(obs)[0])"))
    assert drops.startswith("model.policy.set_training_mode(False); a, _, _ = ")
    assert without_training_mode(line("a = model.actor(t)")).startswith("model.actor.set_training_mode(False); a = ")
    stepping, asking = line("new_obs, r, te, tr, _ = env.step(a)"), line("a, _ = model.predict(obs)")
    assert with_new_observation(stepping, asking) == "new_obs, r, te, tr, _ = env.step(a); obs = new_obs"
    assert with_new_observation(line("_, r, d, i = env.step(a)"), asking) == "obs, r, d, i = env.step(a)"
    by_hand = line("a, _ = model.predict((obs - st.obs_rms.mean) / st.obs_rms.var)")
    assert (
        normalized_as_trained(by_hand, line("obs, r, d, i = env.step(a)"))
        == "a, _ = model.predict(st.normalize_obs(obs))"
    )


@pytest.mark.parametrize(
    ("code", "instead"),
    [
        ('model = PPO("MlpPolicy", env, verbose=1)', "model = PPO.load('a.zip', env=env)"),
        (
            "self.model = PPO('MlpPolicy', 'CartPole-v1')",
            "from stable_baselines3.common.env_util import make_vec_env; "
            "self.model = PPO.load('a.zip', env=make_vec_env('CartPole-v1'))",
        ),
        ("return PPO('MlpPolicy', env)", ""),
        ("agent = Agent(PPO('MlpPolicy', env), env)", ""),
    ],
)
def test_a_model_is_loaded_on_the_line_that_constructs_a_new_one(code: str, instead: str) -> None:
    assert with_file_loaded(line(code), "a.zip") == instead


@pytest.mark.parametrize(
    ("code", "instead"),
    [
        ("model.load('m.zip')", "model = PPO.load('m.zip')"),
        ("agents.append(PPO.load('m.zip'))", ""),
        ("model.load('m.zip'); n = 1", ""),
    ],
)
def test_what_load_returns_is_assigned_where_a_line_does_nothing_else(code: str, instead: str) -> None:
    acting = ObservedModel("PPO", "constructed", line("model = PPO('MlpPolicy', env)", 4))
    assert _assigned(acting, ObservedModel("PPO", "loaded", line(code))) == instead


def test_a_file_with_any_name_is_put_in_place_of_another() -> None:
    assert _with_file(line("PPO.load('a.zip')"), "runs/a.zip", r"runs/\1.zip") == r"PPO.load('\1.zip')"


@pytest.mark.parametrize(
    ("code", "instead"),
    [
        ("venv.reset()", LEFT_OUT),
        ("obs = venv.reset()", LEFT_OUT),
        ("obs = venv.reset(); n = 0", ""),
        ("obs = torch.as_tensor(venv.reset())", ""),
        ("if d.any(): obs = venv.reset()", ""),
    ],
)
def test_a_reset_is_left_out_where_a_line_does_nothing_else(code: str, instead: str) -> None:
    assert without_reset(line(code)) == instead


def test_frames_are_stacked_around_a_vec_env_and_nothing_else() -> None:
    def stacked(code: str) -> str:
        made = replace(environment(""), layers=("DummyVecEnv",), vec_line=line(code))
        return with_frames_stacked(made, Frames(4, have_axis=False))[1]

    made = stacked("env = DummyVecEnv([make])")
    assert made.endswith("import VecFrameStack; env = VecFrameStack(DummyVecEnv([make]), 4)")
    assert stacked("mean, std = evaluate_policy(model, env)") == ""
    assert stacked("model = PPO.load(path, env=env)") == ""


@pytest.mark.parametrize(
    ("given", "expected", "now", "frames"),
    [
        ((2,), (8,), 1, 4),
        ((4,), (8,), 2, 4),
        ((8,), (4,), 4, 2),
        ((3, 84, 84), (12, 84, 84), 1, 4),
        ((84, 84, 1), (84, 84, 4), 1, 4),
        ((3,), (8,), 1, None),
        ((3,), (8,), 2, None),
        ((8,), (2,), 1, None),
        ((3, 84, 84), (12, 42, 84), 1, None),
        ((2, 2), (8,), 1, None),
    ],
)
def test_the_shape_of_observations_says_how_many_frames_a_model_was_trained_on(
    given: tuple[int, ...], expected: tuple[int, ...], now: int, frames: int | None
) -> None:
    spec, where = WrapperSpec("VecFrameStack", {"n_stack": now}), line(f"env = VecFrameStack(env, n_stack={now})", 7)
    layers = [ObservedWrapper(spec, where)] if now > 1 else []
    made = replace(environment(""), layers=("DummyVecEnv",), vec_wrappers=layers)
    found = frames_of_training(made, given, expected)
    assert found == (None if frames is None else Frames(frames, have_axis=False))
    if layers and found:
        written, instead = with_frames_stacked(made, found)
        assert (written and written.line, instead) == (7, f"env = VecFrameStack(env, n_stack={frames})")


MADE_ALONE, MADE_ABREAST = "env = gym.make('CartPole-v1')", "env = make_vec_env('CartPole-v1')"
STACKED_ALONE, STACKED_ABREAST = "env = FrameStackObservation(env, 4)", "env = VecFrameStack(env, 4)"


@pytest.mark.parametrize(
    ("made", "stacked", "expected", "is_written"),
    [
        (MADE_ALONE, "", (4, 4), True),
        (MADE_ALONE, "", (16,), False),
        (MADE_ABREAST, "", (4, 4), True),
        (MADE_ABREAST, "", (16,), True),
        (MADE_ALONE, STACKED_ALONE, (8, 4), True),
        (MADE_ALONE, STACKED_ALONE, (2, 4), True),
        (MADE_ALONE, STACKED_ALONE, (16,), False),
        ("env = gym.make('FrozenLake-v1')", STACKED_ALONE, (), False),
        (MADE_ABREAST, STACKED_ABREAST, (32,), True),
        (MADE_ABREAST, STACKED_ABREAST, (4, 16), False),
    ],
)
def test_a_line_that_is_to_stack_frames_gives_observations_of_the_shape_of_training_or_is_not_written(
    made: str, stacked: str, expected: tuple[int, ...], is_written: bool
) -> None:
    names: dict[str, Any] = {"gym": gym, **vars(vec_env), **vars(gym.wrappers), "make_vec_env": make_vec_env}
    exec(f"{made}; inside = env; {stacked}", names)  # noqa: S102
    abreast = made == MADE_ABREAST
    layer = WrapperSpec("VecFrameStack", {"n_stack": 4})
    axis = WrapperSpec("gymnasium.wrappers.stateful_observation:FrameStackObservation", {"stack_size": 4})
    seen = replace(
        environment(made),
        layers=("DummyVecEnv",) if abreast else (),
        vec_line=line(made) if abreast else None,
        vec_wrappers=[ObservedWrapper(layer, line(stacked, 7))] if stacked and abreast else [],
        wrappers=[ObservedWrapper(axis, line(stacked, 7))] if stacked and not abreast else [],
    )
    frames = frames_of_training(seen, names["env"].observation_space.shape, expected)
    instead = "" if frames is None else with_frames_stacked(seen, frames)[1]
    assert bool(instead) == is_written
    if instead:
        names["env"] = names["inside"]
        exec(instead, names)  # noqa: S102
        assert names["env"].observation_space.shape == expected


def test_what_cannot_be_rewritten_on_one_line_is_left_alone() -> None:
    unrelated = line("a, _ = model.predict((own - st.obs_rms.mean) / st.obs_rms.var)")
    assert normalized_as_trained(unrelated, line("obs, r, d, i = env.step(a)")) == ""
    own = line("a, _ = self.predict((obs - self.obs_rms.mean) / self.obs_rms.var)")
    assert normalized_as_trained(own, line("obs, r, d, i = env.step(a)")) == ""
    assert (
        with_environment(environment("if x: env = gym.make(y)"), EnvironmentSpec("Robot-v0", {}, (), "env", (), ()))
        == "if x: env = gym.make('Robot-v0')"
    )
    kept = replace(environment(MADE), line=None)
    assert with_wrappers(kept, [WrapperSpec("robot:Scales", {})], lambda *_: False) == (None, "")
    odd = [WrapperSpec("robot:Scales", {"by": float("nan")})]
    assert with_wrappers(environment(MADE), odd, lambda *_: False)[1] == ""
