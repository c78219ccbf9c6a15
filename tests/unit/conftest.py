"""Holds tests in this folder to what its name says: no test here trains a model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest


def _refuse_to_train(*args: Any, **kwargs: Any) -> NoReturn:
    raise AssertionError("a test in tests/unit trains a model: move it to tests/integration")


@pytest.fixture(scope="module", autouse=True)
def _no_training() -> Iterator[None]:
    """Make ``learn`` of every algorithm raise, in test files whose imports bring Stable-Baselines3 along."""
    base_class = sys.modules.get("stable_baselines3.common.base_class")
    if base_class is None:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base_class.BaseAlgorithm, "_setup_learn", _refuse_to_train)  # `learn` itself is abstract
        yield
