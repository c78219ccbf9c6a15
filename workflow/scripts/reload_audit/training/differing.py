"""Whether objects that have no name are of another content: functions, dataclasses, objects of the user's own."""

from __future__ import annotations

import contextlib
import functools
import random
import types
from collections.abc import Mapping, Sized
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from stable_baselines3.common.vec_env import VecEnv

_GENERATORS = (np.random.Generator, np.random.RandomState, random.Random, th.Generator)
_OF_EVERY_EPISODE = (gym.Env, gym.Space, VecEnv, *_GENERATORS)
"""What draws numbers, or is looked at as a layer of its own."""

_DEPTH = 4
"""Objects inside objects down to which contents are compared."""


def differs(held: Any, new: Any, other: Any, depth: int = _DEPTH) -> bool:
    """Whether something in an object is otherwise than in two new ones, which agree in it.

    What tells objects apart is their type, content and attributes; of functions, their code and what they enclose.

    :param depth: objects inside objects down to which they are compared
    """
    if held is new or type(new) is not type(other) or depth == 0 or isinstance(held, _OF_EVERY_EPISODE):
        return False
    if type(held) is not type(new):
        return True
    parts = [_parts(value) for value in (held, new, other)]
    if any(part is None for part in parts):
        return _equal(new, other) and not _equal(held, new)
    (of_held, of_new, of_other) = (part or {} for part in parts)
    if isinstance(new, Sized) and len(new) == len(other) != len(held):
        return True
    common = of_new.keys() & of_other.keys()
    return not common <= of_held.keys() or any(
        differs(of_held[key], of_new[key], of_other[key], depth - 1) for key in common
    )


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray | th.Tensor):
        return one.shape == other.shape and bool((one == other).all())
    with contextlib.suppress(Exception):  # of the user's own
        return bool(one == other)
    return False


def _parts(value: Any) -> Mapping[Any, Any] | None:
    """What an object consists of, by names or positions; None for one that has no parts."""
    if isinstance(value, np.ndarray | th.Tensor):
        return None
    if isinstance(value, Mapping):
        return value
    if isinstance(value, list | tuple):
        return dict(enumerate(value))
    if isinstance(value, types.FunctionType):
        enclosed = [cell.cell_contents for cell in value.__closure__ or ()]
        return {"code": value.__code__, "defaults": value.__defaults__, "enclosed": enclosed}
    if isinstance(value, types.MethodType):
        return {"function": value.__func__}
    if isinstance(value, functools.partial):
        return {"function": value.func, "args": value.args, "keywords": value.keywords}
    return getattr(value, "__dict__", None)
