"""Call a function in a fresh process, and report its crash, its timeout or its use of too much memory as a failure.

The function is named by text (``reload_audit.evaluation.trained:evaluate``), so that the calling process need not
import what it needs. ``spawn`` starts a new interpreter for each call. ``forkserver`` forks from one that has imported
the libraries and nothing else: as fresh, and about four times cheaper for twenty calls.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import math
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, Literal

import psutil

from reload_audit.processes import serving, shared_servers, under_way
from reload_audit.processes.full_disk import forgiving_text, is_out_of_space
from reload_audit.processes.imports import import_object
from reload_audit.processes.search_path import for_children, guarded_children, named_in_environment

Method = Literal["forkserver", "spawn"]

_POLL_SECONDS = 0.1
_WEIGH_SECONDS = 0.5
"""Seconds between two measurements of memory: each reads something of every process of the machine."""

_LINGER_SECONDS = 5.0
_LEAVING_SECONDS = 30.0
"""How long one may take to end that has closed its connection: a large one that was killed frees its memory first."""

_STOPPING_SECONDS = 0.01
_KILLS = (-signal.SIGKILL, -signal.SIGTERM)
"""Exit codes of a process that something else has killed, such as the kernel for want of memory."""

_TAIL_BYTES = 4000
_MIB = 2**20
_MOST_PRINTED = 8 * _MIB
_KEPT_OF_BEGINNING = _MIB
_KEPT_OF_END = 2**16
_CUT = b"\n[... cut: there is more than a log may hold ...]\n"


@dataclass(frozen=True)
class Failure:
    """Why a call gave no value.

    :param kind: ``exception``, ``signal``, ``exit``, ``timeout``, ``memory``; ``refused``, where the called function
        refuses its arguments; ``space``, a full disk, which :func:`call` raises instead of returning it
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


def prepare(method: Method, *, hash_seed: int, preload: tuple[str, ...] = ()) -> None:
    """Set the environment variables and the fork server for the calls of this process. Run it before the first call.

    Every numerical library gets one thread: more only slow small policies down and take cores from other jobs, and the
    number must not depend on the cores that a job happens to get.

    :param hash_seed: PYTHONHASHSEED of the fresh processes. Train time and reload use different ones, each always the
        same, so that results are reproducible and an environment that depends on hash order cannot hide
    :param preload: modules that a fork server of this process imports; one that a run shares has others
    """
    shared_servers.set_variables(hash_seed)
    if method == "forkserver":
        serving.want(hash_seed, preload)


def call(
    target: str,
    arguments: tuple[Any, ...],
    *,
    method: Method,
    log: Path,
    timeout: float | None = None,
    memory: int | None = None,
) -> Outcome:
    """Call ``target`` (``package.module:function``) in a process of its own.

    A process that is killed (by the system for want of memory, say, which may have been the fault of others) gets one
    more try; one whose fork server was killed, one besides.

    :param arguments: picklable
    :param log: file that takes, at its end, what the process and its workers print: of more than 8 MiB only how it
        begins and ends
    :param timeout: seconds
    :param memory: MiB that the process and its workers may hold together (shared pages counted once)
    :raises OSError: a disk was full
    """
    outcome, lost = _call_once(target, arguments, method, log, timeout, memory)
    if lost:
        outcome, _ = _call_once(target, arguments, method, log, timeout, memory)
    if outcome.killed:
        outcome, _ = _call_once(target, arguments, method, log, timeout, memory)
    return outcome


