"""How much of the gap between what a model earns and what it should earn has to be closed to explain it."""

from __future__ import annotations

EXPLAINS = 0.8
"""Share of a gap that a condition has to close to explain it."""

EXPLAINS_WITH_PROOF = 0.7
"""Share that is enough where files or probe show the cause."""

STANDARD_ERRORS = 3.0
"""A difference is known to so many standard errors; one that is smaller than that may be noise."""

NEXT_TO_NOTHING = 0.2
"""Share below which a trial shows that what it changes is not the cause."""


def share_closed(target: float, canonical: float, tried: float) -> float:
    """How much of the gap between the canonical condition and the target a trial closes: 1 is all of it.

    :param target: mean reward that is to be explained
    :param canonical: mean reward under the canonical condition
    :param tried: mean reward under the trial's condition
    """
    gap = target - canonical
    return 1.0 - abs(target - tried) / abs(gap) if gap else 0.0
