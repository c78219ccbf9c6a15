"""Algorithms and environments in the names that people give files and folders; names for models."""

# Paths are texts here: there are many, and not all are Unicode.
# ruff: noqa: PTH100, PTH119

from __future__ import annotations

import os
import re
from collections.abc import Iterable

ALGORITHMS = (
    *("A2C", "ARS", "CrossQ", "DDPG", "DQN", "MaskablePPO", "PPO"),
    *("QRDQN", "RecurrentPPO", "SAC", "TD3", "TQC", "TRPO"),
)
_BY_ALIAS = {
    **{name.lower(): name for name in ALGORITHMS},
    "ppo_lstm": "RecurrentPPO",
    "recurrent_ppo": "RecurrentPPO",
    "maskable_ppo": "MaskablePPO",
    "ppo_mask": "MaskablePPO",
    "qr_dqn": "QRDQN",
}
_ALIASES = "|".join(sorted((alias.replace("_", "[-_]?") for alias in _BY_ALIAS), key=len, reverse=True))
_ALGORITHM = re.compile(rf"(?<![a-z0-9])(?:{_ALIASES})(?![a-z0-9])")
_BY_LETTERS = {alias.replace("_", ""): name for alias, name in _BY_ALIAS.items()}

_ATARI_FOLDERS = re.compile(r"(?:^|[-_/])ALE[-/]([A-Za-z0-9]+-v\d+)")
_ENV_ID = re.compile(r"[A-Za-z0-9]+(?:-[A-Za-z0-9.]+)*?-v\d+(?![a-z0-9])")
# Environment ids with more than one hyphen begin with one of these.
_FAMILIES = re.compile(r"(?:MiniGrid|BabyAI|MiniWorld|procgen|donkey)-.*")

_ATARI = re.compile(r"^ALE/|(?:NoFrameskip|Deterministic)-v\d+$")
_GRID = re.compile(r"^(?:MiniGrid|BabyAI)-")


def algorithm(alias: object) -> str:
    """An algorithm's class name from a name for it, such as RL Zoo's ``ppo_lstm``; empty for any other text."""
    return _BY_LETTERS.get(re.sub(r"[-_\s]", "", alias.lower()), "") if isinstance(alias, str) else ""


def algorithm_in(texts: Iterable[str]) -> str:
    """The first algorithm that is named in one of the texts."""
    for text in texts:
        found = _ALGORITHM.search(text.lower())
        if found:
            return algorithm(found[0])
    return ""


def env_in(texts: Iterable[str]) -> str:
    """The first environment id that is named in one of the texts."""
    for text in texts:
        atari = _ATARI_FOLDERS.search(text)
        if atari:
            return f"ALE/{atari[1]}"
        found = _ENV_ID.search(text)
        if found:
            return _without_prefix(found[0])
    return ""


def env_of_folder(name: str) -> str:
    """The environment id that a folder of RL Zoo is named after: the name has ``-`` for the ``/`` of an id."""
    return re.sub(r"^ALE-", "ALE/", name)


def stochastic_by_custom(env: str, wrappers: Iterable[object]) -> bool:
    """Whether RL Zoo evaluates with stochastic actions there: on Atari and MiniGrid."""
    return bool(_ATARI.search(env) or _GRID.match(env)) or any("AtariWrapper" in str(wrapper) for wrapper in wrappers)


def repository(folder: str) -> str:
    """``org/name`` of a repository's folder in a Hugging Face cache; other names stay as they are."""
    return "/".join(folder.removeprefix("models--").split("--")) if folder.startswith("models--") else folder


def joined(*parts: str) -> str:
    return "/".join(part for part in parts if part)


def own_name(path: str) -> str:
    """The name of a folder that the user may have written as ``.`` or ``..``."""
    return os.path.basename(os.path.abspath(path))


def _without_prefix(found: str) -> str:
    family = _FAMILIES.search(found)
    return family[0] if family else "-".join(found.split("-")[-2:])
