"""What is recorded of episodes, and whether two runs of them are the same, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reload_audit.records.plain_data import PlainData

UNSEEDED = -1
"""Stands for the seed of an episode that was given none of its own."""


@dataclass(frozen=True)
class Episode(PlainData):
    """One finished episode.

    :param seed: that it was reset with, or :data:`UNSEEDED`
    :param reward: sum of the environment's rewards as the VecEnv received them, in double precision
    :param monitor_reward: the episode reward that the Monitor reports, rounded to 6 decimals; None without one
    :param step_reward: sum of what the outermost VecEnv handed out; another scale where rewards are normalised
    :param trace: content digests over all steps of ``raw_observations``, ``rewards``,
        ``policy_observations`` (one for each key of a dictionary) and ``actions``
    """

    episode: int
    seed: int
    reward: float
    length: int
    terminated: bool
    monitor_reward: float | None
    step_reward: float
    trace: Mapping[str, str]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Episode:
        numbers = {key: float(data[key]) for key in ("reward", "step_reward")}
        monitor = data["monitor_reward"]
        return cls(**{**data, **numbers, "monitor_reward": None if monitor is None else float(monitor)})


@dataclass(frozen=True)
class TrainTime(PlainData):
    """What a model earned right after training, over the same episode seeds.

    :param in_place: on the environments it was trained in; None for an external model that was recorded without it
    :param reference: on freshly built ones
    :param random_policy: what random actions earn there; None where they break the environment
    """

    in_place: Sequence[Episode] | None
    reference: Sequence[Episode]
    random_policy: Sequence[Episode] | None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrainTime:
        in_place, random_policy = data["in_place"], data["random_policy"]
        return cls(
            None if in_place is None else [*map(Episode.from_dict, in_place)],
            [*map(Episode.from_dict, data["reference"])],
            None if random_policy is None else [*map(Episode.from_dict, random_policy)],
        )

    @property
    def quoted(self) -> Sequence[Episode]:
        """The episodes whose mean people quote as the model's reward: in place, or else the reference."""
        return self.reference if self.in_place is None else self.in_place

    @property
    def random_mean(self) -> float | None:
        """Mean reward of the random policy; None where it was not measured."""
        return None if self.random_policy is None else mean_reward(self.random_policy)


def rewards(episodes: Sequence[Episode]) -> np.ndarray:
    """Episode rewards, shape ``(n,)``."""
    return np.asarray([episode.reward for episode in episodes], dtype=np.float64)


def mean_reward(episodes: Sequence[Episode]) -> float:
    return float(rewards(episodes).mean())


def std_reward(episodes: Sequence[Episode]) -> float:
    """Standard deviation with ddof 0, as ``evaluate_policy`` reports it."""
    return float(rewards(episodes).std())


def first_difference(a: Sequence[Episode], b: Sequence[Episode]) -> str | None:
    """Which episode differs first between two lists of the same episodes, and in what; None if no bit does."""
    for one, other in zip(a, b, strict=True):
        names = dict.fromkeys([*one.trace, *other.trace])
        components = [name for name in names if one.trace.get(name) != other.trace.get(name)]
        components += [name for name in ("length", "terminated") if getattr(one, name) != getattr(other, name)]
        if _bits(one.reward) != _bits(other.reward):
            components.append("reward")
        if components:
            return f"episode {one.episode}: {', '.join(components)}"
    return None


def _bits(number: float) -> bytes:
    return np.float64(number).tobytes()
