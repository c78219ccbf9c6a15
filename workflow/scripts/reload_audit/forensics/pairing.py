"""Whether VecNormalize statistics are those that a model was trained with: counts of steps, and bits of observations.

The last observation in a zip was normalised with the statistics of that moment. Where the raw one is known too, this
can be repeated, and gives the same bits with these statistics and no others.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from reload_audit.forensics.traces import Observation, Traces, observation, whole
from reload_audit.reading.refusal import Unreadable
from reload_audit.reading.statistics import Moments, SavedStatistics

Pairing = Literal["own", "swapped", "other", "unknown"]

_START = 1e-4
"""What RunningMeanStd counts before the first sample."""


@dataclass(frozen=True)
class Counts:
    """How many observations VecNormalize's running statistics have taken in.

    :param steps: environment steps that were made in training mode, over all parallel environments
    :param resets: observations that came from resets of all environments, not from steps: one for each environment
    """

    steps: int
    resets: int


def counts_of(statistics: SavedStatistics) -> Counts | None:
    """Steps and resets that statistics have counted; None where observations are not normalised, or no count is whole.

    SB3 1.2 and later counts observations of steps and resets, and rewards of steps only; before, it was the other way
    round.
    """
    counted = {*(moments.count for moments in statistics.observations.values())}
    if len(counted) != 1:
        return None
    numbers = sorted(float(count) - _START for count in (*counted, statistics.rewards.count))
    if not all(-0.5 < number < 2**53 and abs(number - round(number)) < 0.01 for number in numbers):
        return None
    return Counts(steps=round(numbers[0]), resets=round(numbers[1]) - round(numbers[0]))


def pairing(traces: Traces, statistics: SavedStatistics) -> Pairing:
    """Whether statistics, applied to a model's last raw observation, give the last one that its policy saw.

    ``own``: they do, bit for bit; ``swapped``: they do if mean and variance change places; ``other``: they cannot;
    ``unknown``: the files do not tell.

    Off-policy algorithms keep the raw one in the zip, so that ``other`` is certain: the statistics are of another
    moment, or of something else altogether. For on-policy ones it is in the statistics' file, where anything that
    used the same VecNormalize since, even frozen, has replaced it: there is no ``other`` then, only ``unknown``.

    What a callback saves comes from within a step, when the statistics have been updated once more than for the last
    observation in the zip. That update can be taken back, unless they were frozen and have seen something else since.
    """
    raw = old_observation(statistics) if traces.on_policy else traces.original
    if not raw or not traces.last or not statistics.observations:
        return "unknown"
    keys = statistics.observations.keys()
    if not keys <= raw.keys() & traces.last.keys():
        return "unknown"
    shapes = ((raw[key].shape, traces.last[key].shape, statistics.observations[key].mean.shape) for key in keys)
    if any(one != other or one[1:] != shape for one, other, shape in shapes):
        return "unknown"
    with np.errstate(all="ignore"):
        if _gives(statistics, raw, traces.last):
            return "own"
        if _gives(statistics, raw, traces.last, swapped=True):
            return "swapped"
        if not traces.on_policy:
            return _by_raw_observation(statistics, raw, traces)
    return "unknown"


def old_observation(statistics: SavedStatistics) -> Observation | None:
    """The raw observations that a VecNormalize saw last; None where they are not in its file."""
    with contextlib.suppress(Unreadable):
        return observation(statistics.attribute("old_obs"))
    return None


def setting(statistics: SavedStatistics, name: str) -> Any:
    """A flag or a number of the saved VecNormalize; None where it is not there."""
    with contextlib.suppress(Unreadable):
        return statistics.attribute(name)
    return None


def environments_of(statistics: SavedStatistics) -> int | None:
    """How many parallel environments a VecNormalize wrapped when it was saved; None where that is not there."""
    return whole(setting(statistics, "num_envs"))


def _by_raw_observation(statistics: SavedStatistics, raw: Observation, traces: Traces) -> Pairing:
    """How statistics pair with an off-policy model, if they do not give its last observation as they are.

    ``own`` if they give it once their last update is taken back: a callback saved them within a step.
    """
    last, batch, counts = traces.last, old_observation(statistics), counts_of(statistics)
    if last is None or counts is None:
        return "unknown"
    if setting(statistics, "training") is True and batch and statistics.observations.keys() <= batch.keys():
        before = {key: _before(moments, batch[key]) for key, moments in statistics.observations.items()}
        if all(_nearly_gives(statistics, before[key], raw[key], last[key]) for key in before):
            return "own"
        if counts.steps != traces.num_timesteps or counts.resets == traces.n_envs:
            return "other"
    return "other" if _excluded(statistics, counts, raw, last) else "unknown"


def _before(moments: Moments, batch: np.ndarray) -> Moments:
    """Moments as they were before a batch was added: the update formula of SB3's RunningMeanStd, solved for them."""
    n, count = len(batch), moments.count - len(batch)
    mean = (moments.mean * moments.count - batch.mean(axis=0) * n) / count
    moved = (batch.mean(axis=0) - mean) ** 2 * count * n / moments.count
    return Moments(mean, (moments.var * moments.count - batch.var(axis=0) * n - moved) / count, count)


