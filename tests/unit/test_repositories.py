"""A repository itself says how its models are run; it is read, not run, and what runs its code is asked once."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.published_layouts import PPO_SETTINGS
from support.repositories import DQN_ALONE, PPO_ALONE, Repository, box, discrete, notebook, planned

SNAKE = """
import gymnasium as gym
import numpy as np
from gymnasium import spaces

GRID = 5

class SnakeEnv(gym.Env):
    def __init__(self, size=GRID, render_mode=None):
        self.observation_space = spaces.Box(0, 1, shape=(size * size,), dtype=np.float32)
        self.action_space = spaces.Discrete(4)
"""

OF_CARTPOLE = {**PPO_ALONE, "observation_space": box(4), "action_space": discrete(2)}
OF_WALKER = {**PPO_ALONE, "observation_space": box(24), "action_space": box(4)}
SPACES_OF_SNAKE = {**PPO_ALONE, "observation_space": box(25), "action_space": discrete(4)}


# --- Nothing is asked ----------------------------------------------------------------------------------------------


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


# --- One question, with a configuration that answers it --------------------------------------------------------------


def test_an_environment_of_its_own_is_proposed_with_the_line_it_is_from(tmp_path: Path) -> None:
    script = """
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from envs.snake import SnakeEnv

venv = make_vec_env(SnakeEnv, n_envs=8, env_kwargs={"size": 5})
PPO("MlpPolicy", venv).learn(1_000_000).save("snake_agent")
"""
    files = {"game/envs/snake.py": SNAKE, "game/train.py": script}
    found = planned(Repository(files, {"game/snake_agent.zip": SPACES_OF_SNAKE}).write(tmp_path / "snake"))
    assert found.question.count("game/snake_agent.zip") == 1
    assert found.question.endswith(f"snakemake --cores 2 --configfile {tmp_path}/results/proposed.yaml")
    (run,) = found.proposal["runs"]
    assert run == {
        "folder": str(tmp_path / "snake"),
        "env": "snake:SnakeEnv",
        "env_kwargs": {"size": 5},
        "n_envs": 8,
    }
    assert found.proposal["python_path"] == [str(tmp_path / "snake/game/envs")]
    assert "env: snake:SnakeEnv  # game/train.py:6" in found.sources()
    accepted = planned(tmp_path / "snake", **found.proposal)
    assert accepted.specs["game/snake_agent"].named_by_user == ("env",), "that is the consent"


def test_an_unwrapped_environment_is_run_without_the_limit_of_its_id(tmp_path: Path) -> None:
    script = """
import gymnasium as gym
from stable_baselines3 import DQN
env = gym.make("MountainCar-v0").unwrapped
env.reset(seed=0)
DQN("MlpPolicy", env).learn(1000).save("car")
"""
    found = planned(Repository({"train.py": script}, {"car.zip": DQN_ALONE}).write(tmp_path / "car"))
    environment = found.specs["car"].environment
    assert (environment.env, environment.env_kwargs) == ("MountainCar-v0", {"max_episode_steps": -1})


@pytest.mark.parametrize(
    ("made", "monitor"),
    [
        ("Monitor(Clip(gym.make('CartPole-v1')))", "wrapped"),
        ("Clip(gym.make('CartPole-v1'))", "wrapped"),
        ("Clip(Monitor(gym.make('CartPole-v1')))", None),
        ("make_vec_env('CartPole-v1', wrapper_class=Clip)", None),
        ("make_vec_env(lambda: Clip(gym.make('CartPole-v1')))", "wrapped"),
        ("DummyVecEnv([lambda: Clip(gym.make('CartPole-v1'))])", "wrapped"),
    ],
)
def test_episodes_are_those_that_scripts_record_inside_their_wrappers_or_around_them(
    tmp_path: Path, made: str, monitor: str | None
) -> None:
    script = f"""
import gymnasium as gym
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv
class Clip(gym.RewardWrapper):
    def reward(self, reward):
        return min(reward, 0.5)
if __name__ == "__main__":
    PPO("MlpPolicy", {made}).learn(1000).save("clipped")
