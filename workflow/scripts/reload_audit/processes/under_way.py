"""What a function that was called in a fresh process may do while it runs.

It hands something over, asks how long it has, and says how far it is.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from reload_audit.processes.notes import Note, leave

_PAUSE = 2.0
"""Seconds between two notes, at least."""

_NOTES = 200
"""Notes are apart by at least the duration of the call so far, divided by this."""


@dataclass(frozen=True)
class HandedOver:
    """What a process sends before its end."""

    value: Any


class _Call:
    """The call that this process was started for; in any other process there is none.

    :cvar sender: takes what is handed over
    :cvar deadline: of ``time.monotonic``, which is the same in all processes of a machine
    :cvar log: beside which notes are left
    :cvar noted: when the last note was left, of ``time.monotonic``; at first, when the call began
    :cvar doing: what it said that the call does; empty before the first note
    """

    sender: Connection | None = None
    deadline = math.inf
    log: Path | None = None
    began = noted = 0.0
    doing = ""


def begin(sender: Connection, deadline: float, log: Path) -> None:
    """Note what this process was started for.

    :param sender: takes what is handed over
    :param deadline: of ``time.monotonic``; infinite where there is no limit
    :param log: of the job
    """
    _Call.sender, _Call.deadline, _Call.log = sender, deadline, log
    _Call.began = _Call.noted = time.monotonic()
    _Call.doing = ""


def report(doing: str, done: float, total: float, unit: str) -> None:
    """Say how far the call is, for those who watch. Asked often, it seldom writes; what is over soon leaves no note.

    Where another thing was said to be done, it writes at once: that is over.

    :param doing: what it does, such as ``training``
    :param done: how many of ``total`` it has done, 0 where that is not known
    :param unit: of what, such as ``steps``
    """
    now = time.monotonic()
    is_over = _Call.doing not in ("", doing)
    if _Call.log is not None and (is_over or now - _Call.noted > max(_PAUSE, (now - _Call.began) / _NOTES)):
        _Call.noted, _Call.doing = now, doing
        leave(_Call.log, Note(doing=doing, done=done, total=total, unit=unit))


def hand_over(value: Any) -> None:
    """Give the caller what is known by now, which is the value of a call whose time ends.

    :param value: picklable; each replaces the one before
    """
    if _Call.sender is not None:
        _Call.sender.send(HandedOver(value))


def say(note: Note) -> None:
    """Say something to those who watch, at once."""
    if _Call.log is not None:
        leave(_Call.log, note)


def seconds_left() -> float:
    """How much of its time is left to the call that this process was started for; infinite where there is no limit."""
    return _Call.deadline - time.monotonic()
