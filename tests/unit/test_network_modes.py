"""Whether a policy's network acts as in training is noticed where that changes what it computes, and nowhere else."""

from __future__ import annotations

import pytest
import torch
from sb3_contrib import ARS, CrossQ, RecurrentPPO
from stable_baselines3 import PPO
from stable_baselines3.common.policies import BasePolicy

from reload_audit.observing.acting import is_as_in_training


class OwnNoise(torch.nn.Module):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features + 0.1 * torch.randn_like(features) if self.training else features


def with_layer(layer: torch.nn.Module) -> BasePolicy:
    policy = PPO("MlpPolicy", "CartPole-v1").policy
    policy.features_extractor.add_module("more", layer)
    return policy


@pytest.mark.parametrize(
    "layer", [torch.nn.Dropout(0.3), torch.nn.BatchNorm1d(2), OwnNoise(), torch.nn.LSTM(2, 2, 2, dropout=0.1)]
)
def test_a_layer_that_computes_something_else_in_training_is_noticed_in_that_mode_alone(layer: torch.nn.Module) -> None:
    policy = with_layer(layer)
    assert [is_as_in_training(policy.train(mode)) for mode in (True, False)] == [True, False]


def test_the_batch_renormalisation_of_crossq_is_such_a_layer() -> None:
    policy = CrossQ("MlpPolicy", "Pendulum-v1").policy
    assert [is_as_in_training(policy.actor.train(mode)) for mode in (True, False)] == [True, False]


@pytest.mark.parametrize("layer", [torch.nn.LayerNorm(2), torch.nn.LSTM(2, 2), torch.nn.MultiheadAttention(2, 1)])
def test_a_layer_that_computes_the_same_in_either_mode_is_not(layer: torch.nn.Module) -> None:
    assert not is_as_in_training(with_layer(layer).train())


@pytest.mark.parametrize(("algo", "policy"), [(PPO, "MlpPolicy"), (RecurrentPPO, "MlpLstmPolicy"), (ARS, "MlpPolicy")])
def test_no_usual_policy_has_such_a_layer(algo: type, policy: str) -> None:
    assert not is_as_in_training(algo(policy, "CartPole-v1").policy.train())
