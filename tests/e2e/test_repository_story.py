"""A clone of a repository is audited: one question is asked, the printed command answers it, a verdict comes out."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.published_layouts import text
from support.snakemake_runs import Workspace, small_config

pytestmark = pytest.mark.slow

ENVIRONMENT = '''
import gymnasium as gym
import numpy as np
from gymnasium import spaces


class Guess(gym.Env):
    """Shows which of a number of doors is open; a step through it earns one."""

    def __init__(self, doors=2):
        self.doors = doors
        self.observation_space = spaces.Box(0.0, 100.0, shape=(doors,), dtype=np.float32)
        self.action_space = spaces.Discrete(doors)

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._show(), {}

    def step(self, action):
        self.steps += 1
        reward = float(action == self.open)
        return self._show(), reward, False, self.steps >= 20, {}

    def _show(self):
        self.open = int(self.np_random.integers(self.doors))
        shown = np.full(self.doors, 60.0, dtype=np.float32)
        shown[self.open] = 61.0
        return shown
'''

TRAINING = """
import json
import os

from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecNormalize

from doors.env import Guess

OUT = "saved"

if __name__ == "__main__":
    os.makedirs(OUT, exist_ok=True)
    venv = VecNormalize(make_vec_env(Guess, n_envs=4, seed=0, env_kwargs={"doors": 3}), norm_reward=False)
    model = PPO("MlpPolicy", venv, n_steps=64, batch_size=64, learning_rate=3e-3, seed=0)
    model.learn(4_096)
    model.save(os.path.join(OUT, "guesser"))
    venv.save(f"{OUT}/what_was_seen.pkl")
    venv.training = False
    mean, std = evaluate_policy(model, venv, n_eval_episodes=100)
    with open(f"{OUT}/guesser_evaluation.json", "w") as file:
        json.dump({"mean_reward": mean, "std_reward": std, "n_eval_episodes": 100}, file)
"""


def test_a_clone_is_audited_with_one_question_that_the_printed_command_answers(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "audit")
    clone = workspace.folder / "clone"
    for path, content in {
        "code/doors/__init__.py": "",
        "code/doors/env.py": ENVIRONMENT,
        "code/train.py": TRAINING,
    }.items():
        text(clone / path, content)
    subprocess.run([sys.executable, "train.py"], cwd=clone / "code", check=True, env={"OMP_NUM_THREADS": "1"})
    workspace.configure({**small_config(runs=["clone"]), "experiments": [], "python_path": []})

    asked = workspace.snakemake()
    assert asked.status != 0
    assert "1 of the models found do not say how they are run" in asked.output
    assert "env: doors.env:Guess  # code/train.py:16" in asked.output
    command = re.search(r"^ +snakemake (.*--configfile \S+)$", asked.output, re.MULTILINE)
    assert command, asked.output

    answered = workspace.snakemake(*command[1].split()[2:])
    assert answered.status == 0, answered.output
    (model,) = json.loads((workspace.folder / "results/audit.json").read_text(encoding="utf-8"))["models"]
    assert (model["verdict"], model["claim_kind"]) == ("equivalent", "reported"), model["reason"]
    assert model["normalized"], "its statistics are found by the script that saves them"
