"""Learning with less work in each step gives the same bits, and breaks at the same numbers in the same words."""

from __future__ import annotations

from typing import Any

import numpy as np
import planted
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm

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

    monkeypatch.setattr(th.distributions.Distribution, "__init__", prepare)
    hook = th.nn.modules.module.register_module_forward_pre_hook(lambda module, _: called.append(type(module).__name__))
    with learning(model):
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


def test_a_policy_with_a_part_of_the_user_s_own_computes_as_it_does() -> None:
    class Own(th.nn.Tanh):
        """The user's own activation."""

    settings = {**ROLLOUT, "policy_kwargs": {"activation_fn": Own}}
    model = algorithm("PPO")("MlpPolicy", Acts(DISCRETE), device="cpu", **settings)
    before = model.policy.forward
    with learning(model):
        assert model.policy.forward == before
