"""What conditions put around environments, or set on them: what scripts do by mistake, or what training had."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import RescaleAction, TransformObservation
from stable_baselines3.common.vec_env import VecEnv

from reload_audit.environments.older_apis import layers
from reload_audit.environments.stack import layers_of
from reload_audit.reading.statistics import Moments

_INFINITE = 1e38
"""A bound beyond it counts as infinite: gym wrote the largest float32 where Gymnasium writes infinity."""


class PostedNormalizer(gym.ObservationWrapper):
    """The wrapper that is commonly posted in place of VecNormalize: it divides by ``std + 1e-8`` and does not clip.

    People measure rewards with it, so it may be why a reward is lost.
    """

    def __init__(self, env: gym.Env, moments: Moments) -> None:
        super().__init__(env)
        self._mean, self._std = moments.mean, np.sqrt(moments.var)

    def observation(self, observation: Any) -> np.ndarray:
        return np.asarray((observation - self._mean) / (self._std + 1e-8), dtype=np.float32)


class ShiftedAndScaled(gym.ObservationWrapper):
    """Multiplies observations, adds to them, and clips them: whatever somebody's own normalisation does.

    :param factors: one for each number of an observation
    :param shifts: likewise
    :param bound: at which the result is clipped
    """

    def __init__(self, env: gym.Env, factors: Sequence[float], shifts: Sequence[float], bound: float) -> None:
        super().__init__(env)
        self._factors, self._shifts, self._bound = np.asarray(factors), np.asarray(shifts), float(bound)

    def observation(self, observation: Any) -> np.ndarray:
        flat = np.asarray(observation).ravel() * self._factors + self._shifts
        clipped = np.clip(flat, -self._bound, self._bound)
        return np.asarray(clipped.reshape(np.shape(observation)), dtype=np.float32)


class Reordered(gym.ObservationWrapper):
    """Gives the numbers of an observation in another order.

    :param order: the places that they are taken from
    """

    def __init__(self, env: gym.Env, order: Sequence[int]) -> None:
        super().__init__(env)
        self._order = [*order]

    def observation(self, observation: Any) -> np.ndarray:
        return np.asarray(observation).ravel()[self._order].reshape(np.shape(observation))


class FirstObservation(gym.Wrapper):
    """Shows the first observation of an episode in each of its steps, as a script does that forgets to go on."""

    def reset(self, **kwargs: Any) -> Any:
        observation, info = self.env.reset(**kwargs)
        self._first = deepcopy(observation)
        return observation, info

    def step(self, action: Any) -> Any:
        _, *others = self.env.step(action)
        return deepcopy(self._first), *others


class AlteredActions(gym.ActionWrapper):
    """Multiplies continuous actions, adds to them, and clips them.

    :param factors: one for each number of an action; so are ``shifts``, and the bounds ``low`` and ``high``
    """

    def __init__(
        self,
        env: gym.Env,
        factors: Sequence[float],
        shifts: Sequence[float],
        low: Sequence[float],
        high: Sequence[float],
    ) -> None:
        super().__init__(env)
        self._factors, self._shifts, self._low, self._high = map(np.asarray, (factors, shifts, low, high))

    def action(self, action: Any) -> np.ndarray:
        made = np.clip(np.ravel(action) * self._factors + self._shifts, self._low, self._high)
        return np.asarray(made.reshape(np.shape(action)), dtype=np.asarray(action).dtype)


class ReplacedActions(gym.ActionWrapper):
    """Takes other actions of a discrete space in place of some.

    :param pairs: of an action and the one that is taken for it, each as the list of its numbers
    """

    def __init__(self, env: gym.Env, pairs: Sequence[Sequence[Sequence[int]]]) -> None:
        super().__init__(env)
        self._instead = {tuple(chosen): taken for chosen, taken in pairs}

    def action(self, action: Any) -> np.ndarray:
        own = np.ravel(action)
        made = np.asarray(self._instead.get(tuple(own.tolist()), own))
        return made.reshape(np.shape(action)).astype(np.asarray(action).dtype)


class RepeatsActions(gym.Wrapper):
    """Takes each action several times, or until the episode ends, as a script does that asks the policy less often."""

    def __init__(self, env: gym.Env, times: int) -> None:
        super().__init__(env)
        self._times = times

    def step(self, action: Any) -> Any:
        total = 0.0
        for _ in range(self._times):
            observation, reward, terminated, truncated, info = self.env.step(action)
            total += float(reward)
            if terminated or truncated:
                break
        return observation, total, terminated, truncated, info


class FirstMasks(gym.Wrapper):
    """Gives the action masks of an episode's first step in all its steps, as a script does that asks for them once."""

    def reset(self, **kwargs: Any) -> Any:
        outcome = self.env.reset(**kwargs)
        self._first = np.array(self.env.get_wrapper_attr("action_masks")())
        return outcome

    def action_masks(self) -> np.ndarray:
        """The masks of the first step."""
        return self._first


