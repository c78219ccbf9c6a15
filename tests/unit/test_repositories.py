"""What a repository says of how its models are run is taken over; where no strange code runs, nothing is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reload_audit.planning.discovery import above, training_script
from reload_audit.planning.discovery.above import root_of
from reload_audit.planning.discovery.training_script import training_of
from reload_audit.repository.sources import Source
from support.repositories import (
    DQN_ALONE,
    OF_CARTPOLE,
    PPO_ALONE,
    SNAKE,
    Repository,
    planned,
)


def test_an_id_in_the_training_script_is_used_with_its_arguments_and_nothing_is_asked(tmp_path: Path) -> None:
    script = """
import argparse, os
import gymnasium as gym
from stable_baselines3 import PPO
from stable_baselines3.common.monitor import Monitor

parser = argparse.ArgumentParser()
parser.add_argument("--env", default="CartPole-v1")
parser.add_argument("--out", type=str, default="models")
args = parser.parse_args()

def make():
    return Monitor(gym.make(args.env, render_mode="human", max_episode_steps=300))

if __name__ == "__main__":
    env = make()
    model = PPO("MlpPolicy", env, seed=3)
    model.learn(10_000)
    model.save(os.path.join(args.out, f"ppo_{args.env}"))
"""
    student = Repository({"train.py": script}, {"models/ppo_cart_final.zip": PPO_ALONE})
    found = planned(student.write(tmp_path / "student"))
    spec = found.specs["models/ppo_cart_final"]
    assert (spec.environment.env, spec.environment.env_kwargs) == ("CartPole-v1", {"max_episode_steps": 300})
    assert spec.named_by_user == (), "what it names still has to be allowed"
    assert spec.remarks == ("it is run as its repository says (train.py:13): CartPole-v1",)


def test_wrappers_stacked_frames_and_statistics_of_any_name_are_those_of_the_script(tmp_path: Path) -> None:
    script = """
import gym
from gym.wrappers import GrayScaleObservation, ResizeObservation
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecFrameStack, VecNormalize

def make_env(rank):
    def _init():
        env = gym.make("CarRacing-v2", continuous=False)
        env = GrayScaleObservation(env, keep_dim=True)
        env = ResizeObservation(env, (64, 64))
        return env
    return _init

envs = SubprocVecEnv([make_env(i) for i in range(6)])
envs = VecNormalize(envs, norm_obs=False, norm_reward=True)
envs = VecFrameStack(envs, n_stack=4)
model = PPO("CnnPolicy", envs)
model.learn(1_000_000)
model.save("saves/racer")
envs.save("saves/racer_moments.pkl")
"""
    files = {"code/train.py": script, "saves/racer_moments.pkl": "", "saves/other.pkl": ""}
    found = planned(Repository(files, {"saves/racer.zip": PPO_ALONE}).write(tmp_path / "racing"))
    spec = found.specs["saves/racer"]
    environment = spec.environment
    assert (environment.env, environment.env_kwargs) == ("CarRacing-v2", {"continuous": False})
    assert [wrapper.to_plain() for wrapper in environment.wrappers] == [
        {"gymnasium.wrappers.GrayscaleObservation": {"keep_dim": True}},
        {"gymnasium.wrappers.ResizeObservation": {"shape": [64, 64]}},
    ]
    assert environment.frame_stack == 4
    assert spec.n_envs == 6
    assert spec.statistics == str(tmp_path / "racing/saves/racer_moments.pkl")


def test_a_configuration_that_the_script_reads_says_the_environment(tmp_path: Path) -> None:
    script = """
import yaml
from pathlib import Path
import gymnasium as gym
from stable_baselines3 import DQN

class Trainer:
    def __init__(self, path="config/default.yaml"):
        with open(path) as file:
            self.config = yaml.safe_load(file)

    def run(self):
        env = gym.make(self.config["env"]["id"], **self.config["env"].get("kwargs", {}))
        self.model = DQN("MlpPolicy", env, **self.config["agent"])
        self.model.learn(self.config["steps"])
        self.model.save(Path(self.config["out"]) / "agent")

if __name__ == "__main__":
    Trainer().run()