"""
    found = planned(Repository({"train.py": script}, {"clipped.zip": OF_CARTPOLE}).write(tmp_path / "clipped"))
    (run,) = found.proposal["runs"]
    assert (run["wrappers"], run.get("monitor")) == (["train.Clip"], monitor)


def test_of_two_repositories_with_modules_of_one_name_each_keeps_its_own(tmp_path: Path) -> None:
    script = (
        "from env import SnakeEnv\nfrom stable_baselines3 import PPO\nPPO('MlpPolicy', SnakeEnv(5)).save('snake')\n"
    )
    files = {"env.py": SNAKE, "train.py": script}
    runs = [str(Repository(files, {"snake.zip": SPACES_OF_SNAKE}).write(tmp_path / name)) for name in ("one", "two")]
    found = planned(tmp_path / "one", runs=runs)
    assert "python_path" not in found.proposal
    assert [run["python_path"] for run in found.proposal["runs"]] == [[run] for run in runs]
    accepted = planned(tmp_path / "one", **found.proposal, python_path=["of-all"])
    paths = [spec.environment.python_path for spec in accepted.specs.values()]
    assert paths == [(run, "of-all") for run in runs]


MAKES_ITS_OWN = """
import gymnasium as gym
class Weighted(gym.Wrapper):
    def __init__(self, weight=1.0, render_mode=None):
{}
"""


@pytest.mark.parametrize(
    "start",
    [
        "        super().__init__(gym.make('CartPole-v1', render_mode=render_mode))",
        "        env = gym.make('CartPole-v1')\n        super(Weighted, self).__init__(env)",
        "        gym.Wrapper.__init__(self, env=gym.make('CartPole-v1'))",
    ],
)
def test_a_wrapper_that_makes_the_environment_it_wraps_is_the_environment(tmp_path: Path, start: str) -> None:
    script = """
from stable_baselines3 import PPO
from weighted import Weighted
for weight in (0.1, 1.0):
    model = PPO("MlpPolicy", Weighted(weight=weight))
    model.learn(1000)
    model.save(f"results/{weight}/model")
"""
    files = {"weighted.py": MAKES_ITS_OWN.format(start), "sweep.py": script}
    models = {f"results/{weight}/model.zip": PPO_ALONE for weight in (0.1, 1.0)}
    entries = planned(Repository(files, models).write(tmp_path / "sweep")).proposal["runs"]
    assert [(entry["env"], entry["env_kwargs"]) for entry in entries] == [
        ("weighted:Weighted", {"weight": 0.1}),
        ("weighted:Weighted", {"weight": 1.0}),
    ]


def test_settings_that_are_dataclasses_of_dataclasses_say_what_their_fields_are_by_default(tmp_path: Path) -> None:
    settings = """
from dataclasses import dataclass, field
@dataclass
class Env:
    id: str = "CartPole-v1"
    limit: int = 500
@dataclass
class Settings:
    steps: int
    env: Env = field(default_factory=Env)
    out: str = field(default="artifacts")
"""
    trainer = """
import os, gymnasium as gym
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv
from settings import Env, Settings
class Trainer:
    def __init__(self, settings):
        self.settings = settings
    def make(self, rank):
        def start():
            return gym.make(self.settings.env.id, max_episode_steps=self.settings.env.limit)
        return start
    def run(self):
        model = PPO("MlpPolicy", DummyVecEnv([self.make(i) for i in range(3)]))
        model.learn(self.settings.steps)
        model.save(os.path.join(self.settings.out, "agent"))
if __name__ == "__main__":
    Trainer(Settings(1000, env=Env(limit=300))).run()
"""
    files = {"settings.py": settings, "trainer.py": trainer}
    found = planned(Repository(files, {"artifacts/agent.zip": PPO_ALONE}).write(tmp_path / "classes"))
    spec = found.specs["artifacts/agent"]
    assert (spec.environment.env, spec.environment.env_kwargs) == ("CartPole-v1", {"max_episode_steps": 300})
    assert spec.n_envs == 3


def test_the_only_environment_that_is_defined_is_proposed_where_no_script_says_more(tmp_path: Path) -> None:
    found = planned(Repository({"snake.py": SNAKE}, {"best.zip": SPACES_OF_SNAKE}).write(tmp_path / "snake"))
    assert "env: snake:SnakeEnv  # snake.py:8" in found.sources()


def test_an_environment_that_a_package_registers_is_that_package_s(tmp_path: Path) -> None:
    files = {
        "grid_world/__init__.py": (
            "from gymnasium.envs.registration import register\n"
            "register(id='GridWorld-v0', entry_point='grid_world.envs:GridWorld', max_episode_steps=60)\n"
        ),
        "grid_world/envs/__init__.py": "from grid_world.envs.world import GridWorld\n",
        "grid_world/envs/world.py": SNAKE.replace("SnakeEnv", "GridWorld"),
        "train.py": (
            "import gymnasium as gym, grid_world\nfrom stable_baselines3 import PPO\n"
            "model = PPO('MlpPolicy', gym.make('GridWorld-v0', size=5))\n"
            "model.save('a')\n"
        ),
    }
    found = planned(Repository(files, {"a.zip": SPACES_OF_SNAKE}).write(tmp_path / "grid"))
    (run,) = found.proposal["runs"]
    assert run["env"] == "grid_world.envs.world:GridWorld"
    assert run["wrappers"] == [{"gymnasium.wrappers.TimeLimit": {"max_episode_steps": 60}}]
    assert found.proposal["python_path"] == [str(tmp_path / "grid")]


def test_an_id_that_a_script_registers_with_a_function_is_what_the_function_makes(tmp_path: Path) -> None:
    script = """
