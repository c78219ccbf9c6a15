"""Where a reload parts from its reference, in words."""

from __future__ import annotations

from typing import Any

from reload_audit.records.divergence import ComponentDifference, Divergence, Implied

_MOST_COMPONENTS = 3

_IMPLIES: dict[Implied, str] = {
    "reset": "the environment's reset gives something else for the same seed",
    "dynamics": "the environment gives something else after the same actions",
    "reward": "the environment pays something else for the same actions and observations",
    "end": "episodes end elsewhere: another time limit, or another condition that ends them",
    "wrappers": "the wrappers between environment and policy do something else",
    "statistics": "the same observation reaches the policy as another one: other VecNormalize statistics, or a wrapper",
    "policy": "the policy does something else about the same observation: other parameters, another mode, or a state",
    "numerics": "only the last bits differ: another processor, device, library or batch size",
}


def divergence_sentence(divergence: Divergence) -> str:
    """One sentence: which episode and step, the first components with their values, and what they imply."""
    if divergence.step is not None:
        where = f"at step {divergence.step}" if divergence.step else "at its reset (step 0)"
    else:
        where = "at a step that was not kept" if divergence.after is None else f"after step {divergence.after}"
    meaning = "" if divergence.implies is None else f": {_IMPLIES[divergence.implies]}{_computed_elsewhere(divergence)}"
    first = "; ".join(map(_in_words, divergence.differences[:_MOST_COMPONENTS]))
    return f"Episode {divergence.episode} (seed {divergence.seed}) differs first {where}, in {first}{meaning}."


def _computed_elsewhere(divergence: Divergence) -> str:
    """Where the policy ran in both runs, if that may be behind it: rounding elsewhere may tip a choice between two."""
    if divergence.computed_on is None:
        return ""
    recorded, reloaded = divergence.computed_on
    ran = f"it ran on {recorded} and was reloaded on {reloaded}"
    if divergence.implies == "numerics":
        return f"; {ran}"
    known = any(_is_no_rounding(difference) for difference in divergence.differences)
    return "" if divergence.implies != "policy" or known else f"; or nothing but rounding, because {ran}"


def _is_no_rounding(difference: ComponentDifference) -> bool:
    """Whether floating numbers differ by more than rounding; a choice between actions may change by rounding alone."""
    values = difference.reload if isinstance(difference.reload, list) else [difference.reload]
    return difference.last_bits is False and any(isinstance(value, float) for value in values)


def _in_words(difference: ComponentDifference) -> str:
    name = difference.component.replace("_", " ")
    if difference.reference is None and difference.reload is None:
        return name
    where = "" if difference.index is None else f"[{', '.join(map(str, difference.index))}]"
    size = "" if difference.largest is None else f" (largest difference {difference.largest:.3g})"
    values = (difference.reload, difference.reference)
    digits = next((few for few in _DIGITS if _shown(values[0], few) != _shown(values[1], few)), _DIGITS[0])
    return f"{name}{where} {_shown(values[0], digits)} instead of {_shown(values[1], digits)}{size}"


_DIGITS = (6, 9, 17)
"""Of numbers: as many as tell two apart, such as those of float32 and of float64 that differ in their last bits."""


def _shown(value: Any, digits: int) -> str:
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    if isinstance(value, list):
        return f"[{', '.join(_shown(item, digits) for item in value)}]"
    return "unknown" if value is None else str(value)
