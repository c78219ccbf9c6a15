"""Environments that are reproducible, and do not keep to the observation space that they declare."""

from __future__ import annotations

import numpy as np

import faulty


class OutOfItsSpace(faulty.Field):
    """Observations are larger than the space says."""

    def observe(self) -> np.ndarray:
        return super().observe() + np.float32(20.0)


class OfAnotherType(faulty.Field):
    """Observations have twice the precision that the space says."""

    def observe(self) -> np.ndarray:
        return super().observe().astype(np.float64) + 1e-12
