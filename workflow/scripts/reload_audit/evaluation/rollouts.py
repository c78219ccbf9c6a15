"""Run episodes under the protocol and record them, down to digests of every step."""

from __future__ import annotations

import abc
import contextlib
import copy
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch as th
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.utils import is_masking_supported
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from reload_audit.environments.seeded_episodes import PARKED_KEY, SeededEpisode, may_hide_the_end
from reload_audit.environments.step_recorders import PolicySteps
from reload_audit.environments.valid_actions import can_be_masked, sample_valid
from reload_audit.evaluation.acting import acting
from reload_audit.evaluation.observations import check_usable
from reload_audit.evaluation.shown import shown_as
from reload_audit.records.digests import Digest
from reload_audit.records.environment_spec import Arguments
from reload_audit.records.episodes import Episode
from reload_audit.records.manifest import Construction
from reload_audit.records.specs import EvaluationSpec
from reload_audit.records.steps import EPISODES, EpisodeSteps, Steps

_FLUSH_STEPS = 64

Observations = np.ndarray | dict[str, np.ndarray]
States = tuple[np.ndarray, ...] | None


class NonFiniteReward(RuntimeError):
    """An episode's reward is not a number, or infinite."""


class EpisodesLost(RuntimeError):
    """Episodes were run, but a wrapper kept their end from the VecEnv."""


class NoActionMasks(RuntimeError):
    """A policy that masks actions acts in environments that have no masks."""


class Policy(abc.ABC):
    """Chooses an action for every slot (one of the parallel environments) at every step."""

    @abc.abstractmethod
    def act(
        self, observations: Observations, states: States, starts: np.ndarray, venv: VecEnv, parked: np.ndarray, /
    ) -> tuple[np.ndarray, States]:
        """Choose the actions of one step.

        :param observations: of all slots, as the VecEnv gives them
        :param states: recurrent states that the last call returned; None at first
        :param starts: whether a slot is at the first step of an episode, shape ``(n_envs,)``
        :param parked: whether a slot has no further episode to run, shape ``(n_envs,)``
        :return: actions, shape ``(n_envs, ...)``, and the states to hand to the next call
        """

    def acting(self) -> contextlib.AbstractContextManager[None]:
        """A context in which to call :meth:`act`."""
        return contextlib.nullcontext()


class ModelPolicy(Policy):
    """Acts as a model does, with recurrent states, episode starts and action masks where its algorithm has them.

    :param carry_state: without it, every step is the first of an episode to a recurrent policy
    :param episode_starts: without it, a recurrent policy goes on with the state of the episode before
    :param give_masks: without it, a policy that masks actions chooses among all
    :param clip_actions: without it, continuous actions are those of the policy network, neither clipped nor rescaled
    :param shown: what is made of observations before it is given them, as of a condition
    :param training_mode: with it, the network is as in training: its dropout drops, for example
    :param batch: how many observations it acts on at once, at least. Where there are fewer slots, copies of the first
        one's follow: the size of a batch changes the last bits of actions, what else is in it does not
    """

    def __init__(
        self,
        model: BaseAlgorithm,
        deterministic: bool = True,
        *,
        carry_state: bool = True,
        episode_starts: bool = True,
        give_masks: bool = True,
        clip_actions: bool = True,
        shown: Arguments | None = None,
        training_mode: bool = False,
        batch: int = 1,
    ) -> None:
        self._model = model
        self._deterministic = deterministic
        self._carry_state = carry_state
        self._episode_starts = episode_starts
        self._clip_actions = clip_actions
        self._shown = shown
        self._training_mode = training_mode
        self._batch = batch
        self._masks = _ActionMasks() if isinstance(model, MaskablePPO) and give_masks else None

    def act(
        self, observations: Observations, states: States, starts: np.ndarray, venv: VecEnv, parked: np.ndarray
    ) -> tuple[np.ndarray, States]:
        slots, masks = len(starts), {} if self._masks is None else {"action_masks": self._masks.of(venv, parked)}
        if slots < self._batch:
            observations, starts, masks = _filled_up((observations, starts, masks), self._batch)
        if self._shown:
            observations = shown_as(observations, self._shown)
        if not self._clip_actions:
            return self._of_the_network(observations)[:slots], states
        if not self._carry_state:
            states, starts = None, np.ones_like(starts)
        elif not self._episode_starts:
            starts = np.zeros_like(starts)
        actions, states = self._model.predict(
            observations, state=states, episode_start=starts, deterministic=self._deterministic, **masks
        )
        return actions[:slots], states

    def _of_the_network(self, observations: Observations) -> np.ndarray:
        """Actions as the policy network gives them, shape ``(n_envs, *actions)``."""
        policy = self._model.policy
        given, _ = policy.obs_to_tensor(observations)
        with th.no_grad():
            actions = policy._predict(given, deterministic=self._deterministic)
        return actions.cpu().numpy().reshape(-1, *(self._model.action_space.shape or ()))

    def acting(self) -> contextlib.AbstractContextManager[None]:
        return acting(self._model.policy, training_mode=self._training_mode)


