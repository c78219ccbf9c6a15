"""How policies act: which actions an algorithm's policy can give, and whether those are the ones that are taken."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from sb3_contrib.ars.policies import ARSPolicy
from sb3_contrib.qrdqn.policies import QRDQNPolicy, QuantileNetwork
from stable_baselines3 import DQN, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.dqn.policies import DQNPolicy, QNetwork
from stable_baselines3.td3.policies import Actor, TD3Policy

_ALWAYS_DETERMINISTIC = (ARSPolicy, QRDQNPolicy, QuantileNetwork, DQNPolicy, QNetwork, Actor, TD3Policy, TD3)
_EXPLORING = (DQN,)
"""Algorithms whose ``predict`` explores, which their policies do not."""


def has_one_mode(actor: Any, *, of_model: bool) -> bool:
    """Whether the actions of a model, or a policy, are the same whether they should be deterministic or not.

    The policies of DQN and TD3 have no other actions; ``predict`` of a DQN model adds exploration.

    :param of_model: whether ``actor`` is a model
    """
    if not of_model:
        return isinstance(actor, _ALWAYS_DETERMINISTIC)
    if isinstance(actor, _EXPLORING) or hasattr(actor, "exploration_rate"):
        return False
    return isinstance(actor, _ALWAYS_DETERMINISTIC) or isinstance(actor.policy, _ALWAYS_DETERMINISTIC)


def as_array(observation: Any) -> Any:
    """An observation, or those of a dictionary, off the device."""
    if isinstance(observation, dict):
        return {key: as_array(value) for key, value in observation.items()}
    return observation.detach().cpu().numpy() if hasattr(observation, "detach") else observation


def is_squashed(model: BaseAlgorithm, space: spaces.Box) -> bool:
    """Whether a policy gives actions in [-1, 1] for a space with other bounds."""
    unit = (space.low == -1).all() and (space.high == 1).all()
    return bool(getattr(model.policy, "squash_output", False)) and not unit


def is_answer(action: Any, answer: Any) -> bool:
    """Whether an action is what a policy answered, as it is."""
    given = as_array(answer[0] if isinstance(answer, tuple) else answer)
    own, its = np.asarray(action), np.asarray(given)
    return own.size == its.size and bool((own.ravel() == its.ravel()).all())
