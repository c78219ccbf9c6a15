"""How often the audit decides, how often wrongly, after how many episodes: for several ways to spend the error rate.

Simulated: paired differences with standard deviation 1, tested and stopped as the audit does; nothing is stepped.

usage: python benchmarks/decisions.py [--trials N] [--write docs/statistics.md]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from reload_audit.judging.spending import nominal_levels, spent  # noqa: E402 (found there)

ALPHA = 0.05
CLEAR = 0.05 / 10_000_000
"""P-value at which a loss or gain outlasts the correction for the number of models: see ``Judgement.settled``."""

LOOKS = np.array([20, 40, 80, 160, 320])
MARGINS = (0.14, 0.2, 0.5, 1.0)
"""In standard deviations of the differences."""

TRUTHS = {"nothing is lost": 0.0, "twice the margin is lost": -2.0, "exactly the margin is lost": -1.0}
"""In margins."""

_AT_ONCE = 10_000

Levels = Callable[[float], np.ndarray]
"""From an error rate to the nominal level of each look, shape ``(looks,)``."""


def _bonferroni(alpha: float) -> np.ndarray:
    return np.full(len(LOOKS), alpha / len(LOOKS))


def _spending(cumulative: Callable[[float, np.ndarray], np.ndarray]) -> Levels:
    fractions = LOOKS / LOOKS[-1]
    return lambda alpha: nominal_levels(cumulative(alpha, fractions)[None], LOOKS.astype(float))[0]


def _obrien_fleming(alpha: float, t: np.ndarray) -> np.ndarray:
    return np.maximum(2 * ndtr(ndtri(alpha / 2) / np.sqrt(t)), np.linspace(1e-300, 1e-299, len(t)))


WAYS: Mapping[str, Levels] = {
    "Bonferroni": _bonferroni,
    "Pocock-type": _spending(lambda alpha, t: alpha * spent(t)),
    "power 1.5": _spending(lambda alpha, t: alpha * t**1.5),
    "O'Brien-Fleming-type": _spending(_obrien_fleming),
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


def simulate(levels: Levels, margin: float, shift: float, trials: int) -> tuple[Outcome, Outcome]:
    """Where the first decision ends a model, and where the audit does: at a loss only once it is clear.

    :param shift: the true mean difference, in standard deviations, as ``margin``
    """
    first, settled = zip(*_portions(levels, margin, shift, trials), strict=True)
    return _mean(first), _mean(settled)


def _portions(levels: Levels, margin: float, shift: float, trials: int) -> Iterator[tuple[Outcome, Outcome]]:
    rng = np.random.default_rng(1)
    surely, clearly = (-stdtrit(LOOKS - 1, levels(rate)) for rate in (ALPHA, CLEAR))
    for _ in range(max(1, trials // _AT_ONCE)):
        differences = rng.standard_normal((min(trials, _AT_ONCE), LOOKS[-1])) + shift
        mean = np.cumsum(differences, axis=1)[:, LOOKS - 1] / LOOKS
        squares = np.cumsum(differences**2, axis=1)[:, LOOKS - 1]
        error = np.sqrt((squares - LOOKS * mean**2) / (LOOKS - 1) / LOOKS)
        low, high = mean - surely * error, mean + surely * error
        degraded, equivalent = high < -margin, (low >= -margin) & (high <= margin)
        clear = (mean + clearly * error < -margin) | (mean - clearly * error > margin)
        decided = degraded | equivalent | (low > margin)
        yield _stopped(decided, degraded, equivalent), _stopped(clear | equivalent, degraded, equivalent)


def _stopped(enough: np.ndarray, degraded: np.ndarray, equivalent: np.ndarray) -> Outcome:
    """At the first look that is enough, or at the last."""
    last = np.where(enough.any(axis=1), enough.argmax(axis=1), len(LOOKS) - 1)
    models = np.arange(len(last))
    return Outcome(LOOKS[last].mean(), degraded[models, last].mean(), equivalent[models, last].mean())


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


def _cell(outcome: Outcome, in_margins: float) -> str:
    if in_margins == -1.0:
        return f"{100 * outcome.degraded:.1f} %, {100 * outcome.equivalent:.1f} %"
    right = outcome.equivalent if in_margins == 0.0 else outcome.degraded
    return f"{100 * right:.1f} %, {outcome.episodes:.0f}"


def main() -> None:
    """Print the tables, and write them into the document between its marks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--write", type=Path, metavar="DOCUMENT", help="takes the tables")
    options = parser.parse_args()
    said = tables(options.trials)
    print(said)
    if options.write is not None:
        text = options.write.read_text(encoding="utf-8")
        begin, end = "<!-- simulated -->\n", "\n<!-- /simulated -->"
        before, after = text.partition(begin)[0], text.partition(end)[2]
        options.write.write_text(f"{before}{begin}{said}{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
