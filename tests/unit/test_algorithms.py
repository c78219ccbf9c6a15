"""Hyperparameters are read, never evaluated; what cannot be used is refused by name."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.noise import NormalActionNoise

from reload_audit.causes.fixes import CONTRIB
from reload_audit.models.algorithms import (
    HyperparameterProblem,
    algorithm,
    check_action_space,
    default_policy,
    parse_hyperparams,
    resolved_hyperparams,
)
from reload_audit.reading.model_zip import POLICY_ARGUMENTS

IMAGE = spaces.Box(0, 255, (84, 84, 3), np.uint8)
VECTOR = spaces.Box(-1, 1, (3,), np.float32)


def test_a_schedule_falls_linearly_to_zero():
    schedule = parse_hyperparams("PPO", {"learning_rate": "lin_3e-4"})["learning_rate"]
    assert [schedule(remaining) for remaining in (1.0, 0.5, 0.0)] == pytest.approx([3e-4, 1.5e-4, 0.0])


def test_class_names_among_hyperparameters_become_classes():
    parsed = parse_hyperparams(
        "PPO", {"policy_kwargs": {"activation_fn": "torch.nn.ReLU", "optimizer_class": "torch.optim.AdamW"}}
    )
    assert parsed["policy_kwargs"] == {"activation_fn": torch.nn.ReLU, "optimizer_class": torch.optim.AdamW}


def test_a_mapping_with_a_class_becomes_an_object():
    noise = {"class": "stable_baselines3.common.noise.NormalActionNoise", "mean": [0.0], "sigma": [0.1]}
    assert isinstance(parse_hyperparams("TD3", {"action_noise": noise})["action_noise"], NormalActionNoise)


def test_a_training_frequency_becomes_the_tuple_that_sb3_expects():
    assert parse_hyperparams("SAC", {"train_freq": [1, "episode"]}) == {"train_freq": (1, "episode")}


def test_text_that_looks_like_code_stays_text():
    text = "__import__('os').system('false')"
    assert parse_hyperparams("PPO", {"tensorboard_log": text}) == {"tensorboard_log": text}


@pytest.mark.parametrize(
    ("hyperparams", "message"),
    [
        ({"learning_rte": 1}, "learning_rte: PPO has no such argument; did you mean 'learning_rate'?"),
        ({"buffer_size": 1}, "buffer_size: PPO has no such argument"),
        ({"seed": 1}, "seed: is set by the experiment"),
        (
            {"policy_kwargs": {"activation_fn": "torch.nn.RELU"}},
            "policy_kwargs.activation_fn: module 'torch.nn' has no",
        ),
        ({"policy_kwargs": {"optimizer_class": "nowhere.Adam"}}, "policy_kwargs.optimizer_class: no module named"),
        ({"policy": "nowhere.Policy"}, "policy: no module named 'nowhere'"),
        ({"target_kl": {"class": "builtins.float", "nothing": 1}}, "target_kl: {'class'"),
    ],
)
def test_a_hyperparameter_that_cannot_be_used_is_refused_by_name(hyperparams, message):
    with pytest.raises(HyperparameterProblem, match=f"^{re.escape(message)}"):
        parse_hyperparams("PPO", hyperparams)


def test_the_record_of_hyperparameters_has_the_defaults_filled_in():
    resolved = resolved_hyperparams("PPO", {"gamma": 0.5})
    assert (resolved["gamma"], resolved["clip_range"]) == (0.5, 0.2)


@pytest.mark.parametrize(
    ("algo", "space", "policy"),
    [
        ("PPO", VECTOR, "MlpPolicy"),
        ("PPO", IMAGE, "CnnPolicy"),
        ("SAC", spaces.Dict({"a": VECTOR}), "MultiInputPolicy"),
        ("RecurrentPPO", VECTOR, "MlpLstmPolicy"),
    ],
)
def test_the_default_policy_fits_the_observation_space(algo, space, policy):
    assert default_policy(algo, space) == policy


def test_an_algorithm_refuses_a_space_that_it_cannot_act_in():
    with pytest.raises(ValueError, match="DQN needs an action space of kind Discrete, found Box"):
        check_action_space("DQN", VECTOR)


def test_every_argument_that_a_policy_of_sb3_takes_is_known():
    given = {"self", "observation_space", "action_space", "lr_schedule"}
    policies = [
        policy
        for name in ("A2C", "DDPG", "DQN", "PPO", "SAC", "TD3", *CONTRIB)
        for policy in algorithm(name).policy_aliases.values()
    ]
    taken = {name for policy in policies for name in inspect.signature(policy).parameters}
    assert taken - given == POLICY_ARGUMENTS
