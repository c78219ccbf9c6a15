"""How often the audit decides, how often wrongly, after how many episodes: for several ways to spend the error rate.

Simulated: paired differences with standard deviation 1, tested and stopped as the audit does; nothing is stepped.

usage: python benchmarks/decisions.py [--trials N] [--write docs/statistics.md]
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from claims import CRITERIA, claims_table, trend_table  # noqa: E402 (found there)
from document import write_tables  # noqa: E402

from reload_audit.judging.comparison import compare_paired  # noqa: E402
from reload_audit.judging.judgement import Judgement  # noqa: E402
from reload_audit.judging.spending import Looks, nominal_alpha, nominal_levels, spent  # noqa: E402

ALPHA = 0.05
CLEAR = 0.05 / 10_000_000
"""P-value at which a loss or gain outlasts the correction for the number of models: see ``Judgement.settled``."""

LOOKS = np.array([20, 40, 80, 160, 320])
ALL_LOOKS = np.array([20, 40, 80, 160, 320, 640, 1280, 2560])
MARGINS = (0.14, 0.2, 0.5, 1.0)
MARGINS_OF_CLAIMS = (0.1, 0.14, 0.2, 0.5, 1.0)
"""In standard deviations of the differences."""

TRUTHS = {"nothing is lost": 0.0, "twice the margin is lost": -2.0, "exactly the margin is lost": -1.0}
"""In margins."""

_AT_ONCE = 10_000

Levels = Callable[[float], np.ndarray]
"""From an error rate to the nominal level of each look, shape ``(looks,)``."""


def _bonferroni(alpha: float) -> np.ndarray:
    return np.full(len(LOOKS), alpha / len(LOOKS))


def _spending(cumulative: Callable[[float, np.ndarray], np.ndarray], looks: np.ndarray = LOOKS) -> Levels:
    fractions = looks / looks[-1]
    return lambda alpha: nominal_levels(cumulative(alpha, fractions)[None], looks.astype(float))[0]


def _obrien_fleming(alpha: float, t: np.ndarray) -> np.ndarray:
    return np.maximum(2 * ndtr(ndtri(alpha / 2) / np.sqrt(t)), np.linspace(1e-300, 1e-299, len(t)))


WAYS: Mapping[str, Levels] = {
    "Bonferroni": _bonferroni,
    "Pocock-type": _spending(lambda alpha, t: alpha * spent(t)),
    "power 1.5": _spending(lambda alpha, t: alpha * t**1.5),
    "O'Brien-Fleming-type": _spending(_obrien_fleming),
}


def _ours(alpha: float) -> np.ndarray:
    looks = Looks(tuple(LOOKS.tolist()), tuple(ALL_LOOKS[len(LOOKS) :].tolist()))
    return np.array([nominal_alpha(alpha, looks, look) for look in looks.all])


WAYS_WITH_FURTHER_LOOKS: Mapping[str, Levels] = {
    "Bonferroni": lambda alpha: np.full(len(ALL_LOOKS), alpha / len(ALL_LOOKS)),
    "Pocock-type over all": _spending(lambda alpha, t: alpha * spent(t), ALL_LOOKS),
    "four fifths until 320": _ours,
}


@dataclass(frozen=True)
class Outcome:
    """What became of many simulated models, under one rule for when to stop.

    :param episodes: mean number spent
    :param degraded: fraction that was called so, and ``equivalent`` likewise
    """

    episodes: float
    degraded: float
    equivalent: float


def simulate(
    levels: Levels, margin: float, shift: float, trials: int, looks: np.ndarray = LOOKS
) -> tuple[Outcome, Outcome]:
    """Where the first decision ends a model, and where the audit does: at a loss only once it is clear.

    :param shift: the true mean difference, in standard deviations, as ``margin``
    :param looks: numbers of episodes, as many as ``levels`` gives
    """
    first, settled = zip(*_portions(levels, margin, shift, trials, looks), strict=True)
    return _mean(first), _mean(settled)


def _portions(
    levels: Levels, margin: float, shift: float, trials: int, looks: np.ndarray
) -> Iterator[tuple[Outcome, Outcome]]:
    rng, at_once = np.random.default_rng(1), _AT_ONCE * LOOKS[-1] // looks[-1]
    surely, clearly = (-stdtrit(looks - 1, levels(rate)[: len(looks)]) for rate in (ALPHA, CLEAR))
    for _ in range(max(1, trials // at_once)):
        differences = rng.standard_normal((min(trials, at_once), looks[-1])) + shift
        mean = np.cumsum(differences, axis=1)[:, looks - 1] / looks
        squares = np.cumsum(differences**2, axis=1)[:, looks - 1]
        error = np.sqrt((squares - looks * mean**2) / (looks - 1) / looks)
        low, high = mean - surely * error, mean + surely * error
        degraded, equivalent = high < -margin, (low >= -margin) & (high <= margin)
        clear = (mean + clearly * error < -margin) | (mean - clearly * error > margin)
        decided = degraded | equivalent | (low > margin)
        yield _stopped(decided, degraded, equivalent, looks), _stopped(clear | equivalent, degraded, equivalent, looks)


def _stopped(enough: np.ndarray, degraded: np.ndarray, equivalent: np.ndarray, looks: np.ndarray) -> Outcome:
    """At the first look that is enough, or at the last."""
    last = np.where(enough.any(axis=1), enough.argmax(axis=1), len(looks) - 1)
    models = np.arange(len(last))
    return Outcome(looks[last].mean(), degraded[models, last].mean(), equivalent[models, last].mean())


def _mean(outcomes: Sequence[Outcome]) -> Outcome:
    return Outcome(*np.mean([(one.episodes, one.degraded, one.equivalent) for one in outcomes], axis=0))


def tables(trials: int) -> str:
    """A table for each of the two rules for when to stop."""
    rows: tuple[list[str], list[str]] = ([], [])
    for margin in MARGINS:
        for truth, in_margins in TRUTHS.items():
            outcomes = [simulate(levels, margin, in_margins * margin, trials) for levels in WAYS.values()]
            for index, said in enumerate(rows):
                cells = [_cell(outcome[index], in_margins) for outcome in outcomes]
                said.append(f"| {margin:g} | {truth} | {' | '.join(cells)} |")
    head = f"| margin, sd | truth | {' | '.join(WAYS)} |\n| --- | --- |{' --- |' * len(WAYS)}"
    first, settled = ("\n".join([head, *said]) for said in rows)
    return (
        f"{trials:,} models a cell. Stopped at the first decision:\n\n{first}\n\n"
        f"Stopped as the audit stops, at a loss only once it is clear whatever the number of models:\n\n{settled}"
    )


def table_with_further_looks(trials: int) -> str:
    """Stopped at the first decision, until 320 episodes where they are slow, until 2,560 where they are cheap."""
    head = f"| margin, sd | truth | until | {' | '.join(WAYS_WITH_FURTHER_LOOKS)} |\n| --- | --- | --- |"
    rows = [head + " --- |" * len(WAYS_WITH_FURTHER_LOOKS)]
    for margin in MARGINS_OF_CLAIMS:
        for truth, in_margins in TRUTHS.items():
            for looks in (LOOKS, ALL_LOOKS):
                outcomes = [
                    simulate(levels, margin, in_margins * margin, trials, looks)[0]
                    for levels in WAYS_WITH_FURTHER_LOOKS.values()
                ]
                cells = " | ".join(_cell(outcome, in_margins) for outcome in outcomes)
                rows.append(f"| {margin:g} | {truth} | {looks[-1]:,} | {cells} |")
    return "\n".join(rows)


GAINS = {"nothing is lost": 0.0, "the margin is gained": 1.0, "twice the margin is gained": 2.0}
"""In margins."""


def stopped_when_retained(stop: bool, margin: float, shift: float, trials: int) -> tuple[float, Counter[str]]:
    """What models end as that are judged by recorded episodes, and after how many episodes on average.

    :param stop: ``stop_when_retained``
    :return: with the verdicts as fractions
    """
    criteria = replace(CRITERIA, further_looks=(), stop_when_retained=stop)
    rng, episodes, found = np.random.default_rng(1), 0, Counter[str]()
    for _ in range(trials):
        differences = rng.standard_normal(LOOKS[-1]) + shift
        for look in criteria.looks:
            judgement = Judgement(compare_paired(differences[:look], margin, criteria), first_difference="a bit")
            if judgement.settled(criteria):
                break
        episodes += look
        found[judgement.decision or "inconclusive"] += 1
    return episodes / trials, Counter({verdict: count / trials for verdict, count in found.items()})


def retained_table(trials: int) -> str:
    """What ``stop_when_retained`` saves and costs."""
    rows = [
        f"{trials:,} models a cell: equivalent / retained / improved in percent, and mean episodes.\n",
        "| margin, sd | truth | goes on | stops when retained |\n| --- | --- | --- | --- |",
    ]
    for margin in MARGINS:
        for truth, in_margins in GAINS.items():
            cells = []
            for stop in (False, True):
                episodes, found = stopped_when_retained(stop, margin, in_margins * margin, trials)
                shares = " / ".join(f"{100 * found[verdict]:.0f}" for verdict in ("equivalent", "retained", "improved"))
                cells.append(f"{shares}, {episodes:.0f}")
            rows.append(f"| {margin:g} | {truth} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _cell(outcome: Outcome, in_margins: float) -> str:
    if in_margins == -1.0:
        return f"{100 * outcome.degraded:.1f} %, {100 * outcome.equivalent:.1f} %"
    right = outcome.equivalent if in_margins == 0.0 else outcome.degraded
    return f"{100 * right:.1f} %, {outcome.episodes:.0f}"


def simulated(trials: int) -> dict[str, str]:
    """The tables of the document, by their names."""
    return {
        "spending": tables(trials),
        "further looks": table_with_further_looks(trials // 5),
        "retained": retained_table(trials // 50),
        "claims": claims_table(trials // 100),
        "trend": trend_table(trials // 25),
    }


if __name__ == "__main__":
    write_tables(__doc__, 100_000, simulated)
