"""Load a model from what was read of its zip, without unpickling; tell what a plain ``ALGO.load(path)`` would raise.

SB3 itself loads it, so that zips of older versions load as usual. It is given a zip that holds no pickle: every value
that was pickled either comes from ``reading``, or is left out because acting does not need it.
"""

from __future__ import annotations

import contextlib
import enum
import functools
import importlib
import importlib.util
import inspect
import io
import json
import re
import sys
import warnings
import zipfile
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from reload_audit.models.algorithms import algorithm
from reload_audit.models.without_dynamo import spare_compiler
from reload_audit.reading.model_zip import NEEDED, LeftOut, SavedModel
from reload_audit.reading.pickles import Call, Global, Parsed, described
from reload_audit.reading.refusal import Unreadable, printable, refusing
from reload_audit.reading.tensors import pickles_of_tensors
from reload_audit.reading.trust import is_trusted

# Loaded models only act: rollout and replay buffers would take memory, and hindsight replay needs an environment.
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

# Attributes that SB3 builds anew: environments, the device, the logger, and what training draws and follows.
_BUILT_ANEW = {
    *("env", "device", "_logger", "action_noise", "train_freq", "learning_rate", "lr_schedule", "clip_range"),
    *("clip_range_vf", "exploration_schedule", "delta_std_schedule", "delta_std"),
}

_PARAMETERS = re.compile(r"[A-Za-z]\w*(\.[A-Za-z]\w*)*\.pth")

# Single tensors beside the state dictionaries: SB3 puts each where its name says, so the names must be its own.
_TENSOR_FILES = ("pytorch_variables.pth", "tensors.pth")
_TENSORS = {"log_ent_coef", "ent_coef_tensor"}

# What each argument of a policy must be, where it is a class: SB3 calls it.
_KINDS: dict[str, type] = {
    "features_extractor_class": BaseFeaturesExtractor,
    "activation_fn": th.nn.Module,
    "optimizer_class": th.optim.Optimizer,
}


_PLAIN = (bool, int, float, str, list, tuple, dict, set, np.generic)
"""Classes that make nothing but plain values."""

_EXTRACTOR_ARGUMENTS = "features_extractor_kwargs"
"""Its entries may hold a class under any name, because users give their extractors layers."""


@dataclass(frozen=True)
class Loaded:
    """A loaded model, and what was done to load it.

    :param notes: what was left out or rebuilt for it, and what SB3 warned of, in words
    :param plain_error: what SB3 would have raised of parameters that were left out; empty where none were
    """

    model: BaseAlgorithm
    notes: tuple[str, ...]
    plain_error: str = ""


