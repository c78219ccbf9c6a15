"""What calls of Gymnasium and Stable-Baselines3 mean that make an environment, or put something around one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from reload_audit.reading import limits
from reload_audit.repository.arguments import POSITIONAL, as_integer, as_mapping, as_plain
from reload_audit.repository.calls import Call
from reload_audit.repository.kinds import has_libraries, is_environment, is_wrapper
from reload_audit.repository.stated import Environment, Found, Layer, Registration
from reload_audit.repository.values import (
    HOLE,
    UNKNOWN,
    Choice,
    Class,
    External,
    Function,
    Instance,
    Made,
    Partial,
    Some,
    Value,
    as_text,
    is_object,
)

SB3 = ("stable_baselines3", "sb3_contrib")

UNSEEN = {
    *("Monitor", "RecordVideo", "RecordEpisodeStatistics", "OrderEnforcing", "PassiveEnvChecker", "HumanRendering"),
    *("VecMonitor", "VecVideoRecorder", "VecCheckNan", "VecTransposeImage"),
}
"""Wrappers that change nothing that a policy sees or earns, or that the audit adds by itself."""


class Environments:
    """Notes the environments that scripts make, with what they put around them."""

    def __init__(self) -> None:
        self.found = Found()
        self.namespace = ""

    def made(self, environment: Environment) -> Environment:
        """Note an environment that a script makes, with all that it has put around it so far."""
        if len(self.found.outermost) < limits.SCRIPT_STATEMENTS:
            self.found.outermost[id(environment.saved)] = environment  # one list for all that is around it
        for kwargs in (environment.kwargs, *(layer.kwargs for layer in environment.wrappers)):
            self.found.parts += [value for value in kwargs.values() if is_object(value)]
        return environment

    def of_class(self, found: Class, call: Call) -> Any:
        if is_environment(found):
            kwargs, unknown = self._arguments(found, call, skip=0)
            return self.made(Environment(call.place, own=found, kwargs=kwargs, unknown=unknown))
        inner = call.environment
        if isinstance(inner, Environment) and (is_wrapper(found) or not has_libraries(found)):
            kwargs, unknown = self._arguments(found, call, skip=1)
            return inner.within(Layer(found.name, kwargs, call.place, found, unknown))
        return NotImplemented

    def _arguments(self, found: Class, call: Call, skip: int) -> tuple[dict[str, Value], tuple[str, ...]]:
        """Arguments by name, and the names of those that are not plain.

        :param skip: how many of the first are left out
        """
        start = found.find("__init__")
        names = [one.arg for one in start.node.args.args[1:]] if isinstance(start, Function) else []
        given = {**dict(zip(names[skip:], call.args[skip:], strict=False)), **call.kwargs}
        return as_plain({key: value for key, value in given.items() if key not in (*names[:skip], "env", "venv")})

    def make(self, call: Call) -> Any:
        """``gym.make``."""
        name = call.get(0, "id")
        if isinstance(name, Instance | Class | Function):
            return UNKNOWN
        given = {key: value for key, value in call.kwargs.items() if key not in ("id", "vector_kwargs")}
        kwargs, unknown = as_plain(given)
        return self.made(Environment(call.place, env=as_text(name), kwargs=kwargs, unknown=unknown))

    def environment(self, value: Any, call: Call, env_kwargs: Any = None) -> Environment | None:
        """The environment that something makes which SB3 takes for one: an id, a class, a function, an environment."""
        given = env_kwargs if isinstance(env_kwargs, dict) else {} if env_kwargs is None else {"**": UNKNOWN}
        kwargs, unknown = as_plain(given)
        if isinstance(value, Environment):
            return value
        if isinstance(value, str):
            return self.made(Environment(call.place, env=value, kwargs=kwargs, unknown=unknown))
        if isinstance(value, Made) and value.maker.last[:1].isupper():
            plain, not_plain = as_plain(value.kwargs)
            return self.made(Environment(call.place, library=value.maker.name, kwargs=plain, unknown=not_plain))
        if isinstance(value, External) and value.last[:1].isupper():
            return self.made(Environment(call.place, library=value.name, kwargs=kwargs, unknown=unknown))
        if isinstance(value, Class | Function | Partial | Instance):
            made = call.again(value, [], given)
            made = made.values[0] if isinstance(made, Choice) else made
            if isinstance(made, Function | Partial):  # a function that gives functions, as for SubprocVecEnv
                made = call.again(made)
            return self.environment(made, call) if not isinstance(made, str) else None
        return None

    def make_vec_env(self, call: Call) -> Any:
        """``make_vec_env`` of SB3."""
        environment = self.environment(call.get(0, "env_id"), call, call.get(5, "env_kwargs", None))
        if environment is None:
            environment = self.made(Environment(call.place, env=HOLE))
        environment = replace(environment, monitored=len(environment.wrappers))
        wrap, wrap_with = call.get(4, "wrapper_class"), call.kwargs.get("wrapper_kwargs")
        if wrap is not UNKNOWN and wrap is not None:
            wrapped = call.again(wrap, [environment], as_mapping(wrap_with))
            environment = wrapped if isinstance(wrapped, Environment) else environment
        kind = call.get(6, "vec_env_cls")
        n_envs = call.get(1, "n_envs", 1)
        return replace(
            environment,
            vec_env=kind.last if isinstance(kind, External) else "DummyVecEnv",
            n_envs=n_envs if isinstance(n_envs, int) else None,
            seed=as_integer(call.get(2, "seed")),
        )

    def make_atari_env(self, call: Call) -> Any:
        """``make_atari_env`` of SB3: an environment in its AtariWrapper."""
        kwargs, unknown = as_plain(as_mapping(call.kwargs.get("wrapper_kwargs")))
        environment = self.make_vec_env(call)
        layer = Layer("stable_baselines3.common.atari_wrappers.AtariWrapper", kwargs, call.place, None, unknown)
        return replace(environment, wrappers=(*environment.wrappers, layer))

    def register(self, call: Call) -> None:
        """``gymnasium.register``."""
        name, entry = call.get(0, "id"), call.get(1, "entry_point")
        kwargs, _ = as_plain(as_mapping(call.kwargs.get("kwargs")))
        if isinstance(entry, Function | Partial):
            entry = self.environment(entry, call)
        if isinstance(name, str) and HOLE not in name:
            name = f"{self.namespace}/{name.rpartition('/')[2]}" if self.namespace else name
            steps = as_integer(call.kwargs.get("max_episode_steps"))
            self.found.registrations.setdefault(name, Registration(name, entry, kwargs, steps, call.place))

    def wrapped(self, function: External, inner: Environment, call: Call) -> Environment:
        """An environment in a wrapper of a library."""
        of_gymnasium = function.package in (*SB3, "gymnasium")
        if function.last in UNSEEN or (function.last[:1].islower() and of_gymnasium):
            return inner
        given = {key: value for key, value in call.kwargs.items() if key not in ("env", "venv")}
        names = POSITIONAL.get(function.last, ())
        given |= dict(zip(names, call.args[1:], strict=False))
        kwargs, unknown = as_plain(given)
        nameless = ("positional",) if len(call.args) - 1 > len(names) else ()
        return inner.within(Layer(function.name, kwargs, call.place, None, (*unknown, *nameless)))


def vec_env(kind: str) -> Callable[[Environments, Call], Any]:
    def build(environments: Environments, call: Call) -> Any:
        makers = call.get(0, "env_fns")
        if not isinstance(makers, list | tuple) or not makers:
            return UNKNOWN
        environment = environments.environment(makers[0], call)
        if environment is None:
            environment = environments.made(Environment(call.place, env=HOLE))
        count = None if isinstance(makers, Some) else len(makers)
        return replace(environment, vec_env=kind, n_envs=count)

    return build


def layer(name: str, *names: str) -> Callable[[Environments, Call], Any]:
    def build(environments: Environments, call: Call) -> Any:
        inner = environments.environment(call.get(0, "venv"), call)
        if inner is None:
            return UNKNOWN
        if inner.vec_env is None:
            inner = replace(inner, vec_env="DummyVecEnv", n_envs=1)
        given = {key: value for key, value in call.kwargs.items() if key != "venv"}
        kwargs, unknown = as_plain({**dict(zip(names, call.args[1:], strict=False)), **given})
        return inner.within(Layer(name, kwargs, call.place, None, unknown))

    return build


def monitor(environments: Environments, call: Call) -> Any:
    inner = unseen(environments, call)
    return replace(inner, monitored=len(inner.wrappers)) if isinstance(inner, Environment) else inner


def unseen(_: Environments, call: Call) -> Any:
    inner = call.environment
    return UNKNOWN if inner is None else inner
