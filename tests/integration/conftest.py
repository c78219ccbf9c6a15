"""Saved models that several files of tests change, damage or fill with hostile pickles."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

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


@pytest.fixture
def within_half_a_minute() -> Iterator[None]:
    """Fails if the test takes more than half a minute of processor time."""
    start = time.process_time()
    yield
    assert time.process_time() - start < 30
