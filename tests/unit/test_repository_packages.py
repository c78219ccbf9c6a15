"""Packages of their owners: environments that Gymnasium knows by entry points, and tables of classes by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.repositories import PPO_ALONE, SNAKE, SPACES_OF_SNAKE, Repository, box, discrete, planned

REGISTRATION = """
from gymnasium.envs.registration import register
def register_envs():
    for size in (3, 5):
        register(id=f"Snake{size}-v0", entry_point="snakes.envs.snake:SnakeEnv", kwargs={"size": size})
"""

DECLARED = {
    "pyproject.toml": '[project.entry-points."gymnasium.envs"]\nreptiles = "snakes.registration:register_envs"\n',
    "poetry/pyproject.toml": '[tool.poetry.plugins."gymnasium.envs"]\nreptiles = "snakes.registration:register_envs"\n',
    "setup.cfg": "[options.entry_points]\ngymnasium.envs =\n    reptiles = snakes.registration:register_envs\n",
    "setup.py": "from setuptools import setup\n"
    "setup(entry_points={'gymnasium.envs': ['reptiles = snakes.registration:register_envs']})\n",
}


@pytest.mark.parametrize("declared", DECLARED)
def test_an_id_that_an_entry_point_registers_is_the_class_behind_it(tmp_path: Path, declared: str) -> None:
    train = (
        "import gymnasium as gym\nfrom stable_baselines3 import PPO\n"
        "PPO('MlpPolicy', gym.make('reptiles/Snake5-v0')).save('agent')\n"
    )
    files = {
        declared: DECLARED[declared],
        "src/snakes/__init__.py": "",
        "src/snakes/registration.py": REGISTRATION,
        "src/snakes/envs/__init__.py": "",
        "src/snakes/envs/snake.py": SNAKE,
        "train.py": train,
    }
    found = planned(Repository(files, {"agent.zip": SPACES_OF_SNAKE}).write(tmp_path / "mine"))
    (run,) = found.proposal["runs"]
    assert (run["env"], run["env_kwargs"]) == ("snakes.envs.snake:SnakeEnv", {"size": 5})
    assert found.proposal["python_path"] == [str(tmp_path / "mine/src")]


@pytest.mark.parametrize(
    "metadata", ["[" * 9000, 'x = "' + "a" * 9000, "[a]\n[a]\n", "entry_points", "a" + ".a" * 9000 + " = 1\n", "\x00"]
)
def test_metadata_that_cannot_be_read_say_nothing(tmp_path: Path, metadata: str) -> None:
    script = "from stable_baselines3 import PPO\nPPO('MlpPolicy', 'CartPole-v1').save('model')\n"
    files = {"pyproject.toml": metadata, "setup.cfg": metadata, "train.py": script}
    assert planned(Repository(files).write(tmp_path / "mine")).specs["model"].environment.env == "CartPole-v1"


def test_a_class_is_found_by_the_name_that_a_decorator_enters_it_under(tmp_path: Path) -> None:
    registry = """
_ENVS = {}
def register(name):
    def enter(cls):
        _ENVS[name] = cls
        return cls
    return enter
def build(name, **kwargs):
    return _ENVS[name](**kwargs)
"""
    envs = f"from .registry import register\n{SNAKE}".replace("class Snake", '@register("snake")\nclass Snake')
    train = """
import json
from dataclasses import dataclass, field
from pathlib import Path
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from games import envs
from games.registry import build
@dataclass
class Job:
    env: str
    env_kwargs: dict = field(default_factory=dict)
    @property
    def out(self):
        return f"saved/{self.env}"
    @classmethod
    def load(cls, path):
        return cls(**json.loads(Path(path).read_text()))
if __name__ == "__main__":
    job = Job.load("job.json")
    PPO("MlpPolicy", make_vec_env(lambda: build(job.env, **job.env_kwargs))).save(job.out)
"""
    files = {
        "games/__init__.py": "",
        "games/registry.py": registry,
        "games/envs.py": envs,
        "train.py": train,
        "job.json": '{"env": "snake", "env_kwargs": {"size": 5}}',
    }
    folder = Repository(files, {"saved/snake.zip": SPACES_OF_SNAKE}).write(tmp_path / "games")
    (run,) = planned(folder).proposal["runs"]
    assert (run["env"], run["env_kwargs"]) == ("games.envs:SnakeEnv", {"size": 5})


def test_a_model_whose_path_names_another_registered_id_is_run_in_that_with_the_script_s_wrappers(
    tmp_path: Path,
) -> None:
    files = {
        "envs/__init__.py": "from gymnasium.envs.registration import register\nfor n in (3, 5):\n    register("
        'id=f"Snake{n}-v0", entry_point="envs.snake:SnakeEnv", kwargs={"size": n}, max_episode_steps=9)\n',
        "envs/snake.py": SNAKE,
        "train.py": """
import sys, gymnasium as gym, envs
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
class Doubled(gym.RewardWrapper):
    def reward(self, reward):
        return 2 * reward
def train(env_id="Snake3-v0"):
    venv = make_vec_env(env_id, wrapper_class=Doubled)
    PPO("MlpPolicy", venv).save("trained/" + env_id.split("-")[0].lower())
if __name__ == "__main__":
    train(*sys.argv[1:])
""",
    }
    small = {**PPO_ALONE, "observation_space": box(9), "action_space": discrete(4)}
    models = {"trained/snake3.zip": small, "trained/snake5.zip": SPACES_OF_SNAKE}
    runs = planned(Repository(files, models).write(tmp_path / "mine")).proposal["runs"]
    assert [run["env_kwargs"] for run in runs] == [{"size": 3}, {"size": 5}]
    assert all(run["wrappers"][1:] == ["train.Doubled"] for run in runs)
    assert not any("monitor" in run for run in runs), "SB3 puts its Monitor inside the wrappers that it is given"
