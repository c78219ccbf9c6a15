"""What a fresh process does: it calls the function that it was started for, and sends what comes of it."""

from __future__ import annotations

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
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from reload_audit.processes import under_way
from reload_audit.processes.fork_servers import OF_A_JOB
from reload_audit.processes.full_disk import forgiving_text, is_out_of_space
from reload_audit.processes.imports import import_object
from reload_audit.processes.outcome import TAIL_BYTES, Failure, Usage, error_said, writable

_MIB = 2**20


def run(
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
    for name in OF_A_JOB - {*environment}:
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
        details = writable(traceback.format_exc()[-TAIL_BYTES:])
        failure = Failure("space" if is_out_of_space(error) else "exception", error_said(error), details)
    _leave_if_forked(pid)
    try:
        sender.send((value, failure, _own_usage(start)))
    except OSError:
        raise
    except Exception as error:  # the value cannot be pickled, or is nested too deeply for that
        details = writable(traceback.format_exc()[-TAIL_BYTES:])
        failure = Failure("exception", f"its result cannot be handed over: {error_said(error)}", details)
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


def _die_with_caller() -> None:
    """End this process and its workers when the one that called is gone: nobody waits for the result any more."""
    caller = multiprocessing.parent_process()
    assert caller is not None
    caller.join()
    os.killpg(os.getpid(), signal.SIGKILL)
