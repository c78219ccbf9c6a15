"""What scripts are told when they are started: files of settings, options, Hydra, what runs left beside a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.published_layouts import text
from support.repositories import OF_CARTPOLE, PPO_ALONE, Repository, planned

MAZE = "import gymnasium as gym\nclass Maze(gym.Env):\n    def __init__(self, size=9):\n        self.size = size\n"

FROM_A_FILE = """
import argparse, yaml
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from maze import Maze
parser = argparse.ArgumentParser()
parser.add_argument("--config"{default})
args = parser.parse_args()
with open(args.config) as file:
    cfg = yaml.safe_load(file)
model = PPO("MlpPolicy", make_vec_env(Maze, n_envs=2, env_kwargs=cfg["env"]))
model.learn(cfg["steps"])
model.save(f"models/{{cfg['name']}}")
"""

OF_HYDRA = """
import hydra
from omegaconf import OmegaConf
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from maze import Maze
@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    venv = make_vec_env(Maze, n_envs=cfg.n_envs, env_kwargs=OmegaConf.to_container(cfg.env))
    model = PPO("MlpPolicy", venv, seed=cfg.seed)
    model.learn(100)
    model.save("model")
if __name__ == "__main__":
    main()
"""

OF_OPTIONS = """
import argparse, json, os
from stable_baselines3 import PPO
from maze import Maze
parser = argparse.ArgumentParser()
parser.add_argument("--size", type=int, default=9)
parser.add_argument("--out", default="runs")
args = parser.parse_args()
model = PPO("MlpPolicy", Maze(size=args.size))
model.learn(100)
model.save(os.path.join(args.out, "model"))
json.dump(vars(args), open(os.path.join(args.out, "args.json"), "w"))
"""

OF_CLICK = """
import click
from stable_baselines3 import PPO
from maze import Maze
@click.command()
@click.option("--size", "-s", default=4)
@click.option("--save-to", default="model", help="where to")
def main(size, save_to):
    model = PPO("MlpPolicy", Maze(size))
    model.learn(100)
    model.save(save_to)
if __name__ == "__main__":
    main()
