"""Environments that are reproducible, and leave their observation space, or their folder."""

from __future__ import annotations

import os

import numpy as np
import planted

import faulty


class OutOfItsSpace(faulty.Field):
    """Observations are larger than the space says."""

    def observe(self) -> np.ndarray:
        return super().observe() + np.float32(20.0)


class OfAnotherType(faulty.Field):
    """Observations have twice the precision that the space says."""

    def observe(self) -> np.ndarray:
        return super().observe().astype(np.float64) + 1e-12


class GoesElsewhere(planted.Draws):
    """Works in a folder of its own, as simulators do, and cannot be closed."""

    def __init__(self) -> None:
        os.chdir("/")

    def close(self) -> None:
        raise ConnectionError("the simulator has ended")
