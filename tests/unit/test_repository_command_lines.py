"""Scripts with options, flags and settings of whatever library are followed as if started without arguments."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.repositories import PPO_ALONE, Repository, planned

MAZE = """
import gymnasium as gym
class Maze(gym.Env):
    def __init__(self, size=9):
        self.size = size
class Hall(gym.Env):
    pass
"""

STARTED = {
    "typer": """
import typer
app = typer.Typer()
@app.command()
def train(size: int = typer.Option(5, "--size"), out: str = "out/agent"):
    PPO("MlpPolicy", Maze(size=size)).save(out)
if __name__ == "__main__":
    app()
""",
    "tyro": """
import tyro
from dataclasses import dataclass
@dataclass
class Args:
    size: int = 5
def main(args: Args):
    PPO("MlpPolicy", Maze(args.size)).save("out/agent")
if __name__ == "__main__":
    main(tyro.cli(Args))
""",
    "absl": """
from absl import app, flags
FLAGS = flags.FLAGS
flags.DEFINE_integer("size", 5, "of the maze")
OUT = flags.DEFINE_string("out", "out/agent", "where to")
def main(_):
    PPO("MlpPolicy", Maze(size=FLAGS.size)).save(OUT.value)
app.run(main)
""",
    "tap": """
from tap import Tap
class Args(Tap):
    size: int = 5
args = Args().parse_args()
PPO(policy="MlpPolicy", env=Maze(args.size)).save("out/agent")
""",
    "hydra": """
import hydra
from hydra.utils import instantiate
@hydra.main(config_path="conf", config_name="config", version_base=None)
def main(cfg):
    model = instantiate(cfg.algo)(env=instantiate(cfg.env, size=5))
    model.save("out/agent")
main()
""",
    "a dotted name": """
import importlib, json
def load(path):
    module, name = path.rsplit(".", 1)
    return getattr(importlib.import_module(module), name)
env = load("maze.Maze")(**{"size": 5})
PPO("MlpPolicy", env).save("out/agent")
""",
    "a name": """
CHOSEN = {1: "Maze", 2: "Hall"}
env = globals()[CHOSEN[1]](size=5)
PPO("MlpPolicy", env).save("out/agent")
""",
    "branches": """
def make(name, **kwargs):
    if name in ("hall", "lobby"):
        return Hall()
    if not name == "maze":
        raise ValueError(name)
    return Maze(**kwargs)
PPO("MlpPolicy", make("maze", size=5)).save("out/agent")
""",
    "branches of one line": """
sizes = dict(maze=5)
name, is_large = "maze-small", False
env = (Hall() if is_large or not name.startswith("maze") else Maze(size=sizes["maze"] if len(name) > 5 else 2))
PPO("MlpPolicy", env).save("out/agent")
""",
    "cases": """
size = 1
def make(wanted):
    match wanted:
        case "hall" | None:
            return Hall()
        case {"name": "maze", "sizes": [_, size]} if wanted:
            return Maze(size=size)
        case _:
            return Maze(size=2)
PPO("MlpPolicy", make({"name": "maze", "sizes": [4, 5]})).save("out/agent")
""",
    "configparser": """
import configparser
cfg = configparser.ConfigParser()
cfg.read(["conf/usual.ini", "conf/mine.ini"])
env = Maze(size=cfg.getint("maze", "Size")) if cfg["maze"].getboolean("is_on") else Hall()
PPO("MlpPolicy", env).save(cfg["DEFAULT"]["out"] + "/" + cfg.get("maze", "name", fallback="agent"))
""",
    "merge keys": """
import yaml
cfg = yaml.safe_load(open("conf/config.yaml"))
PPO("MlpPolicy", Maze(**cfg["mine"])).save("out/agent")
""",
}


@pytest.mark.parametrize("kind", STARTED)
def test_a_script_is_followed_with_what_it_has_by_default(tmp_path: Path, kind: str) -> None:
    script = f"from stable_baselines3 import PPO\nfrom maze import Hall, Maze\n{STARTED[kind]}"
    settings = (
        "env: {_target_: maze.Maze}\nalgo: {_target_: stable_baselines3.PPO, _partial_: true, policy: MlpPolicy}\n"
        "usual: &usual {size: 9}\nmine: {<<: *usual, size: 5}\n"
    )
    usual, mine = "[DEFAULT]\nout = out\n[maze]\nsize = 9\nis_on: yes\n", "[maze]\nsize: 5\nname = agent\n"
    files = {"maze.py": MAZE, "train.py": script, "conf/config.yaml": settings}
    files |= {"conf/usual.ini": usual, "conf/mine.ini": mine}
    found = planned(Repository(files, {"out/agent.zip": PPO_ALONE}).write(tmp_path / "mine"))
    (run,) = found.proposal["runs"]
    assert (run["env"], run["env_kwargs"], run.get("wrappers")) == ("maze:Maze", {"size": 5}, None)
    assert "another part of the repository" not in found.proposed


def test_a_script_that_cannot_be_started_without_an_option_makes_no_environment_of_its_own(tmp_path: Path) -> None:
    script = """
import argparse
from stable_baselines3 import PPO
from maze import Maze, rules
parser = argparse.ArgumentParser()
parser.add_argument("rules", {usual})
args = parser.parse_args()
PPO("MlpPolicy", Maze(size=rules(args.rules))).save("agent")
"""
    proposed = [
        planned(
            Repository({"maze.py": MAZE, "train.py": script.replace("{usual}", usual)}, {"agent.zip": PPO_ALONE}).write(
                tmp_path / name
            )
        ).proposed
        for name, usual in (("asked", "type=str"), ("given", "nargs='?', default='usual'"))
    ]
    assert ["make_environment" in text for text in proposed] == [False, True]
    assert "not a plain value: argument size" in proposed[0]
