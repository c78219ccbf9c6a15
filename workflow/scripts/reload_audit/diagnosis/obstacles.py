"""What keeps rewards from being compared, or a comparison from deciding: findings that say what the reason does not."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from reload_audit.causes.catalogue import cause_of_obstacle
from reload_audit.causes.finding import Detail, Finding
from reload_audit.diagnosis.effects import spread
from reload_audit.diagnosis.evidence import Evidence
from reload_audit.diagnosis.gap import STANDARD_ERRORS
from reload_audit.judging.comparison import Comparison
from reload_audit.judging.judgement import Judgement
from reload_audit.records.specs import Claim

_LUCK = "best-of-k"

_FEWEST = 5
"""Evaluations around the chosen one that are needed to tell what it earned without luck."""

_TIME = re.compile(r"did not finish within ([\d.]+) seconds|time limit leaves no time for episodes")
_MEMORY = re.compile(r"held more memory than its limit of (\d+) MiB")
_CLASS = r'("(?:[^"\\]|\\.)*"|[\w.<>]+): (my_module\.\w+)'
_CLASSES = re.compile(rf"classes: \{{{_CLASS}(, {_CLASS})*\}}")
_TRUST = re.compile(r"add '(\w+)' to trust|configure trust: \[(\w+)\]")
_PACKAGE = re.compile(r"which is not installed: pip install '?([\w.-]+(\[[\w,-]+\])?)")

_MORE = 4
"""The factor by which a suggested limit or number exceeds the one that was too low."""

_SECONDS = 7200
"""Seconds that a fix suggests where the failure does not say which limit was too low."""


def obstacles(verdict: str, judgement: Judgement | None, evidence: Evidence) -> Iterator[Finding]:
    """What stands in the way of running a model, or of an answer about its reward."""
    if verdict == "error":
        yield Finding("not-runnable", "claims", True, evidence.failure, _advice_in(evidence.failure))
    elif judgement is not None and verdict == "inconclusive":
        cause = cause_of_obstacle(judgement.obstacle)
        if judgement.obstacle == "episodes_cut":
            yield _seen(cause, "episodes did not end within evaluation.max_episode_steps and were cut there")
        elif judgement.comparison is None:
            yield _seen(cause, "there is no table, no evaluations.npz, no model card and no training episode")
        elif judgement.claim is not None and judgement.obstacle:
            yield _seen(cause, _of_claim(judgement, judgement.claim, judgement.comparison, evidence))
        else:
            yield _seen(cause, _of_episodes(judgement.claim, judgement.comparison, evidence))
        if judgement.obstacle == "claim_with_exploration":
            yield Finding("policy-mode", "claims", proof=False, evidence="in training, actions are stochastic")
    if evidence.last_bits:
        yield _seen("numerics", evidence.last_bits)


def _seen(cause: str, evidence: str) -> Finding:
    return Finding(cause, "claims", proof=True, evidence=evidence)


def _advice_in(failure: str) -> dict[str, Detail]:
    """Details for the fix of a failure: the limit, classes or package that it names; none where it names nothing.

    It quotes names from files, which are anybody's: only a module that is yet to be written may stand for a class.
    """
    section = "training" if failure.startswith("in training: ") else "reload"
    if (found := _TIME.search(failure)) is not None:
        value = _SECONDS if found[1] is None else _MORE * int(float(found[1]))
        return {"section": section, "limit": "timeout", "value": str(value)}
    if (found := _MEMORY.search(failure)) is not None:
        return {"section": section, "limit": "memory", "value": str(_MORE * int(found[1]))}
    if (found := _CLASSES.search(failure)) is not None:
        return {"classes": {_key(name): target for name, target in re.findall(_CLASS, found[0])}}
    if (found := _TRUST.search(failure)) is not None and (found[1] or found[2]) not in sys.stdlib_module_names:
        return {"trust": found[1] or found[2]}
    if (found := _PACKAGE.search(failure)) is not None:
        return {"package": found[1]}
    return {}


def _key(written: str) -> str:
    """A key of a line of YAML without the double quotes around it, if it has any; unchanged if these do not match."""
    try:
        return str(json.loads(written)) if written.startswith('"') else written
    except ValueError:
        return written


def _of_claim(judgement: Judgement, claim: Claim, comparison: Comparison, evidence: Evidence) -> str:
    """What makes a claim one that must not decide, beside what the reload earns."""
    now = f"{evidence.reward:.4g}"
    match judgement.obstacle:
        case "best_of_k":
            return f"it was chosen because it earned {claim.mean:.4g}; measured again, it earns {now}"
        case "before_last_update":
            return f"before its last update it earned {claim.mean:.4g}; what was saved after it earns {now}"
        case "claim_with_exploration":
            return f"while it explored and learned it earned {claim.mean:.4g}; reloaded, it earns {now}"
    if claim.n is None or claim.std is None:
        missing = "episodes" if claim.n is None else "standard deviation"
        return f"{claim.where} does not state the {missing} behind {claim.mean:.4g}"
    error = claim.std / math.sqrt(max(claim.n, 1))
    return (
        f"the claimed mean has a standard error of {error:.4g} (± {claim.std:.4g} over {claim.n:,}), "
        f"and the margin is {comparison.margin:.4g}"
    )


def _of_episodes(claim: Claim | None, comparison: Comparison, evidence: Evidence) -> str:
    """Why a comparison is open: how much episodes vary, and whose episodes are too few."""
    varies = f"single episodes vary by ± {evidence.std:.4g}, and the margin is {comparison.margin:.4g}"
    if comparison.decision is not None:
        return f"{varies}; a difference shows, but among so many models it may be chance"
    if claim is None or not claim.n:
        return varies
    of_claim = (evidence.std if claim.std is None else claim.std) / math.sqrt(claim.n)
    of_reload = evidence.std / math.sqrt(comparison.n_episodes)
    both = math.hypot(of_claim, of_reload)
    if not 0.0 < both < math.inf:
        return varies
    share = (of_claim / both) ** 2
    whose = f"the claim's {claim.n:,} episodes" if share >= 0.5 else f"the reload's {comparison.n_episodes:,} episodes"
    return f"{varies}; {100 * max(share, 1 - share):.0f} % of the uncertainty (as variance) is that of {whose}"


def without_luck(
    judgement: Judgement | None, evidence: Evidence
) -> tuple[Judgement | None, Sequence[Finding], tuple[str, ...]]:
    """The judgement and findings of a model that luck in being chosen cannot explain, and a sentence that says so.

    Where the reload earns clearly less than all evaluations around the chosen one, the claim's bias is no obstacle.
    Whatever luck may explain is returned as it is.
    """
    lucky = [finding for finding in evidence.findings if finding.cause == _LUCK]
    if judgement is None or not lucky or not all(_is_far_below(evidence, finding) for finding in lucky):
        return judgement, evidence.findings, ()
    around = _around(lucky[0])
    rest = [finding for finding in evidence.findings if finding.cause != _LUCK]
    said = (
        f"{_LUCK}: {lucky[0].evidence.rstrip('.')}; but the {around.size} nearest to it earned "
        f"{around.min():.4g} to {around.max():.4g}, and the reload earns {evidence.reward:.4g}"
    )
    biased = judgement.obstacle == "best_of_k"
    return replace(judgement, obstacle="") if biased else judgement, rest, (said,)


def _around(finding: Finding) -> np.ndarray:
    """Mean rewards of the evaluations around the chosen one, as far as they are known."""
    nearest = finding.details.get("nearest")
    return np.asarray(nearest if isinstance(nearest, list | tuple) else [], dtype=np.float64)


def _is_far_below(evidence: Evidence, lucky: Finding) -> bool:
    """Whether the reload earns less than each evaluation around the chosen one, and less than their mean beyond noise.

    The few episodes of an evaluation may have met none of the rare ones that fail: they are taken to vary as those of
    the reload, where that is more.
    """
    around, each = _around(lucky), lucky.details.get("n")
    if around.size < _FEWEST or not isinstance(each, int) or evidence.reward is None or not evidence.n:
        return False
    scatter = max(spread(around), evidence.std / math.sqrt(each)) / math.sqrt(around.size)
    error = math.hypot(scatter, evidence.std / math.sqrt(evidence.n))
    short = float(around.mean()) - evidence.reward
    return evidence.reward < float(around.min()) and short > STANDARD_ERRORS * error
