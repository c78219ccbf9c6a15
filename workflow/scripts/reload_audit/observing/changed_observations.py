"""Whether a script changes observations between the environment and the policy, where it should not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

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
    evidence = f"the policy is given the numbers of each observation in another order: {', '.join(map(str, order))}"
    wrapper = ["reload_audit.evaluation.wrappers:Reordered", {"order": order}]
    changes = {"environment": {"wrappers": [wrapper]}}
    return ScriptDifference("observation-changed", subject.run.acts[0].line, evidence, changes=changes)


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


def changed(subject: Subject, fit: Callable[[Sequence[View]], dict[str, object] | None]) -> list[ScriptDifference]:
    """Whether a script changes the observations of a model that was trained without VecNormalize.

    :param fit: gives the changes of a condition that does what was done to observations; None where none is known
    """
    views = [view for view in subject.run.views if len(view.returned) == len(view.given)]
    other = [view for view in views if not np.allclose(view.returned, view.given, rtol=_CLOSE, atol=_CLOSE)]
    if not subject.run.acts or len(other) * 2 < len(views) or len(other) < 2:
        return []
    order = reordered(subject, other, lambda observation: observation)
    if order is not None:
        return [order]
    returned, given = np.asarray(other[0].returned), np.asarray(other[0].given)
    worst = int(np.abs(returned - given).argmax())
    evidence = (
        f"the policy is given other observations than the environment gives: {returned[worst]:.4g} at place {worst} "
        f"becomes {given[worst]:.4g}"
    )
    if _is_late(subject.run.views, lambda observation: observation):
        evidence = "the policy is given each observation one step late: the one before that which is due"
        return [ScriptDifference("observation-changed", subject.run.acts[0].line, evidence, in_doubt=True)]
    changes, line = fit(other), subject.run.acts[0].line
    return [ScriptDifference("observation-changed", line, evidence, changes=changes, in_doubt=changes is None)]