"""
    config = "env: {id: MountainCar-v0, kwargs: {goal_velocity: 0.1}}\nagent: {gamma: 0.98}\nsteps: 100\nout: runs\n"
    files = {"src/train.py": script, "config/default.yaml": config}
    found = planned(Repository(files, {"runs/agent.zip": DQN_ALONE}).write(tmp_path / "configured"))
    assert found.specs["runs/agent"].environment.env == "MountainCar-v0"
    assert found.specs["runs/agent"].environment.env_kwargs == {"goal_velocity": 0.1}


def test_models_of_one_script_that_goes_through_environments_and_algorithms_get_their_own(tmp_path: Path) -> None:
    script = """
import gymnasium as gym
from stable_baselines3 import DQN, PPO
ALGOS = {"dqn": DQN, "ppo": PPO}
for env_id in ["CartPole-v1", "Acrobot-v1"]:
    for name, algo in ALGOS.items():
        model = algo("MlpPolicy", gym.make(env_id))
        model.learn(1000)
        model.save(f"models/{name}/{env_id.lower()}")
"""
    models = {"models/dqn/cartpole-v1.zip": DQN_ALONE, "models/ppo/acrobot-v1.zip": PPO_ALONE}
    found = planned(Repository({"sweep.py": script}, models).write(tmp_path / "sweep"))
    assert {name: spec.environment.env for name, spec in found.specs.items()} == {
        "models/dqn/cartpole-v1": "CartPole-v1",
        "models/ppo/acrobot-v1": "Acrobot-v1",
    }


def test_a_script_beside_a_model_counts_more_than_one_in_another_folder(tmp_path: Path) -> None:
    script = "import gymnasium as gym\nfrom stable_baselines3 import PPO\nPPO('MlpPolicy', '{env}').learn(10)\n"
    files = {"one/train.py": script.format(env="CartPole-v1"), "two/train.py": script.format(env="Acrobot-v1")}
    models = {"one/out/a.zip": PPO_ALONE, "two/out/a.zip": PPO_ALONE}
    found = planned(Repository(files, models).write(tmp_path / "exercises"))
    assert [spec.environment.env for _, spec in sorted(found.specs.items())] == ["CartPole-v1", "Acrobot-v1"]


def test_a_name_counts_more_than_scripts_that_speak_of_other_models(tmp_path: Path) -> None:
    script = "from stable_baselines3 import PPO\nmodel = PPO('MlpPolicy', 'CartPole-v1')\nmodel.save('cart')\n"
    models = {"cart.zip": PPO_ALONE, "ppo-Acrobot-v1.zip": PPO_ALONE}
    found = planned(Repository({"train.py": script}, models).write(tmp_path / "mixed"))
    assert found.specs["cart"].environment.env == "CartPole-v1"
    assert found.specs["ppo-Acrobot-v1"].environment.env == "Acrobot-v1"


def test_checkpoints_of_a_training_that_goes_round_and_round_are_those_of_its_environment(tmp_path: Path) -> None:
    script = """
from stable_baselines3 import PPO
model, rounds = PPO("MlpPolicy", "CartPole-v1"), 0
while True:
    rounds += 1
    model.learn(1000, reset_num_timesteps=False)
    model.save(f"models/loop/{1000 * rounds}")
for size in range(1, 100):
    model = PPO("MlpPolicy", "Acrobot-v1")
    model.save(f"models/for/{size}")
"""
    models = {"models/loop/31000.zip": PPO_ALONE, "models/for/77.zip": PPO_ALONE}
    found = planned(Repository({"train.py": script}, models).write(tmp_path / "rounds"))
    assert {name: spec.environment.env for name, spec in found.specs.items()} == {
        "models/loop/31000": "CartPole-v1",
        "models/for/77": "Acrobot-v1",
    }


def test_a_script_that_is_broken_somewhere_still_says_what_its_other_parts_say(tmp_path: Path) -> None:
    script = """
from stable_baselines3 import PPO

def close(self)
    print 'closed'

