"""What a run left beside its model, and its zip, tell what of a repository is about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from support.published_layouts import zoo_run
from support.repositories import PPO_ALONE, Repository, planned

GRID = """
import gymnasium as gym
class Grid(gym.Env):
    def __init__(self, size=9, slip=0.0):
        self.size = size
"""

FROM_ARGV = """
import os, sys
from stable_baselines3 import PPO
from grid import Grid
kwargs = dict(size=int(sys.argv[2]), slip=0.5)
PPO("MlpPolicy", Grid(**kwargs)).learn(100).save(os.path.join("runs", sys.argv[1], "model"))
"""


def kwargs_of(tmp_path: Path, files: dict[str, str], *models: str) -> dict[str, object]:
    """The arguments that are proposed, by the folders of the models."""
    found = planned(Repository({"grid.py": GRID, **files}, dict.fromkeys(models, PPO_ALONE)).write(tmp_path / "grids"))
    folder = f"{tmp_path}/grids/"
    return {run["folder"].removeprefix(folder): run.get("env_kwargs", {}) for run in found.proposal["runs"]}


@pytest.mark.parametrize(
    "settings",
    [
        {"env": "Grid", "env_kwargs": {"size": 4}, "seed": 0},
        {"env": {"id": "Grid", "kwargs": {"size": 4}}},
        {"environment": {"name": "Grid", "size": 4}, "algo": {"n_steps": 64}},
        {"size": {"desc": None, "value": 4}, "lr": {"desc": None, "value": 0.1}},
    ],
    ids=["kwargs", "nested", "flat", "as Weights & Biases writes it"],
)
def test_settings_that_no_script_reads_say_the_arguments_of_the_environment_beside_them(
    tmp_path: Path, settings: dict[str, object]
) -> None:
    files = {
        "train.py": FROM_ARGV,
        "runs/small/config.yml": yaml.safe_dump(settings),
        "runs/large/config.yml": yaml.safe_dump(settings).replace("4", "7"),
    }
    found = kwargs_of(tmp_path, files, "runs/small/model.zip", "runs/large/model.zip")
    assert found == {"runs/large": {"size": 7, "slip": 0.5}, "runs/small": {"size": 4, "slip": 0.5}}


def test_settings_beside_a_model_name_no_objects(tmp_path: Path) -> None:
    settings = yaml.safe_dump({"env_kwargs": {"size": {"object": "os:system"}}})
    files = {"grid.py": GRID, "train.py": FROM_ARGV, "runs/a/config.yml": settings}
    found = planned(Repository(files, {"runs/a/model.zip": PPO_ALONE}).write(tmp_path / "grids"))
    assert "object" not in found.proposed


def test_what_a_script_is_told_by_its_command_alone_is_left_open(tmp_path: Path) -> None:
    files = {"grid.py": GRID, "train.py": FROM_ARGV}
    found = planned(Repository(files, {"runs/a/model.zip": PPO_ALONE}).write(tmp_path / "grids"))
    assert "env: grid:Grid  # train.py:6" in found.sources()
    assert "# not a plain value: argument size (train.py:6)" in found.proposed


def test_settings_of_a_run_s_name_are_those_it_was_started_with(tmp_path: Path) -> None:
    script = """
import json, sys
from pathlib import Path
import stable_baselines3
import tasks
class Run:
    def __init__(self, path):
        self.cfg, self.name = json.loads(Path(path).read_text()), Path(path).stem
        self.env = tasks.TASKS[self.cfg["task"]](**self.cfg["env_args"])
    def run(self):
        model = getattr(stable_baselines3, self.cfg["algo"])("MlpPolicy", self.env)
        model.learn(100)
        model.save(f"outputs/{self.name}/policy")
if __name__ == "__main__":
    Run(sys.argv[1]).run()
