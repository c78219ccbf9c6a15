"""Which wrappers of a script change what its environments are observed to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np

from reload_audit.observing.tracking import numbers
from reload_audit.records.observation import ObservedEnvironment, ObservedWrapper


class WrappersSeen:
    """The wrappers around environments, and what each returned at the beginning of an episode. Objects are kept."""

    def __init__(self) -> None:
        self._first: dict[int, tuple[Any, tuple[float, ...] | None]] = {}
        self._changing: dict[int, gym.Wrapper] = {}
        self._around: list[list[gym.Wrapper]] = []

    def around(self, wrappers: list[gym.Wrapper]) -> None:
        """The script steps its next environment, with these wrappers around it, innermost first."""
        self._around.append(wrappers)

    def began(self, env: Any, result: Any) -> None:
        """``reset`` of an environment, or of a wrapper around one, returned; that of what is inside did before."""
        if not isinstance(env, gym.Env) or not isinstance(result, tuple):
            return
        first = numbers(result[0], None)
        self._first[id(env)] = (env, first)
        if not isinstance(env, gym.Wrapper):
            return
        inside, given = self._first.get(id(env.env), (None, None))
        if inside is not env.env or first is None or given is None or first == given:
            return
        if len(first) != len(given) or not np.allclose(first, given, equal_nan=True):
            self._changing[id(env)] = env

    def noted(self, environments: Sequence[ObservedEnvironment]) -> list[ObservedEnvironment]:
        """Environments, in the order in which they were stepped first, and whether their wrappers change them."""
        return [
            replace(environment, wrappers=environment.wrappers and [*map(self._noted, environment.wrappers, own)])
            for environment, own in zip(environments, self._around, strict=True)
        ]

    def _noted(self, seen: ObservedWrapper, wrapper: gym.Wrapper) -> ObservedWrapper:
        return replace(seen, changes_observations=id(wrapper) in self._changing)
