"""Find the parts of a stack of environments that cannot be pickled, and tell how to do without pickling them.

Environments are not meant to be saved: they may hold locks, sockets, processes. What has to be saved of them are the
statistics of VecNormalize, and those are numbers. ``VecNormalize.save`` therefore leaves the environments inside out,
and its own ``class_attributes``; other VecEnv wrappers, such as VecMonitor, do not, so that pickling a stack raises
"cannot pickle 'mappingproxy' object" and people go on without their statistics.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import pickle
import re
import threading
import time
import types
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import gymnasium as gym
import numpy as np
import torch as th
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecMonitor
from stable_baselines3.common.vec_env.base_vec_env import VecEnvWrapper

from reload_audit.reading.refusal import printable
from reload_audit.records.unpicklable_part import UnpicklablePart, Way

_MOST_BYTES = 1 << 24
_MOST_SECONDS = 5.0
_MOST_PARTS = 10_000
_DEEPEST = 12
_LONGEST_ERROR = 300
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_LIBRARIES = ("stable_baselines3", "sb3_contrib", "gymnasium")
_NAMED = (type, types.FunctionType)


def find_unpicklable_parts(venv: VecEnv | gym.Env) -> list[UnpicklablePart]:
    """Try to pickle every layer of a stack by itself, without the layers inside it, and name what stands in the way.

    A stack that can be pickled gives an empty list. Nothing is kept of what is pickled, numbers in arrays and tensors
    are passed over, and neither more than 16 MiB a layer nor more than five seconds in all are looked at: what lies
    beyond counts as picklable. Environments in other processes (SubprocVecEnv) are not reached.

    Pickling calls ``__reduce__`` and ``__getstate__`` of the environments, if they have them, and nothing else.

    :return: from the outermost layer inwards, one for each attribute
    """
    layers: list[tuple[Any, int, bool]] = []
    found: dict[tuple[str, int, str], UnpicklablePart] = {}
    deadline = time.monotonic() + _MOST_SECONDS
    with _surviving():
        layers.extend(_layers(venv))
    cut = _Cut({id(layer) for layer, _, _ in layers}, deadline)
    for layer, position, in_environment in layers:
        with _surviving():
            for part in _unpicklable_parts(layer, position, in_environment, cut):
                key = part.layer, part.position, part.attribute
                before = found[key].environments if key in found else 0
                found[key] = replace(part, environments=before + part.environments)
    return sorted(found.values(), key=lambda part: part.position)


def _surviving() -> contextlib.AbstractContextManager[None]:
    """Suppress whatever an environment's objects raise when they are asked for their parts."""
    return contextlib.suppress(Exception, SystemExit)


def _layers(venv: Any) -> Iterator[tuple[Any, int, bool]]:
    """Every layer, its position, and whether it is one of an environment."""
    seen: set[int] = set()
    position = 0
    while isinstance(venv, VecEnvWrapper) and id(venv) not in seen:
        seen.add(id(venv))
        yield venv, position, False
        venv, position = vars(venv).get("venv"), position + 1
    if isinstance(venv, VecEnv) and id(venv) not in seen:
        yield venv, position, False
        position += 1
    for env in vars(venv).get("envs", ()) if isinstance(venv, DummyVecEnv) else [venv]:
        for depth in itertools.count(position):
            if not isinstance(env, gym.Env) or id(env) in seen:
                break
            seen.add(id(env))
            yield env, depth, True
            env = vars(env).get("env") if isinstance(env, gym.Wrapper) else None


def _unpicklable_parts(layer: Any, position: int, in_environment: bool, cut: _Cut) -> Iterator[UnpicklablePart]:
    whole = _error(layer, cut, but=layer)
    if whole is None:
        return
    failing = [(name, part, error) for name, part in _parts(layer) if _counts(error := _error(part, cut))]
    if not failing and _counts(whole):
        failing = [("", layer, whole)]
    for name, part, error in failing:
        path, culprit, said = _culprit(name, part, error, cut) if name else (name, layer, whole)
        path = path.removeprefix(".")
        yield UnpicklablePart(
            layer=type(layer).__name__,
            position=position,
            attribute=path,
            kind=type(culprit).__name__,
            name=culprit.__name__ if isinstance(culprit, _NAMED) else "",
            error=_said(said),
            cloudpickle=_error(part, cut, None if name else layer, _CloudPickler) is None,
            environments=int(in_environment),
            way=_way(layer, path, culprit),
        )


# --- Pickling without output ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Cut:
    """Where pickling a layer stops.

    :param stack: identities of all layers
    :param deadline: on the monotonic clock
    """

    stack: Collection[int]
    deadline: float


class _EnoughError(Exception):
    """The limit of bytes or of time for pickling a layer is reached."""


class _Sink:
    """Counts what is written to it, and forgets it."""

    def __init__(self, cut: _Cut) -> None:
        self._left = _MOST_BYTES
        self._deadline = cut.deadline

    def write(self, content: Any) -> int:
        self._left -= len(content)
        if self._left < 0 or time.monotonic() > self._deadline:
            raise _EnoughError
        return len(content)


