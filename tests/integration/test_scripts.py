"""A user's own evaluation script is run as it is, and what it does is seen, with the lines that do it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import yaml
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from boiler import Boiler
from reload_audit.environments.build import build_vec_env
from reload_audit.environments.stack import layers_of
from reload_audit.forensics.search import find_statistics
from reload_audit.jobs.script import observe
from reload_audit.observing.building_line import with_layers
from reload_audit.observing.differences import compared_with_models
from reload_audit.observing.environment import environment_differences
from reload_audit.observing.normalizing_wrapper import with_normalizing_wrapper
from reload_audit.observing.own_classes import with_kept_classes
from reload_audit.observing.statistics import statistics_differences
from reload_audit.observing.subject import is_in_both_modes, runs_of_models, subject_of
from reload_audit.observing.weights import untrained, weights_differences
from reload_audit.reading.model_zip import read_model
from reload_audit.reading.statistics import read_statistics
from reload_audit.records.environment_spec import WrapperSpec
from reload_audit.records.observation import Observation
from reload_audit.records.specs import EvaluationSpec, ExternalPolicy, ReloadSpec, ScriptSpec
from support.builders import ROOT

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

BOTH_WAYS = """
from boiler import Boiler
from stable_baselines3 import PPO

rival = PPO("MlpPolicy", Boiler(), seed=1)


class Rivalled(Boiler):
    def step(self, action):
        return super().step(action + 0.1 * rival.predict(self._observe(), deterministic=True)[0])


def play(model, env, deterministic):
    for seed in range(3):
        obs, over = env.reset(seed=seed)[0], False
        while not over:
            action, _ = model.predict(obs, deterministic=deterministic)
            obs, reward, terminated, truncated, _ = env.step(action)
            over = terminated or truncated


model, env = PPO.load("boiler.zip"), Rivalled()
play(model, env, True)
play(model, env, False)
"""

SEVERAL_MODELS = """
import itertools
import sys

import numpy as np
from boiler import Boiler
from stable_baselines3 import PPO

first, second, third = (PPO("MlpPolicy", Boiler(), seed=seed, gamma=0.9) for seed in range(3))
how, env, other, turns = sys.argv[1], Boiler(), Boiler(), itertools.cycle((0, 1))


def ask(model, given):
    action, _ = model.predict(given[None].astype(np.float64) if "copied" in how else given, deterministic=True)
    action = action[0] if "copied" in how else np.array(action)
    return 0.5 * action if "scaled" in how else action


for seed in range(2):
    obs, over = env.reset(seed=seed)[0], False
    if "beside" in how:
        its, _ = other.reset(seed=seed)
    if "once" in how:
        first.predict(obs, deterministic=True)
    while not over:
        asked = [(first, obs), (third, its) if "beside" in how else (second, obs)]
        actions = [ask(*one) for one in (asked[1:] if "once" in how else asked)]
        if "mean" in how:
            action = np.mean(actions, axis=0)
        elif how == "choice":
            action = actions[next(turns)]
        else:
            action = actions[0]
        obs, reward, terminated, truncated, _ = env.step(action)
        over = terminated or truncated
        if "beside" in how:
            its, *_ = other.step(actions[1])
"""

PARAMETERS = """
from boiler import Boiler
from stable_baselines3 import PPO

SETTINGS = {"gamma": 0.9, "n_steps": 200, "batch_size": 200, "n_epochs": 1, "seed": 0}


def play(actor, env):
    (obs, _), over = env.reset(seed=0), False
    while not over:
        obs, reward, ended, cut, _ = env.step(actor.predict(obs, deterministic=True)[0])
        over = ended or cut


trained = PPO("MlpPolicy", Boiler(), **SETTINGS).learn(200)
trained.policy.save("policy.pth")
play(type(trained.policy).load("policy.pth"), Boiler())
changed = PPO("MlpPolicy", Boiler(), **SETTINGS).learn(200)
changed.policy.load_state_dict({key: 0.9 * value for key, value in changed.policy.state_dict().items()})
play(changed, Boiler())
new, checkpoint = PPO("MlpPolicy", Boiler(), **SETTINGS), {"policy": trained.policy.state_dict(), "epoch": 7}
new.policy.load_state_dict(checkpoint, strict=False)
play(new, Boiler())
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

