"""Say which observations no policy can act on, and why: the errors of PyTorch and SB3 do not name observations.

Nor do they say that a policy's own parameters are not finite, with which some policies act and others cannot.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm

PARAMETERS_NOT_FINITE = "parameters of its network are not finite numbers"


class UnusableObservation(RuntimeError):
    """An environment observed what no policy can act on."""


def check_usable(observations: Any, space: spaces.Space) -> None:
    """Check the observations of all slots.

    :param observations: as a VecEnv gives them
    :param space: of one slot
    :raises UnusableObservation: no policy can act on them
    """
    if said := unusable(observations, space):
        raise UnusableObservation(said)


def unusable(observations: Any, space: spaces.Space) -> str:
    """What :func:`check_usable` would say; empty where policies can act on the observations."""
    if isinstance(space, spaces.Dict):
        parts = {key: unusable(observations[key], part) for key, part in space.items()}
        return next((f"of {key!r}, {said}" for key, said in parts.items() if said), "")
    array = np.asarray(observations)
    if (number := not_finite(array)) is not None:
        return f"an observation holds {number}; expected finite numbers"
    if not isinstance(space, spaces.Discrete | spaces.MultiDiscrete) or array.dtype.kind not in "iu":
        return ""
    sizes = space.n if isinstance(space, spaces.Discrete) else space.nvec
    outside = (array < 0) | (array >= sizes)
    if not outside.any():
        return ""
    said = f"an observation is {array[outside][0]}; of {space}"
    if not np.any(space.start):
        return f"{said} expected 0 to {np.max(sizes) - 1}"
    return (
        f"{said} SB3 takes 0 to {np.max(sizes) - 1}, because it counts from 0 whatever `start` says: take `start` off "
        "the observations, in the environment or a gymnasium.ObservationWrapper, and out of its observation space"
    )


def parameters_are_finite(model: BaseAlgorithm) -> bool:
    """Whether all parameters of a model's policy are finite numbers."""
    return all(bool(th.isfinite(tensor).all()) for tensor in model.policy.parameters())


_FEW = 32
"""Numbers up to which Python looks at them in less time than a call of NumPy takes."""


def not_finite(values: Any) -> float | None:
    """The first number of an array, or of a dictionary of arrays, that is not finite; None where all are."""
    if isinstance(values, Mapping):
        return next((number for part in values.values() if (number := not_finite(part)) is not None), None)
    array = np.asarray(values)
    if array.dtype.kind != "f":
        return None
    few = array.size <= _FEW and array.itemsize <= 8  # training asks in every step, mostly of few numbers
    if few and math.isfinite(sum(array.ravel().tolist())):  # the largest ones have no finite sum either
        return None
    bad = array[~np.isfinite(array)]
    return float(bad[0]) if bad.size else None
