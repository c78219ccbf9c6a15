"""Saved models that several files of tests load, change, damage or fill with hostile pickles."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from boiler import Boiler
from support.observed_scripts import copied
from support.tiny_models import save_tiny_model


@pytest.fixture(scope="module")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``PPO.zip`` and ``SAC.zip``, and the statistics of each as ``.pkl``."""
    folder = tmp_path_factory.mktemp("models")
    for algo in ("PPO", "SAC"):
        save_tiny_model(folder / f"{algo}.zip", algo)
    return folder


@pytest.fixture(scope="module")
def model_bytes(tiny_models: Path) -> bytes:
    """The content of ``PPO.zip``."""
    return (tiny_models / "PPO.zip").read_bytes()


@pytest.fixture(scope="module")
def small_boiler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small model of the boiler and its statistics, of which every test gets a copy."""
    folder = tmp_path_factory.mktemp("boiler")
    venv = VecNormalize(make_vec_env(Boiler, n_envs=2, seed=0), gamma=0.9)
    model = PPO("MlpPolicy", venv, gamma=0.9, n_steps=32, batch_size=64, n_epochs=1, seed=0).learn(64)
    model.save(folder / "boiler.zip")
    venv.save(str(folder / "boiler.pkl"))
    return folder


@pytest.fixture
def boiler(small_boiler: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small model of the boiler and its statistics, and nothing else."""
    return copied(small_boiler, tmp_path_factory)


@pytest.fixture
def within_half_a_minute() -> Iterator[None]:
    """Fails if the test takes more than half a minute of processor time."""
    start = time.process_time()
    yield
    assert time.process_time() - start < 30
