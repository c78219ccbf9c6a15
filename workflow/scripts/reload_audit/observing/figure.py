"""The reward that a script gives its user: which of the numbers that were seen it is."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from reload_audit.observing.printed import PrintedNumber, parts_shown, rewards_printed, shows_a_mean, ways_of_counting
from reload_audit.records.observation import Observation, ObservedEpisode, ObservedEvaluation, ObservedRun
from reload_audit.records.script_record import Figure


def figure_of(observation: Observation, run: ObservedRun) -> Figure | None:
    """The mean reward that the script shows: of ``evaluate_policy``, or of the episodes that it saw end.

    Where VecNormalize rescales rewards and a script prints those of the environment, the printed ones count.
    """
    found = _of_what_it_shows(observation, run)
    return None if found is None else replace(found, one_seed=run.has_one_seed)


def _of_what_it_shows(observation: Observation, run: ObservedRun) -> Figure | None:
    rewards = run.seen
    if not rewards.size:
        return None
    for evaluation in reversed(observation.evaluations):
        its = evaluation.environment in (None, run.environment) and evaluation.model in (None, run.model)
        its = its and all(act.deterministic in (None, evaluation.deterministic) for act in run.acts)
        if its and math.isfinite(evaluation.mean):
            return _of_evaluation(evaluation, run, observation.environments[run.environment].n_envs)
    part = _best_of_parts(observation, run)
    if part:
        seen, earned = (np.asarray([getattr(one, name) for one in part]) for name in ("seen", "reward"))
        return replace(Figure.of(seen, earned, run.step_line), parts=len(run.counted) // len(part))
    chosen = of_first_alone(observation, run) or _printed_episodes(observation, run)
    if chosen is not None:
        seen, earned = (np.asarray([getattr(one, name) for one in chosen]) for name in ("seen", "reward"))
        return replace(Figure.of(seen, earned, run.step_line), balanced=_is_balanced(chosen))
    told = [number.value for number in rewards_printed(observation, run)]
    beyond = any(episode.beyond for episode in run.counted) and not matches(told, rewards)
    if beyond or matches(observation.printed, run.earned) > matches(observation.printed, rewards):
        rewards = run.earned  # nobody is shown what steps beyond the end give
    made = Figure.of(rewards, run.earned, run.step_line)
    otherwise = _printed_otherwise(observation, run, observation.environments[run.environment].n_envs)
    if otherwise is None:
        return made
    number, said = otherwise
    return replace(made, mean=number.value, where=number.line or run.step_line, printed=said)


def _best_of_parts(observation: Observation, run: ObservedRun) -> list[ObservedEpisode]:
    """Where a script prints the means of several equal parts of its episodes that differ, those of the best part."""
    parts = parts_shown(run, rewards_printed(observation, run))
    if parts < 2:
        return []
    rewards = np.asarray([episode.reward for episode in run.counted]).reshape(parts, -1)
    means = rewards.mean(axis=1)
    best, worst = int(means.argmax()), int(means.argmin())
    error = math.sqrt(sum(float(rewards[one].var(ddof=1)) for one in (best, worst)) / rewards.shape[1])
    n = rewards.shape[1]
    return list(run.counted[best * n : (best + 1) * n]) if means[best] - means[worst] > 3.0 * error else []


def of_first_alone(observation: Observation, run: ObservedRun) -> list[ObservedEpisode]:
    """The episodes of the first environment, where a script resets those beside it whenever that one's episode is over.

    It cuts none of them short, and prints their mean, which is not that of all; empty for any other script.
    """
    cut = {episode.slot for episode in run.episodes if episode.ending == "cut"}
    alone = [episode for episode in run.ended if episode.slot == 0] if cut and 0 not in cut else []
    return alone if alone and _is_printed(observation, alone) and not _is_printed(observation, run.ended) else []


def _printed_episodes(observation: Observation, run: ObservedRun) -> list[ObservedEpisode] | None:
    """Of environments side by side, the episodes whose mean a script prints: the first of each, or the first of all."""
    n_envs, ended = observation.environments[run.environment].n_envs, run.ended
    if n_envs == 1 or not ended or _is_printed(observation, ended):
        return None
    of_each = [[episode for episode in ended if episode.slot == slot] for slot in range(n_envs)]
    for n in range(min(map(len, of_each)), 0, -1):
        chosen = [episode for episodes in of_each for episode in episodes[:n]]
        if _is_printed(observation, chosen):
            return chosen
    return next((ended[:n] for n in range(len(ended) - 1, 1, -1) if _is_printed(observation, ended[:n])), None)


def _is_balanced(episodes: Sequence[ObservedEpisode]) -> bool:
    """Whether equally many are of each of the environments side by side."""
    return len({*Counter(episode.slot for episode in episodes).values()}) == 1


def _is_printed(observation: Observation, episodes: Sequence[ObservedEpisode]) -> bool:
    means = (np.mean([episode.seen for episode in episodes]), np.mean([episode.reward for episode in episodes]))
    return any(np.isclose(mean, number, rtol=1e-4, atol=0.0051) for mean in means for number in observation.printed)


def _of_evaluation(evaluation: ObservedEvaluation, run: ObservedRun, n_envs: int) -> Figure:
    """What ``evaluate_policy`` returned, which takes equally many episodes of each of the environments side by side."""
    wanted = [(evaluation.episodes + slot) // n_envs for slot in range(n_envs)]
    places = []
    for place, episode in enumerate(run.episodes):
        if place >= evaluation.first and episode.ending == "ended" and wanted[episode.slot]:
            wanted[episode.slot] -= 1
            places.append(place)
    episodes = [run.episodes[place] for place in places]
    seen, earned = (np.asarray([getattr(one, name) for one in episodes]) for name in ("seen", "reward"))
    if not seen.size:
        seen, earned = run.seen, run.earned
    close = np.isclose(evaluation.mean, earned.mean(), rtol=1e-3, atol=1e-3)
    made = Figure.of(earned if close else seen, earned, evaluation.line)
    return replace(made, mean=evaluation.mean, std=evaluation.std, n=evaluation.episodes)


def _printed_otherwise(observation: Observation, run: ObservedRun, n_envs: int) -> tuple[PrintedNumber, str] | None:
    """A number that a script prints that is no reward of an episode, and what it is; None where that is not known.

    It is known where nothing else can be meant: the number stands directly beside the word for a reward, or alone, has
    digits enough, and no word says what it is. Where it may be several things, it is the one that explains the most of
    what else is printed; both, where that does not tell either.
    """
    rewards, numbers = run.seen, observation.printed
    if rewards.size < 2 or matches(numbers, rewards) or matches(numbers, run.earned):
        return None
    every = rewards_printed(observation, run)
    if shows_a_mean(observation, every, float(rewards.mean())):
        return None
    printed = [number for number in every if number.direct and not (number.says_other or _PART.search(number.text))]
    telling = [number for number in printed if number.digits > (3 if number.bare else 2) and not number.is_round]
    found: list[tuple[int, PrintedNumber, str]] = []
    for said, (value, parts) in ways_of_counting(run, n_envs).items():
        number = next((one for one in reversed(telling) if value and one.is_near(value)), None)
        if number is not None and not _is_called(number, said):
            beside = sum(bool(np.isclose(parts, one, rtol=1e-3, atol=0.0051).any()) for one in numbers)
            found.append((beside, number, said))
    if found:
        most, number, _ = max(found, key=lambda one: one[0])
        called = [said for beside, other, said in found if beside == most and other.value == number.value]
        return number, ", or ".join(called)
    sums = np.cumsum(rewards)
    said = "a sum that goes on from one episode to the next"
    near = [number for number in printed if number.digits > 1 and any(map(number.is_near, map(float, sums[1:])))]
    going_on = [number for number in near if not _is_called(number, said)]
    return (going_on[-1], said) if len(going_on) >= min(3, rewards.size - 1) else None


_PART = re.compile(r"best|max|highest|top|worst|min|lowest|median|first", re.IGNORECASE)
"""Words beside which a number is that of a part of the episodes."""

_TOTAL = re.compile(r"total.*(?:(?<![a-z])all(?![a-z])|over|across|episodes|runs|games)", re.IGNORECASE)
_OF_ONE = re.compile(r"(?<![a-z])(?:ep|episode)\W*\d", re.IGNORECASE)


def _is_called(number: PrintedNumber, way: str) -> bool:
    """Whether a script itself says that it prints this: a total of several episodes, say, and not a total alone."""
    may_be_total = "sum" in way and not ("divided" in way or "each" in way)
    total = may_be_total and _TOTAL.search(number.text) and not _OF_ONE.search(number.text)
    return number.says_it_is(way) or bool(total)


def matches(printed: Iterable[float], rewards: np.ndarray) -> int:
    """How many printed numbers are rewards of episodes, or the mean of these, when rounding is allowed for."""
    values = np.asarray([*rewards, rewards.mean()])
    return sum(bool(np.isclose(values, number, rtol=1e-4, atol=0.006).any()) for number in printed)