import gymnasium as gym
from gymnasium.envs.registration import register
from stable_baselines3 import PPO
from snake import SnakeEnv
register(id="Snake-v0", entry_point=lambda: SnakeEnv(size=5))
env = gym.make("Snake-v0")
PPO.load("snake", env=env)
"""
    files = {"snake.py": SNAKE, "play.py": script}
    found = planned(Repository(files, {"snake.zip": SPACES_OF_SNAKE}).write(tmp_path / "snake"))
    (run,) = found.proposal["runs"]
    assert (run["env"], run["env_kwargs"]) == ("snake:SnakeEnv", {"size": 5})


def test_of_several_environments_that_are_defined_the_spaces_in_the_zip_decide(tmp_path: Path) -> None:
    other = SNAKE.replace("SnakeEnv", "ChessEnv").replace("Discrete(4)", "Discrete(64)")
    found = planned(
        Repository({"snake.py": SNAKE, "chess.py": other}, {"best.zip": SPACES_OF_SNAKE}).write(tmp_path / "games")
    )
    assert [run["env"] for run in found.proposal["runs"]] == ["snake:SnakeEnv"]


def test_two_candidates_are_two_lines_to_choose_from(tmp_path: Path) -> None:
    other = SNAKE.replace("SnakeEnv", "WormEnv")
    found = planned(
        Repository({"snake.py": SNAKE, "worm.py": other}, {"best.zip": SPACES_OF_SNAKE}).write(tmp_path / "games")
    )
    assert "env: snake:SnakeEnv  # snake.py:8" in found.sources()
    assert "# env: worm:WormEnv  # worm.py:8" in found.sources()


def test_an_environment_in_a_notebook_is_taken_out_of_it(tmp_path: Path) -> None:
    cells = notebook(
        "# Snake",
        "!pip install stable-baselines3\nimport google.colab\nfrom stable_baselines3 import PPO",
        SNAKE,
        "env = SnakeEnv()\nmodel = PPO('MlpPolicy', env)\nmodel.learn(1000)\nmodel.save('/content/drive/snake')",
    )
    found = planned(Repository({"Snake.ipynb": cells}, {"snake.zip": SPACES_OF_SNAKE}).write(tmp_path / "colab"))
    (run,) = found.proposal["runs"]
    assert run["env"] == "colab_Snake_environment:SnakeEnv"
    assert "env: colab_Snake_environment:SnakeEnv  # Snake.ipynb, cell 4, line 1" in found.sources()
    code = tmp_path / "results/proposed/colab_Snake_environment.py"
    assert found.proposal["python_path"][0] == str(code.parent)
    names: dict[str, object] = {}
    exec(code.read_text(encoding="utf-8"), names)  # noqa: S102 it is this test's own
    assert names["SnakeEnv"]().action_space.n == 4
    assert "learn" not in code.read_text(encoding="utf-8")
    assert "colab" not in code.read_text(encoding="utf-8")


def test_an_environment_in_a_script_that_trains_at_once_is_taken_out_of_it(tmp_path: Path) -> None:
    script = f"{SNAKE}\nfrom stable_baselines3 import PPO\nPPO('MlpPolicy', SnakeEnv()).learn(10**6).save('snake')\n"
    found = planned(Repository({"all.py": script}, {"snake.zip": SPACES_OF_SNAKE}).write(tmp_path / "snake"))
    (run,) = found.proposal["runs"]
    assert run["env"] == "snake_all_environment:SnakeEnv"
    assert "learn" not in (tmp_path / "results/proposed/snake_all_environment.py").read_text(encoding="utf-8")


def test_layers_of_a_vecenv_in_any_order_are_proposed_as_the_script_has_them(tmp_path: Path) -> None:
    script = """
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecNormalize, VecEnvWrapper
from snake import SnakeEnv

