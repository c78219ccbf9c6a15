"""How often a model that has not changed is said to have regressed since an earlier audit: simulated pairs of audits.

Each model is measured in place once, and after reload in two audits, whose episodes have nothing in common but what the
model is: the noisiest case there is. Rewards have standard deviation 1; nothing is stepped.

usage: python benchmarks/since.py [--trials N] [--write docs/since.md]
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from document import write_tables  # noqa: E402 (found there)

from reload_audit.judging.comparison import compare_paired  # noqa: E402
from reload_audit.judging.criteria import Criteria  # noqa: E402
from reload_audit.judging.judgement import Judgement  # noqa: E402
from reload_audit.judging.since import earns, state  # noqa: E402
from reload_audit.judging.verdicts import decide_verdicts  # noqa: E402

CRITERIA = Criteria(alpha=0.05, fdr=0.05, margin_fraction=0.05, margin_std=0.2, looks=(20, 40, 80, 160, 320))

Noise = Callable[[np.random.Generator], np.ndarray]

RETURNS: dict[str, Noise] = {
    "normal": lambda rng: rng.standard_normal(320),
    "one of 20 fails": lambda rng: np.where(rng.random(320) < 0.05, -4.36, 0.23),
    "skewed": lambda rng: rng.exponential(1, 320) - 1,
}
MARGINS = (0.2, 0.5)
LOSSES = {"nothing": 0.0, "the margin": 1.0, "1.3 margins": 1.3, "two margins": 2.0}


def audited(differences: np.ndarray, margin: float) -> tuple[Judgement, int]:
    """What an audit says of a model, and after how many episodes."""
    for look in CRITERIA.looks:
        judgement = Judgement(compare_paired(differences[:look], margin, CRITERIA), first_difference="one")
        if judgement.settled(CRITERIA):
            break
    return judgement, look


def alarms(noise: Noise, margin: float, loss: float, models: int, trials: int) -> Counter[str]:
    """In how many pairs of audits each rule calls at least one model worse, though none has changed."""
    rng, found = np.random.default_rng(0), Counter[str]()
    for _ in range(trials):
        then, now, compared = [], [], []
        for _ in range(models):
            place, before, after = noise(rng), noise(rng) - loss, noise(rng) - loss
            (one, n), (other, m) = audited(before - place, margin), audited(after - place, margin)
            both = (after - before)[: min(n, m)]
            then.append(one)
            now.append(other)
            compared.append(Judgement(compare_paired(both, margin, CRITERIA), first_difference="one"))
        verdicts = [decide_verdicts(judged, CRITERIA) for judged in (then, now, compared)]
        words = [(one.verdict, other.verdict, earns(both)) for one, other, both in zip(*verdicts, strict=True)]
        found["regressed"] += any(state(*said) == "regressed" for said in words)
        found["newly degraded"] += any(was != "degraded" == is_ for was, is_, _ in words)
        found["lower"] += any(one.comparison is not None and one.comparison.p_lower < 0.05 for one in compared)
    return found


def table(trials: int) -> str:
    """Percentages by returns, margin and what is lost in both audits; of 20 models with a tenth of the trials."""
    heads = ["returns", "margin, sd", "lost, both times", "1 model", "20 models"]
    rows = [heads, ["---"] * len(heads)]
    for returns, noise in RETURNS.items():
        for margin in MARGINS:
            for lost, margins in LOSSES.items():
                cells = []
                for models, runs in ((1, trials), (20, trials // 10)):
                    found = alarms(noise, margin, margins * margin, models, runs)
                    rates = (100 * found[rule] / runs for rule in ("regressed", "newly degraded", "lower"))
                    cells.append(" / ".join(f"{rate:.1f}" if 0 < rate < 1 else f"{rate:.0f}" for rate in rates))
                rows.append([returns, f"{margin:g}", lost, *cells])
    said = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{trials:,} pairs of audits a cell of one model, a tenth of that of 20.\n\n{said}"


if __name__ == "__main__":
    write_tables(__doc__, 1000, lambda trials: {"since": table(trials)})