def _filled_up(rows: Any, n: int) -> Any:
    """Arrays with a row a slot, in tuples and dictionaries, with copies of the first row after the last, up to n."""
    if isinstance(rows, tuple):
        return tuple(_filled_up(part, n) for part in rows)
    if isinstance(rows, dict):
        return {name: _filled_up(part, n) for name, part in rows.items()}
    return np.concatenate([rows, np.repeat(rows[:1], n - len(rows), axis=0)])


class RandomPolicy(Policy):
    """Draws actions uniformly, with a fixed seed; only valid ones where the environment masks actions.

    :param seed: of the first episode. No slot draws from a generator with the seed of an episode: an environment that
        draws its answers as actions are drawn would have foreseen them.
    """

    def __init__(self, venv: VecEnv, seed: int) -> None:
        self._spaces = [copy.deepcopy(venv.action_space) for _ in range(venv.num_envs)]
        for slot, space in enumerate(self._spaces):
            space.seed(int(np.random.SeedSequence([seed, slot]).generate_state(1)[0]))
        self._masks = _ActionMasks() if can_be_masked(venv.action_space) and is_masking_supported(venv) else None

    def act(
        self, _observations: Observations, _states: States, _starts: np.ndarray, venv: VecEnv, parked: np.ndarray
    ) -> tuple[np.ndarray, States]:
        if self._masks is None:
            return np.stack([space.sample() for space in self._spaces]), None
        masks = self._masks.of(venv, parked)
        return np.stack([sample_valid(space, mask) for space, mask in zip(self._spaces, masks, strict=True)]), None


class TimeAllowed:
    """The time that a model's episodes may take. None is begun that might not end in it.

    Each is taken to need twice as long as the longest so far. Which episodes are begun does not depend on what they
    earn, nor on how long they themselves take, so those that were begun are as good a sample as any.

    :param left: seconds that are left
    :param ended: told how many episodes have ended, each time that one has
    :ivar is_up: whether episodes were not begun for want of time
    """

    def __init__(self, left: Callable[[], float], ended: Callable[[int], None] = lambda _: None) -> None:
        self._left = left
        self.ended = ended
        self.is_up = False
        self._longest = 0.0

    def is_up_after(self, seconds: float) -> bool:
        """Whether no further episode may begin.

        :param seconds: for which the slowest of the episodes that are running has been running
        """
        self._longest = max(self._longest, seconds)
        self.is_up = self.is_up or self._left() < 2.0 * self._longest
        return self.is_up


def run_episodes(
    policy: Policy,
    venv: VecEnv,
    evaluation: EvaluationSpec,
    start: int,
    stop: int,
    steps: Steps | None = None,
    allowed: TimeAllowed | None = None,
) -> list[Episode]:
    """Run episodes ``start`` to ``stop - 1``, in order of their index; fewer where there is no time for all.

    Slot ``i`` of ``S`` runs episodes ``start + i``, ``start + i + S``, and so on. Episodes are the same for every
    number of slots, apart from the last bits of the actions: the batch size changes the order of sums in a matrix
    product.

    :param venv: built by :func:`reload_audit.environments.build.build_vec_env`
    :param steps: takes the first steps of the first episodes, if given
    :param allowed: the time for them; unlimited if not given
    :raises NonFiniteReward: an episode earned NaN or an infinity
    :raises UnusableObservation: a policy cannot act on what an environment observed
    :raises EpisodesLost: a wrapper hides the end of episodes
    """
    with policy.acting(), _shallow_copies(venv):
        return _run_episodes(policy, venv, evaluation, start, stop, steps, allowed)


@contextlib.contextmanager
def _shallow_copies(venv: VecEnv) -> Iterator[None]:
    """Keep DummyVecEnv from copying observations and infos in depth in every step: nobody here changes an info."""
    inner = venv.unwrapped
    if type(inner) is not DummyVecEnv:  # one that inherits from it may do with them what it likes
        yield
        return
    observations = inner.buf_obs
    inner.buf_obs, inner.buf_infos = _Observations(observations), _Infos(inner.buf_infos)
    try:
        yield
    finally:
        inner.buf_obs, inner.buf_infos = observations, list(inner.buf_infos)