class Mirrored(VecEnvWrapper):
    pass

venv = DummyVecEnv([lambda: SnakeEnv(size=5)] * 3)
venv = VecNormalize(VecFrameStack(Mirrored(venv), 4), clip_obs=5.0)
"""
    folder = Repository({"snake.py": SNAKE, "train.py": script}, {"a.zip": PPO_ALONE}).write(tmp_path / "layers")
    (run,) = planned(folder).proposal["runs"]
    assert run["vec_wrappers"] == [
        "train.Mirrored",
        {"VecFrameStack": {"n_stack": 4}},
        {"VecNormalize": {"clip_obs": 5.0}},
    ]
    assert run["n_envs"] == 3


def test_classes_that_a_model_is_made_of_are_proposed_with_the_module_that_has_them(tmp_path: Path) -> None:
    script = """
import torch.nn as nn
from stable_baselines3 import PPO
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from nets.heads import Head

class Eyes(BaseFeaturesExtractor):
    pass

if __name__ == "__main__":
    kwargs = dict(features_extractor_class=Eyes, activation_fn=nn.Tanh)
    model = PPO(Head, "CartPole-v1", policy_kwargs=kwargs)
    model.learn(100)
    model.save("agent")
"""
    heads = (
        "from stable_baselines3.common.policies import ActorCriticPolicy\nclass Head(ActorCriticPolicy):\n    pass\n"
    )
    files = {"train.py": script, "nets/__init__.py": "", "nets/heads.py": heads}
    folder = Repository(files, {"agent.zip": OF_CARTPOLE}).write(tmp_path / "eyes")
    found = planned(folder)
    assert found.proposal["classes"] == {"nets.heads.Head": "nets.heads.Head", "__main__.Eyes": "train.Eyes"}
    assert found.proposal["python_path"] == [str(folder)]
    assert planned(folder, **found.proposal).specs["agent"].environment.env == "CartPole-v1"


def test_functions_that_wrappers_are_given_are_proposed_by_their_names(tmp_path: Path) -> None:
    script = """
from sb3_contrib import MaskablePPO
from sb3_contrib.common.wrappers import ActionMasker
from snake import SnakeEnv, Rules

def mask(env):
    return env.masks()

env = ActionMasker(SnakeEnv(5, rules=Rules), mask)
if __name__ == "__main__":
    MaskablePPO("MlpPolicy", env).save("agent")
"""
    snake = SNAKE.replace("render_mode=None", "rules=None") + "\n\nclass Rules:\n    pass\n"
    masked = {"clip_range": 0.2, "n_epochs": 10}
    folder = Repository({"snake.py": snake, "train.py": script}, {"agent.zip": masked}).write(tmp_path / "masked")
    found = planned(folder)
    (run,) = found.proposal["runs"]
    assert run["env_kwargs"] == {"size": 5, "rules": {"object": "snake:Rules"}}
    assert run["wrappers"] == [
        {"sb3_contrib.common.wrappers.ActionMasker": {"action_mask_fn": {"object": "train:mask"}}}
    ]
    assert not [line for line in found.proposed.splitlines() if "not a plain value" in line]


def test_models_that_are_run_differently_get_entries_of_their_own(tmp_path: Path) -> None:
    script = """
from stable_baselines3 import PPO
from snake import SnakeEnv
for size in [5, 7]:
    model = PPO("MlpPolicy", SnakeEnv(size))
    model.save(f"models/size_{size}/agent")
