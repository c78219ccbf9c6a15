"""Whether a difference in mean reward is beyond the margin: bounds, and tests, at growing numbers of episodes.

Let ``d_k`` be the reload reward minus the train-time reward of episode ``k``. A loss counts only where
it exceeds the margin, and a verdict is given only where the confidence bounds decide. Every test is one-sided at the
level that its look has (see ``spending``), so that all looks together err at most at ``alpha``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

import numpy as np

from reload_audit.judging.criteria import Criteria, Decision
from reload_audit.judging.spending import Looks, nominal_alpha, sequential_p

_ANOTHER_DISTRIBUTION = 1e-4
"""Chance of spreading as little as is claimed below which the claim cannot be of the reload's distribution."""

_DOUBLINGS = 14
"""How often a number of episodes is doubled before it counts as too large to be run."""

_REACH = 2.5
"""Standard errors by which a difference is taken to move at most while further episodes run."""


@dataclass(frozen=True)
class Comparison:
    """A tested difference in mean episode reward, reload minus train time.

    ``ci_low`` and ``ci_high`` are one-sided bounds, each of which holds at all looks with probability ``1 - alpha``.
    ``p_degraded`` tests "the loss is not larger than the margin", ``p_improved`` its mirror image; both hold at
    whatever look the model ends (see :func:`~reload_audit.judging.spending.sequential_p`).

    :param p_lower: of the test "nothing is lost", whatever the margin, after these episodes alone
    :param reload_error: standard error of the difference that stems from the reload, which further episodes lessen
    :param claim_error: the part of it that stems from a claim, which stays
    :param claim_episodes: that such a claim rests on
    :param least_p: what neither p-value falls below, however many episodes the reload runs: the chance that a claim
        spreads as little as it does
    """

    n_episodes: int
    difference: float
    ci_low: float
    ci_high: float
    margin: float
    p_degraded: float
    p_improved: float
    p_lower: float = 1.0
    reload_error: float = 0.0
    claim_error: float = 0.0
    claim_episodes: int = 0
    least_p: float = 0.0

    @property
    def decision(self) -> Decision | None:
        """What both bounds say: a loss or gain beyond the margin, neither, or no such loss; None where it is open."""
        if self.ci_high < -self.margin:
            return "degraded"
        if self.ci_low > self.margin:
            return "improved"
        if self.ci_low >= -self.margin:
            return "equivalent" if self.ci_high <= self.margin else "retained"
        return None

    def half_width(self, n: int, criteria: Criteria) -> float:
        """How far the bounds would lie from the difference after ``n`` episodes of the reload that spread as these."""
        error, degrees = self._error_after(n)
        return _student_quantile(degrees, 1 - nominal_alpha(criteria.alpha, self._looks(criteria), n)) * error

    def final_p(self, criteria: Criteria) -> float:
        """The p-value of this loss or gain at the last look that is planned, if the difference stays as it is.

        It is taken for 0 where no claim keeps it from becoming ever less: the error of a claim stays, and so does what
        it says of the spread.
        """
        if self.claim_error == 0.0:
            return self.least_p
        looks = self._looks(criteria)
        last = max(self.n_episodes, *looks.all)
        error, degrees = self._error_after(last)
        p = _student_probability(degrees, (self.margin - abs(self.difference)) / error)
        return max(self.least_p, sequential_p(p, criteria.alpha, looks, last))

    def within_reach(self, decisions: Set[Decision], criteria: Criteria) -> bool:
        """Whether one of these decisions could yet be made at a later look, unless the difference moves a lot.

        It is let move by two and a half of the standard errors that it moves by: one model in 160 is given up that
        would have been decided.
        """
        return any(decisions & self._possible(n, criteria) for n in criteria.planned.all if n > self.n_episodes)

    def episodes_to_decide(self, criteria: Criteria) -> int | None:
        """After how many episodes of the reload, about, the bounds would decide, if the difference stays as it is.

        :return: the present number, doubled until it is enough; None where a claim's own error stands in the way
        """
        n = self.n_episodes
        for _ in range(_DOUBLINGS):
            n *= 2
            width = self.half_width(n, criteria)
            if self.difference + width < -self.margin or self.difference - width >= -self.margin:
                return n
        return None

    def _looks(self, criteria: Criteria) -> Looks:
        return criteria.planned.against(_as_noisy_episodes(self.claim_error, self.reload_error, self.n_episodes))

    def _error_after(self, n: int) -> tuple[float, float]:
        """The standard error after ``n`` episodes of the reload that spread as these, and its degrees of freedom."""
        errors = self.claim_error, self.reload_error * math.sqrt(self.n_episodes / n)
        error = math.hypot(*errors)
        if self.claim_error == 0.0:
            return error, n - 1
        of_claim, of_reload = ((part / error) ** 2 for part in errors)
        return error, _welch_degrees((of_claim, self.claim_episodes), (of_reload, n))

    def _possible(self, n: int, criteria: Criteria) -> Set[Decision]:
        """What may be decided after ``n`` episodes."""
        width, margin = self.half_width(n, criteria), self.margin
        moves = _REACH * self.reload_error * math.sqrt(max(0.0, 1.0 - self.n_episodes / n))
        low, high = self.difference - moves, self.difference + moves
        nearest = 0.0 if low <= 0.0 <= high else min(abs(low), abs(high))
        possible: dict[Decision, bool] = {
            "degraded": low + width < -margin,
            "improved": high - width > margin,
            "equivalent": nearest + width <= margin,
            "retained": high - width >= -margin,
        }
        return {decision for decision, may_be in possible.items() if may_be}


