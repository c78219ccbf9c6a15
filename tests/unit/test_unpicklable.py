"""What keeps a stack of environments from being pickled is named, with what to do; and looking for it does no harm."""

from __future__ import annotations

import functools
import json
import pickle
import socket
import threading
import tracemalloc
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
import gymnasium as gym
import numpy as np
import planted
import pytest
import torch as th
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecEnv,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
)

from reload_audit.remedies.unpicklable import PartWithRemedy, unpicklable_parts

CART = partial(gym.make, "CartPole-v1")


class Holds(gym.Wrapper):
    """An environment that holds something as an attribute."""

    def __init__(self, env: gym.Env, thing: Any) -> None:
        super().__init__(env)
        self.thing = thing


def holding(thing: Any) -> VecEnv:
    return DummyVecEnv([lambda: Monitor(Holds(CART(), thing))])


def only(parts: list[PartWithRemedy]) -> PartWithRemedy:
    (part,) = parts
    return part


# --- VecEnv wrappers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "position"),
    [(lambda venv: VecMonitor(VecNormalize(venv)), 0), (lambda venv: VecNormalize(VecMonitor(venv)), 1)],
)
def test_vecmonitor_is_named_wherever_it_is(build: Callable[[VecEnv], VecEnv], position: int) -> None:
    venv = build(DummyVecEnv([CART]))
    found = only(unpicklable_parts(venv))
    assert (found.layer, found.position, found.environments) == ("VecMonitor", position, 0)
    assert (found.attribute, found.kind) == ("class_attributes['__dict__']", "mappingproxy")
    assert not found.cloudpickle
    with pytest.raises(TypeError) as raised:
        pickle.dumps(VecMonitor(DummyVecEnv([CART])))
    assert found.error == f"TypeError: {raised.value}" == "TypeError: cannot pickle 'mappingproxy' object"
    assert "make_vec_env" in found.remedy


def test_the_remedy_for_vecmonitor_works() -> None:
    assert unpicklable_parts(VecNormalize(make_vec_env("CartPole-v1", n_envs=2))) == []


def test_other_wrappers_that_cannot_be_pickled_are_named() -> None:
    found = only(unpicklable_parts(VecFrameStack(VecNormalize(DummyVecEnv([CART])), 2)))
    assert (found.layer, found.position, found.kind) == ("VecFrameStack", 0, "mappingproxy")
    assert "Monitor" not in found.remedy


def test_an_unpicklable_attribute_of_vecnormalize_is_named() -> None:
    venv = VecNormalize(DummyVecEnv([CART]))
    venv.schedule = lambda: 1
    found = only(unpicklable_parts(venv))
    assert (found.layer, found.attribute) == ("VecNormalize", "schedule")
    with pytest.raises(AttributeError, match="Can't pickle local object"):
        pickle.dumps(venv)


def test_subprocesses_are_named_as_unpicklable() -> None:
    venv = VecNormalize(VecMonitor(SubprocVecEnv([CART])))
    found = {one.layer: one for one in unpicklable_parts(venv)}
    venv.close()
    assert {name: one.position for name, one in found.items()} == {"VecMonitor": 1, "SubprocVecEnv": 2}
    assert found["SubprocVecEnv"].attribute == "processes[0]._config['authkey']"
    assert "start new processes" in found["SubprocVecEnv"].remedy


@pytest.mark.parametrize(
    "build",
    [
        lambda: DummyVecEnv([CART] * 2),
        lambda: VecNormalize(make_vec_env("Pendulum-v1")),
        lambda: VecNormalize(DummyVecEnv([planted.Goals])),
        lambda: Monitor(planted.Images()),
        lambda: holding({"a": [np.ones(3), th.ones(3), {1, 2}], "b": partial(max, 1)}),
    ],
)
def test_a_stack_that_can_be_pickled_has_no_unpicklable_parts(build: Callable[[], VecEnv]) -> None:
    stack = build()
    stack.reset()
    pickle.dumps(stack)
    assert unpicklable_parts(stack) == []


