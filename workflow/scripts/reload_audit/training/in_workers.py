"""Reach environments in the processes of a SubprocVecEnv: look at them, and run episodes in them or in their copies.

SB3 calls by its name whatever stands as an attribute on such an environment (``env_method``). So a :class:`_Visitor` is
set there, which works on the environment in its own process, and is taken away again.
"""

from __future__ import annotations

import contextlib
import pickle
import random
import sys
from functools import partial
from types import TracebackType
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import SubprocVecEnv

from reload_audit.environments.older_apis import Info
from reload_audit.records.environment_spec import EnvironmentSpec
from reload_audit.training.layers import Attributes, at_a_start, layers_with_effect, plain_attributes
from reload_audit.training.with_episodes import with_episodes

_VISITOR = "reload_audit_visitor"


class NotReached(RuntimeError):
    """Something raised in the process of an environment, or it is not where SB3 keeps it."""


class Workers:
    """The processes of a SubprocVecEnv, while it is looked at or measured.

    :param venv: which goes on as before when this ends
    """

    def __init__(self, venv: SubprocVecEnv) -> None:
        self._venv = venv
        self.envs: list[gym.Env] = [_Elsewhere(venv, slot) for slot in range(venv.num_envs)]

    def __enter__(self) -> Workers:
        self._venv.set_attr(_VISITOR, _Visitor())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for slot in range(self._venv.num_envs):
            _ask(self._venv, slot, "leave")

    def layers(self) -> list[tuple[str, Attributes]]:
        """The layers of one environment at the start of an episode: class names and plain attributes, outermost first.

        :raises NotReached: they cannot be looked at
        """
        found: list[tuple[str, Attributes]] = _ask(self._venv, 0, "layers")
        return found

    def begin_episodes(self, spec: EnvironmentSpec, *, at_the_end: bool) -> bool:
        """Let :attr:`envs` run given episodes: see ``in_place.with_episodes``.

        :return: whether the environments are used themselves, and not their copies
        :raises NotReached: they may neither be copied nor used
        """
        own = [_ask(self._venv, slot, "begin_episodes", spec, at_the_end) for slot in range(self._venv.num_envs)]
        return any(own)


class _Elsewhere(gym.Env):
    """An environment in another process, as if it were here."""

    def __init__(self, venv: SubprocVecEnv, slot: int) -> None:
        self.observation_space, self.action_space = venv.observation_space, venv.action_space
        self._ask = partial(_ask, venv, slot)

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Any, Info]:
        found: tuple[Any, Info] = self._ask("call", "reset", seed=seed, options=options)
        return found

    def step(self, action: Any) -> Any:
        return self._ask("call", "step", action)

    def get_wrapper_attr(self, name: str) -> Any:
        """An attribute of one of its layers, or a function that calls one there.

        :raises AttributeError: there is none
        """
        is_there, is_called, value = self._ask("attribute", name)
        if not is_there:
            raise AttributeError(f"the environment has no attribute {name!r}")
        return partial(self._ask, "call", name) if is_called else value


def _ask(venv: SubprocVecEnv, slot: int, task: str, *args: Any, **kwargs: Any) -> Any:
    """Let the visitor of one process do something.

    :raises NotReached: it raises
    """
    ((worked, result),) = venv.env_method(_VISITOR, task, *args, indices=[slot], **kwargs)
    if not worked:
        raise NotReached(result)
    return result


class _Visitor:
    """Works on an environment in its own process. Nothing that it does raises there, which would end the process."""

    def __init__(self) -> None:
        self._env: Any = None
        self._measured: Any = None
        self._until_it_leaves = contextlib.ExitStack()

    def __reduce__(self) -> tuple[Any, ...]:
        return _Visitor, ()

    def __call__(self, task: str, *args: Any, **kwargs: Any) -> tuple[bool, Any]:
        # SB3's worker has its environment in a local variable, and hands it to nobody.
        env = self._env = self._env or sys._getframe(1).f_locals.get("env")
        if not isinstance(env, gym.Env):
            return False, "SB3 keeps the environments of other processes elsewhere"
        del vars(env)[_VISITOR]  # no copy of an environment has one
        try:
            return True, getattr(self, task)(*args, **kwargs)
        except Exception as error:
            return False, f"{type(error).__name__}: {error}"
        finally:
            if task != "leave":
                setattr(env, _VISITOR, self)

    def layers(self) -> list[tuple[str, Attributes]]:
        with _generators_kept():
            return [(type(one).__name__, plain_attributes(one)) for one in layers_with_effect(at_a_start(self._env))]

    def begin_episodes(self, spec: EnvironmentSpec, at_the_end: bool) -> bool:
        self._until_it_leaves.enter_context(_generators_kept())
        given = with_episodes([self._env], spec, at_the_end=at_the_end)
        (self._measured,), own = self._until_it_leaves.enter_context(given)
        return own

    def attribute(self, name: str) -> tuple[bool, bool, Any]:
        """Whether the environment that is measured has an attribute, whether it can be called, or else its value."""
        try:
            value = self._measured.get_wrapper_attr(name)
        except AttributeError:
            return False, False, None
        if callable(value):
            return True, True, None
        pickle.dumps(value)  # what cannot be sent raises here, and not where SB3 sends it
        return True, False, value

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return self._measured.get_wrapper_attr(name)(*args, **kwargs)

    def leave(self) -> None:
        self._until_it_leaves.close()


@contextlib.contextmanager
def _generators_kept() -> Any:
    """Put the process's global generators back at the end."""
    states = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
