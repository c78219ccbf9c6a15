"""The models that every contender evaluates: trained once by this workflow, laid out as each tool expects them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import processes


@dataclass(frozen=True)
class Recipe:
    """How models of an environment are trained: enough to do something there, not to be good.

    :param steps: environment steps
    :param hyperparams: arguments of PPO's constructor
    """

    env: str
    steps: int
    n_envs: int
    normalize: bool
    hyperparams: dict[str, Any]


RECIPES = {
    recipe.env: recipe
    for recipe in (
        Recipe("CartPole-v1", 40_000, 8, False, {"n_steps": 128, "batch_size": 128, "gamma": 0.98, "gae_lambda": 0.9}),
        Recipe("Pendulum-v1", 60_000, 4, False, {"n_steps": 512, "batch_size": 128, "gamma": 0.9, "n_epochs": 5}),
        Recipe("MountainCar-v0", 100_000, 16, True, {"n_steps": 16, "batch_size": 256, "gae_lambda": 0.98}),
        Recipe("LunarLander-v3", 60_000, 16, False, {"n_steps": 256, "batch_size": 256, "gamma": 0.999}),
    )
}


@dataclass(frozen=True)
class Model:
    """One model where each tool finds it.

    :param recorded: folder with the zip, its statistics, and the episodes of train time: the audit is bit by bit
    :param zoo: RL Zoo's folder of agents
    :param run: its number there
    """

    env: str
    recorded: Path
    zoo: Path
    run: int

    @property
    def path(self) -> Path:
        return self.recorded / "model.zip"

    @property
    def statistics(self) -> Path:
        """What VecNormalize learned; not there for a model that was trained without it."""
        return self.recorded / "vecnormalize.pkl"


def trained(env: str, count: int, folder: Path, cores: int, share: float = 1.0) -> list[Model]:
    """Models of an environment, trained unless they are there already.

    :param count: how many, each with a seed of its own
    :param share: of the steps of its recipe
    """
    steps = int(RECIPES[env].steps * share)
    here = folder / f"trained/{steps}/{env}"
    recorded = [here / f"results/trained/model-seed{seed}-n{RECIPES[env].n_envs}" for seed in range(count)]
    if not all((path / "manifest.json").exists() for path in recorded):
        here.mkdir(parents=True, exist_ok=True)
        (here / "config.yaml").write_text(json.dumps({"experiments": [_experiment(RECIPES[env], count, steps)]}))
        processes.run_all([processes.snakemake(cores, "config.yaml", "--until", "train")], 1, here / "log", here)
    zoo = folder / f"trained/{steps}/zoo"
    return [_laid_out(Model(env, path, zoo, index + 1)) for index, path in enumerate(recorded)]


def _experiment(recipe: Recipe, count: int, steps: int) -> dict[str, Any]:
    return {
        "name": "model",
        "algo": "PPO",
        "env": recipe.env,
        "seeds": list(range(count)),
        "n_envs": [recipe.n_envs],
        "normalize": recipe.normalize,
        "total_timesteps": steps,
        "hyperparams": {"learning_rate": 0.001, **recipe.hyperparams},
    }


def _laid_out(model: Model) -> Model:
    """Put a model where RL Zoo's ``enjoy`` looks for it: the same files, as links."""
    run = model.zoo / f"ppo/{model.env}_{model.run}"
    settings = run / model.env
    if not settings.exists():
        settings.mkdir(parents=True)
        os.link(model.path, run / f"{model.env}.zip")
        if model.statistics.exists():
            os.link(model.statistics, settings / "vecnormalize.pkl")
        (settings / "config.yml").write_text(f"normalize: {str(model.statistics.exists()).lower()}\n")
        (settings / "args.yml").write_text(f"algo: ppo\nenv: {model.env}\nenv_kwargs: null\n")
    return model


def copies(models: Sequence[Model], count: int, folder: Path) -> Path:
    """A folder with as many recordings, the models in turn: links to their files under other names."""
    shutil.rmtree(folder, ignore_errors=True)
    for index, model in enumerate(_in_turn(models, count)):
        copy = folder / f"{model.env}-{index:04d}"
        copy.mkdir(parents=True)
        for file in model.recorded.iterdir():
            os.link(file, copy / file.name)
    return folder


def _in_turn(models: Sequence[Model], count: int) -> Iterator[Model]:
    return (models[index % len(models)] for index in range(count))