PPO("MlpPolicy", "CartPole-v1").save("models/cart")
"""
    large = {**SPACES_OF_SNAKE, "observation_space": box(49)}
    models = {
        "models/size_5/agent.zip": SPACES_OF_SNAKE,
        "models/size_7/agent.zip": large,
        "models/cart.zip": PPO_SETTINGS,
    }
    folder = Repository({"snake.py": SNAKE, "train.py": script}, models).write(tmp_path / "sizes")
    found = planned(folder)
    assert [(run["folder"], run.get("env_kwargs")) for run in found.proposal["runs"]] == [
        (f"{folder}/models/size_5", {"size": 5}),
        (f"{folder}/models/size_7", {"size": 7}),
        (str(folder), None),
    ]
    accepted = planned(folder, **found.proposal)
    assert sorted(spec.environment.env for spec in accepted.specs.values()) == [
        "CartPole-v1",
        "snake:SnakeEnv",
        "snake:SnakeEnv",
    ]


def test_what_nothing_says_is_left_out_of_the_proposal_and_named(tmp_path: Path) -> None:
    script = (
        "from snake import SnakeEnv\nfrom stable_baselines3 import PPO\nPPO('MlpPolicy', SnakeEnv()).save('snake')\n"
    )
    models = {"snake.zip": SPACES_OF_SNAKE, "unknown.zip": {**PPO_ALONE, "action_space": discrete(9)}}
    folder = Repository({"snake.py": SNAKE, "train.py": script}, models).write(tmp_path / "snake")
    found = planned(folder)
    assert f"# left out, nothing says how it is run: {folder}/unknown.zip" in found.proposed
    assert list(planned(folder, **found.proposal).specs) == ["snake"]


def test_a_folder_of_which_nothing_speaks_is_not_in_the_proposal(tmp_path: Path) -> None:
    mine = Repository({"env.py": SNAKE}, {"best.zip": SPACES_OF_SNAKE}).write(tmp_path / "mine")
    other = Repository({}, {"riddle.zip": PPO_ALONE}).write(tmp_path / "other")
    found = planned(mine, runs=[str(mine), str(other)])
    assert [entry["folder"] for entry in found.proposal["runs"]] == [str(mine)]
    assert f"left out, nothing says how it is run: {other}/riddle.zip" in found.proposed


def test_what_the_user_says_is_not_asked_of_the_repository(tmp_path: Path) -> None:
    folder = Repository({"snake.py": SNAKE}, {"best.zip": SPACES_OF_SNAKE}).write(tmp_path / "snake")
    found = planned(folder, runs=[{"folder": str(folder), "env": "CartPole-v1"}])
    assert found.specs["best"].environment.env == "CartPole-v1"


# --- Guesses are tried ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cartpole", "ppo_cart_pole_v1_500k", "PPO-CartPole"])
def test_an_environment_that_only_a_name_speaks_of_is_used_if_it_has_the_spaces_in_the_zip(
    tmp_path: Path, name: str
) -> None:
    found = planned(Repository({}, {f"models/{name}/final.zip": OF_CARTPOLE}).write(tmp_path / "mine"))
    (spec,) = found.specs.values()
    assert spec.environment.env == "CartPole-v1"
    assert spec.remarks == ("it is run in CartPole-v1, of which its name speaks, and which has its spaces",)


def test_a_version_in_a_name_is_kept(tmp_path: Path) -> None:
    found = planned(Repository({}, {"cartpole_v0_agent.zip": OF_CARTPOLE}).write(tmp_path / "mine"))
    assert found.specs["cartpole_v0_agent"].environment.env == "CartPole-v0"


def test_wrappers_that_no_file_may_name_are_asked_for_once(tmp_path: Path) -> None:
    script = """
import gymnasium as gym
from gymnasium.wrappers import {wrapper}
from stable_baselines3 import PPO
PPO("MlpPolicy", {wrapper}(gym.make("CartPole-v1"), {arguments})).save("agent")
"""
    usual = script.format(wrapper="TimeLimit", arguments="max_episode_steps=100")
    folder = Repository({"train.py": usual}, {"agent.zip": OF_CARTPOLE}).write(tmp_path / "usual")
    assert planned(folder).specs["agent"].environment.wrappers[0].name == "gymnasium.wrappers.TimeLimit"
    unusual = script.format(wrapper="NormalizeReward", arguments="gamma=0.9")
    folder = Repository({"train.py": unusual}, {"agent.zip": OF_CARTPOLE}).write(tmp_path / "unusual")
    (run,) = planned(folder).proposal["runs"]
    assert run["wrappers"] == [{"gymnasium.wrappers.NormalizeReward": {"gamma": 0.9}}]


def test_of_a_class_and_those_that_inherit_from_it_only_these_are_candidates(tmp_path: Path) -> None:
    small = "from snake import SnakeEnv\n\nclass SmallSnake(SnakeEnv):\n    pass\n"
    folder = Repository({"snake.py": SNAKE, "small.py": small}, {"a.zip": SPACES_OF_SNAKE}).write(tmp_path / "snakes")
    assert [run["env"] for run in planned(folder).proposal["runs"]] == ["small:SmallSnake"]


def test_a_name_whose_environment_has_other_spaces_is_no_answer(tmp_path: Path) -> None:
    found = planned(Repository({}, {"cartpole.zip": OF_WALKER}).write(tmp_path / "mine"))
    assert "cartpole.zip: no environment" in found.question
    assert not found.proposed


def test_two_environments_that_a_name_may_mean_are_two_lines_to_choose_from(tmp_path: Path) -> None:
    found = planned(Repository({}, {"mountaincar_acrobot.zip": PPO_ALONE}).write(tmp_path / "mine"))
    assert "env: MountainCar-v0  # a name, mountaincar_acrobot, and the spaces in the zip" in found.sources()
    assert "# env: Acrobot-v1  # a name, mountaincar_acrobot, and the spaces in the zip" in found.sources()


def test_a_script_whose_environment_has_other_spaces_than_the_zip_is_no_answer_and_that_is_said(tmp_path: Path) -> None:
    script = "from stable_baselines3 import PPO\nPPO('MlpPolicy', 'CartPole-v1').save('agent')\n"
    found = planned(Repository({"train.py": script}, {"agent.zip": OF_WALKER}).write(tmp_path / "other"))
    assert "its observations are Box(24), those of CartPole-v1 Box(4) (train.py:2)" in found.question


def test_an_id_that_a_package_registers_is_proposed_with_the_package_that_the_script_imports(tmp_path: Path) -> None:
    script = """
