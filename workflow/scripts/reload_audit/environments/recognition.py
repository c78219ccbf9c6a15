"""Try guesses of the environment that a model was trained in: is there one of that id, with the model's spaces?"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import gymnasium as gym
from gymnasium import spaces

from reload_audit.environments import allowed, ids
from reload_audit.processes.imports import import_object
from reload_audit.reading.refusal import Unreadable
from reload_audit.records.environment_spec import EnvironmentSpec, WrapperSpec
from reload_audit.records.guesses import Guess, Shape, Tried

_FEWEST_LETTERS = 4
"""Letters of an environment's name below which it is not looked for in names of files."""

_VERSION = re.compile(r"-v(\d+)$")


def try_guesses(
    guesses: Sequence[Mapping[str, object]], trusted: Collection[str], replacements: Mapping[str, str]
) -> list[dict[str, object]]:
    """What becomes of each guess. Only environments that a file may name are made: see :mod:`allowed`.

    :param guesses: what ``Guess.from_dict`` reads
    :param replacements: ids that the user wants replaced, each with the id to use instead
    :return: what ``Tried.from_dict`` reads
    """
    return [_try(Guess.from_dict(guess), trusted, replacements).to_dict() for guess in guesses]


def _try(guess: Guess, trusted: Collection[str], replacements: Mapping[str, str]) -> Tried:
    if not guess.env:
        return Tried(tuple(_named(guess, trusted, replacements)), known=True)
    wrappers = tuple(WrapperSpec(name, kwargs) for name, kwargs in guess.wrappers)
    environment = EnvironmentSpec(guess.env, guess.env_kwargs, wrappers, "env", (), ())
    try:
        found, _ = ids.runnable(replace(environment, wrappers=()), (), trusted, replacements)
        if found.env.rpartition(":")[2] not in gym.registry:
            return Tried(known=False)
        if not _may_be_named(environment, trusted):
            return Tried((guess.env,), known=True, needs_consent=True)
        env = gym.make(found.env, **found.env_kwargs)
        for wrapper in wrappers:
            env = import_object(wrapper.name)(env, **wrapper.kwargs)
    except Exception:  # a package is missing, an argument is none of its own, ...: its model's row says so
        return Tried((guess.env,), known=True)
    misfit = _misfit(guess, env)
    env.close()
    return Tried(() if misfit else (guess.env,), known=True, misfit=misfit)


def _may_be_named(environment: EnvironmentSpec, trusted: Collection[str]) -> bool:
    """Whether a file may name an environment's wrappers and their arguments."""
    try:
        ids.check_names(environment, ("env",), trusted)
        allowed.check_arguments(environment, ("env",))
    except Unreadable:
        return False
    return True


def _misfit(guess: Guess, env: gym.Env) -> str:
    pairs = {
        "observations": (guess.observations, env.observation_space),
        "actions": (guess.actions, env.action_space),
    }
    for what, (expected, space) in pairs.items():
        offered = shape_of(space)
        if expected is not None and offered is not None and not _alike(expected, offered):
            return f"its {what} are {_said(*expected)}, those of {guess.env} {_said(*offered)}"
    return ""


def _said(kind: str, numbers: Sequence[int]) -> str:
    return f"{kind}({', '.join(map(str, numbers))})"


def _alike(expected: Sequence[object], offered: Shape) -> bool:
    """Whether two shapes are the same; SB3 moves the channels of images to the front."""
    kind, numbers = expected
    if kind != offered[0] or not isinstance(numbers, list | tuple):
        return False
    return sorted(numbers) == sorted(offered[1]) if len(numbers) == 3 else tuple(numbers) == offered[1]


def shape_of(space: spaces.Space) -> Shape | None:
    """The shape of a space; None for one of a kind that is not compared."""
    if isinstance(space, spaces.Box):
        return "Box", tuple(space.shape)
    if isinstance(space, spaces.Discrete):
        return "Discrete", (int(space.n),)
    kind = type(space).__name__
    return (kind, ()) if kind in ("Dict", "MultiDiscrete", "MultiBinary", "Tuple") else None


def _named(guess: Guess, trusted: Collection[str], replacements: Mapping[str, str]) -> Iterator[str]:
    """The environments with a model's spaces that the nearest of some names speaks of, of the newest version."""
    for name in guess.names:
        fitting = []
        for env in _spoken_of(name):
            tried = _try(replace(guess, env=env, names=()), trusted, replacements)
            if tried.ids and not tried.misfit:
                fitting.append(env)
        if fitting:
            yield from fitting
            return


def _spoken_of(name: str) -> list[str]:
    """Ids whose name is in a text, whatever its case and hyphens: the longest names there are, each in one version."""
    letters = re.sub(r"[^a-z0-9]", "", name.lower())
    found: dict[str, list[str]] = {}
    for env, spec in gym.registry.items():
        bare = re.sub(r"[^a-z0-9]", "", spec.name.lower())
        if len(bare) >= _FEWEST_LETTERS and bare in letters and spec.namespace is None and ids.exists(env):
            found.setdefault(bare, []).append(env)
    longest = [bare for bare in found if not any(bare != other and bare in other for other in found)]
    return [_version(found[bare], bare, letters) for bare in longest]


def _version(envs: Sequence[str], bare: str, letters: str) -> str:
    """The version that a text has right after the name; the newest where it has none that exists."""
    by_number = {int(found[1]): env for env in envs if (found := _VERSION.search(env))}
    said = re.search(rf"{re.escape(bare)}v(\d+)", letters)
    wanted = int(said[1]) if said else -1
    return by_number.get(wanted, by_number[max(by_number)]) if by_number else envs[0]
