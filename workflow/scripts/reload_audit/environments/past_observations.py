"""Wrappers that give a model observations as they were in an older version of its environment."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import TransformObservation

from reload_audit.causes.migrations import Ranges


def insert_zeros(env: gym.Env, at: Ranges) -> gym.Env:
    """Put zeros among an environment's observations, which are vectors, where an older version had further numbers.

    :param at: where the zeros are afterwards: pairs of the first index and the one after the last
    :raises ValueError: observations are no vectors, or too short for it
    """
    space = _vectors(env)
    size = space.shape[0] + sum(stop - start for start, stop in at)
    kept = ~_mask(size, at)

    def with_zeros(observation: np.ndarray) -> np.ndarray:
        values = np.zeros(size, dtype=space.dtype)
        values[kept] = observation
        return values

    low, high = np.full(size, -np.inf, dtype=space.dtype), np.full(size, np.inf, dtype=space.dtype)
    low[kept], high[kept] = space.low, space.high
    return TransformObservation(env, with_zeros, gym.spaces.Box(low, high, dtype=space.dtype.type))


def zero_observations(env: gym.Env, at: Ranges) -> gym.Env:
    """Replace some of an environment's observations, which are vectors, by zeros.

    :param at: which: pairs of the first index and the one after the last
    :raises ValueError: observations are no vectors, or too short for it
    """
    space = _vectors(env)
    zeroed = _mask(space.shape[0], at)
    return TransformObservation(env, lambda values: np.where(zeroed, 0, values).astype(space.dtype), space)


def _vectors(env: gym.Env) -> gym.spaces.Box:
    space = env.observation_space
    if not isinstance(space, gym.spaces.Box) or len(space.shape) != 1:
        raise ValueError(f"expected observations that are vectors, found {space!r:.200}")
    return space


def _mask(size: int, at: Ranges) -> np.ndarray:
    """Which of so many numbers lie in the ranges, shape ``(size,)``."""
    mask = np.zeros(size, dtype=bool)
    for start, stop in at:
        if not 0 <= start < stop <= size:
            raise ValueError(f"expected ranges within {size} numbers, found {[start, stop]}")
        mask[start:stop] = True
    return mask
