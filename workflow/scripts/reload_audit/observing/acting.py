"""How policies act: which actions an algorithm's policy can give, and whether those are the ones that are taken."""

from __future__ import annotations

import contextlib
import functools
import inspect
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from sb3_contrib.ars.policies import ARSPolicy
from sb3_contrib.qrdqn.policies import QRDQNPolicy, QuantileNetwork
from stable_baselines3 import DQN, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.dqn.policies import DQNPolicy, QNetwork
from stable_baselines3.td3.policies import Actor, TD3Policy

from reload_audit.observing.tracking import Acting, numbers

PARTS = "parts of the policy"
"""How a script asks for actions that it computes itself from what a policy's distribution or network returns."""

DISTRIBUTION = "the policy's distribution"
"""How a script asks for actions that it takes from the distribution of the policy."""

_UNCHANGING = (int, float, np.generic)

_MAY_DROP = (torch.nn.RNNBase, torch.nn.MultiheadAttention)
"""Layers that ask for their mode only to drop some of what they compute, as far as they are told to."""

_ALWAYS_DETERMINISTIC = (ARSPolicy, QRDQNPolicy, QuantileNetwork, DQNPolicy, QNetwork, Actor, TD3Policy, TD3)

_ONE_MODE: dict[tuple[type, type | None], bool] = {}
"""What :func:`has_one_mode` found, by the classes of an actor and of its policy. Every step asks for it."""


def has_one_mode(actor: Any, *, of_model: bool) -> bool:
    """Whether a model, or a policy, gives the same actions with ``deterministic=True`` and ``deterministic=False``.

    The policies of DQN and TD3 have no other actions; ``predict`` of a DQN model adds exploration.

    :param of_model: whether ``actor`` is a model
    """
    kinds = (type(actor), type(actor.policy) if of_model else None)
    found = _ONE_MODE.get(kinds)
    if found is None:
        explores = of_model and (isinstance(actor, DQN) or hasattr(actor, "exploration_rate"))
        fixed = any(kind is not None and issubclass(kind, _ALWAYS_DETERMINISTIC) for kind in kinds)
        found = _ONE_MODE[kinds] = fixed and not explores
    return found


@functools.cache
def _has_modes(policy: torch.nn.Module) -> bool:
    """Whether a network computes something else in training mode, as one with dropout or batch normalisation does."""
    return any(map(_has_mode, policy.modules()))


def _has_mode(layer: torch.nn.Module) -> bool:
    """Whether a layer asks for its mode where it computes something."""
    if isinstance(layer, _MAY_DROP):
        return layer.dropout > 0.0
    code = getattr(inspect.getattr_static(type(layer), "forward"), "__code__", None)  # none of a compiled one
    return code is not None and "training" in code.co_names


def is_as_in_training(policy: Any) -> bool:
    """Whether a policy's network is in training mode, and computes something else there than in evaluation mode."""
    return isinstance(policy, torch.nn.Module) and policy.training and _has_modes(policy)


def is_traced(observation: Any) -> bool:
    """Whether a policy is only called for a graph of what it computes, as ``torch.jit.trace`` does for an export."""
    is_tracing = torch.jit.is_tracing()  # type: ignore[attr-defined]
    return is_tracing or torch.compiler.is_compiling() or isinstance(observation, torch.fx.Proxy)


def as_array(observation: Any) -> Any:
    """An observation, or those of a dictionary, as arrays of NumPy."""
    if isinstance(observation, dict):
        return {key: as_array(value) for key, value in observation.items()}
    return observation.detach().cpu().numpy() if hasattr(observation, "detach") else observation


