"""Whether evaluations differ by more than chance, however few episodes one of them has, or more are needed to tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from reload_audit.diagnosis.gap import STANDARD_ERRORS
from reload_audit.diagnosis.joint_effects import gained, is_certain
from reload_audit.records.model_record import Measurement
from reload_audit.records.script_record import AS_MODEL, AS_SCRIPT, Figure, only, put_right

_LEVEL = math.erfc(STANDARD_ERRORS / math.sqrt(2.0)) / 2.0
"""How often a normal variable is so many standard errors above its mean."""

WORTH_NAMING = 0.05
"""Part of what a model earns, or of a gap, below which what a script's line costs is not worth naming."""

_MOST_ARRANGEMENTS = 20_000
_DRAWN = 4_000


def error_of_difference(one: np.ndarray, other: np.ndarray) -> float:
    """The standard error of the difference of two means; a single episode varies as those of the other do."""
    variances = [float(values.var(ddof=1)) for values in (one, other) if values.size > 1]
    if not variances:
        return 0.0
    parts = [
        (float(values.var(ddof=1)) if values.size > 1 else max(variances)) / values.size for values in (one, other)
    ]
    return math.sqrt(sum(parts))


def differ(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether the means of two samples of rewards are further apart than episodes of one distribution would be.

    They are more than three standard errors apart, and it is rare that they are as far apart when all episodes are
    dealt out to the two at random (a permutation test): rewards are seldom normally distributed, and few episodes often
    show nothing of the rare ones.
    """
    difference = abs(float(one.mean() - other.mean()))
    rounding = 1e-6 * abs(float(one.mean()))
    if difference <= max(STANDARD_ERRORS * error_of_difference(one, other), rounding):
        return False
    few, many = sorted((one, other), key=len)
    return _is_rare(few, many)


def _is_rare(few: np.ndarray, many: np.ndarray) -> bool:
    """Whether hardly any choice of as many of all episodes is as far off, in the same direction, as ``few`` are."""
    values = np.concatenate([few, many])
    values = values if few.mean() > many.mean() else -values
    if math.comb(values.size, few.size) <= _MOST_ARRANGEMENTS:
        chosen = np.asarray([*combinations(range(values.size), few.size)])
    else:
        order = np.tile(np.arange(values.size), (_DRAWN, 1))
        chosen = np.random.default_rng(0).permuted(order, axis=1)[:, : few.size]
    sums, own = values[chosen].sum(axis=1), values[: few.size].sum()
    as_far = int((sums >= own - 1e-9 * max(1.0, abs(float(own)))).sum())
    return as_far <= max(1.0, _LEVEL * len(sums))


def is_reproduced(drawn: np.ndarray, script: Measurement) -> bool:
    """Whether what a script earns is, but for chance, what its model earns where the audit does the same.

    Where statistics go on changing, episodes depend on those before them: then means are compared, of the script and of
    the rounds that each begin with the same statistics.

    :param drawn: what episodes of the script earned
    """
    rounds = _means_of_rounds(script)
    return not differ(drawn, script.rewards) if rounds is None else not differ(drawn.mean(keepdims=True), rounds)


def _means_of_rounds(measured: Measurement) -> np.ndarray | None:
    """What the rounds of a condition earned, in each of which statistics changed; None where there are not several."""
    condition, rewards = measured.condition, measured.rewards
    n = condition.anew_after
    if condition.statistics not in ("updating", "new") or n is None or rewards.size < 2 * n:
        return None
    return np.asarray(rewards[: rewards.size // n * n].reshape(-1, n).mean(axis=1))


def is_open(figure: Figure, measured: Mapping[str, Measurement], causes: Sequence[str]) -> bool:
    """Whether more episodes could tell more of what a script earns, or of what one of its differences costs.

    :param measured: what its model earns under conditions, by their names
    :param causes: of the differences that are in conditions
    """
    model, script = measured[AS_MODEL], measured.get(AS_SCRIPT, measured[AS_MODEL])
    earned = figure.drawn
    if not model.episodes or not script.episodes or not earned.size:
        return False
    mean = float(model.rewards.mean())
    if differ(earned, model.rewards) and not is_reproduced(earned, script):
        return True
    scale = max(abs(mean), abs(mean - float(earned.mean())))
    return any(_is_undecided(measured, cause, causes, scale) for cause in causes)


def _is_undecided(measured: Mapping[str, Measurement], cause: str, causes: Sequence[str], scale: float) -> bool:
    """Whether a difference may cost something that is worth naming, and may cost nothing."""
    alone_there = measured.get(only([cause], causes))
    all_others = measured.get(AS_MODEL if len(causes) == 1 else put_right(cause))
    known = [gained(measured[AS_MODEL], alone_there), gained(all_others, measured.get(AS_SCRIPT))]
    effects = [one for one in known if one is not None and one.mean is not None]
    most = max((abs(one.effect) + STANDARD_ERRORS * one.error for one in effects), default=0.0)
    return most > WORTH_NAMING * scale and not any(map(is_certain, effects))
