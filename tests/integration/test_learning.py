"""Learning with less work in each step gives the same bits, and breaks at the same numbers in the same words."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import planted
import pytest
import stable_baselines3
import torch as th
from gymnasium import spaces
from stable_baselines3.common import policies
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.distributions import DiagGaussianDistribution
from torch import nn

from reload_audit.evaluation.acting import is_plain_actor_critic
from reload_audit.models.algorithms import algorithm
from reload_audit.models.model_folder import content_digests
from reload_audit.training.learning import learning


class Acts(planted.Draws):
    """Takes actions of any space."""

    def __init__(self, space: spaces.Space) -> None:
        self.action_space = space

    def action_masks(self) -> np.ndarray:
        return np.arange(self.action_space.n) > 0


DISCRETE, BOX, SEVERAL = spaces.Discrete(5), spaces.Box(-2.0, 2.0, (3,), np.float32), spaces.MultiDiscrete([3, 4])
ROLLOUT = {"n_steps": 32, "batch_size": 16, "n_epochs": 2}
OFF_POLICY = {"learning_starts": 8, "buffer_size": 100, "batch_size": 8}
MODELS: dict[str, tuple[str, spaces.Space, dict[str, Any]]] = {
    "PPO, one of some actions": ("PPO", DISCRETE, ROLLOUT),
    "PPO, normally distributed actions": ("PPO", BOX, ROLLOUT),
    "PPO, entropy counts": ("PPO", BOX, {**ROLLOUT, "ent_coef": 0.1}),
    "PPO, several actions": ("PPO", SEVERAL, ROLLOUT),
    "PPO, gSDE": ("PPO", BOX, {**ROLLOUT, "use_sde": True}),
    "PPO, two extractors": ("PPO", DISCRETE, {**ROLLOUT, "policy_kwargs": {"share_features_extractor": False}}),
    "PPO, weight decay": ("PPO", DISCRETE, {**ROLLOUT, "policy_kwargs": {"optimizer_kwargs": {"weight_decay": 0.1}}}),
    "A2C": ("A2C", DISCRETE, {"n_steps": 8, "ent_coef": 0.1}),
    "TRPO": ("TRPO", BOX, {"n_steps": 32, "batch_size": 16}),
    "MaskablePPO": ("MaskablePPO", DISCRETE, ROLLOUT),
    "RecurrentPPO": ("RecurrentPPO", DISCRETE, ROLLOUT),
    "SAC": ("SAC", BOX, OFF_POLICY),
    "TD3": ("TD3", BOX, OFF_POLICY),
    "TQC": ("TQC", BOX, OFF_POLICY),
    "CrossQ": ("CrossQ", BOX, OFF_POLICY),
    "DQN": ("DQN", DISCRETE, OFF_POLICY),
}


def model_of(name: str) -> BaseAlgorithm:
    algo, actions, settings = MODELS[name]
    policy = "MlpLstmPolicy" if algo == "RecurrentPPO" else "MlpPolicy"
    return algorithm(algo)(policy, Acts(actions), seed=0, device="cpu", **settings)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_learns_the_same_bits_with_less_work(name: str) -> None:
    digests = []
    for spared in (False, True):
        model = model_of(name)
        if spared:
            with learning(model):
                model.learn(64)
        else:
            model.learn(64)
        digests.append((content_digests(model, None), th.get_rng_state().tolist()))
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    "name", ["PPO, one of some actions", "PPO, normally distributed actions", "PPO, two extractors"]
)
def test_it_is_spared_the_checks_of_distributions_and_modules_are_not_called(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, checked, called = model_of(name), [], []
    prepared = th.distributions.Distribution.__init__

    def prepare(self: Any, *given: Any, **named: Any) -> None:
        prepared(self, *given, **named)
        checked.append(self._validate_args)

    with learning(model):
        monkeypatch.setattr(th.distributions.Distribution, "__init__", prepare)
        hook = nn.modules.module.register_module_forward_pre_hook(
            lambda module, _: called.append(type(module).__name__)
        )
        model.learn(64)
    hook.remove()
    assert checked == [False] * len(checked) != []
    assert called.count("Linear") <= 3 * 2  # the value after the last step of each of two rollouts


@pytest.mark.parametrize(
    ("name", "broken", "value"),
    [
        ("PPO, one of some actions", "action_net.bias", "nan"),
        ("PPO, one of some actions", "action_net.bias", "inf"),
        ("PPO, normally distributed actions", "action_net.bias", "nan"),
        ("PPO, normally distributed actions", "log_std", "nan"),
        ("PPO, normally distributed actions", "log_std", "-inf"),
    ],
)
def test_what_pytorch_refuses_it_refuses_in_the_same_words(name: str, broken: str, value: str) -> None:
    model = model_of(name)
    dict(model.policy.named_parameters())[broken].data.fill_(float(value))
    observations, actions = th.zeros((4, 3)), th.zeros((4, *(model.action_space.shape or ())))
    for ask in (lambda: model.policy(observations), lambda: model.policy.evaluate_actions(observations, actions)):
        with pytest.raises(ValueError, match="to satisfy the constraint") as expected:
            ask()
        with learning(model), pytest.raises(ValueError, match="to satisfy the constraint") as refused:
            ask()
        assert str(refused.value) == str(expected.value)


@pytest.mark.parametrize("log_std", [-90.0, 100.0])
def test_standard_deviations_that_are_hardly_numbers_give_the_same_bits(log_std: float) -> None:
    model = model_of("PPO, normally distributed actions")
    model.policy.log_std.data.fill_(log_std)

    def outcome() -> str:
        th.manual_seed(0)
        try:
            return str([tensor.tolist() for tensor in model.policy(th.zeros((4, 3)))])
        except ValueError as error:
            return str(error)

    expected = outcome()
    with learning(model):
        assert outcome() == expected


def test_the_optimizer_is_left_as_the_user_has_it_also_after_a_checkpoint() -> None:
    model = model_of("PPO, one of some actions")
    with learning(model):
        model.learn(32)
        saved = model.policy.optimizer.state_dict()
    again = model_of("PPO, one of some actions")
    again.policy.optimizer.load_state_dict(saved)
    with learning(again):
        again.learn(32)
    for one in (model, again):
        assert [group["foreach"] for group in one.policy.optimizer.param_groups] == [None]
    chosen = {"policy_kwargs": {"optimizer_kwargs": {"foreach": False}}}
    said = algorithm("PPO")("MlpPolicy", Acts(DISCRETE), device="cpu", **chosen)
    with learning(said):
        assert [group["foreach"] for group in said.policy.optimizer.param_groups] == [False]


class Own(nn.Tanh):
    """The user's own activation."""


