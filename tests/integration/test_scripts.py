"""A user's own evaluation script is run as it is, and what it does is seen, with the lines that do it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv

from boiler import Boiler
from reload_audit.observing.building_line import with_layers
from reload_audit.observing.differences import compared_with_models
from reload_audit.observing.statistics import statistics_differences
from reload_audit.observing.subject import subject_of
from reload_audit.reading.statistics import read_statistics
from reload_audit.records.environment_spec import WrapperSpec
from support.builders import ROOT
from support.observed_scripts import POLICY, observed, script_in

BUDGETS = yaml.safe_load((ROOT / "tests/support/budgets.yaml").read_text(encoding="utf-8"))

NEVER_LOADED = """
from boiler import Boiler
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

env = DummyVecEnv([lambda: Boiler()])
env = VecNormalize(env)
model = PPO("MlpPolicy", env)
model.load("boiler.zip")
for episode in range(3):
    obs, done, total = env.reset(), False, 0.0
    while not done:
        action, _ = model.predict(obs)
        obs, reward, done, info = env.step(action)
        total += reward[0]
    print("episode", total)
"""

ENDLESS = """
import gymnasium as gym
from stable_baselines3 import PPO

class Coin(gym.Env):
    observation_space = gym.spaces.Box(0.0, 1.0, (1,))
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 1.0, True, False, {}

model = PPO("MlpPolicy", Coin())
env = model.get_env()
obs = env.reset()
while True:
    try:
        obs, rewards, dones, infos = env.step(model.predict(obs)[0])
    except Exception:
        continue
"""

WITHOUT_RESET = (
    ENDLESS.partition("model = ")[0]
    + """
env = Coin()
env.reset()
while True:
    env.step(0)
"""
)

AS_TRAINED = """
import sys
from boiler import Boiler
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import SubprocVecEnv, VecNormalize

if __name__ == "__main__":
    workers = {"vec_env_cls": SubprocVecEnv, "vec_env_kwargs": {"start_method": "fork"}}
    workers = workers if "--parallel" in sys.argv else {}
    env = VecNormalize.load("boiler.pkl", make_vec_env(Boiler, n_envs=2, seed=3, **workers))
    env.training = env.norm_reward = False
    model = PPO.load("boiler", env=env)
    rewards, _ = evaluate_policy(model, env, n_eval_episodes=4, return_episode_rewards=True)
    calls = [0]
    sys.setprofile(lambda frame, event, argument: calls.__setitem__(0, calls[0] + (event == "call")))
    observation = env.reset()
    for _ in range(20):
        observation = env.step(model.predict(observation)[0])[0]
    sys.setprofile(None)
    print("calls a step", calls[0] / 20)
    print(*map(float.hex, map(float, rewards)))
"""

ONE_LINE_ACTS = """
from boiler import Boiler
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env

env = make_vec_env(Boiler, n_envs=2, seed=3)
kept = make_vec_env(Boiler, n_envs=2, seed=4)
loaded = PPO.load("boiler.zip")
trained = PPO("MlpPolicy", env, n_steps=32, batch_size=64, n_epochs=1, seed=1)

def act(model, obs, *, deterministic=True):
    action, _ = model.predict(obs, deterministic=deterministic)
    return action

def run(model, steps, **mode):
    obs = kept.reset()
    for _ in range(steps):
        obs = kept.step(act(model, obs, **mode))[0]

run(trained, 30)
trained.learn(64)
run(trained, 20)
run(loaded, 10)
run(loaded, 5, deterministic=False)
run(loaded, 3)
"""

BITS = """
from stable_baselines3 import DQN, HerReplayBuffer
from stable_baselines3.common.envs import BitFlippingEnv

N = 6
env = BitFlippingEnv(n_bits=N, continuous=False, max_steps=N)
model = DQN("MultiInputPolicy", env, replay_buffer_class=HerReplayBuffer, learning_starts=200)
model.learn(100)
obs, info = env.reset()
for _ in range(30):
    action, _ = model.predict(obs, deterministic=True)
    obs, reward, terminated, truncated, _ = env.step(action)
    if terminated or truncated:
        obs, info = env.reset()
"""

IN_ITS_OWN_WORDS = """
import sys
import gymnasium as gym
from boiler import Boiler
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnvWrapper

class AnythingElse:
    def __getattr__(self, name):
        return AnythingElse()

sys.modules["not_installed"] = AnythingElse()

class Sure(PPO):
    def predict(self, obs, deterministic=True):
        return super().predict(obs, deterministic=deterministic)[0]

    def save(self, name):
        super().save(name)

