"""What is recorded of episodes, and whether two runs of them are the same, bit for bit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from reload_audit.records.plain_data import PlainData

UNSEEDED = -1
"""Stands for the seed of an episode that was given none of its own."""

Pays = Literal["", "gains", "losses", "both"]
"""What the steps of whole episodes pay: nothing below 0, nothing above 0, or both; empty where it is not known."""

Cut = Literal["", "lower", "upper", "open"]
"""Of an episode that was cut, how its reward bounds that of the whole one: from below, from above, or not at all."""


@dataclass(frozen=True)
class Episode(PlainData):
    """One finished episode, or one that was cut after ``evaluation.max_episode_steps``.

    :param seed: that it was reset with, or :data:`UNSEEDED`
    :param reward: sum of the environment's rewards as the VecEnv received them, in double precision
    :param monitor_reward: the episode reward that the Monitor reports, rounded to 6 decimals; None without one
    :param step_reward: sum of what the outermost VecEnv handed out; another scale where rewards are normalised
    :param trace: content digests over all steps of ``raw_observations``, ``rewards``,
        ``policy_observations`` (one for each key of a dictionary) and ``actions``
    :param cut: what an episode that was cut is a bound of; empty for one that ended
    :param pays: what its steps pay
    """

    episode: int
    seed: int
    reward: float
    length: int
    terminated: bool
    monitor_reward: float | None
    step_reward: float
    trace: Mapping[str, str]
    cut: Cut = ""
    pays: Pays = ""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Episode:
        numbers = {key: float(data[key]) for key in ("reward", "step_reward")}
        monitor = data["monitor_reward"]
        return cls(**{**data, **numbers, "monitor_reward": None if monitor is None else float(monitor)})


RANDOM_POLICY_EPISODES = 20
"""Episodes that a random policy acts in, at most."""


@dataclass(frozen=True)
class RandomReward:
    """What a random policy earns.

    :param mean: of its episodes' rewards
    :param pays: what the steps of those pay that ended
    """

    mean: float
    pays: Pays = ""


def paid_between(least: float, most: float) -> Pays:
    """What steps pay of which the worst and the best are known."""
    return "gains" if least >= 0 else "losses" if most <= 0 else "both"


def paid_by(episodes: Iterable[Episode]) -> Pays:
    """What the steps of whole episodes pay, as far as these show it."""
    kinds = {episode.pays for episode in episodes if not episode.cut} - {""}
    return "both" if len(kinds) > 1 else next(iter(kinds), "")


def with_bounds(episodes: Sequence[Episode], others: Pays) -> Sequence[Episode]:
    """Episodes of which it is said how those that were cut bound the rewards of whole ones.

    What steps pay must be known of episodes that ended: the last step may pay what no other does.

    :param others: what the steps of other episodes in this environment pay
    """
    if not any(episode.cut for episode in episodes):
        return episodes
    whole = {paid_by(episodes), others} - {""}
    kinds = whole | {episode.pays for episode in episodes if episode.cut}
    bounds: dict[Pays, Cut] = {"gains": "lower", "losses": "upper"}
    bound = bounds.get(next(iter(kinds)), "open") if whole and len(kinds) == 1 else "open"
    return [replace(episode, cut=bound) if episode.cut else episode for episode in episodes]


@dataclass(frozen=True)
class TrainTime(PlainData):
    """What a model earned right after training, over the same episode seeds.

    :param in_place: on the environments it was trained in; None for an external model that was recorded without it.
        Where they are fewer than the reference's, these are the same in every bit, and stand for the others
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
        return self.reference if self.in_place is None else [*self.in_place, *self.reference[len(self.in_place) :]]

    @property
    def paid(self) -> Pays:
        """What steps pay, as far as its episodes show it that ended."""
        return paid_by([*self.reference, *(self.random_policy or ())])

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


def are_alike(episodes: Sequence[Episode]) -> bool:
    """Whether more than one episode was run, and all are the same in every bit, although their seeds are not."""
    kinds = {(*sorted(one.trace.items()), one.reward, one.length) for one in episodes}
    return len(episodes) > 1 and len(kinds) == 1 and bool(episodes[0].trace)


def limit_paid_alike(episodes: Sequence[Episode]) -> int:
    """Steps of a time limit that all episodes last to, paid alike whatever is observed; 0 where that is not so.

    Where lasting alone is paid, no policy earns more than they did: no step pays less than 0, and all last to the end.
    """
    seen = {episode.trace.get("raw_observations", "") for episode in episodes}
    paid = {(episode.length, episode.trace.get("rewards", "")) for episode in episodes}
    last = all(not (episode.terminated or episode.cut) and episode.pays == "gains" for episode in episodes)
    is_so = last and len(seen) > 1 and len(paid) == 1 and episodes[0].trace.get("rewards") and episodes[0].reward > 0
    return episodes[0].length if is_so else 0


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