def hooked() -> nn.Module:
    module = nn.Tanh()
    module.register_forward_hook(lambda _module, _given, values: 0.9 * values)
    return module


def replaced() -> nn.Module:
    module = nn.Sequential(nn.Tanh())
    module.forward = lambda values: 0.9 * values.tanh()
    return module


@pytest.mark.parametrize("activation", [Own, hooked, replaced, nn.LazyBatchNorm1d, nn.RReLU])
def test_layers_of_the_user_s_own_learn_the_same_bits(activation: Any) -> None:
    settings = {**ROLLOUT, "policy_kwargs": {"activation_fn": activation}}
    digests = []
    for around in (contextlib.nullcontext, learning):
        model = algorithm("PPO")("MlpPolicy", Acts(BOX), seed=0, device="cpu", **settings)
        with around(model):
            model.learn(64)
        digests.append(content_digests(model, None))
    assert digests[0] == digests[1]


def narrower(made: DiagGaussianDistribution, mean: th.Tensor, log_std: th.Tensor) -> DiagGaussianDistribution:
    made.distribution = th.distributions.Normal(mean, th.ones_like(mean) * (log_std - 1.0).exp())
    return made


CHANGES: list[tuple[Any, str, Any]] = [
    (DiagGaussianDistribution, "proba_distribution", narrower),
    (policies, "preprocess_obs", lambda observations, *_given, **_named: 2.0 * observations),
    (stable_baselines3, "__version__", "2.10.0"),
]


@pytest.mark.parametrize(("where", "name", "changed"), CHANGES)
def test_what_is_changed_in_a_library_is_called(
    where: Any, name: str, changed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of("PPO, normally distributed actions")
    monkeypatch.setattr(where, name, changed)
    before = model.policy.forward
    with learning(model):
        assert model.policy.forward == before
    assert not is_plain_actor_critic(model.policy)


def test_parameters_that_are_looked_at_closely_take_no_other_random_numbers() -> None:
    settings = {"policy_kwargs": {"activation_fn": nn.RReLU, "log_std_init": 85.0}}
    drawn = []
    for around in (contextlib.nullcontext, learning):
        model = algorithm("PPO")("MlpPolicy", Acts(BOX), seed=0, device="cpu", **settings)
        model.policy.set_training_mode(True)
        with around(model):
            model.policy(th.zeros((4, 3)))
        drawn.append(th.get_rng_state().tolist())
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("chosen", ["differentiable", "capturable"])
def test_a_setting_that_adam_refuses_is_refused_in_its_words(chosen: str) -> None:
    settings = {**ROLLOUT, "policy_kwargs": {"optimizer_kwargs": {chosen: True}}}
    said = []
    for around in (contextlib.nullcontext, learning):
        model = algorithm("PPO")("MlpPolicy", Acts(DISCRETE), seed=0, device="cpu", **settings)
        with around(model), pytest.raises((AssertionError, RuntimeError)) as refused:
            model.learn(32)
        said.append(str(refused.value))
    assert said[0] == said[1]
