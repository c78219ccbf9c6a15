"""Whether a script changes observations between the environment and the policy, where it should not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from reload_audit.observing.acting_line import with_what_is_returned
from reload_audit.observing.subject import Subject
from reload_audit.records.observation import View
from reload_audit.records.script_record import ScriptDifference

_CLOSE = 1e-3
"""How far an observation may be off: scripts compute in single precision."""

_MOST_PLACES = 64
"""Numbers of an observation up to which another order of them is looked for."""


def reordered(
    subject: Subject, views: Sequence[View], normal: Callable[[np.ndarray], np.ndarray]
) -> ScriptDifference | None:
    """Whether a policy is given the numbers of an observation in another order; None where it is not.

    :param normal: computes from an observation what the policy should be given
    """
    order = None if _is_late(subject.run.views, normal) else _order(views, normal)
    if order is None:
        return None
    wrapper = ["reload_audit.evaluation.wrappers:Reordered", {"order": order}]
    changes = {"environment": {"wrappers": [wrapper]}}
    return ScriptDifference("observation-changed", subject.run.acts[0].line, _in_order(order), changes=changes)


def _in_order(order: Sequence[int]) -> str:
    return f"the policy is given the numbers of each observation in another order: {', '.join(map(str, order))}"


def _is_late(views: Sequence[View], normal: Callable[[np.ndarray], np.ndarray]) -> bool:
    """Whether a policy is mostly given the observation before the one that is due, where they differ."""

    def is_given(due: View, given: View) -> bool:
        return np.allclose(normal(np.asarray(due.raw)), given.given, rtol=_CLOSE, atol=_CLOSE)

    alike = [view for view in views if len(view.raw) == len(view.given)]
    other = [(old, new) for old, new in pairwise(alike) if not is_given(new, new)]
    return bool(other) and sum(is_given(old, new) for old, new in other) > 0.9 * len(other)


def _order(views: Sequence[View], normal: Callable[[np.ndarray], np.ndarray]) -> list[int] | None:
    size = len(views[0].raw)
    if size > _MOST_PLACES or any(len(view.given) != size for view in views):
        return None
    raw, given = (np.asarray([getattr(view, name) for view in views]) for name in ("raw", "given"))
    same = np.ones((size, size), dtype=bool)  # [i, j]: number i that is given is always number j of the observation
    for own, shown in zip(raw, given, strict=True):
        due = np.stack([normal(np.full(size, number)) for number in own], axis=1)
        same &= np.isclose(due, shown[:, None], rtol=_CLOSE, atol=_CLOSE)
    found = [place if same[place, place] else int(same[place].argmax()) for place in range(size)]
    if found == [*range(size)] or sorted(found) != [*range(size)]:
        return None
    return found if all(same[place, other] for place, other in enumerate(found)) else None


def changed(subject: Subject) -> list[ScriptDifference]:
    """Whether a script changes what the environment, or its VecNormalize, gives, before the policy is given it."""
    views = [replace(view, raw=view.returned) for view in subject.run.views]
    alike = [view for view in views if len(view.returned) == len(view.given)]
    other = [view for view in alike if not np.allclose(view.returned, view.given, rtol=_CLOSE, atol=_CLOSE)]
    if not subject.run.acts or len(other) * 2 < len(alike) or len(other) < 2:
        return []
    line = subject.run.acts[0].line
    if _is_late(views, np.asarray):
        evidence = "the policy is given each observation one step late: the one before that which is due"
        return [ScriptDifference("observation-changed", line, evidence, in_doubt=True)]
    instead = with_what_is_returned(subject.run.step_line, line)
    is_array = [*subject.run.parts] == [""]
    order = _order(other, np.asarray) if is_array else None
    if order is not None:
        return [ScriptDifference("observation-changed", line, _in_order(order), instead, {"shown": {"order": order}})]
    returned, given = np.asarray(other[0].returned), np.asarray(other[0].given)
    worst = int(np.abs(returned - given).argmax())
    evidence = (
        f"the policy is given other observations than the environment gives: {returned[worst]:.4g} at place {worst} "
        f"becomes {given[worst]:.4g}"
    )
    rounded, numbers = rounding(other, np.asarray), fitted(other) if is_array else None
    if rounded is not None:
        said, changes = rounded
        return [ScriptDifference("observation-changed", line, f"{evidence}: {said}", instead, changes)]
    if numbers is not None:
        return [ScriptDifference("observation-changed", line, evidence, instead, {"shown": numbers})]
    return [ScriptDifference("observation-changed", line, evidence, in_doubt=True)]


def fitted(views: Sequence[View]) -> dict[str, list[float] | float] | None:
    """Factor, shift and bound that make of observations what the policy was given; None where no such numbers do."""
    raw, given = (np.asarray([getattr(view, name) for view in views]) for name in ("raw", "given"))
    bound = float(np.abs(given).max())
    inside = np.abs(given) < bound if (np.abs(given) == bound).sum() > 1 else np.ones(given.shape, dtype=bool)
    factors, shifts = [], []
    for place in range(raw.shape[1]):
        x, y = raw[inside[:, place], place], given[inside[:, place], place]
        moves = x.size > 1 and float(np.ptp(x)) > 0
        factor = float(np.cov(x, y)[0, 1] / x.var(ddof=1)) if moves else 1.0
        factors.append(factor)
        shifts.append(float(y.mean() - factor * x.mean()) if x.size else 0.0)
    made = np.clip(raw * factors + shifts, -bound, bound)
    scale = np.abs(given).max(axis=0) + 1e-9
    if not (np.abs(made - given) <= 1e-2 * scale).all():
        return None
    return {"factors": factors, "shifts": shifts, "bound": np.inf if inside.all() else bound}


_DTYPES = ("int64", "uint8", "bool")


def rounding(views: Sequence[View], normal: Callable[[np.ndarray], np.ndarray]) -> tuple[str, dict[str, object]] | None:
    """How the numbers of observations lose their decimals, in words, and as changes to a condition.

    :param normal: computes from an observation what the policy should be given
    :return: None where they do not
    """
    due = np.asarray([normal(np.asarray(view.raw)) for view in views])
    given = np.asarray([view.given for view in views])
    known: list[tuple[str, np.ndarray, dict[str, object]]] = [
        (f"they are rounded to {n} decimals", np.round(due, n), {"decimals": n}) for n in range(_MOST_DECIMALS)
    ]
    with np.errstate(invalid="ignore"):
        known += [(f"they are cast to {kind}", due.astype(kind).astype(float), {"dtype": kind}) for kind in _DTYPES]
    for said, made, how in known:
        if np.isclose(made, given, rtol=1e-6, atol=1e-6).mean() > _NEARLY_ALL:
            return said, {"shown": how}
    return None


_MOST_DECIMALS = 4
_NEARLY_ALL = 0.99
"""Part of all numbers: what should be given is computed in another precision, and a few are rounded otherwise."""