class _Observations(OrderedDict[str, np.ndarray]):
    """Arrays whose deep copy copies them without looking for anything else."""

    def __deepcopy__(self, _memo: Any) -> OrderedDict[str, np.ndarray]:
        return OrderedDict((name, array.copy()) for name, array in self.items())


class _Infos(list[dict[str, Any]]):
    """A list of infos whose deep copy copies only the outermost dictionaries."""

    def __deepcopy__(self, _memo: Any) -> list[dict[str, Any]]:
        return [dict(info) for info in self]


def _run_episodes(
    policy: Policy,
    venv: VecEnv,
    evaluation: EvaluationSpec,
    start: int,
    stop: int,
    steps: Steps | None,
    allowed: TimeAllowed | None,
) -> list[Episode]:
    slots = venv.num_envs
    _begin_episodes(venv, evaluation, start, stop, keep_steps=steps is not None)
    observations: Any = venv.reset()  # never a tuple: SB3 does not train on such spaces
    parked = np.asarray([done for _, done in venv.env_method("collect_episodes", stop)])
    states: States = None
    starts = np.ones(slots, dtype=bool)
    step_rewards = np.zeros(slots)
    trace = _Trace(slots, None if steps is None else start)
    episodes: list[Episode] = []
    begun = np.full(slots, time.monotonic())
    while len(episodes) < stop - start:
        if parked.all():
            raise EpisodesLost(
                f"only {len(episodes)} of {stop - start} episodes ended in a way that can be seen; "
                f"{may_hide_the_end(venv.env_method('construction', indices=0)[0])}"
            )
        if allowed is not None and allowed.is_up_after(time.monotonic() - float(begun[~parked].min())):
            # All that come before the first one that was not begun were begun.
            stop, allowed = min([stop, *filter(None, venv.env_method("begin_no_more"))]), None
            episodes = [episode for episode in episodes if episode.episode < stop]
            continue
        try:
            actions, states = policy.act(observations, states, starts, venv, parked)
        except Exception:
            check_usable(observations, venv.observation_space)
            raise
        trace.add(observations, actions)
        observations, rewards, starts, infos = venv.step(actions)
        step_rewards += rewards
        for slot, (over, is_parked, info) in enumerate(zip(starts.tolist(), parked.tolist(), infos, strict=True)):
            if not is_parked and (over or PARKED_KEY in info):
                finished, parked[slot] = venv.env_method("collect_episodes", stop, indices=slot)[0]
                for recorded in finished:
                    digests, policy_steps = trace.finish(slot)
                    if steps is not None and recorded.steps is not None and policy_steps is not None:
                        steps.add(recorded.episode, recorded.steps, policy_steps)
                    episodes.append(_episode(recorded, info, float(step_rewards[slot]), digests))
                    step_rewards[slot] = 0.0
                    begun[slot] = time.monotonic()
                    if allowed is not None:
                        allowed.ended(start + len(episodes))
    return sorted(episodes, key=lambda episode: episode.episode)


def _begin_episodes(venv: VecEnv, evaluation: EvaluationSpec, start: int, stop: int, *, keep_steps: bool) -> None:
    """Tell every slot which episodes it runs, and with which seeds."""
    for slot in range(venv.num_envs):
        queue = [(index, evaluation.seed + index) for index in range(start + slot, stop, venv.num_envs)]
        venv.env_method("begin_episodes", queue, evaluation.max_episode_steps, keep_steps, indices=slot)


def run_looks(
    policy: Policy,
    venv: VecEnv,
    evaluation: EvaluationSpec,
    stops: Sequence[int],
    enough: Callable[[Sequence[Episode]], bool] = lambda _: False,
    steps: Steps | None = None,
    allowed: TimeAllowed | None = None,
    first: int = 0,
) -> list[Episode]:
    """Run episodes in portions ("looks") until ``enough`` says so, at most to the last of ``stops``.

    :param stops: number of episodes after each portion, increasing
    :param enough: whether the episodes so far suffice, asked after each portion
    :param steps: takes the first steps of the first episodes, if given
    :param allowed: the time for them; unlimited if not given
    :param first: the episode to begin with
    """
    episodes: list[Episode] = []
    for stop in stops:
        if allowed is not None and allowed.is_up_after(0.0):
            break
        episodes += run_episodes(policy, venv, evaluation, first + len(episodes), stop, steps, allowed)
        if first + len(episodes) < stop or enough(episodes):
            break
    return episodes


