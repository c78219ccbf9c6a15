"""Call a function in a fresh process, and report its crash, its timeout or its use of too much memory as a failure.

The function is named by text (``reload_audit.evaluation.trained:evaluate``), so that the calling process need not
import what it needs. ``spawn`` starts a new interpreter for each call. ``forkserver`` forks from one that has imported
the libraries and nothing else: as fresh, and about four times cheaper for twenty calls.
"""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from reload_audit.processes import called, serving, shared_servers, watching
from reload_audit.processes.outcome import Failure, Outcome, Usage
from reload_audit.processes.search_path import for_children, guarded_children, named_in_environment

Method = Literal["forkserver", "spawn"]

_LINGER_SECONDS = 5.0


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
    printed = watching.Printed(log, start=log.stat().st_size)
    start, began = time.time(), time.monotonic()
    asked = None if method == "forkserver" else began
    environment = {**os.environ, **for_children(named_in_environment())}
    given = (target, arguments, sender, str(log), environment, timeout, asked)
    process: Any
    with _without_main_module(), guarded_children():
        if method == "forkserver":
            process = serving.start_process(called.run, given, log)
        else:
            process = context.Process(target=called.run, args=given)  # type: ignore[attr-defined]
            process.start()
    sender.close()
    message: Any = None
    handed_over: list[Any] = []
    try:
        message, failure = watching.wait_for(process, receiver, timeout, memory, printed, handed_over)
    finally:
        watching.end(process, grace=_LINGER_SECONDS if message is not None else 0.0)
        receiver.close()
        if printed.is_too_much():
            printed.cut()
    died = message is None and failure is None
    if died:
        failure = watching.death(process.exitcode)
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
    return Outcome(value, failure, usage, killed=died and process.exitcode in watching.KILLS), lost


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