"""
    files = {
        "tasks.py": f"{GRID}class Maze(Grid):\n    pass\nTASKS = {{'grid': Grid, 'maze': Maze}}\n",
        "run.py": script,
        **{
            f"experiments/{task}_ppo.json": json.dumps({"task": task, "algo": "PPO", "env_args": {"size": size}})
            for task, size in (("grid", 3), ("maze", 4))
        },
    }
    models = {f"outputs/{task}_ppo/policy.zip": PPO_ALONE for task in ("grid", "maze")}
    found = planned(Repository(files, models).write(tmp_path / "lab"))
    assert [(run["env"], run["env_kwargs"]) for run in found.proposal["runs"]] == [
        ("tasks:Grid", {"size": 3}),
        ("tasks:Maze", {"size": 4}),
    ]


def trained_by(size: int, steps: int) -> str:
    return f"""
from stable_baselines3 import PPO
from grid import Grid
PPO("MlpPolicy", Grid(size={size}), n_steps={steps}, learning_rate=1e-3).learn(100).save("model")
"""


def test_of_two_scripts_the_one_trained_a_model_that_gives_its_algorithm_what_the_zip_says(tmp_path: Path) -> None:
    files = {"grid.py": GRID, "old.py": trained_by(3, 64), "train.py": trained_by(4, 128)}
    saved = {**PPO_ALONE, "n_steps": 128, "learning_rate": 0.001}
    found = planned(Repository(files, {"model.zip": saved}).write(tmp_path / "grids"))
    assert found.proposal["runs"][0]["env_kwargs"] == {"size": 4}
    assert "or, as another part" not in found.proposed


def test_a_script_that_cannot_have_trained_a_model_as_it_is_now_is_doubted_in_its_report(tmp_path: Path) -> None:
    files = {"grid.py": GRID, "train.py": trained_by(4, 128)}
    repository = Repository(files, {"model.zip": {**PPO_ALONE, "n_steps": 64}}).write(tmp_path / "grids")
    found = planned(repository, **planned(repository).proposal)
    assert any("train.py:4 gives n_steps 128, in its zip 64" in remark for remark in found.specs["model"].remarks)


def test_the_result_of_a_trial_of_a_study_is_that_of_its_model_alone(tmp_path: Path) -> None:
    files = {
        "train.py": "import gymnasium as gym\nfrom stable_baselines3 import PPO\nPPO('MlpPolicy', 'CartPole-v1')\n"
    }
    files |= {f"study/trial_{n}/result.json": json.dumps({"value": float(n), "params": {}}) for n in (1, 10)}
    models = {f"study/trial_{n}/model.zip": PPO_ALONE for n in (1, 10)}
    found = planned(Repository(files, models).write(tmp_path / "tuned"))
    said = {name: [(claim.kind, claim.mean) for claim in spec.claims] for name, spec in found.specs.items()}
    assert said == {"study/trial_1/model": [("stated", 1.0)], "study/trial_10/model": [("stated", 10.0)]}


def test_an_id_that_a_run_of_rl_zoo_names_and_its_repository_registers_is_asked_for_with_its_module(
    tmp_path: Path,
) -> None:
    registering = (
        'import gymnasium\ngymnasium.register("Grid-v0", entry_point="grids.grid:Grid", max_episode_steps=9)\n'
    )
    folder = Repository({"grids/__init__.py": registering, "grids/grid.py": GRID}, {}).write(tmp_path / "zoo")
    zoo_run(folder / "logs/ppo/Grid-v0_1", env="Grid-v0", args={"env_kwargs": {"size": 4}})
    found = planned(folder)
    (run,) = found.proposal["runs"]
    assert (run["env"], found.proposal["python_path"]) == ("grids:Grid-v0", [str(folder)])
    accepted = planned(folder, **found.proposal).specs["logs/ppo/Grid-v0_1"].environment
    assert (accepted.env, accepted.env_kwargs) == ("grids:Grid-v0", {"size": 4})
    trusted = planned(folder, trust=["grids"], python_path=[str(folder)])
    assert trusted.specs["logs/ppo/Grid-v0_1"].environment.env == "Grid-v0"
