"""Environments written for another version of the API: for ``gym``, or whose ``reset`` lacks ``options`` or ``seed``.

SB3 runs them: it gives ``reset`` no ``options`` unless the user sets some, and converts environments of ``gym`` with
shimmy. Whatever else stands between an environment and its policy here passes on both arguments, as Gymnasium's own
wrappers do, so that they are left out right before the environment's own ``reset``.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence
from typing import Any, SupportsFloat

import gymnasium
from gymnasium.utils.step_api_compatibility import step_api_compatibility
from stable_baselines3.common.vec_env.patch_gym import _patch_env  # private, but what DummyVecEnv itself calls

from reload_audit.processes.imports import ImportProblem, missing_for_gym

Info = dict[str, Any]
"""What ``reset`` and ``step`` say besides: anything."""


class OlderApi(gymnasium.Wrapper):
    """Gives ``reset`` the arguments that it takes, and returns what Gymnasium expects of ``reset`` and ``step``.

    :param env: of Gymnasium, or converted to it
    :param of_gym: the environment of ``gym`` that was converted, whose ``reset`` and ``step`` are called; None where
        ``env`` is not converted
    """

    def __init__(self, env: gymnasium.Env, of_gym: Any = None) -> None:
        super().__init__(env)
        self._of_gym = of_gym
        self._called: Any = env if of_gym is None else of_gym
        # Wrappers of gym hand on whatever they are given.
        self._takes_seed = _takes_seed(self._called) and (of_gym is None or _takes_seed(of_gym.unwrapped))

    @property
    def unwrapped(self) -> Any:
        """The environment as its class made it."""
        return self._called.unwrapped

    @property
    def spec(self) -> Any:  # type: ignore[override]
        """What Gymnasium's registry says of it: nothing of an environment of ``gym``."""
        return super().spec if self._of_gym is None else None

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Any, Info]:
        given: Info = {} if options is None else {"options": options}
        if seed is not None and self._takes_seed:
            given["seed"] = seed
        elif seed is not None and callable(method := getattr(self._called, "seed", None)):
            method(seed)
        result = self._called.reset(**given)
        is_pair = isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], dict)
        return result if is_pair else (result, {})

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, Info]:
        result: Any = step_api_compatibility(self._called.step(action), output_truncation_bool=True)
        return result  # type: ignore[no-any-return]


def gymnasium_env(made: Any, by: str, wrappers: Sequence[Any] = ()) -> gymnasium.Env:
    """An environment that takes all arguments of Gymnasium's ``reset`` and returns what Gymnasium expects.

    :param made: an environment of Gymnasium or of ``gym``
    :param by: the name of what made it
    :param wrappers: functions that put wrappers of ``gym`` around it, the innermost first
    :raises ImportProblem: it is neither, or shimmy is not installed
    """
    for wrap in wrappers:
        made = wrap(made)
    if isinstance(made, gymnasium.Env):
        return made if {"seed", "options"} <= {*inspect.signature(made.reset).parameters} else OlderApi(made)
    if not is_of_gym(type(made), "Env"):
        raise ImportProblem(f"{by} gives {type(made).__name__}; expected a gymnasium.Env")
    if isinstance(made.unwrapped, gymnasium.Env):
        raise ImportProblem(f"{by}: a wrapper of gym is around an environment of Gymnasium; expected both of one")
    try:
        return OlderApi(_patch_env(made), made)
    except ImportError:
        raise ImportProblem(f"{by} makes an environment of gym; {missing_for_gym('shimmy')}") from None


def layers(env: Any) -> Iterator[Any]:
    """An environment and all that it is wrapped around, of Gymnasium or of ``gym``, from the outside in."""
    yield env
    while isinstance(env, gymnasium.Wrapper) or is_of_gym(type(env), "Wrapper"):
        env = env._of_gym if isinstance(env, OlderApi) and env._of_gym is not None else env.env
        yield env


def is_of_gym(kind: Any, name: str) -> bool:
    """Whether something is a class that inherits from ``gym.Env`` or ``gym.Wrapper``.

    :param name: ``Env`` or ``Wrapper``
    """
    gym = sys.modules.get("gym")  # what nobody has imported, nothing can inherit from
    base = None if gym is gymnasium else getattr(gym, name, None)
    return isinstance(base, type) and isinstance(kind, type) and issubclass(kind, base)


def registered_in_gym(env: str) -> Any:
    """What a package has registered in ``gym`` under an id, as ``gym`` describes it; None where nothing is.

    Environments that come with ``gym`` itself do not count: Gymnasium has them.
    """
    gym = sys.modules.get("gym")
    if gym is None or gym is gymnasium:
        return None
    try:
        spec = gym.spec(env)
    except Exception:  # of a class that differs from version to version
        return None
    home = spec.entry_point if isinstance(spec.entry_point, str) else getattr(spec.entry_point, "__module__", "gym")
    return None if home.partition(":")[0].partition(".")[0] == "gym" else spec


def make_registered_in_gym(spec: Any, **env_kwargs: Any) -> Any:
    """Make an environment that is registered in ``gym``, without the wrappers that ``gym.make`` puts around it.

    One of them checks it with what NumPy does not have any more, another knows only the API of 0.26.
    """
    from gym.envs.registration import load  # type: ignore[import-not-found]

    maker = load(spec.entry_point) if isinstance(spec.entry_point, str) else spec.entry_point
    registered = getattr(spec, "kwargs", None) or getattr(spec, "_kwargs", {})
    return maker(**{**registered, **env_kwargs})


def _takes_seed(env: Any) -> bool:
    """Whether an environment's ``reset`` takes ``seed``, by this name or among any keyword arguments."""
    parameters = inspect.signature(env.reset).parameters
    return "seed" in parameters or any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