class _ActionMasks:
    """Asks environments for their action masks, but for parked ones: their episode is over, they may have none."""

    def __init__(self) -> None:
        self._masks: np.ndarray | None = None

    def of(self, venv: VecEnv, parked: np.ndarray) -> np.ndarray:
        """Masks of all slots, shape ``(n_envs, n_actions)``; those of parked slots are of no consequence."""
        live = np.flatnonzero(~parked).tolist()
        if self._masks is None and not is_masking_supported(venv):
            raise NoActionMasks(
                f"MaskablePPO asks its environments for masks, and {_environment_class(venv)} has no method "
                "action_masks; expected the wrapper that it was trained with, and its function, which must stand in a "
                "module of python_path that does not train when it is imported: "
                'wrappers: [{ActionMasker: {action_mask_fn: "module:function"}}]'
            )
        masks = np.stack(venv.env_method("action_masks", indices=live))
        if self._masks is None or len(self._masks) != venv.num_envs:
            self._masks = np.ones((venv.num_envs, masks.shape[1]), dtype=masks.dtype)
        self._masks[live] = masks
        return self._masks


class _Trace:
    """Digests what the policy saw and did, slot by slot.

    Steps are collected and digested many at a time, because a digest's cost is mostly in its calls. Every array has a
    digest of its own, so that it does not matter where the steps were cut.

    :param first: episode that the first slot begins with, if the first steps of episodes are kept
    """

    def __init__(self, slots: int, first: int | None = None) -> None:
        self._slots = slots
        self._steps: list[dict[str, np.ndarray]] = []
        self._begun = [0] * slots  # which of these steps is the first that is not yet in a slot's digests
        self._digests: list[dict[str, Digest]] = [{} for _ in range(slots)]
        self._episodes = None if first is None else list(range(first, first + slots))
        self._kept = [self._new_steps(slot) for slot in range(slots)]

    def add(self, observations: Observations, actions: np.ndarray) -> None:
        step = {"actions": np.array(actions)}  # a copy: environments are given views, and may write to them
        if isinstance(observations, dict):
            step |= {f"policy_observations.{key}": array for key, array in observations.items()}
        else:
            step["policy_observations"] = np.asarray(observations)
        self._steps.append(step)
        if len(self._steps) == _FLUSH_STEPS:
            stacked = {name: np.stack([step[name] for step in self._steps]) for name in step}
            for slot, begun in enumerate(self._begun):
                self._take(slot, {name: array[begun:, slot] for name, array in stacked.items()})
            self._steps.clear()
            self._begun = [0] * self._slots

    def finish(self, slot: int) -> tuple[dict[str, str], EpisodeSteps | None]:
        """The digests of the slot's episode, which ends with the step added last, and its first steps if kept."""
        new = self._steps[self._begun[slot] :]
        if new:
            self._take(slot, {name: np.stack([step[name][slot] for step in new]) for name in new[0]})
        self._begun[slot] = len(self._steps)
        digests = {name: digest.hexdigest() for name, digest in sorted(self._digests[slot].items())}
        kept = self._kept[slot]
        self._digests[slot] = {}
        if self._episodes is not None:
            self._episodes[slot] += self._slots
        self._kept[slot] = self._new_steps(slot)
        return digests, None if kept is None else kept.finish()

    def _take(self, slot: int, steps: dict[str, np.ndarray]) -> None:
        for name, array in steps.items():
            self._digests[slot].setdefault(name, Digest()).add_bytes(array)
        kept = self._kept[slot]
        if kept is not None:
            kept.add(steps)

    def _new_steps(self, slot: int) -> PolicySteps | None:
        if self._episodes is None or self._episodes[slot] >= EPISODES:
            return None
        return PolicySteps(self._episodes[slot])


def _episode(recorded: SeededEpisode, info: Mapping[str, Any], step_reward: float, trace: Mapping[str, str]) -> Episode:
    if not math.isfinite(recorded.reward):
        raise NonFiniteReward(
            f"episode {recorded.episode} (seed {recorded.seed}) earned {recorded.reward}; expected a number"
        )
    monitor = info.get("episode")
    return Episode(
        episode=recorded.episode,
        seed=recorded.seed,
        reward=recorded.reward,
        length=recorded.length,
        terminated=recorded.terminated,
        monitor_reward=None if monitor is None else float(monitor["r"]),
        step_reward=step_reward,
        trace={"raw_observations": recorded.raw_observations, "rewards": recorded.rewards, **trace},
        cut="open" if recorded.cut else "",
        pays=recorded.pays,
    )


def _environment_class(venv: VecEnv) -> str:
    construction: Construction = venv.env_method("construction", indices=0)[0]
    return construction.wrappers[-1].rpartition(".")[2]
