"""What an environment carries along: attributes of itself, its wrappers and its classes, and globals of its modules.

They are read, compared between processes by digest, and put back to what they were. What a value is, its type says:
``isinstance`` and ``vars`` would ask the value itself, which may answer anything, and warn that it is deprecated.
"""

from __future__ import annotations

import copy
import functools
import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType, MethodType, ModuleType
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th

from reload_audit.environments.older_apis import OlderApi, layers
from reload_audit.probing import generators
from reload_audit.probing.code import Code
from reload_audit.probing.scenario import Leaf
from reload_audit.records.digests import Digest
from reload_audit.records.probe_record import Scope

_DEPTH = 5
_MOST_LEAVES = 4000
_MOST_ITEMS = 200
_ABSENT = object()
_BUILT_IN = (FunctionType, MethodType, ModuleType, classmethod, staticmethod, property, functools.partial, type)


@dataclass(frozen=True)
class Root:
    """An attribute of an instance, a class or a module.

    :param owner: what has the attribute
    """

    owner: Any
    name: str
    scope: Scope

    @property
    def value(self) -> Any:
        return vars(self.owner)[self.name]


def roots(env: gym.Env | None, code: Code) -> dict[str, Root]:
    """All attributes that may carry state, by the name to show.

    :param env: None for only what instances share
    """
    found: dict[str, Root] = {}
    if env is not None:
        for layer in (layer for layer in layers(env) if not isinstance(layer, OlderApi)):
            prefix = "" if layer is env.unwrapped else f"{type(layer).__name__}."
            for name in _instance_names(layer):
                found[f"{prefix}{name}"] = Root(layer, name, "instance")
    for module in code.modules():
        for name, value in list(vars(module).items()):
            if _is(value, type) and value.__module__ == module.__name__:
                for attribute, held in list(vars(value).items()):
                    if _may_change(attribute, held):
                        found[f"{value.__qualname__}.{attribute}"] = Root(value, attribute, "class")
            elif _may_change(name, value) and not _is_imported_function(value, module):
                found[f"{module.__name__}.{name}"] = Root(module, name, "module")
    return found


def capture(of: Mapping[str, Root]) -> dict[str, Leaf]:
    """Digests and short texts of all values, by the path that leads to them."""
    leaves: dict[str, Leaf] = {}
    for name, root in of.items():
        for path, value in _walk(root.value, "", _DEPTH, set()):
            if len(leaves) == _MOST_LEAVES:
                return leaves
            leaves[name + path] = _leaf(name, root.scope, value)
    return leaves


def keep(of: Mapping[str, Root], names: Sequence[str]) -> dict[str, object]:
    """Copies of attributes, for :func:`put_back`; without those that cannot be copied."""
    kept: dict[str, object] = {}
    for name in names:
        try:
            kept[name] = _copied(of[name].value) if name in of else _ABSENT
        except Exception:  # locks, sockets and their kin  # noqa: S112
            continue
    return kept


def put_back(of: Mapping[str, Root], kept: Mapping[str, object]) -> None:
    """Make attributes what they were; those that were not there yet are removed."""
    for name, value in kept.items():
        if name not in of:
            continue
        root = of[name]
        held = root.value
        if value is _ABSENT:
            delattr(root.owner, root.name)
        elif isinstance(held, functools._lru_cache_wrapper):
            held.cache_clear()
        elif generators.is_generator(held):
            generators.put_state(held, value)
        else:
            setattr(root.owner, root.name, copy.deepcopy(value))


def _copied(value: Any) -> Any:
    return generators.copied(value) if generators.is_generator(value) else copy.deepcopy(value)


def set_number(of: Mapping[str, Root], name: str, number: float) -> None:
    """Set an attribute that is a number to another value, keeping its type."""
    root = of[name]
    setattr(root.owner, root.name, type(root.value)(number))


def _instance_names(layer: gym.Env) -> list[str]:
    return [name for name in vars(layer) if name not in ("env", "spec", "_cached_spec", "_metadata")]


def _may_change(name: str, value: Any) -> bool:
    if name.startswith("__") or _is(value, _BUILT_IN):
        return False
    if _is(value, functools._lru_cache_wrapper):
        return True
    return not callable(value) or generators.is_generator(value)


def _is_imported_function(value: Any, module: ModuleType) -> bool:
    return _is(value, functools._lru_cache_wrapper) and value.__module__ != module.__name__


def _walk(value: Any, path: str, depth: int, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Plain values, arrays and generators inside a value, each with its path.

    :param depth: levels of attributes and items to follow at most
    :param seen: ids of objects that were already followed, so that cycles end
    """
    if _is(value, gym.Space):
        if value._np_random is not None:
            yield f"{path}.np_random", value._np_random
    elif _is_leaf(value):
        yield path, value
    elif depth and id(value) not in seen:
        seen.add(id(value))
        for step, item in _items(value):
            yield from _walk(item, path + step, depth - 1, seen)


def _is_leaf(value: Any) -> bool:
    if _is(value, list | tuple | deque):
        return len(value) > _MOST_ITEMS or all(_is_plain(item) for item in value)
    if _is(value, set | frozenset):
        return True
    return _is_plain(value) or generators.is_generator(value) or _is(value, functools._lru_cache_wrapper)


def _is_plain(value: Any) -> bool:
    return value is None or _is(value, bool | int | float | complex | str | bytes | np.ndarray | np.generic | th.Tensor)


def _items(value: Any) -> list[tuple[str, Any]]:
    if _is(value, Mapping):
        return [(f"[{key!r}]", item) for key, item in list(value.items())[:_MOST_ITEMS]]
    if _is(value, list | tuple | deque):
        return [(f"[{index}]", item) for index, item in enumerate(value)]
    if _is(value, _BUILT_IN):
        return []
    return [(f".{name}", item) for name, item in list(_attributes(value).items())[:_MOST_ITEMS]]


def _is(value: Any, kind: Any) -> bool:
    return issubclass(type(value), kind)


def _attributes(value: Any) -> Mapping[str, object]:
    """An object's own attributes; none where it has no place for them."""
    try:
        found: Mapping[str, object] = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return found


def _leaf(root: str, scope: Scope, value: Any) -> Leaf:
    if generators.is_generator(value):
        state = generators.state_of(value)
        return Leaf(root, scope, "generator", state, f"{type(value).__name__} in state {state[:6]}", None)
    if isinstance(value, functools._lru_cache_wrapper):
        filled = value.cache_info().currsize
        return Leaf(root, scope, "cache", str(filled), f"{filled} cached results", None)
    number = float(value) if isinstance(value, int | float | np.number) and not isinstance(value, bool) else None
    if isinstance(value, set | frozenset):
        value = sorted(map(repr, value))  # the order of a set is no content
    digest = Digest().add(list(value) if isinstance(value, deque) else value).hexdigest()
    text = " ".join(repr(value.tolist() if isinstance(value, np.ndarray) else value).split())
    return Leaf(
        root,
        scope,
        "value",
        digest,
        text if len(text) <= 80 else f"{text[:77]}...",
        number if number is None or math.isfinite(number) else None,
    )