"""


def sizes(tmp_path: Path, files: dict[str, str], *models: str) -> dict[str, object]:
    """For each folder or model in a proposal the size of its maze."""
    folder = Repository({"maze.py": MAZE, **files}, dict.fromkeys(models, PPO_ALONE)).write(tmp_path / "mazes")
    found = planned(folder)
    assert "not a plain value" not in found.proposed
    assert "or, as another part" not in found.proposed
    entries = found.proposal["runs"]
    if len(entries) == 1:
        return dict.fromkeys(models, entries[0].get("env_kwargs", {}).get("size"))
    sizes = {}
    for entry in entries:
        for model in models:
            path = folder / model
            excluded = [f"{entry['folder']}/{pattern}" for pattern in entry.get("exclude", [])]
            if str(path).startswith(f"{entry['folder']}/") and str(path) not in excluded:
                sizes[model] = entry["env_kwargs"]["size"]
    return sizes


@pytest.mark.parametrize("default", [", required=True", ', default="configs/small.yaml"'])
def test_a_script_is_followed_with_each_file_of_settings_that_it_may_be_started_with(
    tmp_path: Path, default: str
) -> None:
    files = {
        "train.py": FROM_A_FILE.format(default=default),
        "configs/small.yaml": "name: small\nsteps: 10\nenv: {size: 3}\n",
        "configs/large.yaml": "name: large\nsteps: 10\nenv: {size: 30}\n",
    }
    found = sizes(tmp_path, files, "models/small.zip", "models/large.zip")
    assert found == {"models/small.zip": 3, "models/large.zip": 30}


def test_a_configuration_of_hydra_is_put_together_from_its_groups(tmp_path: Path) -> None:
    files = {
        "train.py": OF_HYDRA,
        "conf/config.yaml": "defaults:\n  - _self_\n  - env: wide\nn_envs: 4\nseed: 1\n",
        "conf/env/wide.yaml": "size: 20\n",
        "conf/env/narrow.yaml": "size: 2\n",
    }
    assert sizes(tmp_path, files, "outputs/2024-05-01/10-00-00/model.zip") == {
        "outputs/2024-05-01/10-00-00/model.zip": 20
    }


def test_what_hydra_wrote_into_a_run_counts_more_than_what_is_usual(tmp_path: Path) -> None:
    files = {"train.py": OF_HYDRA, "conf/config.yaml": "n_envs: 4\nseed: 1\nenv: {size: 20}\n"}
    runs = {"outputs/one": 5, "outputs/two": 6}
    for run, size in runs.items():
        files[f"{run}/.hydra/config.yaml"] = f"n_envs: 4\nseed: 1\nenv: {{size: {size}}}\n"
        files[f"{run}/.hydra/overrides.yaml"] = f"- env.size={size}\n"
    found = sizes(tmp_path, files, *(f"{run}/model.zip" for run in runs))
    assert found == {f"{run}/model.zip": size for run, size in runs.items()}


@pytest.mark.parametrize("name", ["args.json", "config.yaml", "params.json", "model_config.json"])
def test_options_that_a_run_left_beside_its_model_are_those_it_was_started_with(tmp_path: Path, name: str) -> None:
    files = {"train.py": OF_OPTIONS}
    for run, size in (("a", 3), ("b", 4)):
        files[f"runs/{run}/{name}"] = f'{{"size": {size}, "out": "runs/{run}"}}'
    found = sizes(tmp_path, files, "runs/a/model.zip", "runs/b/model.zip")
    assert found == {"runs/a/model.zip": 3, "runs/b/model.zip": 4}


def test_settings_far_from_a_model_are_not_those_of_its_run(tmp_path: Path) -> None:
    files = {"train.py": OF_OPTIONS, "runs/a/args.json": '{"size": 3, "out": "runs/a"}'}
    folder = Repository({"maze.py": MAZE, **files}, {"runs/b/model.zip": PPO_ALONE}).write(tmp_path / "mazes")
    assert planned(folder).proposal["runs"][0]["env_kwargs"] == {"size": 9}


def test_options_of_click_have_the_values_that_they_have_by_default(tmp_path: Path) -> None:
    assert sizes(tmp_path, {"train.py": OF_CLICK}, "model.zip") == {"model.zip": 4}


def test_very_many_files_of_settings_are_followed_within_one_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reload_audit.reading.limits.SCRIPT_STEPS", 2_000)
    folder = Repository({"maze.py": MAZE, "train.py": FROM_A_FILE.format(default="")}).write(tmp_path / "mazes")
    for number in range(200):
        text(folder / f"configs/{number}.yaml", f"name: model\nsteps: 10\nenv: {{size: {number}}}\n")
    found = planned(folder)
    assert 1 < found.proposed.count("env_kwargs") <= 9


def test_options_are_those_that_a_path_and_a_zip_tell(tmp_path: Path) -> None:
    script = """
import argparse, os
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.callbacks import CheckpointCallback
from stable_baselines3.common.env_util import make_vec_env
parser = argparse.ArgumentParser()
parser.add_argument("--algo", choices=["ppo", "a2c"], default="ppo")
parser.add_argument("--env", default="CartPole-v1")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
folder = os.path.join("runs", f"{args.algo}-{args.env}-s{args.seed}")
model = {"ppo": PPO, "a2c": A2C}[args.algo]("MlpPolicy", make_vec_env(args.env, n_envs=3))
model.learn(100, callback=CheckpointCallback(10, os.path.join(folder, "steps"), name_prefix="net"))
model.save(os.path.join(folder, "final"))
"""
    a2c = {"ent_coef": 0.0, "vf_coef": 0.5, "gae_lambda": 1.0, "use_rms_prop": True}
    models = {"runs/ppo-CartPole-v1-s0/final.zip": PPO_ALONE, "runs/a2c-Acrobot-v1-s2/steps/net_50_steps.zip": a2c}
    found = planned(Repository({"train.py": script}, models).write(tmp_path / "thesis"))
    run = {name: (spec.algo, spec.environment.env, spec.n_envs) for name, spec in found.specs.items()}
    assert run == {
        "runs/ppo-CartPole-v1-s0/final": ("PPO", "CartPole-v1", 3),
        "runs/a2c-Acrobot-v1-s2/steps/net_50_steps": ("A2C", "Acrobot-v1", 3),
    }


def test_settings_that_omegaconf_merges_and_fills_in_are_followed(tmp_path: Path) -> None:
    script = """
