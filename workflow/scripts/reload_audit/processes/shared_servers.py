"""Fork servers that all jobs of a run on this machine share, so that PyTorch is imported once for a hash seed.

The main process of the run starts them, and names in an environment variable the private folder in which it says how
each is reached and what it was started with. A job that would start another one (with another interpreter, library,
environment, limit or control group, such as a cluster's) does not use them. They end with the main process, whatever
ends it, because it alone holds the pipes that they wait for.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import hashlib
import json
import multiprocessing
import os
import resource
import shutil
import signal
import site
import stat
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from multiprocessing import forkserver, resource_tracker, util
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from reload_audit.processes.fork_servers import OF_A_JOB, PRELOAD, VARIABLE, file_of_imported
from reload_audit.processes.search_path import LIBRARY, guarded_children

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")

_LONGEST_PLACE = 60
"""Characters of the folder for temporary files: a socket's path has 107, of which multiprocessing needs some 35."""

ANSWER_SECONDS = 300.0
"""How long a server may take to answer: it first imports all, which takes minutes from a slow disk."""

_ENDING_SECONDS = 5.0
_LIMITS = [name for name in dir(resource) if name.startswith("RLIMIT_")]
_NAMESPACES = ("mnt", "pid", "net", "user", "ipc")
_PREFIX, _OWNED = "reload-audit-", "owned"
"""How a run's folder is called, and the file in it that its main process keeps locked."""


class NotSharedError(Exception):
    """A fork server of the run cannot be used; the message says why."""


class OfTheRun(forkserver.ForkServer):
    """A fork server that the main process of the run has started: processes come of it, and no other is started.

    :param folder: that the run's servers share
    :param hash_seed: PYTHONHASHSEED of its processes
    :raises NotSharedError: there is none that this process would have started itself
    """

    def __init__(self, folder: Path, hash_seed: int) -> None:
        super().__init__()
        try:
            if not _is_private(folder):
                raise NotSharedError(f"{folder} is open to others")
            file = folder / f"{hash_seed}.json"
            if not file.exists():
                raise NotSharedError(f"the run has none with the hash seed {hash_seed}")
            said = json.loads(file.read_text(encoding="utf-8"))
            different = [*_different(said["circumstances"], _circumstances())]
            self._forkserver_address, self._forkserver_authkey = said["address"], bytes.fromhex(said["authkey"])
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise NotSharedError(f"{type(error).__name__}: {error}") from None
        if different:
            raise NotSharedError(f"it was started with other {', other '.join(different)}")
        # What a process of it holds of its caller's; a process that is left over must not keep the server alive.
        self._forkserver_alive_fd = os.open(os.devnull, os.O_RDONLY)

    def ensure_running(self) -> None:
        """Make sure of the resource tracker alone."""
        resource_tracker.ensure_running()

    def connect_to_new_process(self, fds: Sequence[int]) -> tuple[int, int]:
        """Ask for a process; the two ends of pipes from and to it.

        :raises OSError: the server does not answer, such as one that was stopped
        """
        ends: tuple[int, int] = super().connect_to_new_process(fds)
        if not wait([ends[0]], ANSWER_SECONDS):
            for end in ends:
                os.close(end)
            raise TimeoutError(f"it has not answered for {ANSWER_SECONDS:g} seconds")
        return ends

    def leave(self) -> None:
        """Use it no more."""
        os.close(self._forkserver_alive_fd)


_started: dict[int, Any] = {}
"""The fork servers that this process has started for its jobs, by the hash seed."""

_held: list[tuple[Path, int | None]] = []
"""This process's folder, and what marks it as its own: an open file, as long as this process lives."""


def share(hash_seeds: Iterable[int], preload: Iterable[str]) -> None:
    """Start fork servers for the jobs that this process is going to start, but for those that run. They end with it.

    :param hash_seeds: PYTHONHASHSEED of each
    :param preload: modules that they import
    """
    folder = _folder()
    os.environ[VARIABLE] = str(folder)
    for hash_seed in {*hash_seeds} - {*_started}:
        with one_thread_and(hash_seed), guarded_children(), _sockets_in(folder):
            server: Any = OwnServer(preload)
            start(server)
            _started[hash_seed] = server
            said = {
                "address": server._forkserver_address,
                "authkey": (getattr(server, "_forkserver_authkey", None) or b"").hex(),
                "circumstances": _circumstances(),
            }
        file = folder / f"{hash_seed}.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(said), encoding="utf-8")


def _folder() -> Path:
    """The private folder of this process's servers, which is made when it is asked for first."""
    if not _held:
        _remove_abandoned()
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place_for_sockets()))
        _held.append((folder, _own(folder)))
        atexit.register(_stop, os.getpid())
    return _held[0][0]


def _own(folder: Path) -> int | None:
    """Mark a folder as this process's, until it ends or closes what this returns.

    :return: the marking file, locked; None where files cannot be locked, and nobody removes what is not marked
    """
    new = folder / "new"
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    new.rename(folder / _OWNED)  # before, another run could lock it
    return descriptor