class Late(gym.Wrapper):
    def __init__(self, make):
        self.make = make

    def reset(self, **kwargs):
        super().__init__(self.make())
        return self.env.reset(**kwargs)

    def step(self, power, verbose=False):
        return self.env.step(power)

class Silent(VecEnvWrapper):
    def reset(self):
        return self.venv.reset()

    def step_wait(self):
        return self.venv.step_wait()

    def render(self):
        return "nothing"

model = Sure.load("boiler.zip")
model.save(name="again")
env = Late(Boiler)
obs, over = env.reset(seed=0)[0], False
while not over:
    obs, reward, terminated, truncated, info = env.step(power=model.predict(obs=obs), verbose=True)
    over = terminated or truncated
envs = Silent(DummyVecEnv([Boiler]))
obs = envs.reset()
for step in range(3):
    obs, *others = envs.step(actions=model.predict(obs))
model.policy._predict(observation=model.policy.obs_to_tensor(obs)[0], deterministic=True)
assert envs.render() == "nothing"
"""

IN_THREADS = """
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from boiler import Boiler
from stable_baselines3 import PPO

models, lock = [PPO.load("boiler.zip") for _ in range(2)], Lock()


def play(seed):
    env = Boiler()
    obs, over = env.reset(seed=seed)[0], False
    while not over:
        with lock:
            action, _ = models[seed % 2].predict(obs, deterministic=True)
        obs, reward, terminated, truncated, _ = env.step(0.5 * action)
        over = terminated or truncated


with ThreadPoolExecutor(4) as pool:
    list(pool.map(play, range(12)))
"""

IN_PLACE = """
import gymnasium as gym
import numpy as np
import torch
from boiler import Boiler
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO, SAC


class Halves(Boiler):
    def step(self, action):
        action *= 0.5
        return super().step(action)


class Masked(gym.Wrapper):
    masks = np.array([True, False])

    def action_masks(self):
        return self.masks


class Signals(gym.Env):
    observation_space = gym.spaces.Box(0.0, 1.0, (1,), np.float32)
    action_space = gym.spaces.Dict({"lamps": gym.spaces.MultiBinary(2), "dial": gym.spaces.Discrete(9)})

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), 1.0, False, False, {}


model, array = PPO.load("boiler.zip"), np.zeros(1, np.float32)
for env, factor, taken in ((Boiler(), 1.0, array), (Boiler(), 0.5, [0.0]), (Halves(), 1.0, array)):
    obs, _ = env.reset(seed=0)
    for step in range(10):
        action, _ = model.predict(obs, deterministic=True)
        action *= factor
        obs, *_ = env.step(action)
        for force in (0.1, 0.1, 0.2):
            taken[0] = force
            obs, *_ = env.step(taken)

env = Masked(gym.make("CartPole-v1"))
model, (obs, _), once = MaskablePPO("MlpPolicy", env), env.reset(seed=0), env.action_masks()
for asks in (True, False):
    obs, _ = env.reset(seed=0)
    for step in range(4):
        action, _ = model.predict(obs, action_masks=env.action_masks() if asks else once)
        obs, *_ = env.step(int(action))

env = gym.make("Pendulum-v1")
model, (obs, _) = SAC("MlpPolicy", env), env.reset(seed=0)
for step in range(4):
    with torch.no_grad():
        action = model.policy(torch.as_tensor(obs[None]), deterministic=True)
    action.mul_(2.0)
    obs, *_ = env.step(action[0].numpy())

env, pressed = Signals(), {"lamps": np.zeros(2, np.int8), "dial": 0}
env.reset()
for lamp in (0, 1, 1, 1):
    pressed["lamps"][:] = lamp
    env.step(pressed)
"""

EVALUATES = """
from boiler import Boiler
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor

model = PPO.load("boiler.zip")
for _ in range(2):
    evaluate_policy(model, Monitor(Boiler()), n_eval_episodes=2)
