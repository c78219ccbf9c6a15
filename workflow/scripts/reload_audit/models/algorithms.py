"""Algorithms of stable-baselines3 and sb3-contrib: by name, whether they fit spaces, their hyperparameters."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Mapping
from typing import Any

import sb3_contrib
import stable_baselines3
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.utils import LinearSchedule

from reload_audit.processes.imports import ImportProblem, import_object

_SCHEDULE = re.compile(r"^lin_(?P<start>[-+0-9.eE]+)$")

# Hyperparameters that name a class or a function of PyTorch or SB3.
_NAMES_OBJECT = re.compile(r"(_class|_fn)$")

# Arguments that the experiment sets itself, so that they may not stand among its hyperparameters.
_RESERVED = {"env", "seed", "device", "_init_setup_model"}

_ACTION_SPACES: dict[str, tuple[type[spaces.Space], ...]] = {
    "ARS": (spaces.Box, spaces.Discrete),
    "CrossQ": (spaces.Box,),
    "DDPG": (spaces.Box,),
    "DQN": (spaces.Discrete,),
    "MaskablePPO": (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary),
    "QRDQN": (spaces.Discrete,),
    "SAC": (spaces.Box,),
    "TD3": (spaces.Box,),
    "TQC": (spaces.Box,),
}
_ANY_ACTION_SPACE = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


class HyperparameterProblem(ValueError):
    """A hyperparameter cannot be used; the message names it."""


def algorithm(name: str) -> type[BaseAlgorithm]:
    """The class of that name in stable-baselines3 or sb3-contrib.

    :raises AttributeError: neither has one
    """
    found: type[BaseAlgorithm] = getattr(stable_baselines3, name, None) or getattr(sb3_contrib, name)
    return found


def check_action_space(name: str, space: spaces.Space) -> None:
    """Check that an algorithm can act in a space.

    :raises ValueError: it cannot
    """
    accepted = _ACTION_SPACES.get(name, _ANY_ACTION_SPACE)
    if not isinstance(space, accepted):
        raise ValueError(
            f"{name} needs an action space of kind {' or '.join(kind.__name__ for kind in accepted)}, "
            f"found {type(space).__name__}"
        )


def default_policy(name: str, observation_space: spaces.Space) -> str:
    """The policy for the observations: ``MlpPolicy``, ``CnnPolicy`` or ``MultiInputPolicy``, or RecurrentPPO's own."""
    if isinstance(observation_space, spaces.Dict):
        kind = "MultiInput"
    else:
        kind = "Cnn" if is_image_space(observation_space) else "Mlp"
    return f"{kind}LstmPolicy" if name == "RecurrentPPO" else f"{kind}Policy"


def parse_hyperparams(name: str, hyperparams: Mapping[str, Any]) -> dict[str, Any]:
    """Constructor arguments from what a configuration can hold.

    ``lin_3e-4`` is a linear schedule from 3e-4 to zero. A key that ends in ``_class`` or ``_fn`` takes a dotted name
    (``torch.nn.ReLU``). A mapping with a key ``class`` is an object: that class, called with the other keys. A list
    becomes a tuple where SB3 wants one (``train_freq``). Nothing is evaluated.

    :raises HyperparameterProblem: an unknown argument, or a value that names nothing
    """
    known = [key for key in inspect.signature(algorithm(name).__init__).parameters if key != "self"]
    for key in hyperparams:
        if key in _RESERVED:
            raise HyperparameterProblem(f"{key}: is set by the experiment, not among the hyperparameters")
        if key not in known:
            close = difflib.get_close_matches(key, set(known) - _RESERVED, n=1, cutoff=0.5)
            hint = f"; did you mean {close[0]!r}?" if close else f"; expected one of {', '.join(known)}"
            raise HyperparameterProblem(f"{key}: {name} has no such argument{hint}")
    return {key: _parse(key, value) for key, value in hyperparams.items()}


def resolved_hyperparams(name: str, hyperparams: Mapping[str, Any]) -> dict[str, Any]:
    """The constructor's arguments as a configuration has them, with its defaults filled in."""
    parameters = inspect.signature(algorithm(name).__init__).parameters
    defaults = {
        key: parameter.default
        for key, parameter in parameters.items()
        if parameter.default is not inspect.Parameter.empty and key not in _RESERVED
    }
    return {**defaults, **hyperparams}


def _parse(path: str, value: Any) -> Any:
    key = path.rpartition(".")[2]
    try:
        if isinstance(value, str) and (schedule := _SCHEDULE.match(value)):
            return LinearSchedule(float(schedule["start"]), 0.0, 1.0)
        if isinstance(value, str) and (_NAMES_OBJECT.search(key) or (path == "policy" and "." in value)):
            return import_object(value)
        if isinstance(value, Mapping) and "class" in value:
            arguments = {name: _parse(f"{path}.{name}", item) for name, item in value.items() if name != "class"}
            return import_object(value["class"])(**arguments)
    except ImportProblem as problem:
        raise HyperparameterProblem(f"{path}: {problem}") from problem
    except (TypeError, ValueError) as error:
        raise HyperparameterProblem(f"{path}: {value!r} cannot be used: {error}") from error
    if isinstance(value, Mapping):
        return {name: _parse(f"{path}.{name}", item) for name, item in value.items()}
    if key == "train_freq" and isinstance(value, list):
        return tuple(value)
    return value