def _remove_abandoned() -> None:
    """Remove the folders of this user's runs whose main process was killed."""
    for folder in Path(place_for_sockets()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # no such file, or a run that goes on
            if not _is_private(folder):
                continue
            descriptor = os.open(folder / _OWNED, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            finally:
                os.close(descriptor)


def _is_private(folder: Path) -> bool:
    """Whether it is a folder of this user's, closed to others.

    :raises OSError: there is none
    """
    seen = folder.lstat()
    return stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.geteuid() and not seen.st_mode & 0o077


class OwnServer(forkserver.ForkServer):
    """A fork server of this process, not started yet.

    :param preload: modules that it imports
    """

    def __init__(self, preload: Iterable[str]) -> None:
        super().__init__()
        self._imports = " ".join(preload)
        self.set_forkserver_preload(["reload_audit.processes.in_server"])

    def ensure_running(self) -> None:
        """Start it, if it does not run."""
        os.environ[PRELOAD] = self._imports
        try:
            super().ensure_running()
        finally:
            del os.environ[PRELOAD]


def start(server: forkserver.ForkServer) -> None:
    """Start a fork server, if it does not run.

    Ctrl-C is held back from it until it has imported all: it would say with a traceback what it was about to import.
    """
    resource_tracker.ensure_running()  # to start that lets Ctrl-C through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        server.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def place_for_sockets() -> str:
    """The folder for temporary files, or ``/tmp`` where its path is too long for sockets in it."""
    usual = tempfile.gettempdir()
    return usual if len(usual) <= _LONGEST_PLACE else "/tmp"  # noqa: S108  what is made in it is this user's alone


def set_variables(hash_seed: int) -> None:
    """Set the environment variables of all processes that this one starts: hash seed, and one thread a library."""
    os.environ.update(dict.fromkeys(THREADS, "1"), PYTHONHASHSEED=str(hash_seed))


@contextlib.contextmanager
def one_thread_and(hash_seed: int) -> Iterator[None]:
    """Set these variables while the block runs."""
    before = {name: os.environ.get(name) for name in (*THREADS, "PYTHONHASHSEED")}
    set_variables(hash_seed)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


@contextlib.contextmanager
def _sockets_in(folder: Path) -> Iterator[None]:
    """Let multiprocessing keep its sockets in a folder, which it does not remove, while the block runs."""
    settings: dict[str, object] = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    before = settings.get("tempdir")
    settings["tempdir"] = str(folder)
    try:
        yield
    finally:
        settings["tempdir"] = before


def _circumstances() -> dict[str, dict[str, str]]:
    """What a server hands down to its processes, or has imported by: digests by kind and name."""
    umask = os.umask(0o077)
    os.umask(umask)
    flags = {*util._args_from_interpreter_flags()} - {"-P"}  # type: ignore[attr-defined]  # guarded_children sets that
    packages = [*site.getsitepackages(), site.getusersitepackages()]
    found: dict[str, Mapping[str, object]] = {
        "interpreter": {"path": sys.executable, "version": sys.version, "flags": sorted(flags)},
        "library": {"files": _library(), "packages": [_changed(folder) for folder in packages]},
        "environment": {
            "place for temporary files": tempfile.gettempdir(),
            **{name: value for name, value in os.environ.items() if name not in OF_A_JOB},
        },
        "limits": {
            **{name: resource.getrlimit(getattr(resource, name)) for name in _LIMITS},
            "umask": umask,
            "cores": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [],
            "priority": os.getpriority(os.PRIO_PROCESS, 0),
            "scheduling": os.sched_getscheduler(0) if hasattr(os, "sched_getscheduler") else 0,
            "signals": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
            "groups": sorted(os.getgroups()),
        },
        "control group": {
            "path": _text("/proc/self/cgroup"),
            **{name: _link(f"/proc/self/{name}") for name in ("root", *(f"ns/{kind}" for kind in _NAMESPACES))},
        },
    }
    return {
        kind: {name: hashlib.sha256(repr(value).encode()).hexdigest() for name, value in values.items()}
        for kind, values in found.items()
    }


def _different(before: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """The kinds of circumstances that are other ones, each with what of it is."""
    for kind, values in now.items():
        names = [name for name in {**before[kind], **values} if before[kind].get(name) != values.get(name)]
        if names:
            yield f"{kind} ({', '.join(names)})"


def _library() -> list[tuple[str, int, int]]:
    files = sorted(Path(LIBRARY, "reload_audit").rglob("*.py"))
    return [(str(file), seen.st_mtime_ns, seen.st_size) for file in files for seen in [file.stat()]]


def _changed(folder: str) -> int:
    try:
        return Path(folder).stat().st_mtime_ns
    except OSError:
        return 0


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""


def _stop(owner: int) -> None:
    """End the servers, kill those that still import or take too long, and remove their folder.

    :param owner: the process that started them, and that may end them
    """
    if os.getpid() != owner:
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # Ctrl-C would leave the folder
    try:
        for server in _started.values():
            os.close(server._forkserver_alive_fd)
            if not file_of_imported(_folder(), server._forkserver_pid).exists():  # it does not look at its pipe yet
                with contextlib.suppress(ProcessLookupError):
                    os.kill(server._forkserver_pid, signal.SIGKILL)
        deadline = time.monotonic() + _ENDING_SECONDS
        for server in _started.values():
            _wait_for(server._forkserver_pid, deadline)
        _started.clear()
        while _held:
            folder, descriptor = _held.pop()
            if descriptor is not None:
                os.close(descriptor)
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait_for(server: int, deadline: float) -> None:
    """Wait until a server has ended, and kill it at the deadline, of ``time.monotonic``."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(server, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(server, signal.SIGKILL)
                os.waitpid(server, 0)
                return
            time.sleep(0.01)
