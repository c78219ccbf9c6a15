"""The reward that a script gives its user: which of the numbers that were seen it is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from reload_audit.observing.printed import PrintedNumber, rewards_printed
from reload_audit.records.observation import Observation, ObservedEpisode, ObservedEvaluation, ObservedRun
from reload_audit.records.script_record import Figure


def figure_of(observation: Observation, run: ObservedRun) -> Figure | None:
    """The mean reward that the script shows: of ``evaluate_policy``, or of the episodes that it saw end.

    Where VecNormalize rescales rewards and a script prints those of the environment, the printed ones count.
    """
    rewards = run.seen
    if not rewards.size:
        return None
    for evaluation in reversed(observation.evaluations):
        its = evaluation.environment in (None, run.environment) and evaluation.model in (None, run.model)
        if its and math.isfinite(evaluation.mean):
            return _of_evaluation(evaluation, run, observation.environments[run.environment].n_envs)
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

    Where it may be several things, it is the one that explains the most of what else is printed; both, where that
    does not tell either.
    """
    rewards, numbers = run.seen, observation.printed
    if rewards.size < 2 or matches(numbers, rewards) or matches(numbers, run.earned):
        return None
    printed = [number for number in rewards_printed(observation, run) if number.certain or number.digits > 2]
    found: list[tuple[int, PrintedNumber, str]] = []
    for said, (value, parts) in _ways(run, n_envs).items():
        number = next((one for one in reversed(printed) if value and one.digits > 1 and one.is_near(value)), None)
        if number is not None:
            beside = sum(bool(np.isclose(parts, one, rtol=1e-3, atol=0.0051).any()) for one in numbers)
            found.append((beside, number, said))
    if found:
        most, number, _ = max(found, key=lambda one: one[0])
        called = [said for beside, other, said in found if beside == most and other.value == number.value]
        return number, ", or ".join(called)
    sums = np.cumsum(rewards)
    going_on = [number for number in printed if any(map(number.is_near, map(float, sums[1:])))]
    if len(going_on) >= min(3, rewards.size - 1):
        return going_on[-1], "a sum that goes on from one episode to the next"
    return None


def _ways(run: ObservedRun, n_envs: int) -> dict[str, tuple[float, Sequence[float]]]:
    """What a script may make of episodes in place of their mean: the number, and those that it is made of."""
    counted, rewards = run.counted, run.seen
    n, total, sums = rewards.size, float(rewards.sum()), np.cumsum(rewards)
    last, lengths = ([float(getattr(episode, name)) for episode in counted] for name in ("last", "length"))
    ways: dict[str, tuple[float, Sequence[float]]] = {
        f"the mean of the last reward of each of {n} episodes": (float(np.mean(last)), last),
        "the mean of sums that go on from one episode to the next": (float(sums.mean()), [*map(float, sums)]),
        "the mean reward of a step": (total / sum(lengths), ()),
        f"the sum of {n} episodes, divided by {n + 1}": (total / (n + 1), ()),
        f"the sum of {n} episodes, divided by {n - 1}": (total / (n - 1), ()),
        f"the sum of {n} episodes": (total, [*map(float, sums)]),
    }
    every = float(sum(episode.seen for episode in run.episodes))
    if every != total:
        ways[f"the sum of {n} episodes, and of what was not over"] = (every, ())
    if n_envs > 1:
        of_each = [sum(one.seen for one in run.episodes if one.slot == slot) for slot in range(n_envs)]
        several = f"about {n / n_envs:.3g}" if n % n_envs else f"{n // n_envs}"
        ways[f"the rewards of all {n_envs} environments, added up"] = (n_envs * total / n, ())
        if n > n_envs:
            ways[f"the sum of {several} episodes of each environment"] = (every / n_envs, of_each)
    return ways


def matches(printed: Iterable[float], rewards: np.ndarray) -> int:
    """How many printed numbers are rewards of episodes, or the mean of these, when rounding is allowed for."""
    values = np.asarray([*rewards, rewards.mean()])
    return sum(bool(np.isclose(values, number, rtol=1e-4, atol=0.006).any()) for number in printed)
