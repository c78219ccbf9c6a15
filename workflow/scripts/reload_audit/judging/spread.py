"""Whether a claim spreads too little for its episodes to be of the reload's distribution, by its moments alone."""

from __future__ import annotations

import math

import numpy as np


def chance_of_spread(std: float, n: int, rewards: np.ndarray) -> float:
    """The chance, at most, that ``n`` episodes distributed as the reload's spread as little as a claim says.

    Of ``n`` numbers with a standard deviation ``s``, no more than ``k`` lie further than ``s sqrt(n / (k + 1))`` from
    their mean (Chebyshev's inequality for a sample). So if at most ``k`` of the claim's are outside an interval of
    twice that width, while of the reload's at least so many are outside any such interval, wherever it lies,
    Fisher's exact test says how rare that is. Where the interval lies, and which ``k`` is taken, is chosen after the
    fact: the chance is multiplied by the number of choices (Bonferroni).

    :param std: claimed standard deviation (ddof 0), and ``n``, the episodes that it is of
    :param rewards: of the reload, shape ``(m,)``
    """
    ordered = np.sort(rewards)
    m, rounding = len(ordered), 1e-9 * float(np.abs(ordered).max())
    outside = [k for k in (0, *(2**power for power in range(30))) if k == 0 or 3 * k < n]
    chances = []
    for k in outside:
        width = 2.0 * std * math.sqrt(n / (k + 1)) + rounding
        inside = int((np.searchsorted(ordered, ordered + width, side="right") - np.arange(m)).max())
        chances.append(_at_most(k, n, m - inside, m))
    return min(1.0, min(chances) * len(outside) * (n + m))


def _at_most(k: int, n: int, others: int, m: int) -> float:
    """The chance of at most ``k`` among ``n``, if ``k + others`` of ``n + m`` are drawn (Fisher's exact test)."""
    from scipy.special import gammaln  # slow to import, and most jobs judge nothing

    def log_choose(of: float, chosen: np.ndarray | float) -> np.ndarray:
        ways: np.ndarray = gammaln(of + 1) - gammaln(np.asarray(chosen) + 1) - gammaln(of - np.asarray(chosen) + 1)
        return ways

    found, whole = k + others, n + m
    least = max(0, found - m)
    counts = np.arange(least, k + 1, dtype=np.float64)
    logs = log_choose(found, counts) + log_choose(whole - found, n - counts) - log_choose(whole, n)
    return min(1.0, float(np.exp(logs).sum()))