def load(saved: SavedModel, algo: str, device: str) -> Loaded:
    """Load a model that can act, but not go on training.

    :raises Unreadable: a value it needs cannot be rebuilt, or SB3 refuses what is left
    """
    with refusing(f"{algo} cannot be built of it"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kind = algorithm(algo)
        arguments, unread = saved.policy_arguments()
        values = {name: saved.value(name) for name in NEEDED if name != "policy_kwargs"} | {"policy_kwargs": arguments}
        not_taken = _not_taken(values["policy_class"], arguments, unread)
        for name in [name for name in not_taken if name in arguments]:
            unread[name] = LeftOut(_kind_of(arguments.pop(name)), not_taken[name])
        _check_kinds(values, saved)
        if "optimizer_class" in unread:
            arguments["optimizer_class"] = _Idle
        given = values | _numbers(saved) | _NO_TRAINING
        spare_compiler()
        members, others = _parameters(saved, kind)
        errors = [
            _SAID_OF_NUMBERS
            for name in members
            if name not in _TENSOR_FILES and members[name] is not saved.parameters[name]
        ]
        errors += [said for name, said in not_taken.items() if name != "device"]  # which SB3 drops itself
        plain_error = next(iter((*errors, *(_said(_no_place(name)) for name in others))), "")
        try:
            model = kind.load(_without_pickles(saved, kind, given, members), device=device, custom_objects=given)
        except (ValueError, KeyError) as problem:  # what SB3 makes of an optimizer's state that does not fit
            if "optimizer_class" in unread or _MISFIT not in str(problem.__context__ or problem):
                raise
            others["the optimizers' states"] = LeftOut("of other parameters", str(problem))
            plain_error = _said(problem)
            arguments["optimizer_class"] = _Idle
            model = kind.load(_without_pickles(saved, kind, given, members), device=device, custom_objects=given)
    said = [printable(str(warning.message)) for warning in caught if issubclass(warning.category, UserWarning)]
    left_out = {**saved.left_out, **{f"policy_kwargs.{name}": part for name, part in unread.items()}, **others}
    notes = (*_notes(saved, left_out), *(f"SB3 warns: {text:.120}" for text in dict.fromkeys(said)))
    return Loaded(model, notes, plain_error)


def plain_load_error(saved: SavedModel, statistics: Parsed | None) -> str:
    """What ``ALGO.load(path)``, then ``VecNormalize.load``, would raise on this machine; empty where they would work.

    Concluded from the names in the files, because trying it would execute them. Of some errors SB3 itself only warns.

    :param statistics: the parsed ``vecnormalize.pkl``, if there is one
    """
    with refusing("what a plain load would say is unknown"):
        errors = {name: _unpickling_error(parsed, saved.trusted) for name, parsed in saved.pickled.items()}
        raised = [error for error in errors.values() if not isinstance(error, _FORGIVEN)]
        if raised:
            return _said(raised[0])
        present = {*saved.settings, *(name for name, error in errors.items() if error is None)}
        if not present.issuperset(("observation_space", "action_space")):
            return _said(
                KeyError("The observation_space and action_space were not given, can't verify new environments")
            )
        if "policy_class" not in present:
            return _said(KeyError("policy_class"))
        buffer = saved.pickled.get("replay_buffer_class")
        if buffer is not None and isinstance(buffer.value, Global) and buffer.value.name == "HerReplayBuffer":
            return "AssertionError: You must pass an environment when using `HerReplayBuffer`"
        error = None if statistics is None else _unpickling_error(statistics, saved.trusted)
        return "" if error is None else f"VecNormalize.load: {_said(error)}"


def _numbers(saved: SavedModel) -> dict[str, np.generic]:
    """Attributes that are NumPy scalars, which SB3 pickles. TQC cannot do without its ``target_entropy``."""
    found = {}
    for name, parsed in saved.pickled.items():
        function = parsed.value.function if isinstance(parsed.value, Call) else None
        if name not in _BUILT_ANEW and isinstance(function, Global) and str(function) in _SCALARS:
            with contextlib.suppress(Unreadable):
                found[name] = saved.value(name)
    return found


_SCALARS = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")


_MISFIT = "parameter group"
"""What PyTorch speaks of where an optimizer's state is of other parameters than it has."""


def _without_pickles(
    saved: SavedModel, kind: type[BaseAlgorithm], given: Mapping[str, Any], members: Mapping[str, bytes]
) -> io.BytesIO:
    """The same zip without pickles: settings that SB3 is given as objects are null in it.

    :param given: those settings
    :param members: the parameters
    """
    settings = {
        **{name: value for name, value in saved.settings.items() if name not in _BUILT_ANEW},
        **dict.fromkeys(given),
    }
    settings = {name: value for name, value in settings.items() if not hasattr(kind, name)}  # methods stay
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("data", json.dumps(settings))
        for name, parameters in members.items():
            archive.writestr(name, parameters)
    content.seek(0)
    return content


def _parameters(saved: SavedModel, kind: type[BaseAlgorithm]) -> tuple[dict[str, bytes], dict[str, LeftOut]]:
    """The parameters that an algorithm has, and what a class derived from it saved besides, which is left out.

    :raises Unreadable: they are damaged
    """
    kept, left_out = {}, {}
    known = _saved_by(kind)
    for name, content in saved.parameters.items():
        if not _PARAMETERS.fullmatch(name):
            raise Unreadable(f"expected parameters such as policy.pth, found {name[:200]!a}")
        if name.removesuffix(".pth") not in known and name not in _TENSOR_FILES:
            left_out[name] = LeftOut(f"of a class derived from {kind.__name__}", "it has no such parameters")
            continue
        with refusing(f"damaged {name}"):
            pickles = pickles_of_tensors(content)  # PyTorch executes nothing in them, but may never come to their end
            if any(str(found) in _SCALARS for pickled in pickles for found in pickled.names):
                content = _with_plain_numbers(content)
            kept[name] = _single_tensors(content) if name in _TENSOR_FILES else content
    return kept, left_out


def _saved_by(kind: type[BaseAlgorithm]) -> set[str]:
    """The state dictionaries that an algorithm saves: ``policy``, ``policy.optimizer``, ..."""
    bare = kind.__new__(kind)
    vars(bare)["ent_coef_optimizer"] = None
    without_entropy, _ = bare._get_torch_save_params()
    return {*without_entropy, "ent_coef_optimizer"}


_SAID_OF_NUMBERS = "UnpicklingError: Weights only load failed."
"""What PyTorch says of NumPy's numbers, and then more."""


def _with_plain_numbers(content: bytes) -> bytes:
    """An optimizer's state with Python's numbers instead of NumPy's, such as a schedule's, which PyTorch refuses."""
    kinds = [type(np.dtype(code)) for code in "?bBhHiIlLefd"]
    known: list[Any] = [*((_number, name) for name in _SCALARS), np.dtype, *kinds]
    with th.serialization.safe_globals(known):
        state = th.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    written = io.BytesIO()
    th.save(state, written)
    return written.getvalue()


def _number(dtype: Any, content: Any) -> bool | int | float:
    """Python's number, in place of NumPy's function that makes one of its bytes."""
    if not isinstance(dtype, np.dtype) or dtype.kind not in "biuf" or not isinstance(content, bytes):
        raise Unreadable("expected a number")
    number: bool | int | float = np.frombuffer(content, dtype, 1)[0].item()
    return number


def _single_tensors(content: bytes) -> bytes:
    """The single tensors that SB3 puts where their names say, without others."""
    tensors = th.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if tensors is None or not isinstance(tensors, dict) or _TENSORS.issuperset(tensors):
        return content
    written = io.BytesIO()
    th.save({name: tensor for name, tensor in tensors.items() if name in _TENSORS}, written)
    return written.getvalue()


def _not_taken(policy: Any, arguments: Any, unread: Collection[str]) -> dict[str, str]:
    """Arguments that a policy's constructor does not take, each with what it raises; none where it takes any."""
    if not (isinstance(policy, type) and issubclass(policy, BasePolicy) and isinstance(arguments, dict)):
        return {}
    parameters = inspect.signature(policy).parameters
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return {}
    return {
        name: _said(TypeError(f"{policy.__name__}.__init__() got an unexpected keyword argument {name!r}"))
        for name in (*arguments, *unread)
        if name not in parameters
    }


def _kind_of(value: Any) -> str:
    kind = type(value)
    return described(value) if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


class _Idle(th.optim.Optimizer):
    """Stands for an optimizer that is left out: takes its arguments, and cannot optimize."""

    def __init__(self, params: Any, **_: Any) -> None:
        super().__init__(params, {})

    def load_state_dict(self, state_dict: Any) -> None:
        """Leave the state alone, which is another optimizer's."""


def _check_kinds(values: dict[str, Any], saved: SavedModel) -> None:
    policy, arguments = values["policy_class"], values["policy_kwargs"]
    if not (isinstance(policy, type) and issubclass(policy, BasePolicy)):
        raise Unreadable(f"policy_class: expected a policy of SB3, found {_found(policy, 'policy_class', saved)}")
    for name in ("observation_space", "action_space"):
        if not isinstance(values[name], spaces.Space):
            raise Unreadable(f"{name}: expected a space, found {_found(values[name], name, saved)}")
    if not isinstance(arguments, dict):
        raise Unreadable(f"policy_kwargs: expected keys and values, found {described(arguments)}")
    for path, value in _classes_in(arguments, "policy_kwargs"):
        own = is_trusted(value.__module__, saved.trusted) or _is_replacement(value, saved)
        of_extractor = th.nn.Module if _EXTRACTOR_ARGUMENTS in path.split(".") else None
        kind = _KINDS.get(path.rpartition(".")[2], object if own or issubclass(value, _PLAIN) else of_extractor)
        if kind is None or not issubclass(value, kind):
            raise Unreadable(
                f"{path}: expected {'plain values' if kind is None else kind.__name__}, found {described(value)}"
            )


def _found(value: Any, name: str, saved: SavedModel) -> str:
    """What stands in the place of what acting needs; where nothing does, how that comes and what to do."""
    if name in saved.settings or name in saved.pickled:
        return described(value)
    return f"nothing: the model was saved without it, as with save(path, exclude=[{name!r}]); save it again with it"


def _is_replacement(value: type, saved: SavedModel) -> bool:
    """Whether the user's configuration names this class to be used instead of one in the zip."""
    targets = (target.replace(":", ".").rpartition(".") for target in saved.classes.values())
    return any(getattr(sys.modules.get(module), name, None) is value for module, _, name in targets)


def _classes_in(value: Any, path: str) -> Iterator[tuple[str, type]]:
    if isinstance(value, type):
        yield path, value
    elif isinstance(value, functools.partial):
        if isinstance(value.func, type):
            yield path, value.func
        yield from _classes_in([value.args, value.keywords], f"{path}.arguments")
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _classes_in(item, f"{path}.{key}")
    elif isinstance(value, list | tuple | set | frozenset | deque):
        for item in value:
            yield from _classes_in(item, path)
    if not isinstance(value, _WITHOUT_CLASSES) and not inspect.isroutine(value):
        yield from _classes_in_attributes(value, path)


_WITHOUT_CLASSES = (type, functools.partial, spaces.Space, enum.Enum, th.Tensor)
"""Types whose attributes are not searched for classes: searched already, or without any of their own."""


def _classes_in_attributes(value: Any, path: str) -> Iterator[tuple[str, type]]:
    slots = [name for name, found in inspect.getmembers_static(type(value)) if inspect.ismemberdescriptor(found)]
    in_slots = {name: getattr(value, name, None) for name in slots}
    for name, held in {**in_slots, **getattr(value, "__dict__", {})}.items():
        yield from _classes_in(held, f"{path}.{name}")


def _notes(saved: SavedModel, left_out: Mapping[str, LeftOut]) -> list[str]:
    notes = []
    packages = {name.module.partition(".")[0] for parsed in saved.pickled.values() for name in parsed.names}
    if "gym" in packages:
        notes.append("spaces of gym rebuilt as Gymnasium's")
    if left_out:
        named = [f"{name[:80]} ({part.what[:80]})" for name, part in left_out.items()]
        more = [f"{len(named) - _MOST_NAMED} more"] if len(named) > _MOST_NAMED else []
        notes.append(f"left out, which acting does not need: {', '.join([*named[:_MOST_NAMED], *more])}")
    buffer = saved.pickled.get("replay_buffer_class")
    if buffer is not None and "replay_buffer_class" not in left_out:
        name = buffer.value.name if isinstance(buffer.value, Global) else "replay buffer"
        notes.append(f"without its {name}")
    return notes


_MOST_NAMED = 20
"""Parts that are left out, of which a note names so many."""


def _unpickling_error(parsed: Parsed, trusted: Collection[str]) -> Exception | None:
    """The first error that unpickling would raise; None where it would work.

    Only modules of well-known or trusted packages are imported to find out.
    """
    for step in parsed.steps:
        try:
            if isinstance(step, Global):
                _look_up(step.module, step.name, trusted)
            elif _is_code_of_another_python(step):
                return TypeError("code() of another version of Python")
        except Exception as error:
            return error
    return None


def _look_up(module: str, name: str, trusted: Collection[str]) -> None:
    package = module.partition(".")[0]
    if package == "__main__":
        raise AttributeError(f"Can't get attribute {name!r} on <module '__main__'>")
    if importlib.util.find_spec(package) is None:
        raise ModuleNotFoundError(f"No module named {package!r}")
    if package in _HARMLESS or is_trusted(module, trusted):
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            if not hasattr(found, part):
                raise AttributeError(f"Can't get attribute {name!r} on {found!r}")
            found = getattr(found, part)


def _no_place(member: str) -> Exception:
    """What SB3 raises of a member with parameters that its algorithm has not."""
    return ValueError(f"Key {member.removesuffix('.pth')} is an invalid object name.")


def _said(error: Exception) -> str:
    return printable(f"{type(error).__name__}: {error}")


# What SB3 only warns of when a value cannot be unpickled, to go on without it.
_FORGIVEN = (RuntimeError, TypeError, AttributeError, type(None))

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
    """A function saved as code starts with ``CodeType(...)``, with other arguments before Python 3.8 and 3.11."""
    made = call.function
    names_type = isinstance(made, Call) and isinstance(made.function, Global) and made.function.name == "_builtin_type"
    return names_type and made.args == ("CodeType",) and isinstance(call.args, Sequence) and len(call.args) != _CODE


_CODE = 18  # Python 3.11 and later
