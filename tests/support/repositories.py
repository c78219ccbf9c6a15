"""Repositories as people publish them, made small: scripts, notebooks and settings beside zips of models."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from reload_audit.environments.recognition import try_guesses
from reload_audit.planning.discovery.find_models import Unanswered, find_models
from reload_audit.planning.discovery.proposal import with_proposal
from reload_audit.records.guesses import Guess, Tried
from reload_audit.records.specs import ExternalSpec
from support.builders import resolved
from support.published_layouts import CLAIMS_SCHEMA, MODELS_SCHEMA, PPO_SETTINGS, sb3_zip, text

PPO_ALONE = {key: value for key, value in PPO_SETTINGS.items() if key != "n_envs"}
DQN_ALONE = {"exploration_rate": 0.05}

SNAKE = """
import gymnasium as gym
import numpy as np
from gymnasium import spaces

GRID = 5

class SnakeEnv(gym.Env):
    def __init__(self, size=GRID, render_mode=None):
        self.observation_space = spaces.Box(0, 1, shape=(size * size,), dtype=np.float32)
        self.action_space = spaces.Discrete(4)
"""


@dataclass(frozen=True)
class Repository:
    """A repository to write.

    :param files: their texts, by path; a mapping is the content of a notebook
    :param models: what the zips say of themselves, by path
    """

    files: Mapping[str, str | Mapping[str, object]]
    models: Mapping[str, Mapping[str, object]] = field(default_factory=lambda: {"model.zip": PPO_ALONE})

    def write(self, folder: Path) -> Path:
        """Write it into a folder."""
        for path, content in self.files.items():
            text(folder / path, content if isinstance(content, str) else json.dumps(content))
        for path, settings in self.models.items():
            sb3_zip(folder / path, settings)
        return folder


@dataclass(frozen=True)
class Outcome:
    """What planning an audit of a repository gives.

    :param specs: the models, by name; none where there is a question
    :param question: what is asked; empty for nothing
    :param proposed: the text of the configuration that answers it
    """

    specs: Mapping[str, ExternalSpec]
    question: str
    proposed: str

    @property
    def proposal(self) -> dict[str, list]:
        """The configuration that is proposed."""
        return yaml.safe_load(self.proposed)

    def sources(self) -> list[str]:
        """Each line of the proposal that has a source, without its indentation."""
        lines = (line.strip() for line in self.proposed.splitlines())
        return [line for line in lines if "  # " in line]


def recognise(guesses: Sequence[Guess]) -> list[Tried]:
    """Try guesses as a process of planning does, in this one."""
    return [Tried.from_dict(tried) for tried in try_guesses([guess.to_dict() for guess in guesses], [], {})]


def planned(folder: Path, **config: object) -> Outcome:
    """Plan an audit of a folder; what is proposed lies beside it, in ``results``."""
    written = {"runs": [str(folder)], **config}
    settings = resolved(**written)
    results = folder.parent / "results"
    try:
        found = find_models(settings, MODELS_SCHEMA, CLAIMS_SCHEMA, recognise=recognise)
    except Unanswered as question:
        said = with_proposal(question, settings, written, str(results))
        file = results / "proposed.yaml"
        return Outcome({}, said, file.read_text(encoding="utf-8") if file.exists() else "")
    return Outcome({model.model: model for model in found.models}, "", "")


def box(*shape: int) -> dict[str, object]:
    """A box as SB3 writes one into a zip's settings."""
    return {":type:": "<class 'gymnasium.spaces.box.Box'>", "_shape": list(shape), "dtype": "float32"}


def discrete(n: int) -> dict[str, object]:
    """A choice of actions as SB3 writes one into a zip's settings."""
    return {":type:": "<class 'gymnasium.spaces.discrete.Discrete'>", "n": str(n), "_shape": []}


def notebook(*cells: str, outputs: Mapping[int, str] | None = None) -> dict[str, object]:
    """A notebook with cells of code; one that begins with ``#`` and a blank is of text.

    :param outputs: what cells have printed, by their numbers, counted from 1
    """
    printed = outputs or {}
    made = []
    for number, source in enumerate(cells, start=1):
        kind = "markdown" if source.startswith("# ") else "code"
        stream = [{"output_type": "stream", "name": "stdout", "text": [printed[number]]}] if number in printed else []
        made.append({"cell_type": kind, "source": source.splitlines(keepends=True), "outputs": stream})
    return {"cells": made, "nbformat": 4, "nbformat_minor": 5}


OF_CARTPOLE = {**PPO_ALONE, "observation_space": box(4), "action_space": discrete(2)}
OF_WALKER = {**PPO_ALONE, "observation_space": box(24), "action_space": box(4)}
SPACES_OF_SNAKE = {**PPO_ALONE, "observation_space": box(25), "action_space": discrete(4)}