def compare_paired(differences: Sequence[float] | np.ndarray, margin: float, criteria: Criteria) -> Comparison:
    """Test with Student's t whether the mean of paired differences is beyond the margin.

    A percentile bootstrap was measured to raise two to four times the nominal false alarms below 50
    episodes. Differences without any variance (deterministic environments) are taken as certain.

    :param differences: reload minus train-time reward, one number per episode seed, shape ``(n,)``
    :param margin: in units of reward
    :raises ValueError: fewer than two episodes, or a difference that is not finite
    """
    d = np.asarray(differences, dtype=np.float64)
    if d.size < 2 or not np.all(np.isfinite(d)):
        raise ValueError(f"expected at least two finite differences, found {d.tolist()}")
    n = int(d.size)
    if np.all(d == d[0]):
        return _certain(n, float(d[0]), margin)
    unit = _unit(float(np.abs(d).max()))
    mean = float((d / unit).mean()) * unit
    standard_error = float((d / unit).std(ddof=1)) / math.sqrt(n) * unit
    return _t_comparison(n, mean, (0.0, standard_error), n - 1, margin, criteria)


def compare_unpaired(
    train: tuple[float, float, int],
    reload: tuple[float, float, int],
    margin: float,
    criteria: Criteria,
    chance: float = 1.0,
) -> Comparison:
    """Test with Welch's t whether the difference of two means is beyond the margin, from moments of rewards alone.

    Both standard deviations enter as the larger of the two: few episodes of a bimodal or zero-inflated return often
    hold one of its outcomes only. There plain Welch was measured to raise false alarms at 0.16 to 0.60. It is used
    where the claim's episodes cannot be of the reload's distribution, moved by whatever amount.

    :param train: claimed mean, standard deviation (ddof 0, as ``evaluate_policy`` reports it) and episodes
    :param reload: mean, standard deviation (ddof 0) and number of the reload's episodes
    :param margin: in units of reward
    :param chance: that the claim would spread as little as it does if its episodes were of the reload's distribution:
        see :func:`~reload_audit.judging.spread.chance_of_spread`
    :raises ValueError: fewer than two episodes on either side, or a number that is not finite
    """
    (train_mean, train_std, train_n), (reload_mean, reload_std, reload_n) = train, reload
    if not np.all(np.isfinite([*train, *reload])):
        raise ValueError(f"expected finite numbers, found {train} and {reload}")
    if train_n < 2 or reload_n < 2:
        raise ValueError(f"expected at least two episodes on each side, found {train_n} and {reload_n}")
    difference = reload_mean - train_mean
    unit = _unit(max(train_std, reload_std))
    train_var = (train_std / unit) ** 2 * train_n / (train_n - 1)
    reload_var = (reload_std / unit) ** 2 * reload_n / (reload_n - 1)
    is_another = chance <= _ANOTHER_DISTRIBUTION
    if not is_another:
        train_var = reload_var = max(train_var, reload_var)
    a, b = train_var / train_n, reload_var / reload_n
    if a + b == 0.0:
        return _certain(reload_n, difference, margin)
    degrees = _welch_degrees((a, train_n), (b, reload_n))
    found = _t_comparison(reload_n, difference, (math.sqrt(a) * unit, math.sqrt(b) * unit), degrees, margin, criteria)
    found = replace(found, claim_episodes=train_n)
    if not is_another:
        return found
    p_degraded, p_improved = max(found.p_degraded, chance), max(found.p_improved, chance)
    return replace(found, p_degraded=p_degraded, p_improved=p_improved, least_p=chance)


def claim_too_imprecise(comparison: Comparison, claim_n: int, criteria: Criteria) -> bool:
    """Whether no number of further episodes like these could show that nothing is lost.

    The claim's own error would leave a loss beyond the margin possible.

    :param claim_n: episodes that the claim rests on
    """
    if claim_n < 2:
        return True
    error = comparison.claim_error
    return (
        error > 0
        and comparison.difference - error * _quantile_at_best(comparison, claim_n, criteria) < -comparison.margin
    )