def with_attribute(env: gym.Env, attribute: str, value: Any) -> gym.Env:
    """Set an attribute of an environment, or of the wrapper whose class stands before it, to what it was in training.

    :raises ValueError: there is none, or it is of another type
    """
    kind, _, name = attribute.rpartition(".")
    owner = env.unwrapped if not kind else next((one for one in layers(env) if type(one).__name__ == kind), None)
    _set_again(owner, name, attribute, value)
    return env


def with_vec_attribute(venv: VecEnv, attribute: str, value: Any) -> VecEnv:
    """Set an attribute of a VecEnv of the user's own, or of the wrapper whose class stands before it, likewise.

    :raises ValueError: there is none, or it is of another type
    """
    kind, _, name = attribute.rpartition(".")
    owner = venv.unwrapped if not kind else next((one for one in layers_of(venv) if type(one).__name__ == kind), None)
    _set_again(owner, name, attribute, value)
    return venv


def _set_again(owner: Any, name: str, attribute: str, value: Any) -> None:
    held = getattr(owner, "__dict__", {}).get(name)
    numbers = isinstance(held, int | float | np.number) and isinstance(value, int | float)
    if isinstance(held, np.ndarray):
        value = np.asarray(value, dtype=held.dtype)
    elif not numbers and not isinstance(value, type(held)):
        raise ValueError(f"expected an attribute {attribute} of type {type(value).__name__}")
    setattr(owner, name, value)


def rescale_action(env: gym.Env, low: Any, high: Any) -> gym.Env:
    """Make an environment take actions in ``[low, high]``, scalars or of its actions' shape, and rescale them."""
    assert isinstance(env.action_space, gym.spaces.Box)
    bounds = env.action_space.low
    return RescaleAction(env, *(np.broadcast_to(bound, bounds.shape).astype(bounds.dtype) for bound in (low, high)))


def observe_as(env: gym.Env, dtype: str, low: Any = None, high: Any = None, key: str = "") -> gym.Env:
    """Wrap an environment to give observations of another dtype, rescaled from its finite bounds to ``[low, high]``.

    :param low: scalar; None for no bounds
    :param key: of a dictionary, the part that becomes so
    """
    whole = env.observation_space
    space = whole[key] if key and isinstance(whole, gym.spaces.Dict) else whole
    assert isinstance(space, gym.spaces.Box)
    bounds = (float(space.low.min()), float(space.high.max()))
    finite = low is not None and high is not None and max(map(abs, bounds)) < _INFINITE

    def convert(observation: np.ndarray) -> np.ndarray:
        values = np.asarray(observation, dtype=np.float64)
        if finite:
            values = low + (values - bounds[0]) * (high - low) / (bounds[1] - bounds[0])
        return (np.rint(values) if np.dtype(dtype).kind in "iu" else values).astype(dtype)

    arguments: dict[str, Any] = dict(zip(("low", "high"), (low, high) if finite else bounds, strict=True))
    converted = gym.spaces.Box(shape=space.shape, dtype=np.dtype(dtype), **arguments)
    if not isinstance(whole, gym.spaces.Dict):
        return TransformObservation(env, convert, converted)
    spaces = gym.spaces.Dict({**whole.spaces, key: converted})
    return TransformObservation(env, lambda parts: {**parts, key: convert(parts[key])}, spaces)
