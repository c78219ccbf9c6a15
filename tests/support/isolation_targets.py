"""Functions that ``test_isolation`` calls in child processes. Little is imported, so that a child starts at once."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from multiprocessing import util
from multiprocessing.connection import Listener
from pathlib import Path
from typing import Any

from reload_audit.processes.under_way import _Call, hand_over, seconds_left

SLEEPER = "import time; time.sleep(120)"


def give(value: Any) -> Any:
    """Return the argument."""
    return value


def give_nested(depth: int) -> Any:
    """Return a list in a list in a list, so many times."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def process_ids() -> tuple[int, int]:
    """Return the ids of this process and of its parent."""
    return os.getpid(), os.getppid()


def listen() -> bool:
    """Listen at a socket, as whoever starts a fork server of his own does."""
    with Listener(family="AF_UNIX") as listener:
        return Path(str(listener.address)).exists()


def turn_the_clock_back() -> None:
    """Let the clock go to 1970, as far as this process can see."""
    time.time = lambda: 0.0


def raise_error(message: str) -> None:
    """Raise a KeyError."""
    raise KeyError(message)


class _Unspeakable(Exception):
    def __str__(self) -> str:
        raise AttributeError("not set yet")


def raise_what_cannot_be_said() -> None:
    """Raise an exception whose text raises another one."""
    raise _Unspeakable


def raise_system_exit(status: int) -> None:
    """Leave by ``sys.exit``."""
    sys.exit(status)


def exit_at_once(status: int) -> None:
    """Leave without any clean-up."""
    os._exit(status)


def die_of(number: int) -> None:
    """Send this process a signal, and wait for it."""
    os.kill(os.getpid(), number)
    time.sleep(60)


def read_address_zero() -> None:
    """Cause a real segmentation fault."""
    ctypes.string_at(0)


def sleep(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)


def ignore_termination_and_sleep() -> None:
    """Ignore SIGTERM, and wait for two minutes."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(120)


def start_worker(pid_file: str, seconds: float) -> int:
    """Start a process that outlives this call, write its id into a file, and wait."""
    worker = subprocess.Popen([sys.executable, "-c", SLEEPER])
    Path(pid_file).write_text(str(worker.pid))
    time.sleep(seconds)
    return worker.pid


def start_worker_and_die(pid_file: str) -> None:
    """Start a process that outlives this one, and leave with status 3."""
    start_worker(pid_file, 0.0)
    os._exit(3)


def note_own_id_and_sleep(pid_file: str) -> None:
    """Write this process's id into a file, and wait for two minutes."""
    Path(pid_file).write_text(str(os.getpid()))
    time.sleep(120)


def leave_a_thread_running() -> str:
    """Return while a thread goes on for two minutes."""
    threading.Thread(target=time.sleep, args=(120,)).start()
    return "done"


def hold(mebibytes: int) -> None:
    """Hold so many MiB for a minute."""
    held = b"x" * (mebibytes * 2**20)
    time.sleep(60)
    del held


def hold_in_workers(mebibytes: int, workers: int) -> None:
    """Hold so many MiB in each of some processes for a minute."""
    code = f"import time; held = b'x' * ({mebibytes} * 2**20); time.sleep(120)"
    for _ in range(workers):
        subprocess.Popen([sys.executable, "-c", code])
    time.sleep(60)


def share_with_forks(mebibytes: int, forks: int, seconds: float) -> str:
    """Hold memory that forked processes share: resident in each of them, and there only once."""
    held = b"x" * (mebibytes * 2**20)
    children = []
    for _ in range(forks):
        child = os.fork()
        if child == 0:
            time.sleep(seconds)
            os._exit(0)
        children.append(child)
    time.sleep(seconds)
    for child in children:
        os.waitpid(child, 0)
    return f"held {len(held) // 2**20} MiB"


def print_lines(lines: int, width: int) -> str:
    """Print so many lines of this width."""
    for _ in range(lines):
        print("x" * width)
    return "printed"


def print_for_ever() -> None:
    """Print without end."""
    print("the beginning")
    line = b"x" * 100_000 + b"\n"
    while True:
        os.write(1, line)


def print_much() -> None:
    """Print 20 megabytes between a first and a last line."""
    print("the beginning")
    print_lines(20_000, 1000)
    print("the end")


def fork_and_go_on(times: int) -> int:
    """Fork; the children return too, with another value than the parent."""
    children = sum(os.fork() > 0 for _ in range(times))
    if children < times:
        time.sleep(0.2)
        return -1
    time.sleep(1.0)
    return children


