"""Run given episodes in an environment, each reset with its own seed, and record them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np

from reload_audit.environments.construction import wrappers_of_the_user
from reload_audit.environments.older_apis import Info
from reload_audit.environments.step_recorders import EnvironmentSteps
from reload_audit.environments.unseen import Unseen
from reload_audit.records.digests import Digest
from reload_audit.records.episodes import Pays, paid_between
from reload_audit.records.manifest import Construction
from reload_audit.records.steps import EPISODES, EpisodeSteps

PARKED_KEY = "reload_audit_parked"
"""Key in the ``info`` of a step that a parked :class:`SeededEpisodes` answers without stepping its environment."""


_MOST_MISSED = 10_000
"""Steps after an episode's end from which on nobody is taken to reset any more."""


def may_hide_the_end(construction: Construction) -> str:
    """Say which wrappers may keep the end of an episode from the VecEnv."""
    names = ", ".join(wrappers_of_the_user(construction)) or "there is none"
    return f"a wrapper hides it from the VecEnv, of these, the outermost first: {names}"


@dataclass(frozen=True)
class SeededEpisode:
    """One finished episode as the environment gave it, before any of the user's wrappers changed it.

    :param reward: sum of its rewards, in double precision
    :param length: in steps
    :param cut: whether it had not ended after as many steps as the protocol allows
    :param pays: what its steps pay
    :param raw_observations: content digest of all observations
    :param rewards: content digest of all rewards
    :param steps: its first steps; None where they are not kept
    """

    episode: int
    seed: int
    reward: float
    length: int
    terminated: bool
    raw_observations: str
    rewards: str
    steps: EpisodeSteps | None
    cut: bool = False
    pays: Pays = ""


class EpisodeTooLong(RuntimeError):
    """A wrapper goes on with an episode after its end."""