import sys
import stable_baselines3 as sb3
from omegaconf import OmegaConf
from maze import Maze
ENVS = {"maze": Maze}
cfg = OmegaConf.merge(OmegaConf.load("conf/base.yaml"), OmegaConf.load("conf/mine.yaml"))
if len(sys.argv) > 1:
    cfg = OmegaConf.merge(cfg, OmegaConf.load(sys.argv[1]))
model = getattr(sb3, cfg.algo)("MlpPolicy", ENVS[cfg.env.name](**cfg.env.params))
model.save(f"{cfg.out}/model")
"""
    files = {
        "maze.py": MAZE,
        "train.py": script,
        "conf/base.yaml": "algo: PPO\nenv:\n  name: maze\n  params: {size: 3}\nout: 'out/${env.name}'\n",
        "conf/mine.yaml": "env: {params: {size: 4}}\n",
    }
    folder = Repository(files, {"out/maze/model.zip": PPO_ALONE}).write(tmp_path / "merged")
    (run,) = planned(folder).proposal["runs"]
    assert (run["env"], run["env_kwargs"]) == ("maze:Maze", {"size": 4})


def test_models_of_pydantic_and_toml_are_followed(tmp_path: Path) -> None:
    settings = """
import tomllib
from pydantic import BaseModel
class EnvSettings(BaseModel):
    size: int = 3
    id: str = "none"
class Settings(BaseModel):
    env: EnvSettings = EnvSettings()
    out: str = "weights"
    @classmethod
    def read(cls, path):
        with open(path, "rb") as file:
            return cls.model_validate(tomllib.load(file))
"""
    script = """
from stable_baselines3 import PPO
from maze import Maze
from settings import Settings
cfg = Settings.read("config.toml")
PPO("MlpPolicy", Maze(size=cfg.env.size)).save(f"{cfg.out}/{cfg.env.id}")
"""
    files = {
        "maze.py": MAZE,
        "settings.py": settings,
        "train.py": script,
        "config.toml": "out = 'models'\n[env]\nsize = 6\n",
    }
    folder = Repository(files, {"models/none.zip": PPO_ALONE}).write(tmp_path / "pydantic")
    (run,) = planned(folder).proposal["runs"]
    assert (run["env"], run["env_kwargs"]) == ("maze:Maze", {"size": 6})


@pytest.mark.parametrize("config", ["wandb.config", "run.config"])
def test_the_settings_of_a_run_of_wandb_are_those_that_it_left(tmp_path: Path, config: str) -> None:
    script = f"""
import gymnasium as gym, wandb
from stable_baselines3 import PPO
run = wandb.init(project="sb3", config=dict(env_name="Acrobot-v1", steps=64))
config = {config}
model = PPO("MlpPolicy", gym.make(config.env_name)).learn(config["steps"])
model.save(f"models/{{run.id}}/model")
"""
    left = "env_name:\n  desc: null\n  value: CartPole-v1\nsteps:\n  desc: null\n  value: 64\n"
    files = {"train.py": script, "wandb/run-20240301_101010-k3j2h1g0/files/config.yaml": left}
    models = {"models/k3j2h1g0/model.zip": OF_CARTPOLE}
    (spec,) = planned(Repository(files, models).write(tmp_path / "mine")).specs.values()
    assert spec.environment.env == "CartPole-v1"
