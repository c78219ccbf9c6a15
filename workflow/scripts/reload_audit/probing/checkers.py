"""What Gymnasium's and SB3's own checkers say, and whether vectorised environments agree with a single one."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from gymnasium.utils import env_checker as gymnasium_checker
from stable_baselines3.common import env_checker as sb3_checker
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv

from reload_audit.environments.build import close, make_env, seed_global_generators
from reload_audit.environments.ids import register_environments
from reload_audit.probing.code import shown
from reload_audit.probing.scenario import Play
from reload_audit.probing.traces import Moment, Trace, first_mismatch, moment
from reload_audit.processes.imports import extend_path
from reload_audit.records.environment_spec import EnvironmentSpec
from reload_audit.records.probe_record import CheckerReport, Place, VectorizedComparison

_GLOBAL_SEED = 20_000

# A fork server would import PyTorch again, for an environment or two.
_START_METHOD = "fork" if sys.platform == "linux" else "forkserver"

_LONGEST_QUOTE = 500
_MOST_QUOTES = 10


def check(spec: EnvironmentSpec, trusted: tuple[str, ...] = ()) -> tuple[CheckerReport, ...]:
    """What each checker says of the environment.

    :param trusted: packages that may have registered the environment
    """
    th.set_num_threads(1)
    extend_path(spec.python_path)
    register_environments(spec.env, trusted)
    return (
        _checked("gymnasium", lambda: make_env(spec).unwrapped, gymnasium_checker.check_env),
        _checked("stable_baselines3", lambda: make_env(spec), sb3_checker.check_env),
    )


def _checked(name: str, make: Callable[[], gym.Env], checker: Callable[..., None]) -> CheckerReport:
    error = where = env = None
    seed_global_generators(_GLOBAL_SEED)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            env = make()
            checker(env, skip_render_check=True)
        except Exception as raised:
            error = _quoted(f"{type(raised).__name__}: {raised}")
            where = None if env is None else _named_in(error, env.unwrapped)
    said = dict.fromkeys(_quoted(str(warning.message)) for warning in caught if warning.category is UserWarning)
    return CheckerReport(name, error, tuple(said)[:_MOST_QUOTES], where)


def _named_in(error: str, env: gym.Env) -> Place | None:
    """Where the method of the environment begins that an error names: its ``reset`` or ``step``."""
    for method in ("reset", "step"):
        if f"{method}(" in error:
            code = getattr(getattr(type(env), method, None), "__code__", None)
            return None if code is None else Place(shown(code.co_filename), code.co_firstlineno, method)
    return None


def _quoted(text: str) -> str:
    quote = " ".join(text.replace("\x1b[33m", "").replace("\x1b[0m", "").split())
    if len(quote) <= _LONGEST_QUOTE:
        return quote
    begins = quote[:_LONGEST_QUOTE]
    return f"{begins.rpartition(' ')[0] or begins} …"


def compare_vectorized(
    spec: EnvironmentSpec, plays: Sequence[Play], trusted: tuple[str, ...] = ()
) -> tuple[VectorizedComparison, ...]:
    """For DummyVecEnv and SubprocVecEnv, whether their episodes are those of single environments, up to the data types.

    They are compared up to the step in which the first of them ends.

    :param plays: with consecutive seeds, because that is how a VecEnv seeds its environments
    """
    th.set_num_threads(1)
    extend_path(spec.python_path)
    register_environments(spec.env, trusted)
    makers: list[Callable[[], gym.Env]] = [partial(make_env, spec)] * len(plays)
    single = [_trace(DummyVecEnv(makers[:1]), [play])[0] for play in plays]
    compared = []
    for name, venv in (
        ("DummyVecEnv", DummyVecEnv(makers)),
        ("SubprocVecEnv", SubprocVecEnv([partial(_seeded, spec, trusted)] * len(plays), start_method=_START_METHOD)),
    ):
        traces = _trace(venv, plays)
        beginnings = [
            replace(one, moments=one.moments[: len(other.moments)]) for one, other in zip(single, traces, strict=True)
        ]
        compared.append(VectorizedComparison(name, len(plays), first_mismatch(beginnings, traces)))
    return tuple(compared)


def _seeded(spec: EnvironmentSpec, trusted: tuple[str, ...]) -> gym.Env:
    """Make the environment in a worker, with the state of global generators that this process has.

    Whether it draws from them is no question of vectorisation: a contrast finds that.
    """
    th.set_num_threads(1)
    seed_global_generators(_GLOBAL_SEED)
    extend_path(spec.python_path)
    register_environments(spec.env, trusted)
    return make_env(spec)


def _trace(venv: VecEnv, plays: Sequence[Play]) -> list[Trace]:
    seed_global_generators(_GLOBAL_SEED)
    venv.seed(plays[0].seed)
    observations: Any = venv.reset()
    moments = [[moment(_of_slot(observations, slot))] for slot in range(len(plays))]
    for chosen in zip(*(play.actions for play in plays), strict=False):
        observations, rewards, dones, infos = venv.step(np.stack(chosen))
        for slot in range(len(plays)):
            moments[slot].append(_moment(_of_slot(observations, slot), rewards[slot], dones[slot], infos[slot]))
        if dones.any():  # the actions would not be those of the episode that now begins
            break
    close(venv)
    return [Trace(play.seed, play.source, tuple(seen)) for play, seen in zip(plays, moments, strict=True)]


def _moment(observation: Any, reward: Any, done: Any, info: dict[str, Any]) -> Moment:
    if done:  # a VecEnv has already begun the next episode
        observation = info["terminal_observation"]
    truncated = bool(info.get("TimeLimit.truncated", False))
    return moment(observation, float(np.float32(reward)), bool(done) and not truncated, truncated)


def _of_slot(observations: Any, slot: int) -> Any:
    if isinstance(observations, dict):
        return {key: np.array(array[slot]) for key, array in observations.items()}
    return np.array(observations[slot])
