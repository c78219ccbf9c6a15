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
from dataclasses import dataclass, replace
from functools import cache, lru_cache

import numpy as np

_FAR = 9.0
"""Standard errors below zero, beyond which no probability is looked for."""

_POINTS = 48
"""Of the quadrature, where looks are not close; with more of them the levels stay the same to nine digits."""

_CLOSEST = 0.01
"""Share of its episodes that a look must add, below which it is not integrated over: see :func:`nominal_levels`."""

_BISECTIONS = 45

_UNCERTAIN = 0.1
"""A claim of so few episodes, as noisy as the model's, leaves so much open that no look after the first adds to it."""

_CERTAIN = 1000
"""A claim of so many times as many episodes as the last look counts as known for certain."""

_SURE = 0.9
"""A p-value from here on is reported as 1."""

USUAL_SHARE = 0.8
"""Share of the error rate for the usual looks, where there are further ones: see docs/statistics.md."""

_LEVELS = (*np.geomspace(1e-12, 1e-5, 12), *np.geomspace(2e-5, 0.5, 30), 0.6, 0.75, _SURE)
"""Error rates for which the boundary is known; p-values are interpolated between them."""


@dataclass(frozen=True)
class Looks:
    """The numbers of episodes at which a model is tested, increasing.

    :param usual: those that every model may need
    :param further: those of a model that is still undecided then, if its episodes are cheap; there may be none
    :param claimed: episodes of the claim that the model is compared with, each of them as noisy as one of the model's;
        infinite where there is no claim
    """

    usual: tuple[int, ...]
    further: tuple[int, ...] = ()
    claimed: float = math.inf

    @property
    def all(self) -> tuple[int, ...]:
        """The usual and the further ones."""
        return (*self.usual, *self.further)

    def until(self, n: int) -> tuple[int, ...]:
        """All looks up to the one after ``n`` episodes; one between two of them counts as a look of its own."""
        return (*(look for look in self.all if look < n), n)

    def against(self, claimed: float) -> Looks:
        """The same for a model that is compared with a claim, without looks that would add next to nothing to it.

        Only the order of size of the claim's episodes counts: they are rounded up to a quarter of a power of two, which
        makes the tests a little stricter than they need be.
        """
        if not claimed < _CERTAIN * max(self.all, default=1):
            return self
        at_least = max(claimed, _UNCERTAIN)
        rounded = replace(self, claimed=2.0 ** (math.ceil(4 * math.log2(at_least) - 1e-9) / 4))
        known = rounded.information(self.all)
        telling = {
            look for look, gain in zip(self.all[1:], np.diff(known) / known[1:], strict=True) if gain >= _CLOSEST
        }
        kept = [tuple(look for look in looks if look in telling) for looks in (self.usual[1:], self.further)]
        return replace(rounded, usual=(self.usual[0], *kept[0]), further=kept[1])

    def information(self, n: Sequence[int]) -> np.ndarray:
        """The inverse variance of the difference after so many episodes, in units of that of one; shape as ``n``.

        What a claim says was measured once: the more episodes have run beside it, the less a further one adds.
        """
        return 1.0 / (1.0 / self.claimed + 1.0 / np.asarray(n, dtype=np.float64))

    def spent(self, n: Sequence[int]) -> np.ndarray:
        """The share of the error rate that is spent when so many episodes have run, shape as ``n``."""
        episodes = np.asarray(n, dtype=np.float64)
        last = self.all[-1] if self.all else 0
        if not self.further:
            return spent(episodes / max(last, episodes.max()))
        usual = self.usual[-1]
        rest = spent(np.clip((episodes - usual) / (max(last, episodes.max()) - usual), 0.0, 1.0))
        return USUAL_SHARE * spent(np.minimum(episodes / usual, 1.0)) + (1.0 - USUAL_SHARE) * rest


def spent(fraction: np.ndarray) -> np.ndarray:
    """The share of the error rate that is spent when this fraction of the episodes has run.

    The function of Lan and DeMets that comes near Pocock's boundary, ``ln(1 + (e - 1) t)``.
    """
    share: np.ndarray = np.log1p((np.e - 1.0) * fraction)
    return share


def nominal_alpha(alpha: float, looks: Looks, n: int) -> float:
    """The one-sided level of the test after ``n`` episodes, if all tests together are to err at most at ``alpha``.

    :param looks: the last has what is left of ``alpha``
    """
    return _nominal_alpha(alpha, looks, n)


def sequential_p(p: float, alpha: float, looks: Looks, n: int) -> float:
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
    levels, nominal = _table(alpha, looks, n)
    if p < nominal[0]:
        share = looks.spent((0, *looks.until(n)))
        return min(p / float(share[-1] - share[-2]), float(levels[0]))
    if p >= nominal[-1]:
        return 1.0
    return float(np.exp(np.interp(math.log(p), np.log(nominal), np.log(levels))))


def nominal_levels(errors: np.ndarray, information: np.ndarray) -> np.ndarray:
    """The nominal one-sided level of every look.

    Where a look adds hardly any episodes, its level is the error that is spent at it, and what crossed there counts
    as not crossed at later looks: both make the tests stricter than they need be.

    :param errors: error spent until each look, not decreasing, shape ``(designs, looks)``
    :param information: inverse variance of what is tested, in any unit, shape ``(looks,)``, increasing
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


def _levels(levels: np.ndarray, looks: Looks, n: int) -> np.ndarray:
    """The nominal level of the look after ``n`` episodes, at several error rates, shape ``(levels,)``."""
    until = looks.until(n)
    nominal: np.ndarray = nominal_levels(levels[:, None] * looks.spent(until), looks.information(until))
    return nominal[:, -1]


@cache
def _nominal_alpha(alpha: float, looks: Looks, n: int) -> float:
    return float(_levels(np.array([alpha]), looks, n)[0])


@cache
def _table(alpha: float, looks: Looks, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Error rates, ``alpha`` among them, and the nominal level that a look has at each."""
    levels = np.unique([*_LEVELS, alpha])
    return levels, _levels(levels, looks, n)


@lru_cache
def _quadrature(points: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of Gauss and Legendre between -1 and 1."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    return nodes, weights
