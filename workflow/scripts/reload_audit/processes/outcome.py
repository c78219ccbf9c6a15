"""What became of a call in a fresh process: its value, or why there is none, and what it took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

TAIL_BYTES = 4000
"""Of what is kept of a traceback, or of what a process printed: the end."""


@dataclass(frozen=True)
class Failure:
    """Why a call gave no value.

    :param kind: ``exception``, ``signal``, ``exit``, ``timeout``, ``memory``; ``refused``, where the called function
        refuses its arguments; ``space``, a full disk, which ``isolation.call`` raises instead of returning it
    :param message: one line
    :param details: traceback, or what the process printed last
    """

    kind: Literal["exception", "signal", "exit", "timeout", "memory", "refused", "space"]
    message: str
    details: str


@dataclass(frozen=True)
class Usage:
    """Which process ran a call, and what it took.

    :param started: seconds since the epoch; with host and pid it names a process for good
    :param peak_memory: MiB, the largest resident size of the process itself or of one worker of it
    """

    host: str
    pid: int
    parent_pid: int
    started: float
    wall_seconds: float
    cpu_seconds: float
    peak_memory: float


@dataclass(frozen=True)
class Outcome:
    """What became of a call: its value, unless there is a failure.

    :param value: where its time ended, what it had handed over last; None where that is nothing
    :param killed: whether something else ended the process, such as the system for want of memory
    """

    value: Any
    failure: Failure | None
    usage: Usage
    killed: bool


def error_said(error: BaseException) -> str:
    """An exception in one line."""
    try:
        text = str(error)
    except Exception as another:
        text = f"(its text raises {type(another).__name__})"
    return writable(" ".join(f"{type(error).__name__}: {text}".split())[:1000])


def writable(text: str) -> str:
    """A text that UTF-8 can encode: messages of exceptions may hold lone surrogates."""
    return text.encode("utf-8", "replace").decode("utf-8")