def episodes_of_a_precise_claim(comparison: Comparison, claim_n: int, criteria: Criteria) -> int:
    """How many episodes, at least, a claim would have to rest on, which spread as these do, to be precise enough.

    Its error is let take half of the margin, as a variance, so that the reload's episodes have the other half.
    """
    n = max(claim_n, 2)
    spread = comparison.claim_error * math.sqrt(n)
    while spread / math.sqrt(n) * _quantile_at_best(comparison, n, criteria) > comparison.margin / math.sqrt(2):
        n = math.ceil(1.1 * n)
    return n


def _quantile_at_best(comparison: Comparison, claim_n: int, criteria: Criteria) -> float:
    """Student's quantile with a claim's degrees of freedom, at the most lenient level of the looks that are left."""
    n = comparison.n_episodes
    looks = criteria.planned.against(_as_noisy_episodes(comparison.claim_error, comparison.reload_error, n))
    left = [n, *(look for look in looks.all if look > n)]
    return _student_quantile(claim_n - 1, 1 - max(nominal_alpha(criteria.alpha, looks, look) for look in left))


def _welch_degrees(claim: tuple[float, int], reload: tuple[float, int]) -> float:
    """The degrees of freedom of a sum of two squared standard errors, each with the episodes that it rests on.

    :param claim: and ``reload``, in the same unit, whichever
    """
    (a, claim_n), (b, reload_n) = claim, reload
    return (a + b) ** 2 / (a**2 / (claim_n - 1) + b**2 / (reload_n - 1))


def _as_noisy_episodes(claim_error: float, reload_error: float, n: int) -> float:
    """How many episodes as noisy as the reload's have the error of a claim; infinite without one.

    :param n: episodes of the reload
    """
    return n * (reload_error / claim_error) ** 2 if claim_error > 0.0 else math.inf


def false_discovery_q(p_values: Sequence[float]) -> np.ndarray:
    """Benjamini-Hochberg adjusted p-values (q), in the order given, shape ``(n,)``.

    What ``scipy.stats.false_discovery_control`` gives, which takes half a second to import.

    :raises ValueError: a number that is no probability; one that is not a number would make all q such
    """
    p = np.asarray(p_values, dtype=np.float64)
    is_probability = (p >= 0.0) & (p <= 1.0)
    if not np.all(is_probability):
        raise ValueError(f"expected p-values between 0 and 1, found {p[~is_probability].tolist()}")
    order = np.argsort(p)
    raised = p[order] * (p.size / np.arange(1.0, p.size + 1.0))
    q = np.empty_like(p)
    q[order] = np.clip(np.minimum.accumulate(raised[::-1])[::-1], 0.0, 1.0)
    return q


def _student_probability(degrees: float, value: float) -> float:
    """The cumulative distribution function of Student's t with so many degrees of freedom."""
    from scipy.special import stdtr  # slow to import, and most jobs judge nothing

    return float(stdtr(degrees, value))


def _student_quantile(degrees: float, probability: float) -> float:
    """The quantile of Student's t: the inverse of :func:`_student_probability`."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, probability))


def _unit(size: float) -> float:
    """A power of two near ``size``: numbers in such units have squares, and lose no bit by the division."""
    exponent = math.frexp(size)[1]
    return math.ldexp(1.0, min(max(exponent, -1000), 1000))


def _certain(n: int, difference: float, margin: float) -> Comparison:
    return Comparison(
        n_episodes=n,
        difference=difference,
        ci_low=difference,
        ci_high=difference,
        margin=margin,
        p_degraded=0.0 if difference < -margin else 1.0,
        p_improved=0.0 if difference > margin else 1.0,
        p_lower=0.0 if difference < 0.0 else 1.0,
    )


def _t_comparison(
    n: int, difference: float, errors: tuple[float, float], degrees: float, margin: float, criteria: Criteria
) -> Comparison:
    """Bounds and p-values from standard errors: that of a claim, 0 without one, and that of the reload."""
    looks, standard_error = criteria.planned.against(_as_noisy_episodes(*errors, n)), math.hypot(*errors)
    half_width = _student_quantile(degrees, 1 - nominal_alpha(criteria.alpha, looks, n)) * standard_error
    p_degraded = _student_probability(degrees, (difference + margin) / standard_error)
    p_improved = _student_probability(degrees, -(difference - margin) / standard_error)
    return Comparison(
        n_episodes=n,
        difference=difference,
        ci_low=difference - half_width,
        ci_high=difference + half_width,
        margin=margin,
        p_degraded=sequential_p(p_degraded, criteria.alpha, looks, n),
        p_improved=sequential_p(p_improved, criteria.alpha, looks, n),
        p_lower=_student_probability(degrees, difference / standard_error),
        claim_error=errors[0],
        reload_error=errors[1],
    )
