"""Hand over partial results where the time of a process ends before all episodes have run."""

from __future__ import annotations

import time
from dataclasses import replace

from reload_audit.evaluation.rollouts import TimeAllowed
from reload_audit.processes.under_way import hand_over, report, seconds_left
from reload_audit.records.conditions import CANONICAL
from reload_audit.records.model_record import Evaluation

_AFTERWARDS = 3.0
"""Seconds that are kept for what comes after the episodes."""


def time_allowed(so_far: Evaluation, first: int, condition: str) -> TimeAllowed:
    """The time that the process of an evaluation has for episodes.

    Until the first look is complete, every episode that ends hands over how far the evaluation is. Notes for those
    who watch are left until the last.

    :param so_far: what is known without any episode
    :param first: episodes of the first look
    :param condition: its name, for those who watch
    """
    doing = "evaluating" if condition == CANONICAL else f"trying {condition}"
    started = time.monotonic()

    def ended(n: int) -> None:
        report(doing, n, 0, "episodes")
        if n < first:
            more = (time.monotonic() - started) / max(n, 1) * (first - n)
            rest = f", the others would take about {more:.0f} seconds more" if n else ""
            hand_over(replace(so_far, under_way=f"{n or 'none'} of the first {first} episodes had ended{rest}"))

    ended(0)
    return TimeAllowed(lambda: seconds_left() - _AFTERWARDS, ended)