model = PPO("MlpPolicy", "CartPole-v1")
model.save("agent")
"""
    found = planned(Repository({"train.py": script}, {"agent.zip": PPO_ALONE}).write(tmp_path / "broken"))
    assert found.specs["agent"].environment.env == "CartPole-v1"
    assert found.specs["agent"].remarks == ("it is run as its repository says (train.py:7): CartPole-v1",)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("README.md", "# Cart\n\n    python train.py --env CartPole-v1 --seed 3\n"),
        ("train.sh", "python train.py --env-id=CartPole-v1\n"),
        ("config/exp.yaml", "seed: 3\nenvironment:\n  env_id: CartPole-v1\n"),
        ("hyperparams/ppo.yml", "CartPole-v1:\n  n_envs: 8\n  policy: MlpPolicy\n"),
        ("Makefile", "train:\n\tpython train.py --env CartPole-v1\n"),
        ("Run.ipynb", '{"cells": [{"cell_type": "code", "source": ["!python train.py --env CartPole-v1"]}]}'),
        ("README.md", "# Agents\n\nAn agent for Gymnasium's `CartPole-v1`.\n"),
    ],
)
def test_an_environment_that_the_script_is_told_when_it_is_started_is_in_settings_and_commands(
    tmp_path: Path, path: str, content: str
) -> None:
    script = """
import argparse, sys, gymnasium as gym
from stable_baselines3 import PPO
parser = argparse.ArgumentParser()
parser.add_argument("--env", required=True)
args = parser.parse_args()
PPO("MlpPolicy", gym.make(args.env)).save("agent")
"""
    files = {"train.py": script, path: content, "hyperparams/dqn.yml": "Acrobot-v1:\n  policy: MlpPolicy\n"}
    if not path.startswith("hyperparams"):
        del files["hyperparams/dqn.yml"]
    spec = planned(Repository(files, {"agent.zip": OF_CARTPOLE}).write(tmp_path / "told")).specs["agent"]
    assert spec.environment.env == "CartPole-v1"


def test_what_was_saved_before_a_training_went_on_elsewhere_is_of_the_environment_before(tmp_path: Path) -> None:
    script = """
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
STAGES = {"easy": 0.0, "hard": 0.02}
model = None
for number, (stage, speed) in enumerate(STAGES.items()):
    env = make_vec_env("MountainCarContinuous-v0", env_kwargs={"goal_velocity": speed})
    if model is None:
        model = PPO("MlpPolicy", env)
    else:
        model.set_env(env)
    model.learn(1000, reset_num_timesteps=False)
    model.save(f"stages/{number}_{stage}")
"""
    models = {"stages/0_easy.zip": PPO_ALONE, "stages/1_hard.zip": PPO_ALONE}
    found = planned(Repository({"train.py": script}, models).write(tmp_path / "stages"))
    given = {name: spec.environment.env_kwargs for name, spec in found.specs.items()}
    assert given == {"stages/0_easy": {"goal_velocity": 0.0}, "stages/1_hard": {"goal_velocity": 0.02}}


TRAINS_A_SNAKE = """
from snake import SnakeEnv
from gymnasium.wrappers import TimeLimit
from stable_baselines3 import PPO

env = TimeLimit(SnakeEnv(size=7), 90)
model = PPO("MlpPolicy", env, n_steps=N_STEPS)
model.learn(1000)
CURRICULUM
model.save("models/snake_final")
"""


@pytest.mark.parametrize(
    ("model", "n_steps", "curriculum", "said"),
    [
        ("models/snake_final.zip", 2048, "", "train.py:6"),
        ("models/another.zip", 2048, "", ""),
        ("models/snake_final.zip", 512, "", ""),
        ("models/snake_final.zip", 2048, "model.get_env().env_method('set_size', 9)", ""),
        ("models/snake_final.zip", 2048, "env.unwrapped.size += 2", ""),
        ("models/snake_final.zip", 2048, "setattr(env.unwrapped, 'size', 9)", ""),
        ("models/snake_final.zip", 2048, "assert env.unwrapped.size == 7", "train.py:6"),
    ],
    ids=["its-script", "another-file", "other-numbers", "a-curriculum", "changed", "changed-by-name", "looked-at"],
)
def test_a_script_says_how_a_model_was_trained_only_where_it_saves_that_file_and_nothing_speaks_against_it(
    tmp_path: Path, model: str, n_steps: int, curriculum: str, said: str
) -> None:
    text = TRAINS_A_SNAKE.replace("N_STEPS", str(n_steps)).replace("CURRICULUM", curriculum)
    files = {"train.py": text, "snake.py": SNAKE, "eval.py": "print()"}
    folder = Repository(files, {model: {**PPO_ALONE, "n_steps": 2048}}).write(tmp_path / "snakes")
    found = training_of(str(folder / model), str(folder / "eval.py"), str(tmp_path), str(tmp_path))
    assert ("" if found is None else found.said) == said
    if found is not None:
        built = found.environment
        assert (built.env, built.env_kwargs, built.time_limit) == ("snake:SnakeEnv", {"size": 7}, 90)


MAKES_SNAKES_WITH_OBJECTS = """
from snake import SnakeEnv
from gymnasium.wrappers import TimeLimit
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv

