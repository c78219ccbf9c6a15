"""Keep account of the episodes that a script runs: what environments gave, and what the script was given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reload_audit.observing.normalizations_seen import NormalizationSeen
from reload_audit.records.observation import (
    ActionTaken,
    Ending,
    Line,
    ObservedActs,
    ObservedEpisode,
    ObservedRun,
    UntilAny,
    View,
)

MOST_VIEWS = 200
_MOST_NUMBERS = 256
"""Numbers of an observation that is kept: an image is not."""

Place = tuple[str, int] | None
"""Path and number of a line of the user's code."""

Acts = tuple[str, Place, bool | None, bool, bool, bool, bool]
"""How actions are asked for: the function, its line, whether deterministic, whether state, starts and masks were given,
and whether the network acts as in training."""

Acting = tuple[int | None, Acts]
"""The number of the model that is asked for actions, and how."""


@dataclass
class Slot:
    """One of the environments side by side, in its present episode."""

    reward: float = 0.0
    seen: float = 0.0
    length: int = 0
    beyond: int = 0
    last: float = 0.0
    over: bool = False
    seed: int | None = None

    def add(self, reward: float, seen: float, over: bool) -> None:
        """Count a step."""
        self.seen += seen
        self.last = seen
        if self.over:
            self.beyond += 1
            return
        self.reward += reward
        self.length += 1
        self.over = over

    def close(self, number: int, ending: Ending) -> ObservedEpisode:
        """The episode, which is over; the next one begins."""
        episode = ObservedEpisode(
            number, self.reward, self.seen, self.length, ending, self.beyond, self.last, self.seed
        )
        self.reward = self.seen = self.last = 0.0
        self.length = self.beyond = 0
        self.over, self.seed = False, None
        return episode


@dataclass
class Run:
    """What one model, or the script's own code, does in one environment.

    :param acts: how often actions were asked for, by how; without the last :attr:`times`
    :param acting: the request that the last steps follow, and ``times`` how many of them do but for the first
    :param mode: whether its first actions are deterministic; None where that is open
    :param among_several: steps before which several models were given what the environment returned last
    :param taken: in how many of these the action was the one that a model gave, by the model and how it was asked
    :param actions: the first of the script's own, and those of the policy from the first on that was altered
    :param until_any: of several environments, what was seen from each end of any episode to the next
    """

    model: int | None
    environment: int
    acts: Counter[Acts] = field(default_factory=Counter)
    acting: Acting | None = None
    times: int = 0
    episodes: list[ObservedEpisode] = field(default_factory=list)
    views: list[View] = field(default_factory=list)
    parts: dict[str, int] = field(default_factory=dict)
    outside: int = 0
    begins: int = 0
    masks_again: int = 0
    changed: int = 0
    unasked: int = 0
    again: int = 0
    in_a_row: int = 0
    most_in_a_row: int = 0
    steps: int = 0
    place: Place = None
    cut_at: Place = None
    in_thread: bool = False
    mode: bool | None = None
    among_several: int = 0
    taken: Counter[tuple[int | None, Acts]] = field(default_factory=Counter)
    actions: list[ActionTaken] = field(default_factory=list)
    until_any: list[UntilAny] = field(default_factory=list)

    def follows(self, acting: Acting) -> None:
        """A step follows another request for actions than the one before it did."""
        self._count_acts()
        self.acting = acting
        self.acts[acting[1]] += 1

    def _count_acts(self) -> None:
        if self.acting is not None:
            self.acts[self.acting[1]] += self.times
            self.times = 0

    def step_among_several(self, is_taken: Mapping[tuple[int | None, Acts], bool]) -> None:
        """Count a step before which several models were given what the environment returned last.

        :param is_taken: whether the action is the one that a model gave, by the model and how it was asked
        """
        self.among_several += 1
        self.taken.update({asked: int(taken) for asked, taken in is_taken.items()})

    def step_unasked(self, *, again: bool) -> None:
        """Count a step that no request for actions goes before.

        :param again: whether it is with the action of the step before
        """
        self.unasked += 1
        self.again += again
        self.in_a_row += 1
        self.most_in_a_row = max(self.most_in_a_row, self.in_a_row)

    def record(self, at: Callable[[Place], Line | None], formula_of: Callable[[Place], Line | None]) -> ObservedRun:
        """What is written down of it.

        :param at: gives a line by its place
        :param formula_of: gives the line that computes what the policy is given there
        """
        self._count_acts()
        self._settle()
        formulas = [formula_of(place) for place in {place for _, place, *_ in self.acts}]
        by_itself = [action for action in self.actions if action.chosen is None]
        acts = [
            ObservedActs(how, at(place), deterministic, state, starts, masks, training, times)
            for (how, place, deterministic, state, starts, masks, training), times in self.acts.items()
        ]
        return ObservedRun(
            model=self.model,
            environment=self.environment,
            acts=acts,
            episodes=self.episodes,
            views=self.views,
            parts=self.parts,
            outside=self.outside,
            begins=self.begins,
            masks_again=self.masks_again,
            changed=0 if self.in_thread else self.changed,  # by actions of other threads
            unasked=0 if self.in_thread else self.unasked,
            again=self.again,
            most_in_a_row=self.most_in_a_row,
            steps=self.steps,
            step_line=at(self.place),
            cut_line=at(self.cut_at),
            formula_line=formulas[0] if len(formulas) == 1 else None,
            together=self._together(),
            until_any=self.until_any,
            taken=by_itself if self.in_thread or not self.changed else self.actions,
            formed_line=formula_of(self.place),
        )

    def _together(self) -> tuple[int, ...]:
        """The models that were asked before most steps, where no single one's actions were all taken."""
        models = {model for model, _ in self.taken if model is not None}
        return tuple(sorted(models)) if len(models) > 1 and 2 * self.among_several > self.steps else ()

    def _settle(self) -> None:
        """Where several models were asked, it is the run of the one whose actions were all taken, if there is one."""
        times = Counter[int | None]()
        for (model, _), taken in self.taken.items():
            times[model] += taken
        always = [model for model, taken in times.items() if taken == self.among_several]
        if always and self.model not in always and self.among_several == self.steps:
            self.model = always[0]
            self.acts = Counter({acts: taken for (model, acts), taken in self.taken.items() if model == self.model})
            self.changed = 0
        if self.model in always:
            self.taken.clear()


