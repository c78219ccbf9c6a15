"""Which parts of a stack of environments cannot be pickled, and what to do instead."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium as gym
from stable_baselines3.common.vec_env import VecEnv

from reload_audit.records.unpicklable_part import UnpicklablePart
from reload_audit.remedies.pickling import find_unpicklable_parts
from reload_audit.remedies.pickling_advice import advice


@dataclass(frozen=True)
class PartWithRemedy(UnpicklablePart):
    """Something that pickle refuses, and what to do instead.

    :param remedy: what to do, in one sentence
    :param code: the remedy as code to paste
    """

    remedy: str
    code: str

    def __str__(self) -> str:
        culprit = self.attribute or "the object itself"
        return f"{self.layer} (layer {self.position}): {culprit}: {self.error}. {self.remedy}"


def unpicklable_parts(venv: VecEnv | gym.Env) -> list[PartWithRemedy]:
    """Try to pickle every layer of a stack by itself, and say what stands in the way and what to do instead.

    A stack that can be pickled gives an empty list. Nothing of the stack is changed, and looking takes five seconds at
    most: see :func:`reload_audit.remedies.pickling.find_unpicklable_parts`.

    :return: from the outermost layer inwards, one for each attribute
    """
    return [_with_remedy(part) for part in find_unpicklable_parts(venv)]


def _with_remedy(part: UnpicklablePart) -> PartWithRemedy:
    said = advice(part)
    return PartWithRemedy(**part.to_dict(), remedy=said.remedy, code=said.code)