# --- Environments ---------------------------------------------------------------------------------------------------


class Slotted:
    __slots__ = ("inside",)

    def __init__(self, inside: Any) -> None:
        self.inside = inside


def numbers() -> Any:
    yield 1


def objects(thing: Any) -> np.ndarray:
    made = np.empty(2, object)
    made[1] = thing
    return made


class Refuses:
    def __getstate__(self) -> Any:
        raise RuntimeError("not today")

    def method(self) -> None: ...


CULPRITS = {
    "a lock": (threading.Lock, "thing", "lock", False),
    "a socket": (socket.socket, "thing", "socket", False),
    "a lambda": (lambda: lambda: 1, "thing", "function", True),
    "a generator": (numbers, "thing", "generator", False),
    "a lock deep inside": (lambda: {"a": [1, (threading.Lock(),)]}, "thing['a'][1][0]", "lock", False),
    "in slots": (lambda: Slotted(threading.Lock()), "thing.inside", "lock", False),
    "in an array of objects": (lambda: objects(numbers()), "thing.flat[1]", "generator", False),
    "in a partial": (lambda: partial(max, key=lambda one: one), "thing.keywords['key']", "function", True),
    "in a set": (lambda: {numbers()}, "thing{generator}", "generator", False),
    "a method of what refuses": (lambda: Refuses().method, "thing.__self__", "Refuses", False),
    "a default": (lambda: defaultdict(lambda: 0), "thing.__reduce__()[1][0]", "function", True),
}


@pytest.mark.parametrize("culprit", CULPRITS)
def test_an_unpicklable_attribute_of_an_environment_is_named_by_its_path(culprit: str) -> None:
    make, attribute, kind, can_cloudpickle = CULPRITS[culprit]
    thing = make()
    found = only(unpicklable_parts(holding(thing)))
    assert (found.layer, found.position, found.environments) == ("Holds", 2, 1)
    assert (found.attribute, found.kind) == (attribute, kind)
    assert found.cloudpickle == can_cloudpickle == can(cloudpickle.dumps, thing)
    assert not can(pickle.dumps, thing)


def can(dumps: Callable[[Any], bytes], thing: Any) -> bool:
    try:
        dumps(thing)
    except Exception:
        return False
    return True


def test_every_unpicklable_attribute_is_named() -> None:
    venv = holding(threading.Lock())
    venv.envs[0].unwrapped.reader = numbers()
    venv.envs[0].unwrapped.port = socket.socket()
    found = {(one.position, one.attribute) for one in unpicklable_parts(venv)}
    innermost = max(position for position, _ in found)
    assert found == {(2, "thing"), (innermost, "reader"), (innermost, "port")}


def test_environments_with_the_same_unpicklable_part_are_counted() -> None:
    venv = DummyVecEnv([lambda: Holds(CART(), numbers()), CART, lambda: Holds(CART(), numbers())])
    assert only(unpicklable_parts(venv)).environments == 2


def test_an_open_log_of_a_monitor_is_named(tmp_path: Path) -> None:
    with Monitor(CART(), str(tmp_path / "log")) as env:
        found = only(unpicklable_parts(env))
    assert (found.layer, found.attribute) == ("Monitor", "results_writer.file_handler")


def test_a_class_that_no_other_process_can_import_is_named() -> None:
    class Local(planted.Draws):
        pass

    found = only(unpicklable_parts(DummyVecEnv([Local])))
    assert (found.layer, found.attribute, found.cloudpickle) == ("Local", "__class__", True)
    assert "Move the class to the top level of a module" in found.remedy


def test_the_remedy_for_an_environment_s_own_attribute_works() -> None:
    found = only(unpicklable_parts(DummyVecEnv([Locked])))
    namespace: dict[str, Any] = {"threading": threading}
    exec(found.code.replace("class Locked(...)", "class Code"), namespace)  # noqa: S102
    Repaired = type("Repaired", (namespace["Code"], Locked), {"__module__": __name__})  # noqa: N806
    globals()["Repaired"] = Repaired
    assert unpicklable_parts(Repaired()) == []
    assert pickle.loads(pickle.dumps(Repaired())).lock.acquire(blocking=False)