@dataclass
class Watched:
    """An environment that the script steps, with the present episode of each of those side by side.

    :param number: of its description
    :param vectorized: whether it is a VecEnv, which resets its environments itself
    :param normalization: the VecNormalize around it
    :param leaf: the innermost VecEnv
    :param switches: what is known of the VecNormalize
    :param in_thread: whether another thread than the main one steps it
    :ivar innermost: the environment inside all wrappers of its first one; None where that is not compared
    :ivar action_shape: of one action; None where it has none
    :ivar action: that the script took last
    :ivar first: what the first of several environments was seen to earn since an episode of any of them ended
    :ivar every: and all of them together
    :ivar has_view: whether it is known what the environment gave and returned last
    """

    env: Any
    number: int
    vectorized: bool
    slots: list[Slot]
    normalization: Any = None
    leaf: Any = None
    switches: NormalizationSeen | None = None
    in_thread: bool = False
    run: Run | None = None
    returned: Any = None
    raw: Any = None
    innermost: Any = None
    inner: Any = None
    action_shape: tuple[int, ...] | None = None
    first: float = 0.0
    every: float = 0.0
    has_view: bool = False
    action: Any = None
    first_reset: Place = None

    def begin(self, seeds: Sequence[int | None]) -> bool:
        """All episodes begin anew: those that are going on were cut short.

        :param seeds: of the new ones
        :return: whether any was
        """
        cut, self.first, self.every = False, 0.0, 0.0
        for number, slot in enumerate(self.slots):
            if slot.length and self.run is not None:
                cut = cut or not slot.over
                self.run.episodes.append(slot.close(number, "ended" if slot.over else "cut"))
            else:
                slot.close(number, "open")
            slot.seed = seeds[number] if number < len(seeds) else None
        return cut

    def step(self, result: Any, leaf_rewards: Any) -> None:
        """Count a step.

        :param result: what ``step`` of a VecEnv, or of a single environment, returned
        :param leaf_rewards: of the innermost VecEnv, of shape ``(n_envs,)``; None where they are not known
        """
        if self.switches is not None:
            self.switches.was_stepped()
        if not self.vectorized:
            reward = float(result[1])
            self.slots[0].add(reward, reward, bool(result[2] or result[3]))
            return
        assert self.run is not None
        seen, over = result[1], result[2]
        rewards = seen if leaf_rewards is None else leaf_rewards
        ended = False
        for number, slot in enumerate(self.slots):
            slot.add(float(rewards[number]), float(seen[number]), bool(over[number]))
            if slot.over:
                self.run.episodes.append(slot.close(number, "ended"))
                ended = True
        if len(self.slots) > 1:
            self._step_until_any(seen, ended=ended)

    def _step_until_any(self, seen: Any, *, ended: bool) -> None:
        """Count a step of several environments, of which any may have ended an episode."""
        assert self.run is not None
        self.first += float(seen[0])
        self.every += sum(map(float, seen))
        if ended:
            self.run.until_any.append(UntilAny(self.first, self.every, float(seen[0])))
            self.first = self.every = 0.0

    def stop(self) -> None:
        """The script is at its end, or goes on with another model."""
        for number, slot in enumerate(self.slots):
            if slot.length and self.run is not None:
                self.run.episodes.append(slot.close(number, "ended" if slot.over else "open"))


def numbers(observation: Any, n_envs: int | None) -> tuple[float, ...] | None:
    """An observation, or the first of those side by side, as numbers; None where it is an image or no array.

    :param observation: an array, or a dictionary of such, whose parts follow each other by their keys, without images
    :param n_envs: how many are side by side; None for a single one
    """
    if isinstance(observation, dict):
        parts = [numbers(observation[key], n_envs) for key in sorted(observation)]
        return tuple(number for part in parts if part is not None for number in part) or None
    if isinstance(observation, int | float | np.generic):
        observation = np.asarray(observation)
    if not isinstance(observation, np.ndarray) or observation.dtype.kind not in "fiub":
        return None
    one = observation if n_envs is None else observation[0] if observation.ndim and len(observation) == n_envs else None
    if one is None or one.size > _MOST_NUMBERS:
        return None
    return tuple(float(number) for number in one.ravel())


def sizes(observation: Any) -> dict[str, int]:
    """How many numbers each part of a single dictionary of observations has, by its key; of an array under no name."""
    if isinstance(observation, dict):
        found = {key: numbers(observation[key], None) for key in sorted(observation)}
        return {key: len(part) for key, part in found.items() if part is not None}
    return {"": int(np.size(observation))}


def first_of(observations: Any, n_envs: int | None) -> Any:
    """The first of observations side by side; of a single environment, its own."""
    if n_envs is None:
        return observations
    if isinstance(observations, dict):
        return {key: first_of(value, n_envs) for key, value in observations.items()}
    return observations[0] if isinstance(observations, np.ndarray) and observations.ndim else None
