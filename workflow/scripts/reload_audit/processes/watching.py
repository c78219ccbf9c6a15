"""Watch a process that a function was called in: its time, its memory, what it prints, what it sends, how it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import psutil

from reload_audit.processes import serving, under_way
from reload_audit.processes.outcome import TAIL_BYTES, Failure, error_said

_POLL_SECONDS = 0.1
_WEIGH_SECONDS = 0.5
"""Seconds between two measurements of memory."""

_LEAVING_SECONDS = 30.0
"""How long one may take to end that has closed its connection: a large one that was killed frees its memory first."""

_STOPPING_SECONDS = 0.01
KILLS = (-signal.SIGKILL, -signal.SIGTERM)
"""Exit codes of a process that something else has killed, such as the kernel for want of memory."""

_MIB = 2**20
_MOST_PRINTED = 8 * _MIB
_KEPT_OF_BEGINNING = _MIB
_KEPT_OF_END = 2**16
_CUT = b"\n[... cut: there is more than a log may hold ...]\n"


def wait_for(
    process: Any,
    receiver: Connection,
    timeout: float | None,
    memory: int | None,
    printed: Printed,
    handed_over: list[Any],
) -> tuple[Any, Failure | None]:
    """What a process sends when it has ended, or why nothing comes.

    :param handed_over: takes what it hands over before, the last of it
    """
    start = weighed = time.monotonic()  # a change of the system clock does not affect it
    while True:
        if printed.is_too_much():
            with _stopped(process.pid):
                printed.cut()
        if receiver.poll():
            message, failure = _received(process, receiver)
            if not isinstance(message, under_way.HandedOver):
                return message, failure
            handed_over[:] = [message.value]
        if process.sentinel in wait([receiver, process.sentinel], _POLL_SECONDS) and not receiver.poll():
            return None, _still_there(process)
        now = time.monotonic()
        if timeout is not None and now - start > timeout:
            return None, Failure("timeout", f"did not finish within {timeout:g} seconds", "")
        if memory is not None and now - weighed > _WEIGH_SECONDS:
            weighed = now
            if _memory_held(process.pid, memory) > memory:
                return None, Failure("memory", f"held more memory than its limit of {memory} MiB", "")


def _received(process: Any, receiver: Connection) -> tuple[Any, Failure | None]:
    """What a process has sent, or why it cannot be had."""
    try:
        content = receiver.recv_bytes()
    except (EOFError, OSError):  # OSError: it ended while it was sending
        return None, _still_there(process)
    try:
        return ForkingPickler.loads(content), None
    except Exception as error:  # it could be pickled there, and cannot be unpickled here
        return None, Failure("exception", f"its result cannot be taken over: {error_said(error)}", "")


def _still_there(process: Any) -> Failure | None:
    """Why there is no result of a process that has closed its connection, unless its exit status says it."""
    if _has_left(process, _LEAVING_SECONDS):
        return None
    later = f"still ran {_LEAVING_SECONDS:g} seconds later"
    return Failure("exit", f"the process closed its connection without a result, and {later}", "")


def _has_left(process: Any, seconds: float) -> bool:
    """Whether a process ends within some seconds. ``join`` would wait longer for one that has closed its files."""
    deadline = time.monotonic() + seconds
    pause = 0.001
    while process.exitcode is None and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(2 * pause, 0.01)
    return process.exitcode is not None


@dataclass(frozen=True)
class Printed:
    """The part of a log that one process prints.

    :param start: its first byte
    """

    log: Path
    start: int

    def tail(self) -> str:
        """The last bytes of it, as text."""
        with open(self.log, "rb") as file:
            file.seek(max(self.start, self.log.stat().st_size - TAIL_BYTES))
            return file.read().decode(errors="replace").strip()

    def is_too_much(self) -> bool:
        return self.log.stat().st_size - self.start > _MOST_PRINTED

    def cut(self) -> None:
        """Remove the middle of what was printed from the log, so that its beginning and its end remain."""
        with open(self.log, "r+b") as file:
            file.seek(-_KEPT_OF_END, os.SEEK_END)
            end = file.read()
            file.truncate(self.start + _KEPT_OF_BEGINNING)
        with open(self.log, "ab") as file:
            file.write(_CUT + end)


@contextlib.contextmanager
def _stopped(group: int) -> Iterator[None]:
    """Stop a process and its workers while the block runs."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGSTOP)
    time.sleep(_STOPPING_SECONDS)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGCONT)


def _memory_held(pid: int, limit: int) -> float:
    """MiB that a process and its descendants hold; exact, with shared pages counted once, only where it matters."""
    family = _family(pid)
    resident = sum(_ignoring_the_dead(member, "memory_info", "rss") for member in family) / _MIB
    if resident <= limit or sys.platform != "linux":
        return resident
    return sum(_ignoring_the_dead(member, "memory_full_info", "pss") for member in family) / _MIB


def _family(pid: int) -> list[int]:
    """A process and its descendants, as far as they still run."""
    if not Path("/proc/thread-self/children").exists():  # macOS, or a kernel without them
        with contextlib.suppress(psutil.NoSuchProcess):
            return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
        return []
    family = [pid]
    for member in family:  # psutil would look at all processes of the machine, which may be very many
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{member}/task").iterdir():
                family += map(int, (thread / "children").read_text(encoding="ascii").split())
    return family


def _ignoring_the_dead(pid: int, method: str, field: str) -> int:
    try:
        return int(getattr(getattr(psutil.Process(pid), method)(), field))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def end(process: Any, grace: float) -> None:
    """Give a process some seconds to leave, then end it and whatever it has left behind."""
    _has_left(process, grace)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    if isinstance(process, serving.Forked) and not _has_left(process, _LEAVING_SECONDS):
        process.give_up()
    process.join()


def death(exitcode: int | None) -> Failure:
    """Why a process ended without a result. One that was killed had a second try, see ``isolation.call``."""
    if exitcode is not None and exitcode < 0:
        known = {number.value: number.name for number in signal.Signals}
        name = known.get(-exitcode, f"signal {-exitcode}")
        hint = ", twice: for want of memory, or by somebody else" if exitcode in KILLS else ""
        return Failure("signal", f"the process was ended by {name}{hint}", "")
    return Failure("exit", f"the process ended by itself with exit status {exitcode}, without a result", "")