class Locked(planted.Draws):
    def __init__(self) -> None:
        self.lock = threading.Lock()


# --- Looking does no harm -------------------------------------------------------------------------------------------


def test_looking_for_unpicklable_parts_does_not_change_later_episodes() -> None:
    def episode(look: bool) -> list[bytes]:
        venv = VecNormalize(VecMonitor(DummyVecEnv([planted.Draws] * 2)))
        venv.seed(3)
        trace = [venv.reset()]
        for _ in range(20):
            if look:
                unpicklable_parts(venv)
            trace += venv.step(np.zeros(2, np.int64))[:2]
        return [array.tobytes() for array in trace]

    assert episode(look=True) == episode(look=False)


def test_looking_for_unpicklable_parts_neither_creates_nor_advances_a_generator() -> None:
    reader = iter(numbers())
    env = Holds(planted.Draws(), reader)
    before = {name: id(value) for name, value in vars(env.unwrapped).items()}
    unpicklable_parts(env)
    assert {name: id(value) for name, value in vars(env.unwrapped).items()} == before
    assert next(reader) == 1


class WithoutEnd:
    """An object whose pickling would never end."""

    def __reduce__(self) -> Any:
        return list, (), None, (bytes(2**16) for _ in iter(int, 1))


@pytest.mark.parametrize("thing", [lambda: bytes(2**28), WithoutEnd, lambda: np.ones(2**25), lambda: th.ones(2**25)])
def test_large_objects_are_neither_copied_nor_searched(thing: Callable[[], Any]) -> None:
    venv = holding(thing())
    venv.envs[0].env.culprit = threading.Lock()
    tracemalloc.start()
    try:
        found = only(unpicklable_parts(venv))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.attribute == "culprit"
    assert peak < 2**26


def nested(depth: int) -> Any:
    return functools.reduce(lambda inner, _: [inner], range(depth), threading.Lock())


class Hostile:
    def __reduce_ex__(self, _: Any) -> Any:
        raise SystemExit(3)

    def __eq__(self, _: object) -> bool:
        raise RuntimeError("do not compare me")

    __hash__ = None

    def __repr__(self) -> str:
        raise RuntimeError("do not print me")


class WithoutText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class RaisesWithoutText:
    def __reduce__(self) -> Any:
        raise WithoutText


class ItselfReduced:
    def __reduce_ex__(self, _: Any) -> Any:
        return ItselfReduced, (self, threading.Lock())


def ring() -> Any:
    made: list[Any] = [threading.Lock()]
    made.insert(0, made)
    return made


@pytest.mark.parametrize(
    "thing",
    [
        lambda: nested(5),
        lambda: nested(5000),
        Hostile,
        lambda: {(1, 2): Hostile()},
        RaisesWithoutText,
        ItselfReduced,
        ring,
    ],
)
def test_no_attribute_of_an_environment_makes_the_search_raise(thing: Callable[[], Any]) -> None:
    found = only(unpicklable_parts(holding(thing())))
    assert found.layer == "Holds"
    assert json.loads(json.dumps(found.to_dict())) == found.to_dict()
    assert str(found).isprintable()


def test_a_wrapper_around_itself_does_not_hang_the_search() -> None:
    venv = VecMonitor(DummyVecEnv([CART]))
    venv.venv = venv
    assert [one.layer for one in unpicklable_parts(venv)] == ["VecMonitor"]


def with_lambda() -> VecEnv:
    return VecMonitor(DummyVecEnv([lambda: Holds(CART(), lambda: 1)]))


def test_unpicklable_parts_are_the_same_in_every_run_and_fit_into_json() -> None:
    one, two = ([found.to_dict() for found in unpicklable_parts(with_lambda())] for _ in range(2))
    assert len(one) == 2
    assert json.loads(json.dumps(one)) == one == two
    assert "0x" not in json.dumps(one)
