"""A model acts in one environment of a new process as in training, with statistics that were saved as numbers."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecMonitor, VecNormalize

from reload_audit.records.digests import Digest
from reload_audit.remedies.normalize_as_trained import NormalizeAsTrained
from reload_audit.remedies.statistics_file import save_statistics, statistics_of
from support.builders import ROOT

FILES = ("npz", "json")


def trained(venv: VecEnv) -> PPO:
    model = PPO("MlpPolicy", venv, n_steps=64, batch_size=64, n_epochs=2, seed=1, policy_kwargs={"net_arch": [8]})
    return model.learn(256)


def unpicklable_stack() -> VecEnv:
    """VecMonitor around VecNormalize, which pickle refuses."""
    return VecMonitor(VecNormalize(DummyVecEnv([lambda: gym.make("Pendulum-v1")] * 4)))


def episode_alone(model: PPO, env: gym.Env, seed: int) -> str:
    """A digest of all that the policy sees, does and earns in one environment."""
    trace = Digest()
    observation, _ = env.reset(seed=seed)
    over = False
    while not over:
        trace.add_observation(observation)
        action, _ = model.predict(observation, deterministic=True)
        observation, reward, terminated, truncated, _ = env.step(action)
        trace.add_array(action).add_array(np.float32(reward))
        over = terminated or truncated
    return trace.hexdigest()


def episode_in_vec_env(model: PPO, venv: VecEnv, seed: int) -> str:
    """A digest of all that the policy sees, does and earns in the first environment of a VecEnv."""
    trace = Digest()
    venv.seed(seed)
    observations = venv.reset()
    done = False
    while not done:
        trace.add_observation(observations[0])
        actions, _ = model.predict(observations, deterministic=True)
        observations, rewards, dones, _ = venv.step(actions)
        trace.add_array(actions[0]).add_array(rewards[0])
        done = dones[0]
    return trace.hexdigest()


def frozen_in_memory(model: PPO) -> VecNormalize:
    """The VecNormalize that a model was trained in, copied with SB3's own means around one new environment."""
    copied = pickle.loads(pickle.dumps(model.get_vec_normalize_env()))
    copied.set_venv(make_vec_env("Pendulum-v1"))
    copied.training = copied.norm_reward = False
    return copied


RELOAD = """
import sys
import gymnasium as gym
from stable_baselines3 import PPO
from reload_audit import NormalizeAsTrained
from test_normalized_episodes import episode_alone

model = PPO.load(sys.argv[1])
for statistics in sys.argv[2:]:
    print(episode_alone(model, NormalizeAsTrained(gym.make("Pendulum-v1"), statistics), seed=7))
"""


def test_a_model_from_a_stack_that_cannot_be_pickled_acts_the_same_in_a_new_process(tmp_path: Path) -> None:
    model = trained(unpicklable_stack())
    with pytest.raises(TypeError, match="mappingproxy"):
        pickle.dumps(model.get_env())
    model.save(tmp_path / "model.zip")
    files = [tmp_path / "model.zip", *(save_statistics(model, tmp_path / f"statistics.{kind}") for kind in FILES)]
    folders = [ROOT / "workflow/scripts", ROOT / "tests", ROOT / "tests/integration"]
    reloaded = subprocess.run(
        [sys.executable, "-c", RELOAD, *map(str, files)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))},
        check=True,
        capture_output=True,
        text=True,
    )
    assert reloaded.stdout.split() == [episode_in_vec_env(model, frozen_in_memory(model), seed=7)] * 2


def test_a_model_acts_alone_as_it_acts_in_a_vec_env(tmp_path: Path) -> None:
    model = trained(unpicklable_stack())
    alone = NormalizeAsTrained(gym.make("Pendulum-v1"), statistics_of(model))
    in_vec_env = frozen_in_memory(model)
    assert [episode_alone(model, alone, seed) for seed in range(3)] == [
        episode_in_vec_env(model, in_vec_env, seed) for seed in range(3)
    ]
    raw = gym.make("Pendulum-v1")
    assert episode_alone(model, raw, 0) != episode_alone(model, alone, 0), "the statistics do not matter: no test"