"""


def test_a_load_that_is_not_assigned_and_fresh_statistics_are_seen_with_their_lines(boiler: Path) -> None:
    seen = observed(boiler, "enjoy.py", NEVER_LOADED)
    new, loaded = seen.models
    assert (str(new.line), new.made, str(loaded.line), loaded.made) == (
        "enjoy.py:8",
        "constructed",
        "enjoy.py:9",
        "loaded",
    )
    assert seen.own_packages == ("boiler",)
    assert (loaded.path, loaded.loaded_on, loaded.weights_acting) == (str(boiler / "boiler.zip"), 0, "")
    assert new.weights_acting == new.weights != loaded.weights
    (statistics,) = seen.normalizations
    assert (str(statistics.line), statistics.made, statistics.path) == ("enjoy.py:7", "constructed", None)
    assert statistics.updating == statistics.scaling == statistics.steps == 120
    assert statistics.count < 1 < statistics.count_last
    run = seen.run
    assert run is not None
    assert run.model == 0
    assert [(act.how, str(act.line), act.deterministic, act.count) for act in run.acts] == [
        ("predict", "enjoy.py:13", False, 120)
    ]
    assert [round(float(total), 4) for total in run.seen] == [round(number, 4) for number in seen.printed]
    assert (run.earned < run.seen).all()
    trained = [WrapperSpec("VecFrameStack", {"n_stack": 4}), WrapperSpec("VecNormalize", {})]
    inside, instead = with_layers(seen.environments[0], trained, lambda own, other: own == 0 and other == 1)
    assert (str(inside), instead.partition("; ")[2]) == (
        "enjoy.py:6",
        "env = VecFrameStack(DummyVecEnv([lambda: Boiler()]), n_stack=4)",
    )


@pytest.mark.parametrize("parallel", [False, True])
def test_a_sound_script_gives_the_same_bits_observed_or_not(boiler: Path, parallel: bool) -> None:
    (boiler / "sound.py").write_text(AS_TRAINED)
    arguments = ["--parallel"] if parallel else []
    seen = observed(boiler, "sound.py", AS_TRAINED, *arguments)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "examples"), "OMP_NUM_THREADS": "1"}
    alone = subprocess.run(
        [sys.executable, "sound.py", *arguments],
        cwd=boiler,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    log = (boiler / "log").read_text().splitlines()
    assert log[-1] == alone.stdout.splitlines()[-1]
    observing, without = (float(lines[-2].split()[-1]) for lines in (log, alone.stdout.splitlines()))
    assert observing - without <= BUDGETS["observing"]["function calls a step more, at most"]
    run = seen.run
    assert run is not None
    assert len(run.ended) == 4
    (evaluation,) = seen.evaluations
    assert evaluation.mean == pytest.approx(run.earned.mean())
    (statistics,) = seen.normalizations
    assert (statistics.updating, statistics.scaling, statistics.made) == (0, 0, "loaded")


def test_one_line_that_acts_for_several_models_before_and_after_training_is_told_apart(boiler: Path) -> None:
    seen = observed(boiler, "one_line.py", ONE_LINE_ACTS)
    assert [(model.made, model.learned) for model in seen.models] == [
        ("loaded", 0),
        ("constructed", 0),
        ("constructed", 64),
    ]
    acts = [[(act.deterministic, act.count) for act in run.acts] for run in seen.runs]
    assert [(run.model, run.steps) for run in seen.runs] == [(1, 30), (2, 20), (0, 10), (0, 5), (0, 3)]
    assert acts == [[(True, 30)], [(True, 20)], [(True, 10)], [(False, 5)], [(True, 3)]]


def test_an_environment_whose_class_has_a_specification_is_known_by_what_it_was_made_with(boiler: Path) -> None:
    (environment,) = observed(boiler, "bits.py", BITS).environments
    assert (environment.env_id, environment.env_kwargs) == ("", {"n_bits": 6, "continuous": False, "max_steps": 6})
    assert environment.env_class == "stable_baselines3.common.envs.bit_flipping_env:BitFlippingEnv"


def test_a_script_that_raises_is_seen_until_then_and_one_without_end_is_stopped(boiler: Path) -> None:
    raises = observed(boiler, "raises.py", AS_TRAINED + "    model.predict((1, {}))\n")
    assert raises.raised.startswith("ValueError: You have passed a tuple to the predict() function")
    assert str(raises.raised_at) == "raises.py:24"
    assert raises.run is not None
    endless = observed(boiler, "endless.py", ENDLESS)
    assert endless.stopped == "enough"
    assert endless.run is not None
    assert len(endless.run.ended) == 200
    without_reset = observed(boiler, "without_reset.py", WITHOUT_RESET)
    assert without_reset.stopped == "enough"
    assert without_reset.run is not None
    assert [episode.beyond for episode in without_reset.run.ended] == [10_000]


def test_a_script_whose_classes_have_parameters_of_their_own_runs_as_it_does_alone(boiler: Path) -> None:
    seen = observed(boiler, "words.py", IN_ITS_OWN_WORDS)
    assert seen.raised == ""
    assert [(run.steps, run.changed, run.unasked) for run in seen.runs] == [(40, 0, 0), (3, 0, 0)]
    assert [[(act.how, act.deterministic) for act in run.acts] for run in seen.runs] == [[("predict", True)]] * 2
    late, abreast = seen.environments
    assert [one.spec.name for one in late.wrappers or ()] == ["__main__:Late"]
    assert [one.spec.name for one in abreast.vec_wrappers] == ["__main__:Silent"]
    assert str(boiler / "again.zip") in seen.models[0].saved
    assert seen.own_packages == ("boiler",)


def test_threads_are_said_to_be_seen_in_part_and_their_actions_are_not_called_changed(boiler: Path) -> None:
    said = "it steps environments in threads: which action is whose cannot be told where several run at a time"
    seen = observed(boiler, "threads.py", IN_THREADS, said=(said,))
    assert 0 < sum(len(run.ended) for run in seen.runs) <= 12  # what others do during a step is not seen
    assert {(run.changed, run.unasked, run.together) for run in seen.runs} == {(0, 0, ())}


def test_an_array_that_is_written_anew_in_place_is_told_from_one_that_stays_as_it_is(boiler: Path) -> None:
    *acting, masked, unscaled, pressed = observed(boiler, "in_place.py", IN_PLACE).runs
    assert [(run.unasked, run.again, run.changed) for run in acting] == [(30, 10, 0), (30, 10, 10), (30, 10, 0)]
    assert (masked.steps, masked.masks_again) == (8, 4)
    assert (unscaled.steps, unscaled.outside) == (4, 0)
    assert (pressed.unasked, pressed.again) == (4, 2)


def test_an_evaluation_of_a_single_environment_is_of_the_episodes_that_it_ran(boiler: Path) -> None:
    seen = observed(boiler, "evaluates.py", EVALUATES)
    assert [len(run.ended) for run in seen.runs] == [2, 2]
    assert [one.environment for one in seen.evaluations] == [run.environment for run in seen.runs]


def test_a_new_normalization_that_is_frozen_is_tried_with_the_clipping_that_it_does(boiler: Path) -> None:
    text = NEVER_LOADED.replace("VecNormalize(env)", "VecNormalize(env, training=False)")
    seen = observed(boiler, "frozen.py", text.replace("\nmodel.load", "\nmodel = model.load"))
    script = script_in(boiler, "frozen.py")
    assert seen.run is not None
    subject = subject_of(seen, seen.run, [], script, POLICY, str(boiler / "kept"))
    found = {one.cause: one.changes for one in statistics_differences(subject, None, POLICY)}
    tried = read_statistics(str((found["statistics-not-loaded"] or {})["statistics_file"])).around(
        DummyVecEnv([Boiler])
    )
    given = np.asarray([view.given for view in seen.run.views])
    assert np.allclose(tried.normalize_obs(np.asarray([view.raw for view in seen.run.views])), given)
    assert given.max() == 10.0


@pytest.mark.parametrize(
    ("made", "changes"),
    [
        ("VecNormalize(DummyVecEnv([Boiler]))", {"statistics": "new"}),
        ("VecNormalize(DummyVecEnv([Boiler]), norm_obs=False)", None),
        ("DummyVecEnv([Boiler])", None),
    ],
)
def test_a_normalization_is_named_that_a_model_was_trained_without(
    boiler: Path, made: str, changes: dict[str, object] | None
) -> None:
    PPO("MlpPolicy", make_vec_env(Boiler, n_envs=2), n_steps=32, batch_size=64, n_epochs=1).learn(64).save(
        boiler / "alone/plain"
    )
    text = NEVER_LOADED.replace("DummyVecEnv([lambda: Boiler()])", made).replace("env = VecNormalize(env)\n", "")
    text = text.replace('PPO("MlpPolicy", env)\nmodel.load("boiler.zip")', 'PPO.load("alone/plain")')
    seen = observed(boiler, "plain.py", text)
    (found,) = compared_with_models(seen, script_in(boiler, "plain.py"), [], POLICY, str(boiler / "kept"))
    differences = {one.cause: one for one in found.compared.differences}
    assert ("observation-changed" in differences, "reward-normalized" in differences) == (
        changes is not None,
        made != "DummyVecEnv([Boiler])",
    )
    if changes is not None:
        named = differences["observation-changed"]
        assert (named.changes, named.instead) == (changes, f"env = {made}; env.norm_obs = False")
