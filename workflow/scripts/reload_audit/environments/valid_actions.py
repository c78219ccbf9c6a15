"""Draw random actions, only valid ones where an environment masks its actions."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces


def can_be_masked(space: spaces.Space) -> bool:
    """Whether MaskablePPO takes masks for such actions. An environment may have masks for a variant of it alone."""
    return isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary)


def sample_valid(space: spaces.Space, mask: np.ndarray) -> Any:
    """A random action that a mask allows.

    :param mask: as sb3-contrib has it: a number for each choice, those of all parts of an action one after the other
    """
    flags = np.asarray(mask, dtype=np.int8)
    if isinstance(space, spaces.MultiDiscrete):
        return space.sample(mask=tuple(np.split(flags, np.cumsum(space.nvec)[:-1])))
    if isinstance(space, spaces.MultiBinary):
        # sb3-contrib gives a pair (may be 0, may be 1) for each bit; Gymnasium one number, 2 where both may be
        pairs = flags.reshape(-1, 2)
        return space.sample(mask=np.where(pairs.all(axis=1), 2, pairs[:, 1]).astype(np.int8))
    return space.sample(mask=flags)
