"""The fork server that this process uses: one that all jobs of the run share, where there is one, else its own."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from collections.abc import Callable
from multiprocessing import forkserver, popen_forkserver, util
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess, ProcessError
from pathlib import Path
from typing import Any

from reload_audit.processes import shared_servers
from reload_audit.processes.fork_servers import VARIABLE
from reload_audit.processes.shared_servers import NotSharedError, OfTheRun, OwnServer

_wanted: list[tuple[int, tuple[str, ...]]] = []
"""Hash seed and preloaded modules of this process's fork server, if one was asked for: starting it takes seconds."""


class Forked(ForkServerProcess):
    """A process of a fork server. Where the server is killed, it is too, and its exit status says so."""

    @staticmethod
    def _Popen(process_obj: Any) -> _Popen:  # noqa: N802  multiprocessing's name
        return _Popen(process_obj)

    def give_up(self) -> None:
        """Take it for ended that was killed, where its server does not say so, because it was stopped."""
        self._popen.returncode, self._popen.lost = -signal.SIGKILL, True  # type: ignore[attr-defined]

    @property
    def has_lost_its_server(self) -> bool:
        return self._popen is not None and self._popen.lost  # type: ignore[attr-defined]


class _Popen(popen_forkserver.Popen):
    lost = False
    """Whether its server was killed, and it for that."""

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        """The exit status, once there is one. It comes from the server; multiprocessing would make 255 of none."""
        if self.returncode is None and wait([self.sentinel], 0 if flag == os.WNOHANG else None):
            try:
                self.returncode = forkserver.read_signed(self.sentinel)
            except (OSError, EOFError):
                self.returncode, self.lost = -signal.SIGKILL, True
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)
        return self.returncode


def want(hash_seed: int, preload: tuple[str, ...]) -> None:
    """Let processes come of a server with this hash seed, and one that is started here import these modules."""
    if _wanted != [(hash_seed, preload)]:
        _leave()  # a running one keeps the environment variables that it started with
        _install(OwnServer(preload))
        _wanted[:] = [(hash_seed, preload)]


def start_process(target: Callable[..., None], arguments: tuple[Any, ...], log: Path) -> Forked:
    """Start a process, and a server before, where none was started.

    :param log: of the job, which is told why a server that the run shares is not used
    """
    if _wanted:
        _have_server(log)
    process = Forked(target=target, args=arguments)
    try:
        process.start()
    except (OSError, EOFError, ProcessError) as error:
        if not _wanted:
            raise
        _start_own(f"it cannot be reached ({type(error).__name__}: {error})", log)
        process = Forked(target=target, args=arguments)
        process.start()
    return process


def have_short_place_for_sockets() -> None:
    """Let multiprocessing keep its sockets below ``/tmp`` where ``TMPDIR`` is too long; all processes inherit that."""
    usual = tempfile.tempdir
    tempfile.tempdir = shared_servers.place_for_sockets()
    try:
        util.get_temp_dir()
    finally:
        tempfile.tempdir = usual


def _have_server(log: Path) -> None:
    server: Any = forkserver._forkserver
    folder = os.environ.get(VARIABLE)
    if isinstance(server, OfTheRun):
        return
    if server._forkserver_pid is None and folder:
        ((hash_seed, _),) = _wanted
        try:
            _install(OfTheRun(Path(folder), hash_seed))
        except NotSharedError as error:
            _start_own(str(error), log)
    else:
        shared_servers.start(server)


def _start_own(why: str, log: Path) -> None:
    """Start a server for this process alone, because the one that it would use cannot be used."""
    with contextlib.suppress(OSError), open(log, "a", encoding="utf-8") as file:
        file.write(f"A fork server is started for this job instead of the run's: {why}\n")
    ((_, preload),) = _wanted
    _leave()
    _install(OwnServer(preload))
    shared_servers.start(forkserver._forkserver)


def _leave() -> None:
    """Use a fork server no more, and end one that was started here.

    It is killed: left to itself it waits for everybody who has inherited its pipe.
    """
    server: Any = forkserver._forkserver
    if isinstance(server, OfTheRun):
        server.leave()
        return
    if server._forkserver_pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(server._forkserver_pid, signal.SIGKILL)
    server._stop()


def _install(server: forkserver.ForkServer) -> None:
    """Let multiprocessing use a fork server. The module keeps methods of the one that it uses as its functions."""
    forkserver._forkserver = server
    for name in ("ensure_running", "get_inherited_fds", "connect_to_new_process", "set_forkserver_preload"):
        setattr(forkserver, name, getattr(server, name))
