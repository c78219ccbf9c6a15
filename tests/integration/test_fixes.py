"""A printed fix, pasted into a script that has a trained model at hand, runs and does what it is for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import planted
import pytest
import torch
from gymnasium.envs.classic_control import CartPoleEnv
from sb3_contrib import MaskablePPO, RecurrentPPO
from stable_baselines3 import PPO
from stable_baselines3.common import vec_env
from stable_baselines3.common.env_util import make_vec_env

from reload_audit.causes.catalogue import CAUSES


class Progresses(planted.Draws):
    def __init__(self, soil: int = 0) -> None:
        self.soil = soil


ENVS: dict[str, Callable[..., gym.Env]] = {
    "CartPole-v1": CartPoleEnv,
    "Progresses-v0": Progresses,
    "Continuous-v0": planted.Continuous,
    "Masked-v0": planted.Masked,
    "Whole-v0": planted.Images,
}

IN_ENV = {
    "curriculum": "Progresses-v0",
    "env-kwargs": "Progresses-v0",
    "action-space-rescaled": "Continuous-v0",
    "observation-dtype": "Whole-v0",
}

DETAILS: dict[str, dict[str, Any]] = {
    "curriculum": {"attribute": "soil"},
    "env-kwargs": {"env_kwargs": {"soil": 7}},
    "action-space-rescaled": {"low": -1.0, "high": [0.5]},
    "time-limit": {"max_episode_steps": 50},
    "observation-dtype": {"dtype": "float32"},
    "policy-mode": {"deterministic": False},
    "statistics-missing": {"file": "saved.pkl"},
}

EFFECTS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "curriculum": lambda made: made["venv"].get_attr("soil") == [5],
    "env-kwargs": lambda made: made["venv"].get_attr("soil") == [7],
    "time-limit": lambda made: made["venv"].get_attr("_max_episode_steps") == [50],
    "action-space-rescaled": lambda made: (made["env"].action_space.low, made["env"].action_space.high) == (-1.0, 0.5),
    "frame-stack-missing": lambda made: made["venv"].observation_space.shape == (16,),
    "observation-dtype": lambda made: made["env"].observation_space.dtype == np.float32,
    "statistics-missing": lambda made: (
        not (made["venv"].training or made["venv"].norm_reward) and made["venv"].obs_rms.count > 30
    ),
    "statistics-of-another-checkpoint": lambda made: (
        Path("best/vecnormalize.pkl").exists() and len(list(Path("checkpoints").glob("*.pkl"))) == 2
    ),
    "statistics-swapped": lambda made: made["venv"].obs_rms.mean.tolist() == made["trained"].obs_rms.var.tolist(),
    "training-mode": lambda made: made["eval_venv"].obs_rms.mean.tolist() == made["trained"].obs_rms.mean.tolist(),
    "training-episodes": lambda made: Path("models/robot/manifest.json").exists(),
    "short-episode-bias": lambda made: made["mean_reward"] > 5,
}


@pytest.fixture(scope="module")
def trained_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PPO, vec_env.VecNormalize]]:
    torch.set_num_threads(1)
    for name, entry_point in ENVS.items():
        if name not in gym.registry:
            gym.register(name, entry_point=entry_point)
    venv = vec_env.VecNormalize(make_vec_env("CartPole-v1", n_envs=2))
    model = PPO("MlpPolicy", venv, n_steps=32, batch_size=32, n_epochs=1, device="cpu").learn(128)
    yield model, venv
    for name in set(ENVS) - {"CartPole-v1"}:
        del gym.registry[name]


@pytest.fixture
def script_names(
    request: pytest.FixtureRequest, trained_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """The variables of a script into which a fix is pasted; it has imported nothing that the fix needs."""
    monkeypatch.chdir(tmp_path)
    model, venv = trained_model
    observation = venv.reset()
    for file in ("model.zip", "best_model.zip"):
        model.save(file)
    venv.save("vecnormalize.pkl")
    observations = np.zeros((3, 4), np.float32)
    available = {
        "model": PPO.load("model.zip", env=venv),
        "venv": venv,
        "trained": venv,
        "observation": observation,
        "eval_venv": vec_env.VecNormalize(make_vec_env("CartPole-v1", n_envs=2), training=False, norm_reward=False),
        "observations": observations,
        "actions_in_training": model.predict(observations, deterministic=True)[0],
    }
    return available | CIRCUMSTANCES.get(request.node.callspec.params["name"], dict)()


def _masked() -> dict[str, Any]:
    venv = make_vec_env("Masked-v0", n_envs=2)
    return {"venv": venv, "model": MaskablePPO("MlpPolicy", venv, n_steps=32), "observation": venv.reset()}


def _recurrent() -> dict[str, Any]:
    venv = make_vec_env("CartPole-v1", n_envs=2)
    return {"venv": venv, "model": RecurrentPPO("MlpLstmPolicy", venv, n_steps=32)}


CIRCUMSTANCES: dict[str, Callable[[], dict[str, Any]]] = {
    "curriculum": lambda: {"venv": make_vec_env("Progresses-v0", env_kwargs={"soil": 5})},
    "statistics-missing": lambda: {"model": PPO.load("model.zip")},
    "action-masks-missing": _masked,
    "recurrent-state-dropped": _recurrent,
}

SMALLER = {"100_000": "128", "10_000": "32", "n_eval_episodes=400": "n_eval_episodes=8", "range(1000)": "range(20)"}
SMALLER |= {"n_eval_episodes=100": "n_eval_episodes=4", "SaveStatistics())": "SaveStatistics(), eval_freq=32)"}


def _defines_methods_of_an_environment(fix: str) -> bool:
    return re.search(r"^def \w+\(self", fix, re.MULTILINE) is not None


SCRIPTS = [
    name
    for name, cause in CAUSES.items()
    if cause.language == "python" and (name == "curriculum" or not _defines_methods_of_an_environment(cause.fix))
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "of_class"),
    [(name, of_class) for name in SCRIPTS for of_class in (False, True) if not of_class or "$env_" in CAUSES[name].fix],
)
def test_a_fix_runs_as_it_is_printed_and_brings_its_imports(name, of_class, script_names):
    env = IN_ENV.get(name, "CartPole-v1")
    made = ENVS[env]
    imported = {"env_code": made.__name__, "env_import": f"from {made.__module__} import {made.__name__}"}
    details = imported if of_class else {"env_code": f'"{env}"'}
    fix = CAUSES[name].fix_with({"file": "vecnormalize.pkl", **details, **DETAILS.get(name, {})})
    fix = fix[fix.find("# ... save") :] if name == "curriculum" else fix
    for written, smaller in SMALLER.items():
        fix = fix.replace(written, smaller)
    exec(fix, script_names)  # noqa: S102
    assert EFFECTS.get(name, lambda _: True)(script_names)
