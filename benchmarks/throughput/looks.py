"""How many episodes are spared by looking now and then, beside a number that is fixed beforehand.

Simulated with the audit's own tests and stopping rule; no environment is stepped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .readings import Part, Ratio, number, table
from .settings import Settings

WIDTHS = (0.2, 0.5, 1.0)
"""Margins in standard deviations of the differences; 0.2 is the least there is."""

SHIFTS = {"nothing is lost": 0.0, "twice the margin is lost": -2.0}
"""In margins."""

MOST = 1_000
"""Episodes, beyond which no fixed number is looked for."""


@dataclass(frozen=True)
class Spent:
    """What many simulated models took.

    :param right: fraction of them with the right decision
    """

    episodes: float
    right: float


def measure(settings: Settings) -> Part:
    """Simulate every margin and shift.

    One fixed number has to serve every model, because how much its rewards vary is not known before: the largest.
    """
    trials = 300 if settings.repeats == 1 else 2_000
    cases = [(width, name, shift * width) for width in WIDTHS for name, shift in SHIFTS.items()]
    looked = [sequential(width, shift, trials) for width, _, shift in cases]
    pairs = list(zip(cases, looked, strict=True))
    fixed = [fixed_number(width, shift, spent.right, trials) for (width, _, shift), spent in pairs]
    ratios = [Ratio("every bit is the same: fixed number / looks", (max(fixed) / usual_criteria().looks[0],))]
    rows = [("any", "every bit is the same", f"{usual_criteria().looks[0]}", "100 %", "2")]
    for (width, name, _), spent, number_alone in zip(cases, looked, fixed, strict=True):
        ratios.append(Ratio(f"{name}, margin {width:g} sd: fixed number / looks", (max(fixed) / spent.episodes,)))
        right = f"{100 * spent.right:.1f} %"
        rows.append((f"{width:g}", name, number(spent.episodes), right, f"{number_alone}"))
    header = ("margin, sd", "truth", "episodes with looks, mean", "decided rightly", "fixed number for this alone")
    return Part("episodes", ratios, ["### Episodes spent on a decision", table(header, rows)])


def sequential(width: float, shift: float, trials: int) -> Spent:
    """Paired differences with standard deviation 1, stopped by the audit's rule.

    A recorded reference ends at some number of episodes, a claim does not: here the last look is the end.
    """
    from reload_audit.judging.comparison import compare_paired
    from reload_audit.judging.judgement import Judgement

    criteria = usual_criteria()
    rng = np.random.default_rng(1)
    spent, right = [], 0
    for _ in range(trials):
        differences = rng.standard_normal(criteria.looks[-1]) + shift
        for look in criteria.looks:
            comparison = compare_paired(differences[:look], width, criteria)
            if Judgement(comparison, first_difference="step").settled(criteria):
                break
        spent.append(look)
        right += comparison.decision == _truth(shift)
    return Spent(float(np.mean(spent)), right / trials)


def fixed_number(width: float, shift: float, right: float, trials: int) -> int:
    """The least number of episodes that, looked at once, is decided rightly as often."""
    from reload_audit.judging.comparison import compare_paired

    def enough(episodes: int) -> bool:
        criteria = replace(usual_criteria(), looks=(episodes,))
        rng = np.random.default_rng(2)
        decisions = [
            compare_paired(rng.standard_normal(episodes) + shift, width, criteria).decision for _ in range(trials)
        ]
        return decisions.count(_truth(shift)) / trials >= right

    return least(enough, 2, MOST)


def least(enough: Callable[[int], bool], low: int, high: int) -> int:
    """The least number that is enough, where every larger one is too; ``high`` if none below is."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


def _truth(shift: float) -> Any:
    return "equivalent" if shift == 0.0 else "degraded"


def usual_criteria() -> Any:
    """What the configuration's section ``verdict`` is where nobody says."""
    from reload_audit.judging.criteria import Criteria
    from reload_audit.planning.configuration import read_yaml, resolve

    from .processes import ROOT

    schema = read_yaml(ROOT / "workflow/schemas/config.schema.yaml")
    return Criteria.from_dict(resolve({"runs": ["."]}, schema, "config.yaml")["verdict"])