class _DiscardingPickler:
    """A pickler that leaves out the layers of the stack, and numbers, which can always be pickled.

    :param but: the layer that is not left out
    """

    def __init__(self, cut: _Cut, but: Any) -> None:
        super().__init__(_Sink(cut), pickle.DEFAULT_PROTOCOL)  # type: ignore[call-arg]
        self._but = but
        self._stack = cut.stack

    def persistent_id(self, value: Any) -> Any:
        if (id(value) in self._stack and value is not self._but) or _is_numbers(value):
            return "left out"
        return None


class _Pickler(_DiscardingPickler, pickle.Pickler):
    pass


class _CloudPickler(_DiscardingPickler, cloudpickle.Pickler):  # type: ignore[misc]
    pass


def _error(
    value: Any, cut: _Cut, but: Any = None, pickler: type[_Pickler | _CloudPickler] = _Pickler
) -> BaseException | None:
    """What pickling a value raises; None where it succeeds."""
    try:
        pickler(cut, but).dump(value)
    except (Exception, SystemExit) as error:
        return error
    return None


def _counts(error: BaseException | None) -> bool:
    return error is not None and not isinstance(error, _EnoughError)


def _is_numbers(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return type(value) in (np.ndarray, np.memmap) and not value.dtype.hasobject
    return isinstance(value, th.Tensor)


# --- From a layer to the culprit -----------------------------------------------------------------------------------


def _culprit(path: str, value: Any, error: Any, cut: _Cut) -> tuple[str, Any, BaseException]:
    """The innermost part that cannot be pickled, the way to it, and its error. The first one, where there are several.

    :param error: that of ``value``
    """
    seen = {id(value)}
    for _ in range(_DEEPEST):
        for name, part in _parts(value):
            if id(part) not in seen and _counts(found := _error(part, cut)):
                seen.add(id(part))
                path, value, error = path + name, part, found
                break
        else:
            break
    return path, value, error


def _parts(value: Any) -> Iterable[tuple[str, Any]]:
    """What pickling a value pickles with it, and how Python code gets there."""
    if isinstance(value, _NAMED):
        return []
    if isinstance(value, types.MethodType):
        return [(".__self__", value.__self__)]
    if isinstance(value, functools.partial):
        return [(".func", value.func), (".args", value.args), (".keywords", value.keywords)]
    items = list(itertools.islice(_items(value), _MOST_PARTS))
    return items if type(value) in _CONTAINERS else items + _reduced_parts(value)


_CONTAINERS = (dict, list, tuple, set, frozenset, np.ndarray)


def _items(value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, dict):
        return ((f"[{_shown_key(key)}]", item) for key, item in value.items())
    if isinstance(value, list | tuple | deque):
        return ((f"[{index}]", item) for index, item in enumerate(value))
    if isinstance(value, set | frozenset):
        return ((f"{{{type(item).__name__}}}", item) for item in value)
    if isinstance(value, np.ndarray):
        return ((f".flat[{index}]", item) for index, item in enumerate(value.flat))
    return ()


def _reduced_parts(value: Any) -> list[tuple[str, Any]]:
    try:
        reduced = value.__reduce_ex__(pickle.DEFAULT_PROTOCOL)
    except (Exception, SystemExit):
        return []
    if not isinstance(reduced, tuple):
        return []
    _, arguments, state = (*reduced, None)[:3]
    parts = [(f".{key}", item) for part in _dictionaries(state) for key, item in part.items()]
    if state is not None and not parts:
        parts.append((".__getstate__()", state))
    for index, argument in enumerate(arguments if isinstance(arguments, tuple) else ()):
        is_class = argument is type(value)
        parts.append((".__class__" if is_class else f".__reduce__()[1][{index}]", argument))
    return parts


def _dictionaries(state: Any) -> list[dict[str, Any]]:
    """A state is the attributes, or a pair: attributes and slots."""
    return [part for part in (state if isinstance(state, tuple) else (state,)) if isinstance(part, dict)]


def _shown_key(key: Any) -> str:
    return repr(key)[:100] if isinstance(key, str | int | float | bool | type(None)) else f"a {type(key).__name__}"


def _said(error: BaseException) -> str:
    """An error in one line, the same in every run: without addresses in memory."""
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:
        text = type(error).__name__
    return printable(_ADDRESS.sub("", text)[:_LONGEST_ERROR])


# --- What to do instead --------------------------------------------------------------------------------------------


def _way(layer: Any, path: str, culprit: Any) -> Way:
    """How to do without pickling a culprit.

    :param path: from the layer to the culprit
    """
    attribute = re.split(r"[.\[{]", path)[0]
    if isinstance(layer, VecEnvWrapper) and attribute == "class_attributes":
        return "monitor environments" if isinstance(layer, VecMonitor) else "new wrapper"
    if isinstance(layer, SubprocVecEnv):
        return "new processes"
    if isinstance(culprit, _NAMED):
        return "move to module"
    if type(layer).__module__.partition(".")[0] in _LIBRARIES or not attribute.isidentifier():
        return "new environments"
    is_lock = path == attribute and isinstance(culprit, type(threading.Lock()))
    return "leave out lock" if is_lock else "leave out"
