"""Rewrite the line of a script that builds its environment, so that it builds the one of training."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence

from reload_audit.observing.statement import LEFT_OUT, Statement, last_name
from reload_audit.reading.plain_values import is_object_name, objects_in, takes_function
from reload_audit.records.environment_spec import VEC_NORMALIZE, EnvironmentSpec, WrapperSpec
from reload_audit.records.observation import Line, ObservedEnvironment, ObservedWrapper

MAKERS = ("make_vec_env", "make_atari_env")
"""Functions of SB3 that make a VecEnv."""


def with_environment(seen: ObservedEnvironment, spec: EnvironmentSpec) -> str:
    """The line that makes an environment, with that of training; empty where that cannot be said.

    :param seen: what it makes now
    """
    statement = Statement.of(seen.line)
    if statement is None or not are_literal(spec.env_kwargs):
        return ""
    module, name = _parts(spec.env)
    is_id = not module or "-v" in name
    first = "" if is_id else f"from {module} import {name}"
    maker = statement.call(*MAKERS)
    if maker is not None and maker.args:
        made = statement.with_part(maker.args[0], repr(spec.env) if is_id else name, first)
        return _with_env_kwargs(made, spec.env_kwargs)
    given = _listed(spec.env_kwargs)
    call = statement.call("make")
    if call is not None and is_id:
        drawn = "".join(
            f", render_mode={statement.text(one.value)}" for one in call.keywords if one.arg == "render_mode"
        )
        return statement.with_part(call, f"{statement.text(call.func)}({spec.env!r}{given}{drawn})")
    made = f"gym.make({spec.env!r}{given})" if is_id else f"{name}({given[2:]})"
    names = (_parts(seen.env_class)[1], "make")
    return _in_place_of(statement, names, lambda _: made, first or "import gymnasium as gym")


def _with_env_kwargs(code: str, kwargs: Mapping[str, object]) -> str:
    """A line with ``make_vec_env``, with other arguments of its environments."""
    statement = Statement.of(Line("", 1, code))
    call = None if statement is None else statement.call(*MAKERS)
    if statement is None or call is None:
        return ""
    said = any(one.arg == "env_kwargs" for one in call.keywords)
    return statement.with_arguments(call, {"env_kwargs": repr(dict(kwargs))}) if kwargs or said else code


def with_arguments(seen: ObservedEnvironment, arguments: Mapping[str, object]) -> str:
    """The line that makes an environment by its class, with further arguments; empty where that cannot be said."""
    statement = Statement.of(seen.line)
    call = None if statement is None else statement.call(_parts(seen.env_class)[1])
    if statement is None or call is None or not are_literal(arguments):
        return ""
    takes_others = bool(call.args) or any(one.arg is None for one in call.keywords)
    return "" if takes_others else statement.with_arguments(call, {key: repr(arguments[key]) for key in arguments})


def with_wrappers(
    seen: ObservedEnvironment, expected: Sequence[WrapperSpec], same: Callable[[int, int], bool]
) -> tuple[Line | None, str]:
    """The line that has to change for an environment to have the wrappers of training, and what to write there.

    :param expected: the innermost first
    :param same: whether a wrapper of the script's is the same as one of these, by their places
    :return: the line that makes the environment, and no text, where one line is not enough, or cannot be rewritten
    """
    first = (seen.line, (_parts(seen.env_class)[1], "make"))
    own = seen.wrappers or ()
    line, made = _with_chain(own, first, expected, same)
    statement = Statement.of(line)
    if made == "" and statement is not None and all(str(one.line) == str(line) for one in own):
        made = _with_wrapper_class(statement, expected)
    return line, made or ""


def with_layers(
    seen: ObservedEnvironment, expected: Sequence[WrapperSpec], same: Callable[[int, int], bool]
) -> tuple[Line | None, str]:
    """The line that has to change for a VecEnv to have the wrappers of training, and what to write there, likewise."""
    first = (seen.leaf_line or seen.line, (*MAKERS, *seen.layers[-1:]))
    line, made = _with_chain(seen.vec_wrappers, first, expected, same)
    return line, made or ""


def _with_chain(
    own: Sequence[ObservedWrapper],
    innermost: tuple[Line | None, tuple[str, ...]],
    expected: Sequence[WrapperSpec],
    same: Callable[[int, int], bool],
) -> tuple[Line | None, str | None]:
    """The line that has to change for one chain of wrappers to be another, and what to write there.

    :param own: the script's, innermost first
    :param innermost: the line that makes what is inside them, and names of what it may call to do so
    :return: no text where one line is not enough; an empty one where it cannot be rewritten
    """
    fewer = min(len(own), len(expected))
    start = next((place for place in range(fewer) if not same(place, place)), fewer)
    ends = (n for n in range(fewer - start) if not same(len(own) - 1 - n, len(expected) - 1 - n))
    alike_outside = next(ends, fewer - start)
    removed = own[start : len(own) - alike_outside]
    added = expected[start : len(expected) - alike_outside]
    place = start if removed else start - 1
    line, names = innermost if place < 0 else (own[place].line, _called(own[place].spec))
    statement = Statement.of(line)
    if statement is None or len(removed) > 1 or not all(are_literal(one.kwargs) for one in expected):
        return line, None
    first = "; ".join(_import_of(one) for one in added)
    if removed:
        made = _in_place_of(statement, names, lambda wrapped: _around(wrapped, added), first, inner=True)
        written = f"{statement.targets[0]} = {statement.targets[0]}" if len(statement.targets) == 1 else ""
        made = LEFT_OUT if made and made == written else made
    else:
        made = _in_place_of(statement, names, lambda wrapped: _around(wrapped, added), first)
    return line, made


def _called(wrapper: WrapperSpec) -> tuple[str, ...]:
    """What a line calls that puts a wrapper around something; nothing where the next one sets its switches."""
    return () if wrapper.name == VEC_NORMALIZE else (_parts(wrapper.name)[1],)


def with_normalization(seen: ObservedEnvironment, statistics: str) -> tuple[Line | None, str]:
    """The line that makes a single environment, or puts the last wrapper around it, with statistics applied around it.

    :param statistics: path of the file
    """
    last = seen.wrappers[-1] if seen.wrappers else None
    line = seen.line if last is None else last.line
    statement = Statement.of(line)
    names = (_parts(seen.env_class)[1], "make") if last is None else (_parts(last.spec.name)[1],)
    if statement is None:
        return line, ""
    first = "from reload_audit import NormalizeAsTrained"
    return line, _in_place_of(statement, names, lambda code: f"NormalizeAsTrained({code}, {statistics!r})", first)


def with_wrapper_in_place_of(wrapper: ObservedWrapper, statistics: str, *, of_vec_env: bool = False) -> str:
    """The line that puts a wrapper around an environment, or a VecEnv, with one that applies statistics in its place.

    :param statistics: path of the file
    """
    statement = Statement.of(wrapper.line)
    if statement is None:
        return ""
    names = (_parts(wrapper.spec.name)[1],)
    if of_vec_env:
        first = "from stable_baselines3.common.vec_env import VecNormalize"
        made = lambda code: f"VecNormalize.load({statistics!r}, {code})"  # noqa: E731
        made_line = _in_place_of(statement, names, made, first, inner=True)
        name = statement.targets[0] if len(statement.targets) == 1 else ""
        return f"{made_line}; {name}.training = {name}.norm_reward = False" if made_line and name else ""
    first = "from reload_audit import NormalizeAsTrained"
    return _in_place_of(statement, names, lambda code: f"NormalizeAsTrained({code}, {statistics!r})", first, inner=True)


def _in_place_of(
    statement: Statement, names: tuple[str, ...], made: Callable[[str], str], first: str, *, inner: bool = False
) -> str:
    """A statement with other code in place of a call, or of a class in a list of classes.

    :param made: of the text of that call, or of its first argument
    :param inner: whether it is the first argument that counts
    """
    call = statement.call(*names)
    if call is not None and not inner:
        return statement.with_part(call, made(statement.text(call)), first)
    if call is not None:
        wrapped = [*call.args, *(one.value for one in call.keywords if one.arg in ("env", "venv"))][:1]
        return statement.with_part(call, made(statement.text(wrapped[0])), first) if wrapped else ""
    for node in () if inner else ast.walk(statement.tree):
        for part in node.elts if isinstance(node, ast.List) else ():
            if last_name(part) in names:
                return statement.with_part(part, f"lambda: {made(f'{statement.text(part)}()')}", first)
    return ""


def _with_wrapper_class(statement: Statement, wrappers: Sequence[WrapperSpec]) -> str:
    """A line with ``make_vec_env``, with these wrappers around each of its environments."""
    call = statement.call(*MAKERS)
    if call is None:
        return ""
    names = [_parts(one.name)[1] for one in wrappers]
    wrapper = None if not wrappers else names[0] if len(wrappers) == 1 else f"lambda env: {_around('env', wrappers)}"
    arguments = {"wrapper_class": str(wrapper)}
    kwargs = dict(wrappers[0].kwargs) if len(wrappers) == 1 else {}
    if kwargs or any(one.arg == "wrapper_kwargs" for one in call.keywords):
        arguments["wrapper_kwargs"] = repr(kwargs or None)
    return statement.with_arguments(call, arguments, "; ".join(_import_of(one) for one in wrappers))


def _around(code: str, wrappers: Sequence[WrapperSpec]) -> str:
    """Code that makes an environment, with wrappers around it."""
    for one in wrappers:
        code = f"{_parts(one.name)[1]}({code}{_listed(one.kwargs)})"
    return code


def _import_of(wrapper: WrapperSpec) -> str:
    module, name = _parts(wrapper.name)
    module = module or "stable_baselines3.common.vec_env"  # which has those that go by their names alone
    return f"from {module} import {name}"


def _listed(kwargs: Mapping[str, object]) -> str:
    """Keyword arguments that follow another one."""
    return "".join(f", {key}={value!r}" for key, value in kwargs.items())


def are_literal(kwargs: Mapping[str, object]) -> bool:
    """Whether arguments can be written down as they are: none of them stands for a function or another object."""
    texts = {key: value for key, value in kwargs.items() if isinstance(value, str) and is_object_name(value)}
    if any(objects_in(kwargs)) or any(map(takes_function, texts)):
        return False
    try:
        return bool(ast.literal_eval(repr(dict(kwargs))) == dict(kwargs))
    except (ValueError, SyntaxError):
        return False


def _parts(dotted: str) -> tuple[str, str]:
    """Module and name of ``module:Name`` or ``module.Name``; no module of an id without one."""
    if ":" in dotted:
        module, _, name = dotted.rpartition(":")
        return module, name
    module, _, name = dotted.rpartition(".")
    return ("", dotted) if "-v" in dotted else (module, name)
