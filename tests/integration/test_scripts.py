"""A user's own evaluation script is run as it is, and what it does is seen, with the lines that do it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from boiler import Boiler
from reload_audit.jobs.script import observe
from reload_audit.records.observation import Observation
from reload_audit.records.specs import ReloadSpec, ScriptSpec
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


@pytest.fixture(scope="module")
def boiler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small model of the boiler and its statistics."""
    folder = tmp_path_factory.mktemp("boiler")
    venv = VecNormalize(make_vec_env(Boiler, n_envs=2, seed=0), gamma=0.9)
    model = PPO("MlpPolicy", venv, gamma=0.9, n_steps=32, batch_size=64, n_epochs=1, seed=0).learn(64)
    model.save(folder / "boiler.zip")
    venv.save(str(folder / "boiler.pkl"))
    return folder


def observed(boiler: Path, name: str, text: str, *args: str, timeout: int = 120) -> Observation:
    (boiler / name).write_text(text)
    spec = ScriptSpec(name, str(boiler / name), args, str(boiler), {}, "", timeout, 4096, (str(ROOT / "examples"),))
    found = observe(spec, ReloadSpec((), False, "forkserver", 120, 4096), str(boiler / "kept"), boiler / "log")
    assert found.failure is None
    assert found.observation is not None
    assert found.observation.said == ()
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