class Stops:
    def __init__(self, limit):
        self.limit = limit

    def __call__(self, env):
        return TimeLimit(env, self.limit)

class MakesSnakes:
    def __init__(self, size, around):
        self.size, self.around = size, around

    def __call__(self):
        return self.around(SnakeEnv(self.size))

model = PPO("MlpPolicy", MADE)
model.learn(1000)
model.save("models/snake_final")
"""


@pytest.mark.parametrize(
    "made",
    [
        "DummyVecEnv([MakesSnakes(7, Stops(90)) for _ in range(4)])",
        "make_vec_env(MakesSnakes(size=7, around=Stops(limit=90)), n_envs=2)",
        "make_vec_env(SnakeEnv, env_kwargs={'size': 7}, wrapper_class=Stops(90))",
    ],
)
def test_objects_that_are_called_make_and_wrap_environments_as_functions_do(tmp_path: Path, made: str) -> None:
    files = {"train.py": MAKES_SNAKES_WITH_OBJECTS.replace("MADE", made), "snake.py": SNAKE, "eval.py": "print()"}
    folder = Repository(files, {"models/snake_final.zip": PPO_ALONE}).write(tmp_path / "snakes")
    found = training_of(str(folder / "models/snake_final.zip"), str(folder / "eval.py"), str(tmp_path), str(tmp_path))
    assert found is not None
    built = found.environment
    assert (built.env, built.env_kwargs, built.time_limit) == ("snake:SnakeEnv", {"size": 7}, 90)


@pytest.mark.parametrize(
    ("below", "is_repository", "said"),
    [("", False, "train.py:6"), ("other", False, ""), ("other", True, "other/train.py:6")],
)
def test_code_in_a_folder_below_that_of_a_script_counts_only_within_its_git_repository(
    tmp_path: Path, below: str, is_repository: bool, said: str
) -> None:
    if root_of(str(tmp_path)) != str(tmp_path):
        pytest.skip("temporary folders are in a git repository here")
    text = TRAINS_A_SNAKE.replace("N_STEPS", "2048").replace("CURRICULUM", "")
    files = {f"{below}/train.py".lstrip("/"): text, f"{below}/snake.py".lstrip("/"): SNAKE, "eval.py": "print()"}
    folder = Repository(files, {"models/snake_final.zip": {**PPO_ALONE, "n_steps": 2048}}).write(tmp_path / "snakes")
    if is_repository:
        (folder / ".git").mkdir()
    found = training_of(str(folder / "models/snake_final.zip"), str(folder / "eval.py"), str(folder), str(tmp_path))
    assert ("" if found is None else found.said) == said


def test_scripts_are_read_once_for_all_models_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = TRAINS_A_SNAKE.replace("N_STEPS", "2048").replace("CURRICULUM", "")
    files = {"train.py": text, "snake.py": SNAKE, "eval.py": "print()"}
    models = {f"models/{one}.zip": {**PPO_ALONE, "n_steps": 2048} for one in ("another", "snake_final")}
    folder = Repository(files, models).write(tmp_path / "snakes")
    read: list[str] = []

    def files_outside(root: str, folder: str) -> Iterator[Source]:
        read.append(root)
        yield from above.files_outside(root, folder)

    monkeypatch.setattr(training_script, "files_outside", files_outside)
    asked = [training_of(str(folder / one), str(folder / "eval.py"), str(folder), str(tmp_path)) for one in models]
    assert ["" if one is None else one.said for one in asked] == ["", "train.py:6"]
    assert read == [str(folder)]


def test_what_makes_the_script_of_training_unreadable_is_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def raising(*_: object) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr(training_script, "files_outside", raising)
    assert training_of(str(tmp_path / "snake.zip"), str(tmp_path / "eval.py"), str(tmp_path), "") is None
    assert "RecursionError: too deep" in capsys.readouterr().err
