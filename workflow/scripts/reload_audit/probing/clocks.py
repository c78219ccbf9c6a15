"""Shift or freeze the clocks of a process."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from collections.abc import Callable, Iterator
from typing import Any

from reload_audit.probing.scenario import Clock

_SHIFT = dt.timedelta(days=407, hours=5, minutes=17, seconds=23, microseconds=456_789)
_FROZEN = dt.datetime(2031, 5, 17, 10, 43, 21, 234_567, tzinfo=dt.UTC)
_STOPWATCHES = ("monotonic", "perf_counter", "process_time", "thread_time")

READERS = {
    *("time", "time_ns", "localtime", "gmtime", "ctime", "asctime", "strftime", "clock_gettime", "clock_gettime_ns"),
    *_STOPWATCHES,
    *(f"{name}_ns" for name in _STOPWATCHES),
}
"""Functions of ``time`` that read a clock."""

READERS_OF_DATES = {"now", "utcnow", "today"}


@contextlib.contextmanager
def clock(which: Clock, variant: int = 0) -> Iterator[None]:
    """Leave all clocks as they are, shift them by a time that depends on the variant, or freeze them, in the block."""
    if which == "real":
        yield
        return
    import time_machine  # it imports pytest where there is one, which is none of the other processes' business

    if which == "shifted":
        with time_machine.travel(dt.datetime.now(dt.UTC) + _SHIFT * (1 + variant), tick=True):
            yield
    else:
        with time_machine.travel(_FROZEN, tick=False), _stopwatches_stopped():
            yield


def reads_clock(function: Any) -> bool:
    """Whether a built-in function tells the time."""
    if getattr(function, "__module__", None) == "time":
        return function.__name__ in READERS
    owner = getattr(function, "__self__", None)
    return isinstance(owner, type) and issubclass(owner, dt.date) and function.__name__ in READERS_OF_DATES


@contextlib.contextmanager
def _stopwatches_stopped() -> Iterator[None]:
    names = [*_STOPWATCHES, *(f"{name}_ns" for name in _STOPWATCHES)]
    kept = {name: getattr(time, name) for name in names}
    for name in names:
        setattr(time, name, _constant(1_000_000_000 if name.endswith("_ns") else 1.0))
    try:
        yield
    finally:
        for name, function in kept.items():
            setattr(time, name, function)


def _constant(value: float) -> Callable[[], float]:
    return lambda: value
