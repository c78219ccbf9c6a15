"""Let a policy act with less work in each step, to the same bits."""

from __future__ import annotations

import contextlib
import inspect
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import GetSetDescriptorType
from typing import Any, TypeGuard

import numpy as np
import stable_baselines3
import torch as th
from gymnasium import spaces
from stable_baselines3.common import distributions, policies
from stable_baselines3.common.distributions import (
    CategoricalDistribution,
    DiagGaussianDistribution,
    SquashedDiagGaussianDistribution,
)
from stable_baselines3.common.policies import ActorCriticPolicy, BaseModel, BasePolicy
from stable_baselines3.common.preprocessing import is_image_space, preprocess_obs
from stable_baselines3.common.torch_layers import FlattenExtractor, MlpExtractor
from torch import nn
from torch.distributions import Categorical, Distribution, Normal
from torch.distributions.utils import logits_to_probs
from typing_extensions import deprecated

_LIBRARIES = ("torch", "stable_baselines3", "sb3_contrib")
_CHECKED = (CategoricalDistribution, DiagGaussianDistribution, SquashedDiagGaussianDistribution)
"""Distributions of actions of which :func:`_is_one` knows what PyTorch checks."""

_KNOWN_SB3 = ("2", "9")
"""The version of SB3 whose computations of an actor and critic are known here."""

_SHORTENED = (
    *(BaseModel, ActorCriticPolicy, MlpExtractor, nn.Sequential, nn.Module),
    *(CategoricalDistribution, DiagGaussianDistribution, distributions.Distribution, Categorical, Normal, Distribution),
)
"""Classes of which some methods are not called for an actor and critic; what these do is done here."""


_PLACES = (
    *(f"{Path(inspect.getfile(library)).parent}{os.sep}" for library in (th, stable_baselines3)),
    inspect.getfile(deprecated),  # which decorates some methods of PyTorch
)
"""Folders, and a file, with the code of these classes."""


def _methods() -> list[dict[str, object]]:
    """Methods and properties of these classes as they are now, by their names."""
    return [
        {name: part for name, part in vars(kind).items() if callable(part) or hasattr(part, "__get__")}
        for kind in _SHORTENED
    ]


def _files(part: object) -> Iterator[str]:
    """The files with the code of a method or property, and with that of what decorates it."""
    for inner in ("fget", "__wrapped__"):
        if hasattr(part, inner):
            yield from _files(getattr(part, inner))
    if hasattr(part, "__code__"):
        yield part.__code__.co_filename


def _is_the_libraries(part: object) -> bool:
    """Whether a method or property is one of PyTorch's or SB3's own, and not what somebody has put in its place."""
    files = [*_files(part)]
    return isinstance(part, GetSetDescriptorType) or (bool(files) and all(one.startswith(_PLACES) for one in files))


_AS_IMPORTED = _methods()
_WERE_THE_LIBRARIES = all(
    _is_the_libraries(part)
    for part in (preprocess_obs, logits_to_probs, *(part for methods in _AS_IMPORTED for part in methods.values()))
)


@contextlib.contextmanager
def acting(policy: BasePolicy, *, training_mode: bool = False) -> Iterator[None]:
    """Do once what ``predict`` does in every step: set the network's mode, look for the policy's device.

    PyTorch's distributions are not asked to check their parameters, which are looked at here; of the commonest policies
    none is made at all. Together that is more than half of what ``predict`` takes.

    :param training_mode: whether the network acts as in training, which ``predict`` never lets it
    """
    policy.set_training_mode(training_mode)
    predict = _unchecked(policy)
    policy.set_training_mode = _leave_mode  # type: ignore[method-assign, assignment]
    policy.obs_to_tensor = _to_tensors_of(policy)  # type: ignore[method-assign, assignment]
    policy._predict = predict  # type: ignore[method-assign]
    try:
        yield
    finally:
        del policy.set_training_mode, policy.obs_to_tensor, policy._predict


def _leave_mode(_training: bool) -> None:
    """Stands in for ``set_training_mode``, and does nothing: the mode is right already."""


def _to_tensors_of(policy: BasePolicy) -> Callable[[Any], tuple[Any, bool]]:
    """What stands in for ``obs_to_tensor`` of a policy, and gives the same of batches of vectors.

    Of images, dictionaries, single observations and all else the policy's own is asked.
    """
    own, space, device = policy.obs_to_tensor, policy.observation_space, policy.device
    if type(policy).obs_to_tensor is not BaseModel.obs_to_tensor or not isinstance(space, spaces.Box):
        return own
    if is_image_space(space):
        return own

    def to_tensors(observations: Any) -> tuple[Any, bool]:
        if isinstance(observations, np.ndarray) and observations.shape[1:] == space.shape and observations.ndim:
            copied = np.array(observations)
            return th.from_numpy(copied) if device.type == "cpu" else th.as_tensor(copied, device=device), True
        return own(observations)

    return to_tensors


