"""A model that acts, from what was read of its zip; and what a plain ``ALGO.load(path)`` would have said.

SB3 does the loading, with all its care for older versions. It is given a zip that holds no pickle: every value that
was pickled either comes from ``reading``, or is left out because acting does not need it.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import json
import re
import warnings
import zipfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch as th
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from reload_audit.algorithms import algorithm
from reload_audit.reading.model_zip import SCHEDULES, SavedModel
from reload_audit.reading.pickles import Call, Global, Parsed, Unreadable
from reload_audit.reading.trust import is_trusted

_NEEDED = ("policy_class", "policy_kwargs", "observation_space", "action_space")

# Nobody trains here. Rollout and replay buffers take memory for it, and hindsight replay wants an environment.
_NO_TRAINING: dict[str, Any] = {
    "n_envs": 1,
    "n_steps": 1,
    "buffer_size": 1,
    "replay_buffer_class": None,
    "replay_buffer_kwargs": {},
    "rollout_buffer_class": None,
    "rollout_buffer_kwargs": {},
    "tensorboard_log": None,
}

_LEFT_OUT = {"env", "device", "_logger", "action_noise", "train_freq", *SCHEDULES}

_PARAMETERS = re.compile(r"^[A-Za-z]\w*(\.[A-Za-z]\w*)*\.pth$")

# What each argument of a policy must be, where it is a class: SB3 calls it.
_KINDS: dict[str, type] = {
    "features_extractor_class": BaseFeaturesExtractor,
    "activation_fn": th.nn.Module,
    "optimizer_class": th.optim.Optimizer,
}


@dataclass(frozen=True)
class Loaded:
    """A model that was loaded, and what was needed for it, in words."""

    model: BaseAlgorithm
    notes: tuple[str, ...]


def load(saved: SavedModel, algo: str, device: str) -> Loaded:
    """Load a model to act with.

    :raises Unreadable: a value it needs cannot be rebuilt, or SB3 refuses what is left
    """
    content = _without_pickles(saved)
    values = {name: saved.value(name) for name in _NEEDED}
    _check_kinds(values, saved.trusted)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model = algorithm(algo).load(content, device=device, custom_objects=values | _NO_TRAINING)
        except Exception as error:
            raise Unreadable(f"{algo} cannot be built of it: {type(error).__name__}: {_one_line(error)}") from error
    said = [_one_line(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]
    return Loaded(model, (*_notes(saved), *(f"SB3 warns: {text}" for text in dict.fromkeys(said))))


def plain_load_error(saved: SavedModel, statistics: Parsed | None) -> str:
    """What ``ALGO.load(path)``, then ``VecNormalize.load``, would raise here and now; empty where they would work.

    Told from the names in the files, because trying it would execute them. SB3 itself forgives some errors, and only
    warns.

    :param statistics: the parsed ``vecnormalize.pkl``, if there is one
    """
    for attribute, parsed in saved.pickled.items():
        error = _import_error(parsed)
        if isinstance(error, ImportError):
            return f"{type(error).__name__}: {error}"
        if error is not None and attribute in ("observation_space", "action_space"):
            return "KeyError: The observation_space and action_space were not given, can't verify new environments"
        if error is not None and attribute in _NEEDED:
            return f"KeyError: '{attribute}'"
    buffer = saved.pickled.get("replay_buffer_class")
    if buffer is not None and str(buffer.value).endswith("HerReplayBuffer"):
        return "AssertionError: You must pass an environment when using `HerReplayBuffer`"
    error = None if statistics is None else _import_error(statistics)
    return "" if error is None else f"VecNormalize.load: {type(error).__name__}: {error}"


def _without_pickles(saved: SavedModel) -> io.BytesIO:
    """The same zip, with placeholders for all that will be given to SB3 as objects."""
    settings = {name: value for name, value in saved.settings.items() if name not in _LEFT_OUT}
    settings |= dict.fromkeys([*_NEEDED, *_NO_TRAINING])
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("data", json.dumps(settings))
        for name, parameters in saved.parameters.items():
            if not _PARAMETERS.match(name):
                raise Unreadable(f"expected parameters such as policy.pth, found {name[:200]!a}")
            archive.writestr(name, parameters)
    content.seek(0)
    return content


def _check_kinds(values: dict[str, Any], trusted: Collection[str]) -> None:
    policy, arguments = values["policy_class"], values["policy_kwargs"]
    if not (isinstance(policy, type) and issubclass(policy, BasePolicy)):
        raise Unreadable(f"policy_class: expected a policy of SB3, found {policy!r:.200}")
    for name in ("observation_space", "action_space"):
        if not isinstance(values[name], spaces.Space):
            raise Unreadable(f"{name}: expected a space, found {values[name]!r:.200}")
    if not isinstance(arguments, dict):
        raise Unreadable(f"policy_kwargs: expected keys and values, found {arguments!r:.200}")
    for path, value in _classes_in(arguments, "policy_kwargs"):
        kind = object if is_trusted(value.__module__, trusted) else _KINDS.get(path.rpartition(".")[2])
        if kind is None or not issubclass(value, kind):
            raise Unreadable(
                f"{path}: expected {'plain values' if kind is None else kind.__name__}, found {value!r:.200}"
            )


def _classes_in(value: Any, path: str) -> Iterator[tuple[str, type]]:
    if isinstance(value, type):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _classes_in(item, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _classes_in(item, path)


def _notes(saved: SavedModel) -> list[str]:
    notes = []
    packages = {name.module.partition(".")[0] for parsed in saved.pickled.values() for name in parsed.names}
    if "gym" in packages:
        notes.append("spaces of gym rebuilt as Gymnasium's")
    code = [name for name in SCHEDULES if name in saved.pickled and _holds_code(saved.pickled[name])]
    if code:
        notes.append(f"schedules saved as code, never executed: {', '.join(code)}")
    buffer = saved.pickled.get("replay_buffer_class")
    if buffer is not None:
        notes.append(f"without its {str(buffer.value).rpartition('.')[2]}")
    return notes


def _holds_code(parsed: Parsed) -> bool:
    return any(name.module.startswith(("cloudpickle", "rl_zoo3")) for name in parsed.names)


def _import_error(parsed: Parsed) -> Exception | None:
    """What a real unpickler would raise first. Only modules of well-known libraries are imported to find out."""
    for name in parsed.names:
        package = name.module.partition(".")[0]
        try:
            if importlib.util.find_spec(package) is None:
                raise ModuleNotFoundError(f"No module named {package!r}")
            if package in _HARMLESS:
                getattr(importlib.import_module(name.module), name.name)
        except (ImportError, AttributeError, ValueError) as error:
            return error
    if any(_is_code_of_another_python(call) for call in parsed.calls):
        return TypeError("code() of another version of Python")
    return None


_HARMLESS = {
    "stable_baselines3",
    "sb3_contrib",
    "gymnasium",
    "numpy",
    "torch",
    "cloudpickle",
    "collections",
    "builtins",
}


def _is_code_of_another_python(call: Call) -> bool:
    """Functions saved as code start with ``CodeType(...)``, whose number of arguments changed with Python 3.8 and 3.11."""
    made = call.function
    names_type = isinstance(made, Call) and isinstance(made.function, Global) and made.function.name == "_builtin_type"
    return names_type and made.args == ("CodeType",) and isinstance(call.args, Sequence) and len(call.args) != _CODE


_CODE = 18  # Python 3.11 and later


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:500]