import gymnasium as gym
import robots_of_somebody
from stable_baselines3 import PPO
PPO("MlpPolicy", gym.make("Robot-v3", arms=2)).save("agent")
"""
    found = planned(Repository({"train.py": script}, {"agent.zip": OF_WALKER}).write(tmp_path / "robot"))
    (run,) = found.proposal["runs"]
    assert (run["env"], run["env_kwargs"]) == ("robots_of_somebody:Robot-v3", {"arms": 2})


def test_ids_and_arguments_of_strangers_make_only_environments_that_files_may_name(tmp_path: Path) -> None:
    script = """
import gymnasium as gym
from stable_baselines3 import PPO
PPO("MlpPolicy", gym.make("GymV21Environment-v0", env_id="os:system", make_kwargs={})).save("agent")
"""
    found = planned(Repository({"train.py": script}, {"agent.zip": OF_WALKER}).write(tmp_path / "robot"))
    assert found.specs["agent"].named_by_user == (), "what it names is refused when the model is audited"


# --- What models are said to earn ----------------------------------------------------------------------------------

AGENT = "from stable_baselines3 import PPO\nmodel = PPO('MlpPolicy', 'CartPole-v1')\nmodel.save('cart_agent')\n"


def claims(tmp_path: Path, files: dict[str, object], *names: str) -> list[tuple[str, float, float | None, int | None]]:
    """Kind, mean, standard deviation and episodes of what is said of the first of some models."""
    models = {f"{name}.zip": PPO_ALONE for name in names or ("cart_agent",)}
    found = planned(Repository({"train.py": AGENT, **files}, models).write(tmp_path / "mine"))
    spec = found.specs[(names or ("cart_agent",))[0]]
    return [(claim.kind, claim.mean, claim.std, claim.n) for claim in spec.claims]


def test_what_a_notebook_printed_when_it_evaluated_a_model_is_a_claim_of_it(tmp_path: Path) -> None:
    cells = notebook(
        "from stable_baselines3 import PPO\nfrom stable_baselines3.common.evaluation import evaluate_policy",
        "model = PPO('MlpPolicy', 'CartPole-v1')\nevaluate_policy(model, model.get_env(), n_eval_episodes=20)",
        "model.learn(100_000)",
        "mean, std = evaluate_policy(model, model.get_env(), n_eval_episodes=50, deterministic=False)\n"
        "print(f'mean_reward={mean:.2f} +/- {std:.2f}')",
        "model.save('cart_agent')",
        outputs={2: "mean_reward=9.30 +/- 0.80\n", 4: "mean_reward=248.01 +/- 17.03\n"},
    )
    folder = Repository({"Train.ipynb": cells}, {"cart_agent.zip": PPO_ALONE}).write(tmp_path / "colab")
    spec = planned(folder).specs["cart_agent"]
    (claim,) = spec.claims
    assert (claim.kind, claim.mean, claim.std, claim.n) == ("reported", 248.01, 17.03, 50)
    assert claim.where == "Train.ipynb, cell 4, line 1"
    assert spec.deterministic is False


def test_names_of_sb3_that_a_star_or_a_lost_cell_imported_are_known(tmp_path: Path) -> None:
    cells = notebook(
        "from stable_baselines3 import *\nimport gymnasium as gym",
        "model = PPO('MlpPolicy', gym.make('CartPole-v1'))\nmodel.learn(1000)\nmodel.save('cart_agent')",
        "mean, std = evaluate_policy(model, model.get_env(), n_eval_episodes=50)\nprint(mean, '+/-', std)",
        outputs={3: "248.01 +/- 17.03\n"},
    )
    folder = Repository({"Train.ipynb": cells}, {"cart_agent.zip": PPO_ALONE}).write(tmp_path / "colab")
    (claim,) = planned(folder).specs["cart_agent"].claims
    assert (claim.kind, claim.mean, claim.n) == ("reported", 248.01, 50)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("results/cart_agent.json", '{"mean_reward": 480.5, "std_reward": 12.0, "n_eval_episodes": 100}'),
        ("results/all.json", '{"cart_agent": {"eval_mean_reward": 480.5, "eval_std_reward": 12, "episodes": 100}}'),
        ("eval.csv", "model,mean_reward,std_reward,n_episodes\nother,1,1,1\ncart_agent,480.5,12.0,100\n"),
    ],
)
def test_files_of_results_in_their_many_forms_are_claims_of_the_model_that_they_name(
    tmp_path: Path, path: str, content: str
) -> None:
    assert claims(tmp_path, {path: content}, "cart_agent", "other") == [("reported", 480.5, 12.0, 100)]


@pytest.mark.parametrize(
    "readme",
    [
        "Our agent reaches a mean reward of **487.2 ± 30.1** over 100 evaluation episodes.",
        "| Algorithm | Mean reward |\n|---|---|\n| PPO | 487.2 ± 30.1 |\n",
        "Average score: 487.2 +/- 30.1",
    ],
)
def test_sentences_and_tables_of_a_readme_are_claims_of_the_weakest_kind(tmp_path: Path, readme: str) -> None:
    ((kind, mean, std, _),) = claims(tmp_path, {"README.md": f"# Cart\n\n{readme}\n"})
    assert (kind, mean, std) == ("stated", 487.2, 30.1)


TABLES = {
    "results/all.csv": "algorithm,env,mean_reward,std,episodes\nPPO,CartPole-v1,480.5,12,100\nDQN,CartPole-v1,9,1,100\n"
    "PPO,Acrobot-v1,-80,9,100\nA2C,CartPole-v1,70,1,100\n",
    "README.md": "| Environment | Algo | Mean reward |\n|---|---|---|\n| Acrobot-v1 | PPO | -80 ± 9 |\n"
    "| CartPole-v1 | PPO | 480.5 ± 12 |\n| CartPole-v1 | DQN | 9 ± 1 |\n| CartPole-v1 | A2C | 70 ± 1 |\n",
}


@pytest.mark.parametrize("path", TABLES)
def test_rows_of_tables_are_about_the_one_model_that_their_cells_describe(tmp_path: Path, path: str) -> None:
    models = {
        "models/ppo_cartpole_v1.zip": OF_CARTPOLE,
        "models/ppo_acrobot_v1.zip": {**PPO_ALONE, "observation_space": box(6), "action_space": discrete(3)},
        "models/dqn_cartpole_v1.zip": {**DQN_ALONE, "observation_space": box(4), "action_space": discrete(2)},
    }
    found = planned(Repository({path: TABLES[path]}, models).write(tmp_path / "mine"))
    said = {name: [claim.mean for claim in spec.claims] for name, spec in found.specs.items()}
    assert said == {
        "models/ppo_cartpole_v1": [480.5],
        "models/ppo_acrobot_v1": [-80.0],
        "models/dqn_cartpole_v1": [9.0],
    }


@pytest.mark.parametrize("row", ["A2C,CartPole-v1,480,12", "PPO with a trick,CartPole-v1,480,12", "PPO,Pong,480,12"])
def test_a_row_that_describes_no_model_or_several_is_no_claim(tmp_path: Path, row: str) -> None:
    table = f"algorithm,env,mean_reward,std\n{row}\n"
    models = {"models/ppo_cartpole_v1.zip": OF_CARTPOLE, "models/ppo_cartpole_v1_seed_2.zip": OF_CARTPOLE}
    found = planned(Repository({"results.csv": table}, models).write(tmp_path / "mine"))
    assert [spec.claims for spec in found.specs.values()] == [(), ()]


def test_what_the_only_model_earns_that_a_script_evaluates_is_in_the_file_that_it_writes(tmp_path: Path) -> None:
    script = """