def _nearly_gives(statistics: SavedStatistics, moments: Moments, raw: np.ndarray, last: np.ndarray) -> bool:
    """Whether moments normalise a raw observation to the last one, but for rounding."""
    if moments.mean.shape != raw.shape[1:]:
        return False
    clip, epsilon = statistics.settings["clip_obs"], statistics.settings["epsilon"]
    found = np.clip((raw - moments.mean) / np.sqrt(moments.var + epsilon), -clip, clip)
    return bool(np.allclose(found, last, rtol=1e-5, atol=1e-5))


def _gives(statistics: SavedStatistics, raw: Observation, last: Observation, *, swapped: bool = False) -> bool:
    """Whether statistics normalise the raw observation to the last one, bit for bit, in more than zeros and clips."""
    telling = False
    for key, moments in statistics.observations.items():
        mean, var = (moments.var, moments.mean) if swapped else (moments.mean, moments.var)
        clip, epsilon = statistics.settings["clip_obs"], statistics.settings["epsilon"]
        found = np.clip((raw[key] - mean) / np.sqrt(var + epsilon), -clip, clip).astype(last[key].dtype)
        if not np.array_equal(found, last[key]):
            return False
        telling |= bool(((found != 0) & (np.abs(found) < clip)).any())
    return telling


def _excluded(statistics: SavedStatistics, counts: Counts, raw: Observation, last: Observation) -> bool:
    """Whether the last observation cannot come from statistics that lack one update, and the resets after it."""
    bounds = (
        _out_of_bounds(statistics, moments, raw[key], last[key], max(len(last[key]), counts.resets))
        for key, moments in statistics.observations.items()
    )
    return any(bounds)


def _out_of_bounds(
    statistics: SavedStatistics, moments: Moments, raw: np.ndarray, last: np.ndarray, samples: int
) -> bool:
    """Whether no update by ``samples`` observations leads from statistics that give the last one to these.

    Such an update moves a mean by no more than sqrt(var * samples / before): a larger step would have made the variance
    larger than it is. And the variance before it was at most var * count / before.
    """
    before = moments.count - samples
    if before <= 0 or (moments.var < 0).any():
        return False
    epsilon, clip = statistics.settings["epsilon"], statistics.settings["clip_obs"]
    moved = np.sqrt(moments.var * samples / before)
    distance = raw - moments.mean
    least = np.maximum(np.abs(distance) - moved, 0) / np.sqrt(moments.var * moments.count / before + epsilon)
    least = np.minimum(least, clip) * (1 - 1e-4) - 1e-4
    too_small = np.abs(last) < least
    other_side = (np.sign(last) != np.sign(distance)) & (least > 0)
    return bool((too_small | other_side).any())
