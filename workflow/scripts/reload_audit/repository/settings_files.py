"""Environments in settings and commands that no script is seen to read: YAML, JSON and INI files, lines of a README."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reload_audit.reading import limits
from reload_audit.reading.plain_values import mapping
from reload_audit.repository.places import Place
from reload_audit.repository.stated import Environment, Layer
from reload_audit.repository.values import Value

_ID = re.compile(r"(?:[\w.-]+[:/])?[A-Za-z][\w.-]*-v\d+")
_KEYS = ("env", "env_id", "env_name", "environment", "environment_name", "env-id", "gym_id", "task")
_MENTIONED = re.compile(r"(?<![\w/-])(?:ALE/)?[A-Z][A-Za-z]+-v\d+(?![\w-])")
_COMMAND = re.compile(rf"--(?:{'|'.join(map(re.escape, _KEYS))})[ =]['\"]?(?P<env>{_ID.pattern})(?![\w-])")


def in_settings(path: str, text: str, content: Value) -> Iterator[Environment]:
    """Environments in a file of settings: under a key such as ``env_id``, or as RL Zoo's hyperparameters have them.

    :param content: of the file, which ``text`` stands for
    """
    for key, value in mapping(content).items():
        if _ID.fullmatch(key) and isinstance(value, dict) and "policy" in value:
            yield _of_zoo(key, value, _place(path, text, key))
        for name, inner in {key: value, **mapping(value)}.items():
            if name.lower() in _KEYS and isinstance(inner, str) and _ID.fullmatch(inner):
                yield Environment(_place(path, text, inner), env=inner)


def in_commands(path: str, text: str) -> Iterator[Environment]:
    """Environments in the commands of a text: ``python train.py --env LunarLander-v2``."""
    for number, line in enumerate(text[: limits.FILE_BYTES].splitlines(), start=1):
        for found in _COMMAND.finditer(line[: limits.SCRIPT_CHARACTERS]):
            yield Environment(Place(path, number), env=found["env"])


def mentioned(path: str, text: str) -> Iterator[Environment]:
    """Environments whose ids stand in the sentences of a text."""
    for number, line in enumerate(text[: limits.FILE_BYTES].splitlines(), start=1):
        for found in _MENTIONED.finditer(line[: limits.SCRIPT_CHARACTERS]):
            yield Environment(Place(path, number), env=found[0])


def is_id(value: Value) -> bool:
    """Whether a value looks like an environment's id."""
    return isinstance(value, str) and bool(_ID.fullmatch(value))


def _of_zoo(env: str, said: Value, place: Place) -> Environment:
    """An environment as RL Zoo's hyperparameters say how models are trained in it."""
    said_wrappers = said.get("env_wrapper") or []
    wrappers = [
        Layer(name, mapping(kwargs), place)
        for one in (said_wrappers if isinstance(said_wrappers, list) else [said_wrappers])
        for name, kwargs in (one.items() if isinstance(one, dict) else [(str(one), {})])
    ]
    layers = [Layer("VecNormalize", {}, place)] if said.get("normalize") else []
    layers += [Layer("VecFrameStack", {"n_stack": said["frame_stack"]}, place)] if said.get("frame_stack") else []
    n_envs = said.get("n_envs")
    return Environment(
        place,
        env=env,
        wrappers=tuple(wrappers),
        vec_env="DummyVecEnv",
        n_envs=n_envs if isinstance(n_envs, int) else None,
        layers=tuple(layers),
    )


def _place(path: str, text: str, word: str) -> Place:
    """The first line that has a word."""
    at = text.find(word)
    return Place(path, text.count("\n", 0, max(at, 0)) + 1)