IN_WAYS_OF_ITS_OWN = """
import pickle

import gymnasium as gym
import numpy as np
from boiler import Boiler
from stable_baselines3 import PPO

with open("boiler.pkl", "rb") as file:
    rms = pickle.load(file).obs_rms


class Normalized(gym.ObservationWrapper):
    def observation(self, observation):
        return ((observation - rms.mean) / (rms.var + 1e-8)).astype(np.float32)


class Halved(gym.Wrapper):
    def reset(self, **kwargs):
        observation, info = self.env.reset(**kwargs)
        return observation / 2, info

    def step(self, action):
        observation, *others = self.env.step(action)
        return observation / 2, *others


class Counts(gym.Wrapper):
    episodes = 0

    def reset(self, **kwargs):
        self.episodes += 1
        return self.env.reset(**kwargs)


def play(model, env):
    for episode in range(2):
        obs, over = env.reset(seed=episode)[0], False
        while not over:
            obs, reward, terminated, truncated, info = env.step(model.predict(obs)[0])
            over = terminated or truncated


trained = PPO.load("boiler.zip")
model = PPO("MlpPolicy", Boiler())
model.policy.load_state_dict(trained.policy.state_dict())
env = Normalized(Boiler())
env = Counts(env)
play(model, env)

model = PPO("MlpPolicy", Boiler())
model.policy.evaluate_actions(*(model.policy.obs_to_tensor(np.ones((1, *Boiler().observation_space.shape)))[0],
    model.policy.action_net.bias.detach()[None]))[1].sum().backward()
model.policy.optimizer.step()
play(model, Counts(Halved(env.env)))

play(PPO("MlpPolicy", Boiler()), Boiler())
"""


PLAYS = """
import gymnasium as gym
import numpy as np
from boiler import Boiler
from gymnasium.wrappers import ClipAction, RescaleAction
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnvWrapper


class Layer(VecEnvWrapper):
    def __init__(self, venv):
        super().__init__(venv, action_space=gym.spaces.Box(-1.0, 1.0, (1,), np.float32))

    def reset(self):
        return self.venv.reset()

    def step_wait(self):
        return self.venv.step_wait()


MADE = {
    "clipped": lambda: DummyVecEnv([lambda: ClipAction(Boiler())]),
    "layered": lambda: Layer(DummyVecEnv([lambda: RescaleAction(Boiler(), -8.0, 8.0)])),
    "rescaled": lambda: DummyVecEnv([lambda: RescaleAction(Boiler(), -8.0, 8.0)]),
}
for name, make in MADE.items():
    env, model = make(), PPO.load(f"alone/{name}")
    obs = env.reset()
    for step in range(100):
        obs, *_ = env.step(model.predict(obs, deterministic=True)[0])
"""


IN_ONE_ANOTHER = """
import threading
import gymnasium as gym
import numpy as np
from boiler import Boiler
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnvWrapper

class Made(gym.Wrapper):
    def __init__(self, shown=(1.0,)):
        super().__init__(gym.wrappers.ClipAction(Boiler()))

class Inner(VecEnvWrapper):
    def __init__(self, venv, then):
        super().__init__(venv)
        self.then = then

    def reset(self):
        return self.then(self.venv.reset())

    def step_wait(self):
        observations, *others = self.venv.step_wait()
        return self.then(observations), *others

class Outer(Inner):
    def __init__(self, venv, factors, then=np.negative):
        super().__init__(Inner(venv, then), lambda observations: (observations * factors).astype(np.float32))

class Locked:
    lock = threading.Lock()

    def __init__(self):
        self.held = threading.Lock()

    def __call__(self, observations):
        return observations

model = PPO.load("boiler")
envs = DummyVecEnv([lambda: Made(shown=(2.0,))])
for env in (Outer(envs, np.array([2.0], dtype=np.float32)), Inner(envs, Locked())):
    obs, over = env.reset(), [False]
    while not over[0]:
        obs, reward, over, info = env.step(model.predict(obs)[0])
"""


class OwnBox(gym.spaces.Box):
    """A space of a class of the user's own."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small model of the boiler and its statistics, which every test gets a copy of."""
    folder = tmp_path_factory.mktemp("boiler")
    venv = VecNormalize(make_vec_env(Boiler, n_envs=2, seed=0), gamma=0.9)
    model = PPO("MlpPolicy", venv, gamma=0.9, n_steps=32, batch_size=64, n_epochs=1, seed=0).learn(64)
    model.save(folder / "boiler.zip")
    venv.save(str(folder / "boiler.pkl"))
    return folder


def copied(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(folder, tmp_path_factory.mktemp("boiler"), dirs_exist_ok=True))