class SeededEpisodes(Unseen):
    """Run given episodes, each reset with its own seed, and record them; pass everything through until asked to.

    ``VecEnv.seed`` reaches only the first reset of each environment: the later ones, which the VecEnv makes by
    itself, continue whatever generator is there. This wrapper supplies the seed of every one. When its episodes
    are done it *parks*: the environment is neither stepped nor reset any more, so one that waits for
    the others of its VecEnv does nothing that the protocol did not ask for. It then gives copies of one observation.

    It sits inside the user's wrappers, beside the Monitor: an episode is the environment's own, also where a wrapper
    ends it early for training (a life lost in Atari) or changes its rewards, and its reward is the monitor's. Rewards
    are summed here in double precision, because VecEnvs differ: DummyVecEnv hands them out as float32.
    """

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        self._queue: list[tuple[int, int]] | None = None
        self._max_steps = 0
        self._taken = 0  # steps since the last reset
        self._kept: tuple[Any, Info] | None = None
        self._current: tuple[int, int] | None = None
        self._parked = False
        self._over = False
        self._missed = 0
        self._rewards: list[float] = []
        self._finished: list[SeededEpisode] = []
        self._construction: Construction | None = None
        self._keep_steps = False
        self._steps: EnvironmentSteps | None = None
        self.hide()

    def begin_episodes(self, episodes: Sequence[tuple[int, int]], max_steps: int, keep_steps: bool = False) -> None:
        """From the next reset on, run these episodes.

        :param episodes: pairs of index and seed
        :param max_steps: an episode that is longer is cut
        :param keep_steps: whether the first ones are recorded step by step
        """
        self._queue = list(episodes)
        self._max_steps = max_steps
        self._keep_steps = keep_steps
        self._current, self._parked, self._finished = None, False, []

    def collect_episodes(self, stop: int) -> tuple[list[SeededEpisode], bool]:
        """The episodes that ended since the last call, and whether all are done, so that this environment is parked.

        :param stop: those from this index on are left out
        """
        finished, self._finished = self._finished, []
        return [episode for episode in finished if episode.episode < stop], self._parked

    def begin_no_more(self) -> int | None:
        """Begin none of the episodes that are left, and return the index of the first of them; None if none is."""
        left, self._queue = self._queue or [], []
        return left[0][0] if left else None

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Any, Info]:
        self._taken = 0
        if self._queue is None:
            self._over = False
            return self.env.reset(seed=seed, options=options)
        if self._current is not None and self._rewards:
            self._finish(terminated=False)  # cut short by a wrapper further out
        if self._current is None:
            self._current = self._queue.pop(0) if self._queue else None
        self._parked = self._current is None
        if self._parked and self._kept is not None:
            return self._again()
        seed = None if self._current is None else self._current[1]
        observation, info = self.env.reset(seed=seed, options=options)
        if not self._queue:
            self._keep(observation, info)
        self._over = False
        self._rewards = []
        episode = 0 if self._current is None else self._current[0]
        self._steps = EnvironmentSteps(episode, keep=self._keep_steps and episode < EPISODES)
        self._steps.observe(observation)
        return observation, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, Info]:
        if self._parked:
            observation, info = self._again()
            return observation, 0.0, False, False, {**info, PARKED_KEY: True}
        if self._over and self._queue is not None:
            # A wrapper that resets only when an episode is really over has missed its end: report it again.
            self._missed += 1
            if self._missed > _MOST_MISSED:
                raise EpisodeTooLong(f"an episode goes on after its end; {may_hide_the_end(self.construction())}")
            observation, info = self._again()
            return observation, 0.0, True, False, info
        observation, reward, terminated, truncated, info = self.env.step(action)
        ended = bool(terminated or truncated)
        self.__dict__["_taken"] += 1  # not through Unseen, because it is done in every step
        cut = not ended and 0 < self._max_steps <= self._taken
        if ended or cut:
            self._over, self._missed = True, 0
            self._keep(observation, info)
        if self._current is not None and self._steps is not None:
            self._rewards.append(float(reward))
            self._steps.observe(observation)
            if self._over:
                self._finish(bool(terminated), cut)
        return observation, reward, terminated, truncated or cut, info

    def policy_acts(self) -> None:
        """Note that the policy has chosen an action, before wrappers further out act on it."""
        if self._current is not None and self._steps is not None:
            self._steps.policy_acts()

    def remember_construction(self, construction: Construction) -> None:
        """Keep a description of how the environment was built, with all wrappers around this one."""
        self._construction = construction

    def construction(self) -> Construction:
        """The description that :meth:`remember_construction` was given."""
        assert self._construction is not None
        return self._construction

    def _keep(self, observation: Any, info: Info) -> None:
        """Keep an observation to give again, as it is now: wrappers further out may write into it."""
        self._kept = _copied(observation), {key: value for key, value in info.items() if key != "episode"}

    def _again(self) -> tuple[Any, Info]:
        """The observation that was kept, and its info, as objects that nobody has written into."""
        assert self._kept is not None
        observation, info = self._kept
        return _copied(observation), dict(info)

    def _finish(self, terminated: bool, cut: bool = False) -> None:
        assert self._current is not None
        assert self._steps is not None
        index, seed = self._current
        self._current = None
        observed, steps = self._steps.finish(self._rewards)
        self._finished.append(
            SeededEpisode(
                episode=index,
                seed=seed,
                reward=float(sum(self._rewards)),
                length=len(self._rewards),
                terminated=terminated,
                raw_observations=observed,
                rewards=Digest().add_array(np.asarray(self._rewards)).hexdigest(),
                steps=steps,
                cut=cut,
                pays=paid_between(min(self._rewards), max(self._rewards)),
            )
        )


def _copied(observation: Any) -> Any:
    """A deep copy; of an array of numbers the quick one."""
    plain = type(observation) is np.ndarray and not observation.dtype.hasobject
    return observation.copy() if plain else copy.deepcopy(observation)


class ActionsAnnounced(Unseen):
    """The outermost wrapper, which tells :class:`SeededEpisodes` when the policy acts.

    Wrappers in between may step and reset the environment on their own.
    """

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        self._announce = env.get_wrapper_attr("policy_acts")
        self.hide()

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, Info]:
        self._announce()
        return self.env.step(action)