def _call_once(
    target: str, arguments: tuple[Any, ...], method: Method, log: Path, timeout: float | None, memory: int | None
) -> tuple[Outcome, bool]:
    """What became of one try, and whether it was lost with its fork server."""
    serving.have_short_place_for_sockets()
    context = multiprocessing.get_context(method)
    receiver, sender = context.Pipe(duplex=False)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch()
    printed = _Printed(log, start=log.stat().st_size)
    start, began = time.time(), time.monotonic()
    asked = None if method == "forkserver" else began
    environment = {**os.environ, **for_children(named_in_environment())}
    given = (target, arguments, sender, str(log), environment, timeout, asked)
    process: Any
    with _without_main_module(), guarded_children():
        if method == "forkserver":
            process = serving.start_process(_child, given, log)
        else:
            process = context.Process(target=_child, args=given)  # type: ignore[attr-defined]
            process.start()
    sender.close()
    message: Any = None
    handed_over: list[Any] = []
    try:
        message, failure = _await(process, receiver, timeout, memory, printed, handed_over)
    finally:
        _end(process, grace=_LINGER_SECONDS if message is not None else 0.0)
        receiver.close()
        if printed.is_too_much():
            printed.cut()
    died = message is None and failure is None
    if died:
        failure = _death(process.exitcode)
    value, usage = None, None
    if message is not None:
        value, failure, usage = message
    elif failure is not None and failure.kind == "timeout" and handed_over:
        value = handed_over[-1]
    if failure is not None and failure.kind == "space":
        raise OSError(errno.ENOSPC, failure.message)
    if failure is not None and not failure.details:
        failure = Failure(failure.kind, failure.message, printed.tail())
    took = time.monotonic() - began
    usage = usage or Usage(os.uname().nodename, process.pid or 0, os.getpid(), start, took, 0.0, 0.0)
    lost = died and isinstance(process, serving.Forked) and process.has_lost_its_server
    return Outcome(value, failure, usage, killed=died and process.exitcode in _KILLS), lost


def _child(
    target: str,
    arguments: tuple[Any, ...],
    sender: Connection,
    log: str,
    environment: dict[str, str],
    timeout: float | None,
    asked: float | None,
) -> None:
    """Call the function, and send what comes of it.

    :param environment: variables of the caller. A fork server has the same, those that differ between jobs apart, and
        what its imports have set
    :param timeout: seconds
    :param asked: since when they count, of ``time.monotonic``; None for now: a fork server may only just have started
    """
    deadline = math.inf if timeout is None else (time.monotonic() if asked is None else asked) + timeout
    under_way.begin(sender, deadline, Path(log).absolute())
    for name in shared_servers.OF_A_JOB - {*environment}:
        os.environ.pop(name, None)
    os.environ.update(environment)
    _draw_anew()
    os.setsid()  # a group of its own, so that its workers can be ended with it
    threading.Thread(target=_die_with_caller, daemon=True).start()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout, sys.stderr = forgiving_text(1), forgiving_text(2)
    start = time.monotonic()
    pid = os.getpid()
    value: Any = None
    failure = None
    try:
        value = import_object(target)(*arguments)
    except BaseException as error:
        _leave_if_forked(pid)
        traceback.print_exc()
        details = _writable(traceback.format_exc()[-_TAIL_BYTES:])
        failure = Failure("space" if is_out_of_space(error) else "exception", _said(error), details)
    _leave_if_forked(pid)
    try:
        sender.send((value, failure, _own_usage(start)))
    except OSError:
        raise
    except Exception as error:  # the value cannot be pickled, or is nested too deeply for that
        details = _writable(traceback.format_exc()[-_TAIL_BYTES:])
        failure = Failure("exception", f"its result cannot be handed over: {_said(error)}", details)
        sender.send((None, failure, _own_usage(start)))
    sender.close()
    gc.freeze()  # else a new interpreter looks through all that PyTorch has made for garbage, before it ends


def _draw_anew() -> None:
    """Give NumPy's and PyTorch's global generators a state of this process's own, as in a new interpreter."""
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed()
    if (torch := sys.modules.get("torch")) is not None:
        torch.default_generator.seed()  # those of a GPU are made when they are used


def _leave_if_forked(pid: int) -> None:
    """End this process if it is a fork that the called function has made, so that the value is sent once.

    :param pid: of the process that was started for the call
    """
    if os.getpid() != pid:
        os._exit(0)


def _said(error: BaseException) -> str:
    """An exception in one line."""
    try:
        text = str(error)
    except Exception as another:
        text = f"(its text raises {type(another).__name__})"
    return _writable(" ".join(f"{type(error).__name__}: {text}".split())[:1000])


