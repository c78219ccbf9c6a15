"""Environments with arguments that only code can make are proposed as functions that make them and train nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.repositories import PPO_ALONE, Outcome, Repository, box, notebook, planned

TABLE = """
import gymnasium as gym
class Table(gym.Env):
    def __init__(self, rows, window=5):
        self.rows, self.window = rows, window
        self.observation_space = gym.spaces.Box(0, 1, shape=(window,))
"""
PRICES = {"data/prices.csv": "1\n2\n3\n", "table.py": TABLE}

IN_A_FUNCTION = """
import csv
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv
from table import Table

ROWS = list(csv.reader(open("data/prices.csv")))

def train(rows, steps=10):
    held_out = rows[1:]
    env = DummyVecEnv([lambda: Table(held_out, window=3)])
    model = PPO("MlpPolicy", env)
    model.learn(steps)
    model.save("models/agent")

if __name__ == "__main__":
    train(ROWS)
"""
AT_THE_TOP = """
import argparse, csv
from pathlib import Path
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from table import Table
parser = argparse.ArgumentParser()
parser.add_argument("--data", default="prices.csv")
args = parser.parse_args()
with open(Path(__file__).parent / "data" / args.data) as file:
    rows = list(csv.reader(file))
rows.pop(0)
venv = make_vec_env(Table, n_envs=2, env_kwargs=dict(rows=rows, window=3))
model = PPO("MlpPolicy", venv)
model.learn(10)
model.save("models/agent")
raise SystemExit("trained")
"""
WITH_A_WRAPPER = """
import csv, gymnasium as gym
from stable_baselines3 import PPO
from table import Table

class Limits:
    def __init__(self, most): self.most = most

class Limited(gym.Wrapper):
    def __init__(self, env, limits):
        super().__init__(env)
        self.limits = limits
        self.rows = env.rows

def make():
    env = Table(list(csv.reader(open("data/prices.csv")))[1:], 3)
    return Limited(env, Limits(most=4))

model = PPO("MlpPolicy", make())
model.learn(10)
model.save("models/agent")
"""


def proposed(tmp_path: Path, files: dict[str, str | dict[str, object]]) -> tuple[Path, Outcome]:
    models = {"models/agent.zip": {**PPO_ALONE, "observation_space": box(3)}}
    folder = Repository({**PRICES, **files}, models).write(tmp_path / "prices")
    return folder, planned(folder)


@pytest.mark.parametrize(
    "files",
    [
        {"train.py": IN_A_FUNCTION},
        {"train.py": AT_THE_TOP},
        {"train.py": WITH_A_WRAPPER},
        {"Train.ipynb": notebook(*IN_A_FUNCTION.replace("if __name__", "train(ROWS)\nif __name__").split("\n\n"))},
    ],
    ids=["in a function", "at the top", "with a wrapper", "in a notebook"],
)
def test_the_function_that_is_proposed_makes_the_environment_and_trains_nothing(
    tmp_path: Path, files: dict[str, str | dict[str, object]]
) -> None:
    folder, found = proposed(tmp_path, files)
    (entry,) = found.proposal["runs"]
    module, _, function = entry["env"].partition(":")
    assert "env_kwargs" not in entry
    assert "not a plain value" not in found.proposed
    code = f"import {module}; env = {module}.{function}(); print(type(env).__name__, env.rows)"
    path = ":".join(found.proposal["python_path"])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    made = subprocess.run(
        [sys.executable, "-c", code], cwd=elsewhere, env={"PYTHONPATH": path}, capture_output=True, text=True
    )
    kind = "Limited" if files.get("train.py") == WITH_A_WRAPPER else "Table"
    assert made.stdout == f"{kind} [['2'], ['3']]\n", made.stderr
    assert list(folder.glob("models/*")) == [folder / "models/agent.zip"]


@pytest.mark.parametrize(
    "rows",
    ["download()", "PPO.load('other').learn(10).rows", "[row for row in unknown]"],
    ids=["unknown", "of a training", "unknown in a loop"],
)
def test_what_cannot_be_had_without_running_what_should_not_run_stays_a_gap(tmp_path: Path, rows: str) -> None:
    script = IN_A_FUNCTION.replace('list(csv.reader(open("data/prices.csv")))', rows)
    _, found = proposed(tmp_path, {"train.py": script})
    assert "# not a plain value: argument rows (train.py:11)" in found.proposed


def test_arguments_that_come_from_somewhere_unknown_are_a_gap_and_not_left_out(tmp_path: Path) -> None:
    script = """
import gymnasium as gym, sys
from stable_baselines3 import PPO
from table import Table
def train(settings):
    model = PPO("MlpPolicy", Table([], **settings))
    model.learn(10)
    model.save("models/agent")
train(eval(sys.argv[1]))
"""
    _, found = proposed(tmp_path, {"train.py": f"{script}train(None)\n"})
    assert "# not a plain value: argument ** (train.py:6)" in found.proposed