import sys, gymnasium as gym
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
path = sys.argv[1] if len(sys.argv) > 1 else "models/last.zip"
model = PPO.load(path)
mean, std = evaluate_policy(model, gym.make("CartPole-v1"), n_eval_episodes=50)
with open("results.txt", "w") as file:
    file.write(f"Mean reward: {mean:.2f} +/- {std:.2f}")
"""
    files = {"eval.py": script, "results.txt": "Mean reward: 344.18 +/- 112.14\n", "notes.txt": "Mean reward: 500\n"}
    models = dict.fromkeys(("models/last.zip", "models/first.zip"), OF_CARTPOLE)
    found = planned(Repository(files, models).write(tmp_path / "mine"))
    said = {name: [claim.mean for claim in spec.claims] for name, spec in found.specs.items()}
    assert said == {"models/last": [344.18], "models/first": []}


def test_what_a_text_says_of_other_policies_or_of_several_models_is_no_claim(tmp_path: Path) -> None:
    readme = "A random policy has a mean reward of 22.1. The task is solved at an average reward of 475."
    assert claims(tmp_path, {"README.md": readme}) == []
    assert claims(tmp_path / "b", {"README.md": "Mean reward: 300\n\nMean reward: 400\n"}) == []
    assert claims(tmp_path / "c", {"README.md": "Mean reward: 300\n"}, "cart_agent", "another") == []


def test_the_curve_of_a_training_is_no_claim(tmp_path: Path) -> None:
    curve = '[{"step": 1, "mean_reward": 10}, {"step": 2, "mean_reward": 200}]'
    assert claims(tmp_path, {"curve.json": curve}) == []


@pytest.mark.parametrize(
    ("name", "mean"), [("ppo--224reward", -224.0), ("ppo_224.5_reward", 224.5), ("ppo-200reward", 200.0)]
)
def test_a_reward_in_a_name_is_a_claim_of_the_weakest_kind(tmp_path: Path, name: str, mean: float) -> None:
    assert claims(tmp_path, {}, name) == [("stated", mean, None, None)]


# --- Strangers -----------------------------------------------------------------------------------------------------

HOSTILE = {
    "no Python": "print 'of 2009'\n\x00",
    "levels": f"x = {'(' * 5000}1{')' * 5000}\n",
    "more levels": f"x = {'-' * 20_000}1\n",
    "growing texts": "x = 'a' * 9\n" + "x = x + x\n" * 200 + "from stable_baselines3 import PPO\nPPO('P', x).save(x)\n",
    "growing lists": "x = [1]\n" + "x = [*x, *x] + x + x\n" * 200,
    "loops in loops": "".join(f"{' ' * n}for i{n} in range(99):\n" for n in range(30)) + f"{' ' * 30}x = 1\n",
    "endless recursion": "def f(x):\n    return f(f(x))\nf(1)\nclass A(B):\n    pass\nclass B(A):\n    pass\nA().x\n",
    "imports itself": "import train\nfrom train import *\nfrom . import train\nfrom .. import nothing\n",
    "huge numbers": "x = 9 ** 9 ** 9 ** 9\ny = 10**1000 * 10**1000\nz = [0] * 10**12\n",
    "many branches": "".join(f"x{n} = {n}\nif x{n}:\n    x{n} = 'a'\n" for n in range(5000)),
    "a warning": "x = '\\d' is '\\d'\nassert (1, 'always')\n",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_script_of_any_kind_ends_nothing_and_says_nothing_on_the_console(
    kind: str, tmp_path: Path, recwarn: pytest.WarningsRecorder, capsys: pytest.CaptureFixture[str]
) -> None:
    good = "from stable_baselines3 import PPO\nPPO('MlpPolicy', 'CartPole-v1').save('model')\n"
    folder = Repository({"a.py": good, "train.py": HOSTILE[kind]}).write(tmp_path / "hostile")
    assert planned(folder).specs["model"].environment.env == "CartPole-v1"
    assert capsys.readouterr() == ("", "")
    assert not recwarn.list


def test_a_file_s_name_cannot_write_into_the_proposal(tmp_path: Path) -> None:
    name = "a\nexperiments: [{name: evil}]\n#.py"
    folder = Repository({name: SNAKE.replace("SnakeEnv", "B")}, {"best.zip": SPACES_OF_SNAKE}).write(tmp_path / "x")
    found = planned(folder)
    assert found.proposal.keys() <= {"runs", "python_path"}


def test_nothing_of_a_repository_is_run_before_its_owner_consents(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    script = f"open({str(mark)!r}, 'w').close()\n{SNAKE}\nmodel = 1\n"
    planned(Repository({"snake.py": script, "setup.py": script}, {"a.zip": SPACES_OF_SNAKE}).write(tmp_path / "x"))
    assert not mark.exists()
