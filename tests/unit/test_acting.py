"""A policy that acts with less work chooses what it chooses otherwise, bit for bit, and refuses what it refuses."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import planted
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from torch.distributions import Categorical, Distribution

from reload_audit.evaluation import acting as module
from reload_audit.evaluation.acting import acting
from reload_audit.models.algorithms import algorithm


class Acts(planted.Draws):
    """Takes actions of any space."""

    def __init__(self, space: gym.Space) -> None:
        self.action_space = space


ACTIONS = {
    "discrete": spaces.Discrete(5),
    "box": spaces.Box(-2.0, 2.0, (3,), np.float32),
    "several": spaces.MultiDiscrete([3, 4]),
    "bits": spaces.MultiBinary(3),
}
MODELS = [
    *((algo, "discrete", {}) for algo in ("PPO", "A2C", "DQN", "QRDQN", "TRPO", "MaskablePPO", "RecurrentPPO", "ARS")),
    *(
        (algo, "box", {})
        for algo in ("PPO", "A2C", "SAC", "TD3", "DDPG", "TQC", "CrossQ", "TRPO", "RecurrentPPO", "ARS")
    ),
    *(("PPO", actions, {}) for actions in ("several", "bits")),
    *((algo, "box", {"use_sde": True}) for algo in ("PPO", "SAC")),
    ("PPO", "box", {"use_sde": True, "policy_kwargs": {"squash_output": True}}),
]


def model_of(algo: str, actions: str, settings: dict[str, Any]) -> BaseAlgorithm:
    policy = {"RecurrentPPO": "MlpLstmPolicy", "ARS": "LinearPolicy"}.get(algo, "MlpPolicy")
    th.manual_seed(0)
    return algorithm(algo)(policy, Acts(ACTIONS[actions]), seed=0, device="cpu", **settings)


def chosen(model: BaseAlgorithm, *, deterministic: bool) -> list[bytes]:
    """Actions, in the order in which they are asked for, and recurrent states."""
    th.manual_seed(1)
    random, states, found = np.random.default_rng(0), None, []
    for scale in (1.0, 1e-3, 30.0, 1e6):
        observations = (scale * random.normal(size=(20, 3))).astype(np.float32)
        actions, states = model.predict(observations, states, np.zeros(20, dtype=bool), deterministic=deterministic)
        found += [array.tobytes() for array in (actions, *(states or ()))]
    return found


@pytest.mark.parametrize(("algo", "actions", "settings"), MODELS)
def test_the_policy_of_every_algorithm_chooses_the_same_bits(algo: str, actions: str, settings: dict[str, Any]) -> None:
    model = model_of(algo, actions, settings)
    for deterministic in (True, False):
        expected = chosen(model, deterministic=deterministic)
        with acting(model.policy):
            assert chosen(model, deterministic=deterministic) == expected
    assert Distribution._validate_args


@pytest.mark.parametrize(
    ("algo", "actions", "broken", "value"),
    [
        ("PPO", "discrete", "action_net.bias", "nan"),
        ("PPO", "discrete", "action_net.bias", "inf"),
        ("PPO", "box", "action_net.bias", "nan"),
        ("PPO", "box", "log_std", "nan"),
        ("RecurrentPPO", "discrete", "action_net.bias", "nan"),
        ("SAC", "box", "actor.mu.bias", "nan"),
        ("SAC", "box", "actor.log_std.bias", "nan"),
    ],
)
def test_what_a_policy_refuses_it_refuses_while_it_acts_in_the_same_words(
    algo: str, actions: str, broken: str, value: str
) -> None:
    model = model_of(algo, actions, {})
    dict(model.policy.named_parameters())[broken].data.fill_(float(value))
    with pytest.raises(ValueError, match="to satisfy the constraint") as expected:
        chosen(model, deterministic=True)
    with acting(model.policy), pytest.raises(ValueError, match="to satisfy the constraint") as refused:
        chosen(model, deterministic=True)
    assert str(refused.value) == str(expected.value)
    assert Distribution._validate_args


def test_a_policy_acts_without_a_distribution_or_pytorch_s_checks_and_one_with_a_part_of_the_user_s_own_as_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checked = []
    init = Categorical.__init__

    def noted(self: Any, *given: Any, **named: Any) -> None:
        checked.append(Distribution._validate_args)
        init(self, *given, **named)

    class Own(th.nn.Tanh):
        """The user's own activation."""

    cases: list[tuple[str, type, set[bool]]] = [
        ("PPO", th.nn.Tanh, set()),
        ("PPO", Own, {True}),
        ("RecurrentPPO", th.nn.Tanh, {False}),
    ]
    for algo, activation, checks in cases:
        model = model_of(algo, "discrete", {"policy_kwargs": {"activation_fn": activation}})
        checked.clear()
        with acting(model.policy), monkeypatch.context() as patch:
            patch.setattr(Categorical, "__init__", noted)
            chosen(model, deterministic=True)
        assert {*checked} == checks


def test_a_policy_whose_layers_have_hooks_chooses_the_same_bits() -> None:
    model = model_of("PPO", "box", {})
    for layer in model.policy.modules():
        if isinstance(layer, th.nn.Linear):
            th.nn.utils.spectral_norm(layer)  # whose hook computes the weight anew
    with acting(model.policy):
        chosen_acting = chosen(model, deterministic=True)
    assert chosen_acting == chosen(model, deterministic=True)


def decorated(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def called(*given: Any, **named: Any) -> Any:
        return method(*given, **named)

    return called


def likeliest(distribution: Categorical) -> th.Tensor:
    return distribution.logits.argmax(dim=-1)


@pytest.mark.parametrize(
    ("kind", "name", "changed"),
    [
        (Categorical, "logits", Categorical.__dict__["logits"]),
        (ActorCriticPolicy, "_predict", decorated(ActorCriticPolicy._predict)),
        (ActorCriticPolicy, "_predict", th.no_grad()(decorated(ActorCriticPolicy._predict))),
        (ActorCriticPolicy, "_predict", functools.partialmethod(ActorCriticPolicy._predict)),
        (Categorical, "mode", property(likeliest)),
        (Categorical, "mode", functools.cached_property(likeliest)),
    ],
    ids=["nothing", "method", "without-gradients", "partial", "property", "cached"],
)
def test_what_was_changed_in_a_library_before_this_is_imported_is_called(
    kind: type, name: str, changed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, is_own = model_of("PPO", "discrete", {}), changed is vars(kind)[name]
    monkeypatch.setattr(kind, name, changed)
    assert module.__spec__ is not None
    assert module.__spec__.loader is not None
    imported = importlib.util.module_from_spec(module.__spec__)
    module.__spec__.loader.exec_module(imported)
    assert imported.is_plain_actor_critic(model.policy) == is_own
