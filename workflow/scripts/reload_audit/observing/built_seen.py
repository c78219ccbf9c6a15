"""The environments, VecEnvs and wrappers that a script builds: in which line, from what, and inside what."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gymnasium as gym
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from reload_audit.observing.describe import arguments_of, is_whole
from reload_audit.observing.keeping_out import careful
from reload_audit.observing.lines import UserLines
from reload_audit.observing.tracking import Place
from reload_audit.records.observation import Line


class _InThisThread(threading.local):
    """What goes on in each thread.

    :ivar building: the environments, VecEnvs and wrappers whose constructors run, the innermost last
    """

    def __init__(self) -> None:
        self.building: list[Any] = []


class BuiltSeen:
    """What a script builds, by the identity of each object, all of which are kept.

    :param lines: finds the user's own lines
    :param failed: is told of an error of the observer's own
    :ivar arguments: the object, what its constructor was given, and its defaults, by name
    :ivar inside: the wrapper that each environment was built by
    """

    def __init__(self, lines: UserLines, failed: Callable[[Exception], None]) -> None:
        self._lines, self.failed = lines, failed
        self.arguments: dict[int, tuple[Any, dict[str, object], dict[str, object]]] = {}
        self.inside: dict[int, Any] = {}
        self._places: dict[int, tuple[Any, Place, Place]] = {}
        self._in_this_thread = _InThisThread()

    def all(self) -> list[Any]:
        """All objects, in the order in which they were built."""
        return [built for built, *_ in self._places.values()]

    def line_of(self, built: Any) -> Line | None:
        """The user's line that built an object."""
        return self._lines.at(self._places.get(id(built), (None, None, None))[1])

    def asking_line_of(self, built: Any) -> Line | None:
        """The line of the script itself that asked for an object."""
        return self._lines.at(self._places.get(id(built), (None, None, None))[2])

    def note(self, built: Any) -> None:
        """Note the line that builds an object, and the script's own that asks for that."""
        self._note(id(built), built)

    def _note(self, key: int, built: Any) -> None:
        self._places.setdefault(key, (built, self._lines.place(), self._lines.place(in_script=True)))

    @careful
    def made(self, env: Any) -> None:
        """An environment was made, by ``gym.make``: it is known by the one inside its wrappers."""
        self._note(id(env.unwrapped), env)

    @careful
    def begins(self, env: Any, constructor: Any, args: Any, kwargs: Any) -> None:
        """The class of an environment, a VecEnv or a wrapper is called; those of its base classes follow."""
        if id(env) in self.arguments and self.arguments[id(env)][0] is env:
            return
        with contextlib.suppress(TypeError):  # wrong arguments: the constructor itself will raise
            self.arguments[id(env)] = (env, *arguments_of(constructor, env, args, kwargs))
        self.note(env)

    @contextlib.contextmanager
    def building(self, env: Any, given: Sequence[object]) -> Iterator[None]:
        """While the block runs, the constructor of an environment, a VecEnv or a wrapper does.

        :param given: its arguments
        """
        building = self._in_this_thread.building
        if any(one is env for one in building):  # this is the constructor of a base class
            yield
            return
        if building and isinstance(building[-1], gym.Wrapper | VecEnvWrapper):
            self.inside[id(env)] = building[-1]
        building.append(env)
        try:
            yield
            self._note_inside(env, given)
        finally:
            building.pop()

    @careful
    def _note_inside(self, env: Any, given: Sequence[object]) -> None:
        """A wrapper that was given no environment has made the one inside it, or will make it later."""
        makes_its_own = not any(isinstance(value, gym.Env | VecEnv) for value in given)
        if makes_its_own and isinstance(env, gym.Wrapper | VecEnvWrapper) and is_whole(env):
            self.inside.setdefault(id(env.unwrapped), env)