def _writable(text: str) -> str:
    """A text that UTF-8 can encode: messages of exceptions may hold lone surrogates."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _own_usage(start: float) -> Usage:
    """What this process has taken since ``start``, of ``time.monotonic``: clocks are turned back."""
    own, workers = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return Usage(
        host=os.uname().nodename,
        pid=os.getpid(),
        parent_pid=os.getppid(),
        started=psutil.Process().create_time(),
        wall_seconds=time.monotonic() - start,
        cpu_seconds=own.ru_utime + own.ru_stime + workers.ru_utime + workers.ru_stime,
        peak_memory=max(_own_peak(own.ru_maxrss), _mib(workers.ru_maxrss)),
    )


def _own_peak(maxrss: int) -> float:
    """Peak memory of this process in MiB. ``ru_maxrss`` survives exec, so it may report what the caller once held.

    :param maxrss: ``ru_maxrss``, which is used where there is no ``/proc``
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return _mib(maxrss)


def _mib(maxrss: int) -> float:
    return maxrss / (_MIB if sys.platform == "darwin" else 1024)  # bytes on macOS, KiB elsewhere


def _await(
    process: Any,
    receiver: Connection,
    timeout: float | None,
    memory: int | None,
    printed: _Printed,
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
        return None, Failure("exception", f"its result cannot be taken over: {_said(error)}", "")


def _still_there(process: Any) -> Failure | None:
    """Why there is no result of a process that has closed its connection, unless its exit status says it."""
    if _has_left(process, _LEAVING_SECONDS):
        return None
    said = f"the process closed its connection without a result, and still ran {_LEAVING_SECONDS:g} seconds later"
    return Failure("exit", said, "")


def _has_left(process: Any, seconds: float) -> bool:
    """Whether a process ends within some seconds. ``join`` would wait longer for one that has closed its files."""
    deadline = time.monotonic() + seconds
    pause = 0.001
    while process.exitcode is None and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(2 * pause, 0.01)
    return process.exitcode is not None


@dataclass(frozen=True)
class _Printed:
    """The part of a log that one process prints.

    :param start: its first byte
    """

    log: Path
    start: int

    def tail(self) -> str:
        """The last bytes of it, as text."""
        with open(self.log, "rb") as file:
            file.seek(max(self.start, self.log.stat().st_size - _TAIL_BYTES))
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
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        resident = sum(_ignoring_the_dead(member, "memory_info", "rss") for member in family) / _MIB
        if resident <= limit or sys.platform != "linux":
            return resident
        return sum(_ignoring_the_dead(member, "memory_full_info", "pss") for member in family) / _MIB
    except psutil.NoSuchProcess:
        return 0.0


def _ignoring_the_dead(process: psutil.Process, method: str, field: str) -> int:
    try:
        return int(getattr(getattr(process, method)(), field))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def _end(process: Any, grace: float) -> None:
    """Give a process some seconds to leave, then end it and whatever it has left behind."""
    _has_left(process, grace)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    if isinstance(process, serving.Forked) and not _has_left(process, _LEAVING_SECONDS):
        process.give_up()
    process.join()


def _death(exitcode: int | None) -> Failure:
    """Why a process ended without a result. One that was killed had a second try, see :func:`call`."""
    if exitcode is not None and exitcode < 0:
        known = {number.value: number.name for number in signal.Signals}
        name = known.get(-exitcode, f"signal {-exitcode}")
        hint = ", twice: for want of memory, or by somebody else" if exitcode in _KILLS else ""
        return Failure("signal", f"the process was ended by {name}{hint}", "")
    return Failure("exit", f"the process ended by itself with exit status {exitcode}, without a result", "")


def _die_with_caller() -> None:
    """End this process and its workers when the one that called is gone: nobody waits for the result any more."""
    caller = multiprocessing.parent_process()
    assert caller is not None
    caller.join()
    os.killpg(os.getpid(), signal.SIGKILL)


@contextlib.contextmanager
def _without_main_module() -> Iterator[None]:
    """Keep multiprocessing from running the calling script again in every child: its target is not defined there."""
    main = sys.modules["__main__"]
    kept: dict[str, Any] = {name: vars(main).pop(name) for name in ("__file__", "__spec__") if name in vars(main)}
    main.__spec__ = None
    try:
        yield
    finally:
        vars(main).update(kept)
