"""The first episodes of a condition other than the canonical one, after which its further ones may be spared."""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from reload_audit.records.episodes import Episode, first_difference

Spared = Literal["", "same", "excluded"]
"""Why a condition's further episodes were spared: every bit of its first ones is that of the canonical condition's, or
they exclude what it changes as a cause; empty where none were."""


class FirstLook(abc.ABC):
    """What is asked of a condition's first episodes. It travels to the process that runs them.

    :cvar episodes: how many these are, at least
    :cvar says: why further episodes are spared
    """

    episodes: ClassVar[int]
    says: ClassVar[Spared]

    @abc.abstractmethod
    def suffices(self, episodes: Sequence[Episode]) -> bool:
        """Whether the first episodes tell so much that further ones are spared."""

    def ends_after(self, n_envs: int, n_episodes: int) -> int:
        """Episodes of the first look: as many in every slot, and no more than the condition has."""
        return min(math.ceil(self.episodes / n_envs) * n_envs, n_episodes)


@dataclass(frozen=True)
class SameBits(FirstLook):
    """Whether every bit of a condition's first episodes is that of the canonical condition's.

    :param canonical: the episodes of the canonical condition
    """

    canonical: Sequence[Episode]

    episodes = 5
    says = "same"

    def suffices(self, episodes: Sequence[Episode]) -> bool:
        n = len(episodes)
        return 1 < n <= len(self.canonical) and first_difference(episodes, self.canonical[:n]) is None
