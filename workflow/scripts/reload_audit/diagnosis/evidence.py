"""What is kept of a model's record to explain its verdict: numbers, no episodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reload_audit.records.episodes import mean_reward
from reload_audit.records.model_record import Measurement, ModelRecord

STANDARD_ERRORS = 3.0
"""A difference of no more is taken for noise."""


@dataclass(frozen=True)
class Tried:
    """What a condition gave, in numbers; compared with the canonical condition over the episodes that both have run.

    :param mean: mean reward, as the condition counts it; None where there is none, and ``failure`` says why
    :param std: with ddof 1; ``n`` episodes
    :param moved: mean difference from the canonical condition, 0 where it is within three standard errors
    """

    mean: float | None
    failure: str = ""
    std: float = 0.0
    n: int = 0
    moved: float = 0.0

    @classmethod
    def of(cls, found: Measurement, canonical: Measurement | None) -> Tried:
        rewards = found.rewards
        if not rewards.size or not np.isfinite(rewards).all():
            return cls(None, found.failure)
        std = float(rewards.std(ddof=1)) if rewards.size > 1 else 0.0
        common = 0 if canonical is None else min(rewards.size, len(canonical.episodes))
        if canonical is None or common < 2:
            return cls(float(rewards.mean()), "", std, rewards.size, np.inf)
        differences = rewards[:common] - canonical.rewards[:common]
        error = float(differences.std(ddof=1) / np.sqrt(common))
        moved = float(differences.mean())
        return cls(float(rewards.mean()), "", std, rewards.size, moved if abs(moved) > STANDARD_ERRORS * error else 0.0)


@dataclass(frozen=True)
class Observed:
    """One model.

    :param now: mean reward under the canonical condition; None where it failed
    :param failure: why there are no rewards, or nothing
    :param checks: how many checks there were, and how many failed
    :param examined: what examining its files found; None where it was not examined
    :param tried: for each condition what it gave
    :param context: what every fix may name: ``algo``, and the environment as code has it
    :param divergence: where reload and reference first differ
    """

    now: float | None
    failure: str
    checks: tuple[int, int]
    examined: Mapping[str, Any] | None
    tried: Mapping[str, Tried]
    context: Mapping[str, str] = field(default_factory=dict)
    divergence: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, model: ModelRecord) -> Observed:
        canonical = model.canonical
        return cls(
            now=mean_reward(canonical.episodes) if canonical is not None and canonical.episodes else None,
            failure=model.failure,
            checks=(0, 0) if canonical is None else (len(canonical.checks), len(canonical.checks_failed)),
            examined=_brief(model.diagnosis),
            tried={name: Tried.of(found, canonical) for name, found in model.measurements.items()},
            context=_context(model),
            divergence=None if canonical is None else canonical.divergence,
        )


def _brief(examined: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Without facts, and of trials no more than their names, causes and details: an audit may hold thousands.

    An examination that failed itself found nothing.
    """
    if examined is None:
        return None
    trials = [
        {"name": trial["condition"]["name"], "causes": trial["causes"], "details": trial["details"]}
        for trial in examined.get("trials", [])
    ]
    found = {key: examined.get(key, []) for key in ("findings", "estimates")}
    return {**found, "failure": examined.get("failure"), "trials": trials}


def _context(model: ModelRecord) -> dict[str, str]:
    spec = model.manifest["spec"] if model.external is None else model.external
    env = spec["environment"]["env"]
    module, colon, name = env.partition(":")
    if not colon:
        return {"algo": spec["algo"], "env": env, "env_code": f'"{env}"'}
    if name.isidentifier():
        return {"algo": spec["algo"], "env_code": name, "env_import": f"from {module} import {name}"}
    return {"algo": spec["algo"], "env_code": f'"{env}"'}
