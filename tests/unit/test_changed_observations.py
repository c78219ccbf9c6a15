"""Observations that a script hands on late, or in another order, are told apart."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from reload_audit.evaluation.shown import shown_as
from reload_audit.observing.changed_observations import changed
from reload_audit.records.observation import View
from reload_audit.records.script_record import ScriptDifference


def of_views(views: list[View], *parts: str) -> ScriptDifference:
    """What is said of a run with these observations on their way to the policy."""
    subject: Any = SimpleNamespace(
        run=SimpleNamespace(
            views=views, acts=[SimpleNamespace(line=None)], step_line=None, parts=dict.fromkeys(parts or ("",), 4)
        )
    )
    (found,) = changed(subject)
    return found


def one_hot(places: list[int]) -> list[tuple[float, ...]]:
    return [tuple(map(float, row)) for row in np.eye(4)[places]]


def test_an_observation_that_is_one_step_late_is_not_taken_for_one_in_another_order() -> None:
    returned = one_hot([0, 1, 2, 3] * 10)
    late = of_views([View(new, new, old) for old, new in pairwise(returned)])
    assert ("one step late" in late.evidence, late.in_doubt, late.changes) == (True, True, None)
    steps = one_hot([0, 2, 1, 1, 3, 0, 0, 3, 2, 1])
    moved = of_views([View(one, one, (*one[1:], one[0])) for one in steps])
    assert (moved.cause, moved.in_doubt) == ("observation-changed", False)
    assert "in another order: 1, 2, 3, 0" in moved.evidence


def test_what_is_done_to_each_number_is_carried_out_on_arrays_alone_and_rounding_on_dictionaries_too() -> None:
    returned = np.random.default_rng(0).normal(size=(20, 4))
    turned, whole = (
        [View(tuple(one), tuple(one), tuple(made(one))) for one in returned] for made in (np.negative, np.trunc)
    )
    shown: Any = (of_views(turned).changes or {})["shown"]
    assert shown_as(returned, shown) == pytest.approx(-returned)
    of_parts = of_views(turned, "gauge", "lamp")
    assert (of_parts.changes, of_parts.in_doubt) == (None, True)
    for parts in ((), ("gauge", "lamp")):
        assert of_views(whole, *parts).changes == {"shown": {"dtype": "int64"}}