def as_it_is_now(value: Any) -> Any:
    """A copy of an action, or of what a policy returned, which stays as it is where a script writes into it."""
    if isinstance(value, _UNCHANGING):
        return value
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: as_it_is_now(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        parts = map(as_it_is_now, value)
        return list(parts) if isinstance(value, list) else tuple(parts)
    return value


def as_numbers(action: Any, n_envs: int | None) -> tuple[float, ...] | None:
    """An action, or the first of those side by side, as numbers; None where it is no such thing.

    :param n_envs: how many are side by side; None for a single one
    """
    given = as_array(action)
    if isinstance(given, list | tuple):
        with contextlib.suppress(TypeError, ValueError, RuntimeError):  # parts of several shapes, or of a graph
            given = np.asarray(given)
    return numbers(given, n_envs)


def are_equal(action: Any, other: Any) -> bool:
    """Whether two actions are the same, number for number."""
    if isinstance(action, dict) and isinstance(other, dict):
        return action.keys() == other.keys() and all(are_equal(action[key], other[key]) for key in action)
    if isinstance(action, tuple) and isinstance(other, tuple):
        return len(action) == len(other) and all(map(are_equal, action, other))
    return np.array_equal(as_array(action), as_array(other))


def is_squashed(model: BaseAlgorithm, space: spaces.Box) -> bool:
    """Whether a policy gives actions in [-1, 1] for a space with other bounds."""
    unit = (space.low == -1).all() and (space.high == 1).all()
    return bool(getattr(model.policy, "squash_output", False)) and not unit


def is_answer(action: Any, answer: Any, row: int | None = None) -> bool:
    """Whether an action is, number for number, what a policy returned.

    :param row: of the answer, where that is of several environments; None for all of it
    """
    if action is answer and row is None:
        return True
    if type(action) is int and isinstance(answer, np.ndarray) and row is None:
        return answer.size == 1 and action == answer.item()  # what most scripts do, and every step asks
    given = as_array(answer[0] if isinstance(answer, tuple) else answer)
    own, its = np.asarray(action), np.asarray(given if row is None else given[row])
    return own.size == its.size and bool((own.ravel() == its.ravel()).all())


def is_copy(given: Any, returned: Any) -> bool:
    """Whether an observation is, number for number, what an environment returned, of any type or shape."""
    if isinstance(given, dict) and isinstance(returned, dict):
        return given.keys() == returned.keys() and all(is_copy(given[key], returned[key]) for key in given)
    if not all(isinstance(one, np.ndarray | np.generic | int | float) for one in (given, returned)):
        return False
    own, its = np.asarray(given), np.asarray(returned)
    with np.errstate(all="ignore"):
        return own.size == its.size and bool((own.ravel() == its.astype(own.dtype).ravel()).all())


def rows(observations: Any, row: int) -> Any:
    """One of the observations of several environments."""
    if isinstance(observations, dict):
        return {key: value[row] for key, value in observations.items()}
    return observations[row]


class Batch:
    """A request for the actions of several single environments, which a script steps one after the other.

    Rows of the request are taken for the environments in the order in which they are first stepped.
    """

    def __init__(self) -> None:
        self._acting: Acting | None = None
        self._order: dict[int, int] = {}
        self._stepped: set[int] = set()

    def asked(self, acting: Acting) -> None:
        """A policy was asked for actions, by whatever environments may follow."""
        self._acting = acting
        self._stepped.clear()

    def of(
        self, number: int, acting: Acting | None, answer: Any, shape: tuple[int, ...] | None
    ) -> tuple[Acting | None, int | None]:
        """The request that a step of a single environment follows, and the row of the answer that is its own.

        :param number: of the environment
        :param acting: the request since the last step of any environment; None for none
        :param shape: of one action
        :return: no row where the whole answer is its own
        """
        if not isinstance(answer, np.ndarray) or answer.ndim == 0 or answer.shape[1:] != shape or len(answer) < 2:
            return acting, None
        if number in self._stepped:
            return acting, None
        place = self._order.setdefault(number, len(self._order))
        row = place if len(answer) == len(self._order) else len(self._stepped)
        self._stepped.add(number)
        return self._acting, row if row < len(answer) else None