@pytest.fixture
def boiler(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small model of the boiler and its statistics, and nothing else."""
    return copied(trained, tmp_path_factory)


POLICY = ExternalPolicy(EvaluationSpec(20, 10**6, 4, 1000, (20,)), (), {}, 2**30)


def observed(
    boiler: Path, name: str, text: str, *args: str, timeout: int = 120, said: tuple[str, ...] = ()
) -> Observation:
    (boiler / name).write_text(text)
    spec = ScriptSpec(name, str(boiler / name), args, str(boiler), {}, "", timeout, 4096, (str(ROOT / "examples"),))
    found = observe(spec, ReloadSpec((), False, "forkserver", 120, 4096), str(boiler / "kept"), boiler / "log")
    assert found.failure is None
    assert found.observation is not None
    assert found.observation.said == said
    return found.observation


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


def test_weights_and_observations_set_in_ways_of_a_script_s_own_are_blamed_only_as_far_as_they_are_seen(
    boiler: Path,
) -> None:
    seen = with_kept_classes(observed(boiler, "own.py", IN_WAYS_OF_ITS_OWN))
    zip_file, folder = str(boiler / "boiler.zip"), str(boiler / "kept")
    script = ScriptSpec("own.py", str(boiler / "own.py"), (), str(boiler), {}, zip_file, 120, 4096)
    policy = ExternalPolicy(EvaluationSpec(20, 10**6, 4, 1000, (20,)), (), {}, 2**30)
    runs = [run for run in seen.runs if run.ended]
    subjects = [subject_of(seen, run, [], script, policy, folder) for run in runs]
    copied, stepped, new = ([*weights_differences(subject, folder)] for subject in subjects)
    assert [subject.path for subject in subjects] == [zip_file, "", zip_file]
    assert copied == []
    assert [(one.cause, one.certain, one.in_doubt) for one in stepped] == [("other-weights", False, True)]
    assert [(one.cause, one.certain, one.in_doubt) for one in new] == [("load-not-assigned", True, False)]
    subjects = [with_normalizing_wrapper(subject, ()) for subject in subjects[:2]]
    (one,), (several,) = ([*statistics_differences(subject, None, policy)] for subject in subjects)
    assert one.line is not None
    assert (one.cause, one.line.code, one.in_doubt) == (
        "normalizer-not-equivalent",
        "env = Normalized(Boiler())",
        False,
    )
    assert "NormalizeAsTrained(Boiler()" in one.instead
    assert (several.cause, several.line, several.instead, several.changes, several.in_doubt) == (
        "normalizer-not-equivalent",
        None,
        "",
        None,
        True,
    )
    assert "which of the wrappers Normalized, Halved does so is not known" in several.evidence


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


def test_a_line_that_acts_both_ways_is_compared_as_it_acts_deterministically_and_a_rival_s_actions_are_not_its_own(
    boiler: Path,
) -> None:
    seen = observed(boiler, "both.py", BOTH_WAYS)
    loaded = next(number for number, model in enumerate(seen.models) if model.made == "loaded")
    assert [(run.model, len(run.ended), run.changed, run.unasked) for run in seen.runs] == [(loaded, 3, 0, 0)] * 2
    assert [[episode.seed for episode in run.ended] for run in seen.runs] == [[0, 1, 2]] * 2
    (compared,) = runs_of_models(seen, "")
    assert [(str(act.line), act.deterministic) for act in compared.acts] == [("both.py:17", True)]
    (other,) = (run for run in seen.runs if run is not compared)
    assert is_in_both_modes(compared, other)
    assert not is_in_both_modes(other, compared)


@pytest.mark.parametrize(
    ("how", "runs"),
    [
        ("mean", [(1, (0, 1), 80)]),
        ("mean, copied", [(1, (0, 1), 80)]),
        ("choice", [(1, (0, 1), 40)]),
        ("agreement", [(0, (), 0)]),
        ("asked once, scaled", [(1, (), 80)]),
        ("beside", [(0, (), 0), (2, (), 0)]),
        ("beside, scaled", [(0, (), 80), (2, (), 80)]),
        ("beside, copied", [(0, (), 0), (2, (), 0)]),
        ("beside, copied, scaled", [(0, (), 80), (2, (), 80)]),
    ],
)
def test_models_that_are_asked_about_one_observation_are_told_from_those_that_act_side_by_side(
    boiler: Path, how: str, runs: list[tuple[int, tuple[int, ...], int]]
) -> None:
    name = f"{how.replace(', ', '_').replace(' ', '_')}.py"
    seen = observed(boiler, name, SEVERAL_MODELS, how)
    assert [(run.model, run.together, run.changed) for run in seen.runs] == runs
    assert [len(run.counted) for run in seen.runs] == [2] * len(runs)
    assert {run.unasked for run in seen.runs} == {0}
    script = ScriptSpec(name, str(boiler / name), (), str(boiler), {}, "", 120, 4096)
    found = compared_with_models(seen, script, [], POLICY, str(boiler / "kept"))
    said = "before most steps 2 models are asked about one observation" in found[-1].compared.problem
    assert said == bool(runs[0][1])


@pytest.fixture(scope="module")
def setting(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which parameters.py runs."""
    return copied(trained, tmp_path_factory)


@pytest.fixture(scope="module")
def parameters_set(setting: Path) -> Observation:
    """A policy that was loaded by itself acts, then a model that was changed after its training, then a new one."""
    return observed(setting, "parameters.py", PARAMETERS)


def test_a_policy_that_was_loaded_by_itself_acts_as_the_model_with_its_parameters(parameters_set: Observation) -> None:
    assert [run.model for run in parameters_set.runs] == [0, 1, 2]


def test_a_model_with_other_parameters_than_its_training_ended_with_is_said_to_have_them(
    setting: Path, parameters_set: Observation
) -> None:
    script = ScriptSpec("parameters.py", str(setting / "parameters.py"), (), str(setting), {}, "", 120, 4096)
    first, changed = (
        compared_with_models(replace(parameters_set, runs=[run]), script, [], POLICY, str(setting / "kept"))[0]
        for run in parameters_set.runs[:2]
    )
    assert first.compared.differences == []
    assert first.claims != ()
    (doubt,) = changed.compared.differences
    assert (doubt.cause, doubt.in_doubt, doubt.changes) == ("other-weights", True, None)
    assert "not those with which the training of parameters.py:18 ended" in doubt.evidence
    assert changed.claims == ()


def test_the_line_is_named_that_takes_none_of_the_parameters_that_it_is_given(parameters_set: Observation) -> None:
    found = untrained(parameters_set, parameters_set.models[2])
    assert (str(found.line), found.certain) == ("parameters.py:22", True)
    assert found.instead == "new.policy.load_state_dict(checkpoint['policy'], strict=False)"


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
    script = ScriptSpec("frozen.py", str(boiler / "frozen.py"), (), str(boiler), {}, "", 120, 4096)
    policy = ExternalPolicy(EvaluationSpec(20, 10**6, 4, 1000, (20,)), (), {}, 2**30)
    assert seen.run is not None
    subject = subject_of(seen, seen.run, [], script, policy, str(boiler / "kept"))
    found = {one.cause: one.changes for one in statistics_differences(subject, None, policy)}
    tried = read_statistics(str((found["statistics-not-loaded"] or {})["statistics_file"])).around(
        DummyVecEnv([Boiler])
    )
    given = np.asarray([view.given for view in seen.run.views])
    assert np.allclose(tried.normalize_obs(np.asarray([view.raw for view in seen.run.views])), given)
    assert given.max() == 10.0


def test_a_model_that_was_trained_without_statistics_is_given_none_of_another_one(boiler: Path) -> None:
    venv = make_vec_env(Boiler, n_envs=2, seed=3)
    PPO("MlpPolicy", venv, gamma=0.9, n_steps=32, batch_size=64, n_epochs=1, seed=0).learn(64).save(boiler / "plain")
    found = {
        name: [Path(one.path).name for one in find_statistics(boiler / name, read_model(boiler / name), "PPO")]
        for name in ("boiler.zip", "plain.zip")
    }
    assert found == {"boiler.zip": ["boiler.pkl"], "plain.zip": []}


def test_parameters_that_change_while_a_model_acts_are_said_to_be_measured_as_they_were_first(boiler: Path) -> None:
    text = """
from boiler import Boiler
from stable_baselines3 import PPO

env, model = Boiler(), PPO.load("boiler.zip")
for episode in range(2):
    (obs, _), over = env.reset(), False
    while not over:
        obs, reward, ended, cut, _ = env.step(model.predict(obs, deterministic=True)[0])
        over = ended or cut
    CHANGES
"""
    script = ScriptSpec("changes.py", str(boiler / "changes.py"), (), str(boiler), {}, "", 120, 4096)
    policy = ExternalPolicy(EvaluationSpec(20, 10**6, 4, 1000, (20,)), (), {}, 2**30)

    def doubts(changes: str) -> list[str]:
        seen = observed(boiler, "changes.py", text.replace("CHANGES", changes))
        assert seen.run is not None
        subject = subject_of(seen, seen.run, [], script, policy, str(boiler / "kept"))
        return [one.evidence for one in weights_differences(subject, str(boiler / "kept")) if one.in_doubt]

    (doubt,) = doubts("model.policy.load_state_dict({k: 0.9 * v for k, v in model.policy.state_dict().items()})")
    assert "only what it earns with the first is measured" in doubt
    assert doubts("pass") == []


def test_wrappers_of_a_vec_env_are_built_as_the_script_built_them_or_said_to_be_missing(boiler: Path) -> None:
    seen = observed(boiler, "nested.py", IN_ONE_ANOTHER)
    folder = str(boiler / "kept")
    script = ScriptSpec("nested.py", str(boiler / "nested.py"), (), str(boiler), {}, "boiler.zip", 120, 4096)
    script = replace(script, model=str(boiler / "boiler.zip"))
    policy = ExternalPolicy(EvaluationSpec(20, 10**6, 4, 1000, (20,)), (), {}, 2**30)
    kept = with_kept_classes(seen)
    whole, without = (
        subject_of(kept, run, [], script, policy, folder).spec.environment for run in kept.runs if run.ended
    )
    assert (whole.env, whole.env_kwargs, whole.wrappers) == ("classes_of_script:Made", {"shown": (2.0,)}, ())
    assert [one.name for one in whole.vec_wrappers] == ["classes_of_script:Outer", "VecNormalize"]
    assert [one.name for one in without.vec_wrappers] == []
    venv = build_vec_env(replace(whole, vec_wrappers=whole.vec_wrappers[:1]), 1, seed=0)
    layers = [type(layer).__name__ for layer in layers_of(venv)]
    assert layers == ["Inner", "Outer"]
    bare = build_vec_env(replace(whole, vec_wrappers=()), 1, seed=0)
    first = [(made.env_method("begin_episodes", [(0, 5)], 100, False), made.reset())[1] for made in (venv, bare)]
    assert (first[0] == -2.0 * first[1]).all()
    subject = subject_of(kept, kept.runs[-1], [], script, policy, folder)
    (missing,) = environment_differences(subject, policy)
    assert (missing.cause, missing.in_doubt, missing.changes) == ("wrappers-differ", True, None)
    assert missing.line is not None
    assert missing.line.code.startswith("for env in (Outer(envs")


def test_spaces_other_than_those_of_training_are_tried_and_blamed_for_nothing_by_themselves(
    boiler: Path, tmp_path: Path
) -> None:
    model = PPO.load(boiler / "boiler.zip")
    for name in ("clipped", "layered", "rescaled"):
        model.save(tmp_path / "alone" / name)
    model.action_space = OwnBox(-1.0, 1.0, (1,), np.float32)
    model.save(tmp_path / "alone" / "own-space")
    seen = observed(tmp_path, "plays.py", PLAYS)
    script = ScriptSpec("plays.py", str(tmp_path / "plays.py"), (), str(tmp_path), {}, "", 120, 4096)
    policy = ExternalPolicy(EvaluationSpec(20, 10**6, 4, 1000, (20,)), (), {}, 2**30)
    found = compared_with_models(seen, script, [], policy, str(tmp_path / "kept"))
    _, layered, rescaled = found
    assert [one.compared.problem for one in found] == [""] * 3
    assert [cause for one in found for cause in one.compared.differences] == []
    assert [one.doubtful for one in found] == [False, False, True]
    assert layered.others == ()
    assert not any("its zip says" in remark for one in found for remark in one.compared.remarks)
    (without,) = rescaled.others
    (difference,) = without.compared.differences
    assert (difference.cause, difference.certain) == ("wrappers-differ", False)
    assert "presumed, as its zip says that the actions of training are Box(-1, 1, (1,), float)" in difference.evidence
    named = replace(script, model=str(tmp_path / "alone" / "own-space.zip"))
    trusting = replace(policy, trust=(OwnBox.__module__.partition(".")[0],))
    (unreadable,) = compared_with_models(seen, named, [], trusting, str(tmp_path / "kept"))
    assert (unreadable.compared.problem, unreadable.doubtful, unreadable.others) == ("", False, ())
