"""Whether a claim contradicts the model's own files, and the reload agrees with those: then it may be of another model.

Exploration lowers a mean and may widen a spread; what it does to this very model is measured, not assumed. The reload,
exploring as in training, has to earn what the last training episodes in the model's files earned. Then nothing was
lost since, and a claim whose spread neither of them can have is of something else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from reload_audit.causes.finding import Finding
from reload_audit.diagnosis.gap import STANDARD_ERRORS
from reload_audit.records.specs import Claim

CONTRADICTED = "claim-of-another-model"

_FEWEST = 20
"""Episodes below which neither a claim nor a sample says enough of its spread."""

_CLEARLY = 3.0
"""Factor between the claimed standard deviation and that in the model's files, at least."""

_ALIKE = 1.5
"""Factor between two standard deviations, at most, for the spreads to count as alike."""

_AGREES = 2.0
"""Standard errors within which training episodes and the exploring reload have to agree."""

_CHANCE = 1e-3
"""Chance, at most, of the claimed spread if the episodes behind the claim were as those of the reload."""

_RESAMPLES = 4000


def contradiction(claims: Sequence[Claim], claim: Claim, reload: np.ndarray, exploring: np.ndarray) -> Finding | None:
    """A finding, presumed and not proven, where a claim is contradicted by the model's own files and by the reload.

    :param claims: all claims, those in the model's own files among them
    :param claim: the one that the reload is compared with
    :param reload: rewards under the canonical condition, shape ``(n,)``
    :param exploring: rewards of the same model with stochastic actions, shape ``(m,)``
    """
    own = next((found for found in claims if found.kind == "training"), None)
    if (
        claim.kind not in ("explicit", "model_card", "reported")
        or own is None
        or own.std is None
        or (own.n or 0) < _FEWEST
    ):
        return None
    if claim.std is None or (claim.n or 0) < _FEWEST or min(len(reload), len(exploring)) < _FEWEST:
        return None
    gap = claim.mean - float(reload.mean())
    if not _alike(own, exploring, gap) or not _apart(claim.std, own.std) or not _impossible(claim, reload):
        return None
    evidence = (
        f"claimed are {_moments(claim.mean, claim.std, claim.n)} ({claim.where}), and the model's own training "
        f"episodes earned {_moments(own.mean, own.std, own.n)}; reloaded it earns "
        f"{_moments(float(exploring.mean()), float(exploring.std()), len(exploring))} while exploring as in training, "
        f"and {_moments(float(reload.mean()), float(reload.std()), len(reload))} otherwise"
    )
    return Finding(CONTRADICTED, "claims", proof=False, evidence=evidence)


def _moments(mean: float, std: float, n: int | None) -> str:
    return f"{mean:.4g} ± {std:.4g} over {n:,} episodes"


def _alike(own: Claim, exploring: np.ndarray, gap: float) -> bool:
    """Whether the exploring reload earns what training episodes did, in mean and spread.

    :param gap: what the model has lost if the claim is right: as much less than its training episodes it does not earn
    """
    std = float(exploring.std(ddof=1))
    if not own.std or not own.n or not std or _apart(own.std, std, _ALIKE):
        return False
    error = math.hypot(own.std / math.sqrt(own.n), std / math.sqrt(len(exploring)))
    lost = own.mean - float(exploring.mean())
    return abs(lost) <= _AGREES * error and abs(gap - lost) >= STANDARD_ERRORS * error


def _apart(one: float, other: float, factor: float = _CLEARLY) -> bool:
    return max(one, other) >= factor * min(one, other)


def _impossible(claim: Claim, reload: np.ndarray) -> bool:
    """Whether as many episodes as are behind the claim, drawn from those of the reload, hardly ever spread like it."""
    n = min(claim.n or 0, 1000)  # with more it would only be rarer
    drawn = np.random.default_rng(0).choice(reload, size=(_RESAMPLES, n)).std(axis=1)
    as_small, as_large = (float(alike.mean()) for alike in (drawn <= claim.std, drawn >= claim.std))
    return min(as_small, as_large) <= _CHANCE