def fork_and_raise_in_the_child() -> str:
    """Fork; the child raises, and the parent returns."""
    if os.fork() == 0:
        raise RuntimeError("in the child")
    time.sleep(1.0)
    return "in the parent"


def print_everywhere() -> None:
    """Print from Python, to standard error, from C and from another process."""
    print("from print")
    print("from standard error", file=sys.stderr)
    os.write(1, b"from the C level\n")
    subprocess.run([sys.executable, "-c", "print('from a worker')"], check=True)


def save_to_a_full_disk() -> None:
    """Fail to write to a full disk as SB3 does: with another error on top."""
    with open("/dev/full", "wb", buffering=0) as file:
        try:
            file.write(b"weights")
        except OSError:
            raise RuntimeError("unexpected pos") from None


def print_to_a_full_disk() -> str:
    """Let standard output and error end on a full disk, print to both, and return."""
    with open("/dev/full", "w") as full:
        os.dup2(full.fileno(), 1)
        os.dup2(full.fileno(), 2)
    print("lost")
    print("lost too", file=sys.stderr, flush=True)
    return "measured"


def raise_with_a_log_on_a_full_disk() -> None:
    """Raise when nothing more can be printed."""
    print_to_a_full_disk()
    raise KeyError("why")


def print_and_exit(text: str) -> None:
    """Print, and leave without any clean-up with status 1."""
    print(text, flush=True)
    os._exit(1)


def environment(*names: str) -> dict[str, str | None]:
    """Return the values of environment variables; None where one is not set."""
    return {name: os.environ.get(name) for name in names}


def hash_of(text: str) -> int:
    """Return the hash of a text in this process."""
    return hash(text)


def is_imported(module: str) -> bool:
    """Return whether a module has been imported."""
    return module in sys.modules


def give_what_cannot_be_sent() -> Any:
    """Return something that cannot be pickled."""
    return lambda: None


def hang_up_and_leave_after(seconds: float) -> None:
    """Close the connection to the caller, and take so many seconds to leave."""
    util.Finalize(None, time.sleep, (seconds,), exitpriority=0)
    time.sleep(0.5)  # by then the thread that watches the caller waits, and does not notice what is closed
    os.closerange(3, 1000)


class Unreadable:
    """Can be pickled, and raises when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return raise_error, ("cannot be unpacked",)


def be_killed_the_first_time(note: str, sending: bool) -> str:
    """Kill this process, in the middle of a result or before, unless a file says that this has happened before."""
    if not Path(note).exists():
        Path(note).touch()
        if sending:
            assert _Call.sender is not None
            os.write(_Call.sender.fileno(), struct.pack("!i", 1000) + b"the first of 1000 bytes")
        os.kill(os.getpid(), signal.SIGKILL)
    return "second try"


def import_all(names: Sequence[str]) -> None:
    """Import what there is of some modules."""
    for name in names:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def run_python(code: str) -> str:
    """What an interpreter prints that is started in the usual way."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def print_text(text: str) -> None:
    """Print a text."""
    print(text, end="")


def hand_over_and_sleep(values: Sequence[Any], seconds: float) -> str:
    """Hand values over one after the other, then sleep."""
    for value in values:
        hand_over(value)
    time.sleep(seconds)
    return "done"


def hand_over_and_die(value: Any) -> None:
    """Hand a value over, then be killed for a reason of one's own."""
    hand_over(value)
    os.kill(os.getpid(), signal.SIGSEGV)


def time_left() -> float:
    """Return how many seconds this call has left."""
    return seconds_left()


def working_folder() -> str:
    """Return the working directory."""
    return str(Path.cwd())


def kill_the_server_the_first_time(note: str) -> str:
    """Kill the process that this one was forked from, and go on; not in a second try."""
    if Path(note).exists():
        return "second try"
    Path(note).write_text(f"{os.getpid()} {os.getppid()}")
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)
    return "first try"


def kill_the_server_then_be_killed(notes: str) -> str:
    """Kill the process that this one was forked from; in a second try this one; then give a value."""
    folder = Path(notes)
    tries = len([*folder.iterdir()])
    (folder / str(tries)).touch()
    if tries < 2:
        os.kill(os.getppid() if tries == 0 else os.getpid(), signal.SIGKILL)
        time.sleep(600)
    return f"try {tries + 1}"


def stop_the_server() -> None:
    """Stop the process that this one was forked from, then do nothing for a long time."""
    os.kill(os.getppid(), signal.SIGSTOP)
    time.sleep(600)


def draw() -> float:
    """Return a number of NumPy's global generator, which nobody has seeded."""
    return float(importlib.import_module("numpy").random.rand())