def _unchecked(policy: BasePolicy) -> Callable[..., Any]:
    """What stands in for ``_predict`` of a policy, and gives the same.

    Where the parameters of a distribution are none, the policy's own is asked, and raises. So it is of actions that are
    drawn, of other distributions, and of policies with any part of the user's own.
    """
    own: Callable[..., Any] = policy._predict
    chooses: Any = getattr(getattr(policy, "actor", policy), "action_dist", None)
    if not _is_of_libraries(policy) or type(chooses) not in _CHECKED:
        return own
    straight = _straight(policy)
    if straight is not None:
        return straight
    as_before = Distribution._validate_args

    def predict(*given: Any, **named: Any) -> Any:
        if named.get("deterministic"):
            Distribution.set_default_validate_args(False)
            try:
                actions = own(*given, **named)
            finally:
                Distribution.set_default_validate_args(as_before)
            if _is_one(chooses.distribution):
                return actions
        return own(*given, **named)

    return predict


def _straight(policy: BasePolicy) -> Callable[..., Any] | None:
    """What stands in for ``_predict`` of an actor and critic of SB3 that observes vectors, and gives the same.

    It does the same operations without an object for the distribution. None for other policies. Where the parameters
    of a distribution are none, and of actions that are drawn, the policy's own is asked.
    """
    own, chooses = policy._predict, type(getattr(policy, "action_dist", None))
    if not is_plain_actor_critic(policy):
        return None
    if chooses is DiagGaussianDistribution and not bool((policy.log_std.exp() > 0).all()):
        return None
    layers = layers_of(policy.pi_features_extractor, policy.mlp_extractor.policy_net, policy.action_net)

    def predict(observations: Any, deterministic: bool = False) -> Any:
        if not deterministic:
            return own(observations)
        parameters = through(layers, observations.float())
        if chooses is CategoricalDistribution:
            parameters = parameters - parameters.logsumexp(dim=-1, keepdim=True)
        if parameters.isnan().any():
            return own(observations, deterministic=True)
        return th.argmax(logits_to_probs(parameters), dim=1) if chooses is CategoricalDistribution else parameters

    return predict


def is_plain_actor_critic(policy: BasePolicy) -> TypeGuard[ActorCriticPolicy]:
    """Whether a policy is SB3's actor and critic, observes vectors, and nothing of it is the user's own or was changed.

    Its actions are one of some, or normally distributed.
    """
    space = policy.observation_space
    return (
        type(policy) is ActorCriticPolicy
        and _is_of_libraries(policy)
        and _libraries_are_as_known()
        and all(map(_is_unchanged, policy.modules()))
        and isinstance(space, spaces.Box)
        and not is_image_space(space)
        and type(policy.pi_features_extractor) is type(policy.vf_features_extractor) is FlattenExtractor
        and type(policy.mlp_extractor) is MlpExtractor
        and type(policy.action_dist) in (CategoricalDistribution, DiagGaussianDistribution)
    )


def layers_of(*modules: nn.Module) -> list[Callable[[th.Tensor], th.Tensor]]:
    """What modules compute one after the other, without the calls of a module around it."""
    layers = [layer for module in modules for layer in (module if isinstance(module, nn.Sequential) else (module,))]
    return [layer.forward for layer in layers]


def through(layers: list[Callable[[th.Tensor], th.Tensor]], values: th.Tensor) -> th.Tensor:
    """What comes out of layers."""
    for layer in layers:
        values = layer(values)
    return values


def _is_of_libraries(policy: BasePolicy) -> bool:
    """Whether no part of a policy is the user's own."""
    return all(type(module).__module__.partition(".")[0] in _LIBRARIES for module in policy.modules())


def _libraries_are_as_known() -> bool:
    """Whether SB3 is of the known version, and nobody has changed what an actor and critic calls of it and PyTorch."""
    return (
        tuple(stable_baselines3.__version__.split(".")[:2]) == _KNOWN_SB3
        and _WERE_THE_LIBRARIES
        and _methods() == _AS_IMPORTED
        and vars(policies)["preprocess_obs"] is preprocess_obs
        and not nn.modules.module._has_any_global_hook()
    )


def _is_unchanged(module: nn.Module) -> bool:
    """Whether a module has no hooks, and no methods but those of its class."""
    hooks = (module._forward_pre_hooks, module._forward_hooks, module._backward_pre_hooks, module._backward_hooks)
    return not any(hooks) and vars(module).keys().isdisjoint(dir(type(module)))


def _is_one(distribution: Categorical | Normal) -> bool:
    """Whether PyTorch takes the parameters of a distribution for such."""
    if isinstance(distribution, Categorical):
        return not distribution.logits.isnan().any()
    return bool((distribution.scale > 0).all()) and not distribution.loc.isnan().any()
