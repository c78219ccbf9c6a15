"""What would run a repository's own code is asked once, with a configuration that answers it."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.published_layouts import PPO_SETTINGS
from support.repositories import (
    DQN_ALONE,
    OF_CARTPOLE,
    PPO_ALONE,
    SNAKE,
    SPACES_OF_SNAKE,
    Repository,
    box,
    discrete,
    notebook,
    planned,
)


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


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"size": 7}, "with size=5 (train.py:3), the audit with 7"),
        ({}, "with size=5 (train.py:3), the audit without it"),
        ({"size": 5}, ""),
    ],
)
def test_arguments_that_differ_from_those_of_the_scripts_are_remarked_on(
    tmp_path: Path, given: dict[str, int], said: str
) -> None:
    script = "from snake import SnakeEnv\nfrom stable_baselines3 import PPO\nit = PPO('MlpPolicy', SnakeEnv(size=5))\n"
    files = {"snake.py": SNAKE.replace("size=GRID", "size=9"), "train.py": f"{script}it.save('best')\n"}
    folder = Repository(files, {"best.zip": SPACES_OF_SNAKE}).write(tmp_path / "snake")
    entry = {"folder": str(folder), "env": "snake:SnakeEnv", "env_kwargs": given, "python_path": [str(folder)]}
    (model,) = planned(folder, runs=[entry]).specs.values()
    assert [said for said in model.remarks if "makes that environment" in said] == (
        [f"its repository makes that environment {said}"] if said else []
    )


def test_what_the_user_says_is_not_asked_of_the_repository(tmp_path: Path) -> None:
    folder = Repository({"snake.py": SNAKE}, {"best.zip": SPACES_OF_SNAKE}).write(tmp_path / "snake")
    found = planned(folder, runs=[{"folder": str(folder), "env": "CartPole-v1"}])
    assert found.specs["best"].environment.env == "CartPole-v1"


def test_a_module_that_a_cell_writes_is_what_other_notebooks_import(tmp_path: Path) -> None:
    files = {
        "1.ipynb": notebook(f"%%writefile snake_env.py\n{SNAKE}"),
        "2.ipynb": notebook(
            "from snake_env import SnakeEnv\nfrom stable_baselines3 import PPO",
            "model = PPO('MlpPolicy', SnakeEnv(size=5))\nmodel.save('model')",
        ),
    }
    found = planned(Repository(files, {"model.zip": SPACES_OF_SNAKE}).write(tmp_path / "mine"))
    (run,) = found.proposal["runs"]
    module = run["env"].partition(":")[0]
    assert run["env_kwargs"] == {"size": 5}
    taken_out = [Path(folder, f"{module}.py") for folder in found.proposal["python_path"]]
    assert ["class SnakeEnv" in file.read_text(encoding="utf-8") for file in taken_out if file.exists()] == [True]
