"""What training episodes and claims say of how a reward was measured: time limit, reward scale, best of many."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from reload_audit.causes.finding import Detail, Finding
from reload_audit.forensics.traces import Traces
from reload_audit.models.claims import read_npz
from reload_audit.reading.refusal import Unreadable, refusing
from reload_audit.reading.statistics import SavedStatistics
from reload_audit.records.examination import Facts
from reload_audit.records.specs import Claim

_FEWEST = 10
"""Training episodes below which equal lengths say nothing."""

_SHARE = 0.2
"""Share of the training episodes that must have had the very same, largest length to look like a time limit."""

_CLEARLY = 1.5
"""Factor between two mean rewards from which on they are taken to be on different scales."""

_ON_EACH_SIDE = 4
"""Evaluations before the chosen one, and as many after it, that tell what it earned without luck."""

_LAST = 20
"""How many of the last training episodes are used: nearly the policy that was saved has run them."""


def episode_facts(traces: Traces, statistics: SavedStatistics | None) -> Facts:
    """Numbers of the last training episodes, and the scale that VecNormalize divides rewards by."""
    rewards = np.asarray([episode.reward for episode in traces.episodes])
    lengths = Counter(episode.length for episode in traces.episodes)
    facts: Facts = {"training_episodes": len(rewards), "monitor": traces.monitor}
    if len(rewards):
        longest = max(lengths)
        facts |= {
            "training_reward_mean": float(rewards.mean()),
            "training_reward_std": float(rewards.std()),
            "training_length_mean": sum(length * n for length, n in lengths.items()) / len(rewards),
            "training_length_max": longest,
            "training_episodes_of_max_length": lengths[longest],
        }
    scale = reward_scale(statistics)
    if scale is not None:
        facts["reward_scale"] = scale
    return facts


def reward_scale(statistics: SavedStatistics | None) -> float | None:
    """What VecNormalize divides rewards by: the standard deviation of returns; None unless that is positive."""
    if statistics is None:
        return None
    square = float(statistics.rewards.var) + float(statistics.settings["epsilon"])
    return math.sqrt(square) if 0 < square < math.inf else None


def time_limit(traces: Traces, max_episode_steps: int | None, longest_episode: int | None) -> list[Finding]:
    """A finding where training episodes were longer than the environment allows, or many ended at one earlier step.

    The latter is no proof: an environment may end by itself then.

    :param max_episode_steps: of the environment as built; None where it has none, or that is not known
    :param longest_episode: steps of the longest episode that was run in it now; None where none was
    """
    if not traces.episodes or (max_episode_steps is None and longest_episode is None):
        return []
    lengths = Counter(episode.length for episode in traces.episodes)
    longest, total = max(lengths), lengths.total()
    details = {"max_episode_steps": longest}
    if max_episode_steps is not None and longest > max_episode_steps:
        evidence = f"Training episodes had up to {longest} steps, the environment ends them after {max_episode_steps}."
        return [Finding("time-limit", "forensics", True, evidence, details)]
    piled_up = total >= _FEWEST and lengths[longest] >= max(3, _SHARE * total)
    if piled_up and longest < (max_episode_steps or math.inf) and longest < (longest_episode or math.inf):
        then = f"{lengths[longest]} of the last {total} training episodes had exactly {longest} steps and none had more"
        now = (
            f"the environment allows {max_episode_steps}" if max_episode_steps else "the environment has no time limit"
        )
        return [Finding("time-limit", "forensics", False, f"{then}; {now}.", details)]
    return []


def monitor_outside(
    reported: float, reported_length: float, raw: float, raw_length: float, statistics: SavedStatistics
) -> Finding | None:
    """A finding where a reported reward is on the scale of normalised ones, judged by raw ones measured later.

    Rewards are compared for each step, because episodes may have other lengths. It is no proof: the policy may
    have become better or worse by that very factor.

    :param reported: mean episode reward that a monitor reported, and ``reported_length``: mean steps of those episodes
    :param raw: mean episode reward as the environment gives it, and ``raw_length``: mean steps of those episodes
    """
    scale = reward_scale(statistics)
    if scale is None or not statistics.settings["norm_reward"] or min(reported_length, raw_length) <= 0:
        return None
    a_step, raw_a_step = reported / reported_length, raw / raw_length
    if abs(a_step) > statistics.settings["clip_reward"] or a_step * raw_a_step <= 0:
        return None
    factor = raw_a_step / a_step
    as_raw, as_normalized = abs(math.log(factor)), abs(math.log(factor / scale))
    if abs(math.log(scale)) < math.log(_CLEARLY) or as_normalized > as_raw / 3:
        return None
    evidence = (
        f"Reported were {a_step:.4g} a step, measured {raw_a_step:.4g}: {factor:.3g} times as much, "
        f"and VecNormalize divides rewards by {scale:.3g}."
    )
    return Finding("monitor-outside-vecnormalize", "forensics", False, evidence, {"reward_scale": scale})


def training_on_another_scale(
    traces: Traces, statistics: SavedStatistics | None, raw: float, raw_length: float
) -> Finding | None:
    """A finding where the training episodes in the zip were reported on the scale of normalised rewards.

    SB3's Monitor sits on each environment, where rewards are raw; only VecMonitor can sit outside VecNormalize.

    :param raw: mean episode reward as the environment gives it, and ``raw_length``: mean steps of those episodes
    """
    if statistics is None or traces.monitor != "VecMonitor":
        return None
    last = traces.episodes[-_LAST:]
    if not last:
        return None
    rewards, lengths = ([getattr(one, name) for one in last] for name in ("reward", "length"))
    return monitor_outside(float(np.mean(rewards)), float(np.mean(lengths)), raw, raw_length, statistics)


def best_of_many(claims: Sequence[Claim], evaluations: str | None) -> list[Finding]:
    """A finding where a claim is the highest of several evaluations that were made in training."""
    stated = [claim for claim in claims if claim.kind in ("explicit", "model_card", "reported", "best")]
    if evaluations is None or not evaluations.endswith(".npz") or not stated:
        return []
    try:
        with refusing("damaged"):
            results = read_npz(evaluations)["results"]
            means = np.asarray(results, dtype=np.float64).reshape(len(results), -1).mean(axis=1)
            each = int(np.asarray(results[0]).size) if len(results) else 0
    except Unreadable:
        return []
    if len(means) < 2 or not np.isfinite(means).all() or (means == means.max()).all():
        return []
    best, rest = float(means.max()), float(np.delete(means, means.argmax()).mean())
    for claim in stated:
        if math.isclose(claim.mean, best, rel_tol=1e-6, abs_tol=_rounding(claim.mean)):
            evidence = (
                f"{claim.mean:.6g} is the highest of {len(means)} evaluations of {each} episodes; "
                f"the others have a mean of {rest:.6g}."
            )
            details: dict[str, Detail] = {"k": len(means), "n": each, "nearest": _nearest(means, int(means.argmax()))}
            return [Finding("best-of-k", "forensics", True, evidence, details)]
    return []


def _nearest(means: np.ndarray, chosen: int) -> list[float]:
    """The evaluations just before and just after the chosen one, shape ``(rows,)``."""
    first = max(0, chosen - _ON_EACH_SIDE)
    return [*map(float, means[first:chosen]), *map(float, means[chosen + 1 : chosen + 1 + _ON_EACH_SIDE])]


def _rounding(number: float) -> float:
    """Half of the last decimal that a number is stated with."""
    decimals = len(repr(number).partition(".")[2]) if "e" not in repr(number) else 0
    return 0.5 * 10.0**-decimals if 2 <= decimals <= 6 else 1e-9
