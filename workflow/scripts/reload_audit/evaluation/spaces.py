"""Whether a model's spaces are those of its environments."""

from __future__ import annotations

from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from reload_audit.reading.refusal import Unreadable


def check_spaces(model: BaseAlgorithm, venv: VecEnv) -> None:
    """Refuse an environment with other spaces than the model's; SB3 would act there until something breaks.

    :raises Unreadable: with the spaces of both
    """
    if unfit := misfit(model, venv):
        raise Unreadable(unfit)


def misfit(model: BaseAlgorithm, venv: VecEnv) -> str:
    """Which spaces of a model are not those of its environments; empty where all fit."""
    pairs = {
        "observations": (model.observation_space, venv.observation_space),
        "actions": (model.action_space, venv.action_space),
    }
    for what, (expected, offered) in pairs.items():
        if not _fits(expected, offered):
            return f"its {what} are {expected!r:.300}, its environment's are {offered!r:.300}"
    return ""


def _fits(expected: spaces.Space, offered: spaces.Space) -> bool:
    """Whether a model can act in a space. Bounds may differ: gym has the largest float where Gymnasium has infinity."""
    if isinstance(expected, spaces.Dict) and isinstance(offered, spaces.Dict):
        return set(expected) <= set(offered) and all(_fits(expected[key], offered[key]) for key in expected)
    if isinstance(expected, spaces.Box) and isinstance(offered, spaces.Box):
        return expected.shape == offered.shape
    return expected == offered
