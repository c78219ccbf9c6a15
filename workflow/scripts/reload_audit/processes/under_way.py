"""What a function that was called in a fresh process may do while it runs: hand something over, ask how long it has."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any


@dataclass(frozen=True)
class HandedOver:
    """What a process sends before its end."""

    value: Any


class _Call:
    """The call that this process was started for; in any other process there is none.

    :cvar sender: takes what is handed over
    :cvar deadline: of ``time.monotonic``, which is the same in all processes of a machine
    """

    sender: Connection | None = None
    deadline = math.inf


def begin(sender: Connection, deadline: float) -> None:
    """Note what this process was started for.

    :param sender: takes what is handed over
    :param deadline: of ``time.monotonic``; infinite where there is no limit
    """
    _Call.sender, _Call.deadline = sender, deadline


def hand_over(value: Any) -> None:
    """Give the caller what is known by now, which is the value of a call whose time ends.

    :param value: picklable; each replaces the one before
    """
    if _Call.sender is not None:
        _Call.sender.send(HandedOver(value))


def seconds_left() -> float:
    """How much of its time is left to the call that this process was started for; infinite where there is no limit."""
    return _Call.deadline - time.monotonic()
