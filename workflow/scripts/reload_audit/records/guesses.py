"""Guesses of the environment that a model was trained in, and what trying them gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reload_audit.records.plain_data import PlainData

Shape = tuple[str, tuple[int, ...]]
"""A kind of space with its shape, or with its number of choices."""


@dataclass(frozen=True)
class Guess(PlainData):
    """An environment that may be a model's.

    :param env: an id; empty where only names of files and folders speak of it
    :param wrappers: around it, innermost first, each a dotted name and its arguments
    :param names: those names, the nearest first
    :param observations: of the model, as far as its zip says it; ``actions`` too
    """

    env: str
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    wrappers: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    names: tuple[str, ...] = ()
    observations: tuple[Any, ...] | None = None
    actions: tuple[Any, ...] | None = None


@dataclass(frozen=True)
class Tried(PlainData):
    """What became of a guess.

    :param ids: environments that fit: the id, or those that are named
    :param known: whether there is an environment of that id
    :param needs_consent: whether it is in wrappers that no file may name
    :param misfit: which spaces are others, in words; empty where all fit, or where that cannot be told
    """

    ids: tuple[str, ...] = ()
    known: bool = False
    misfit: str = ""
    needs_consent: bool = False
