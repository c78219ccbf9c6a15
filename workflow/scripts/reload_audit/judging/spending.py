"""How the error rate is spent over the looks (Lan and DeMets 1983), and p-values that hold at every look.

A model is tested at growing numbers of episodes. The error spent until a look is a function of the share of the
episodes that have run by then; the boundary of a look is what makes the probability of crossing there for the first
time equal to the share that is spent there. It is computed by recursive numerical integration (Armitage, McPherson
and Rowe 1969; Jennison and Turnbull 2000, chapter 19).

The integration takes the noise to be normal. Its result is a nominal level for each look, of which the caller takes
Student's t quantile (Jennison and Turnbull, section 11.4).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

_FAR = 9.0
"""Standard errors below zero, beyond which no probability is looked for."""

_POINTS = 48
"""Of the quadrature, where looks are not close; with more of them the levels stay the same to nine digits."""

_CLOSEST = 0.01
"""Share of its episodes that a look must add, below which it is not integrated over: see :func:`nominal_levels`."""

_BISECTIONS = 45

_SURE = 0.9
"""A p-value from here on is reported as 1."""

_LEVELS = (*np.geomspace(1e-12, 1e-5, 12), *np.geomspace(2e-5, 0.5, 30), 0.6, 0.75, _SURE)
"""Error rates for which the boundary is known; p-values are interpolated between them."""


def spent(fraction: np.ndarray) -> np.ndarray:
    """The share of the error rate that is spent when this fraction of the episodes has run.

    The function of Lan and DeMets that comes near Pocock's boundary, ``ln(1 + (e - 1) t)``.
    """
    share: np.ndarray = np.log1p((np.e - 1.0) * fraction)
    return share


def nominal_alpha(alpha: float, looks: Sequence[int], n: int) -> float:
    """The one-sided level of the test after ``n`` episodes, if all tests together are to err at most at ``alpha``.

    :param looks: numbers of episodes at which is tested, increasing. The last has what is left of ``alpha``. A test
        after another number of episodes is taken for a look of its own, after all smaller ones.
    """
    return _nominal_alpha(alpha, *_until(tuple(looks), n))


def sequential_p(p: float, alpha: float, looks: Sequence[int], n: int) -> float:
    """The repeated p-value (Jennison and Turnbull 2000, chapter 9) of a test after ``n`` episodes.

    It is the smallest error rate at which the boundary would be crossed at this look. The tests at level ``x`` reject
    at some look with probability ``x`` at most, and reject the more the larger ``x`` is: so the smallest of the
    p-values of all looks is at most ``x`` with probability ``x`` at most, whichever look is the last, for whatever
    reason. A p-value by stages would be smaller, but holds only where the first crossing ends the test; here other
    things end it, too.

    :param p: the p-value of this test alone
    :param alpha: as for :func:`nominal_alpha`; the result is below it exactly where ``p`` is below the nominal level
    """
    if p >= _SURE:  # it is never less than p
        return 1.0
    fractions = _until(tuple(looks), n)
    levels, nominal = _table(alpha, *fractions)
    if p < nominal[0]:
        return min(p / _share_of_last(*fractions), float(levels[0]))
    if p >= nominal[-1]:
        return 1.0
    return float(np.exp(np.interp(math.log(p), np.log(nominal), np.log(levels))))


def nominal_levels(errors: np.ndarray, information: np.ndarray) -> np.ndarray:
    """The nominal one-sided level of every look.

    Where a look adds hardly any episodes, its level is the error that is spent at it, and what crossed there counts
    as not crossed at later looks: both make the tests stricter than they need be.

    :param errors: error spent until each look, not decreasing, shape ``(designs, looks)``
    :param information: numbers of episodes, or multiples, shape ``(looks,)``, increasing
    :returns: shape ``(designs, looks)``
    """
    from scipy.special import ndtr, ndtri  # slow to import, and most jobs judge nothing

    steps = np.diff(errors, axis=1, prepend=0.0)
    nominal = np.array(steps)
    not_crossed = _Density(np.zeros((len(errors), 1)), np.ones((len(errors), 1)), 0.0)
    for look, now in enumerate(information):
        if now - not_crossed.time < _CLOSEST * now:
            continue
        # Crossing for the first time is rarer than crossing, and that than having crossed at any look until now.
        low, high = -ndtri(errors[:, look]), -ndtri(steps[:, look])
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            too_low = not_crossed.beyond(middle, now) > steps[:, look]
            low, high = np.where(too_low, middle, low), np.where(too_low, high, middle)
        nominal[:, look] = ndtr(-high)
        not_crossed = not_crossed.below(high, now)
    return nominal


@dataclass(frozen=True)
class _Density:
    """Where the sum of what was seen lies at a time, if no boundary was crossed before: points to integrate over.

    Without a difference the sum is a Brownian motion, whose time is the information.

    :param at: shape ``(designs, points)``
    :param weights: the density at the points, times the weights of the quadrature; the same shape
    """

    at: np.ndarray
    weights: np.ndarray
    time: float

    def beyond(self, bound: np.ndarray, time: float) -> np.ndarray:
        """The probability of lying beyond so many standard errors at a later time, shape ``(designs,)``."""
        from scipy.special import ndtr

        spread = math.sqrt(time - self.time)
        beyond: np.ndarray = ndtr((self.at - bound[:, None] * math.sqrt(time)) / spread)
        probability: np.ndarray = np.einsum("dj,dj->d", self.weights, beyond)
        return probability

    def below(self, bound: np.ndarray, time: float) -> _Density:
        """The density at a later time, as far as it lies below so many standard errors."""
        spread = math.sqrt(time - self.time)
        points, weights = _quadrature(int(_POINTS * max(1.0, 0.5 * math.sqrt(time) / spread)))
        half = (bound[:, None] + _FAR) / 2 * math.sqrt(time)
        at = half * (points + 1.0) - _FAR * math.sqrt(time)
        moved = np.exp(-0.5 * ((at[:, :, None] - self.at[:, None, :]) / spread) ** 2)
        moved /= spread * math.sqrt(2 * math.pi)
        return _Density(at, half * weights * np.einsum("dij,dj->di", moved, self.weights), time)


def _until(looks: tuple[int, ...], n: int) -> tuple[tuple[int, ...], int]:
    """The looks until this one, and after how many episodes all is spent."""
    return (*(look for look in looks if look < n), n), max((n, *looks))


def _errors(levels: np.ndarray, looks: tuple[int, ...], last: int) -> np.ndarray:
    """Error that is spent until each look, for several error rates, shape ``(levels, looks)``."""
    errors: np.ndarray = levels[:, None] * spent(np.asarray(looks) / last)
    return errors


def _share_of_last(looks: tuple[int, ...], last: int) -> float:
    """The share of the error rate that is spent at the last of these looks."""
    shares = spent(np.asarray([0, *looks]) / last)
    return float(shares[-1] - shares[-2])


@lru_cache
def _nominal_alpha(alpha: float, looks: tuple[int, ...], last: int) -> float:
    levels = nominal_levels(_errors(np.array([alpha]), looks, last), np.asarray(looks, dtype=np.float64))
    return float(levels[0, -1])


@lru_cache
def _table(alpha: float, looks: tuple[int, ...], last: int) -> tuple[np.ndarray, np.ndarray]:
    """Error rates, ``alpha`` among them, and the nominal level that the last of the looks has at each."""
    levels = np.unique([*_LEVELS, alpha])
    nominal = nominal_levels(_errors(levels, looks, last), np.asarray(looks, dtype=np.float64))
    return levels, nominal[:, -1]


@lru_cache
def _quadrature(points: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of Gauss and Legendre between -1 and 1."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    return nodes, weights
