"""Let SB3 learn with less work in each step, to the same bits."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch as th
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.distributions import CategoricalDistribution, DiagGaussianDistribution
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.save_util import recursive_getattr
from torch.distributions import Categorical, Normal
from torch.optim import Adam

from reload_audit.evaluation.acting import is_plain_actor_critic, layers_of, through

_LARGEST_LOG_STD = 80.0
"""Up to which a standard deviation and its inverse are finite numbers above zero."""


@contextlib.contextmanager
def learning(model: BaseAlgorithm) -> Iterator[None]:
    """Let ``learn`` do what it does with fewer calls: see :func:`_computing` and :func:`_updating`."""
    with _computing(model.policy), _updating(model):
        yield


@contextlib.contextmanager
def _computing(policy: BasePolicy) -> Iterator[None]:
    """Let the commonest policies compute the same with fewer calls.

    They call neither PyTorch's checks of distributions, whose parameters are looked at here, nor the modules around
    their layers: half of what an action of one environment takes. Other policies are left as they are.
    """
    if not is_plain_actor_critic(policy):
        yield
        return
    networks = _Networks(policy)
    policy.forward = partial(_forward, policy.forward, networks)  # type: ignore[method-assign]
    policy.evaluate_actions = partial(_evaluate, networks)  # type: ignore[method-assign]
    try:
        yield
    finally:
        del policy.forward, policy.evaluate_actions


@contextlib.contextmanager
def _updating(model: BaseAlgorithm) -> Iterator[None]:
    """Let Adam update all parameters in each of its operations, as it does by itself on a GPU, and not one by one."""
    states, _ = model._get_torch_save_params()
    optimizers = [recursive_getattr(model, name) for name in states]
    groups = [group for one in optimizers if _updates_one_by_one(one) for group in one.param_groups]
    for group in groups:
        group["foreach"] = True
    try:
        yield
    finally:
        for group in groups:
            group["foreach"] = None


def _updates_one_by_one(optimizer: Any) -> bool:
    """Whether it is Adam on the CPU, and nobody has said how it updates.

    Its defaults tell: in a checkpoint that is saved while a model learns, the groups have ``foreach=True``.
    """
    if type(optimizer) is not Adam or optimizer.defaults["foreach"] is not None:
        return False
    if any(optimizer.defaults[name] for name in ("fused", "differentiable", "capturable")):
        return False
    return all(parameter.device.type == "cpu" for group in optimizer.param_groups for parameter in group["params"])


def _forward(own: Callable[..., Any], networks: _Networks, obs: th.Tensor, deterministic: bool = False) -> Any:
    """Stands in for ``forward`` of a policy."""
    if deterministic:
        return own(obs, deterministic)
    distribution, values = networks.distribution(obs), networks.values(obs)
    actions = distribution.sample()
    return actions.reshape((-1, *networks.shape)), values, distribution.log_prob(actions)


def _evaluate(networks: _Networks, obs: th.Tensor, actions: th.Tensor) -> Any:
    """Stands in for ``evaluate_actions`` of a policy."""
    distribution = networks.distribution(obs)
    log_prob = distribution.log_prob(actions)
    return networks.values(obs), log_prob, distribution.entropy()


class _Networks:
    """The networks of a plain actor and critic.

    :ivar shape: of an action
    """

    def __init__(self, policy: ActorCriticPolicy) -> None:
        extractor = policy.mlp_extractor
        self._actor = layers_of(policy.pi_features_extractor, extractor.policy_net, policy.action_net)
        self._critic = layers_of(policy.vf_features_extractor, extractor.value_net, policy.value_net)
        self._distribution: Any = policy.action_dist
        self._log_std = getattr(policy, "log_std", None)
        self.shape = policy.action_space.shape or ()

    def values(self, observations: th.Tensor) -> th.Tensor:
        return through(self._critic, observations.float())

    def distribution(self, observations: th.Tensor) -> CategoricalDistribution | DiagGaussianDistribution:
        """The policy's distribution of actions; PyTorch checks its parameters only where it might refuse them."""
        parameters = through(self._actor, observations.float())
        made, log_std = self._distribution, self._log_std
        if not self._surely_has_a_distribution(parameters):
            made.proba_distribution(parameters) if log_std is None else made.proba_distribution(parameters, log_std)
        elif log_std is None:
            made.distribution = Categorical(logits=parameters, validate_args=False)
        else:
            made.distribution = Normal(parameters, th.ones_like(parameters) * log_std.exp(), validate_args=False)
        return made  # type: ignore[no-any-return]

    def _surely_has_a_distribution(self, parameters: th.Tensor) -> bool:
        if not math.isfinite(parameters.detach().sum().item()):
            return False
        return self._log_std is None or self._log_std.detach().abs().max().item() < _LARGEST_LOG_STD
