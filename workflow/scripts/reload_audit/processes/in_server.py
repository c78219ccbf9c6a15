"""What a fork server does before a process is forked from it: it imports what most of its processes need.

It looks for no garbage: nearly everything that imports make stays, and looking through it again and again would take a
fifth of their time. Then it exempts all of it from that, as each of its processes would search the same objects again.
It ends at once, after what libraries have registered to be called at the end, and without taking down what it has
imported.

What cannot be imported is said once, and is left to the processes that need it, which fail of it. Ctrl-C was held back
while the server imported; any that came is forgotten: the server ends with its caller, without a traceback.
"""

import atexit
import contextlib
import gc
import importlib
import os
import signal
import sys
from pathlib import Path

from reload_audit.processes.fork_servers import PRELOAD, VARIABLE, file_of_imported
from reload_audit.processes.outcome import error_said

_RUN_BY_ALL = "reload_audit.processes.called"

_SAID = "said"
"""File in the folder of a run's servers: one of them has said what cannot be imported."""


def _end_at_once(server: int) -> None:
    """End this process if it is the server, and not one that was copied from it.

    :param server: its id
    """
    if os.getpid() == server:
        os._exit(0)


def _import(names: list[str], folder: Path | None) -> None:
    """Import modules, and say of the first that cannot be what is wrong.

    :param folder: of the run, where this is a server of one
    """
    failed = {}
    for name in names:
        try:
            importlib.import_module(name)
        except (Exception, SystemExit) as error:
            failed[name] = error_said(error)
    if not failed:
        return
    with contextlib.suppress(OSError):  # it is said already, or the folder is gone
        if folder is not None:
            (folder / _SAID).touch(exist_ok=False)
        name, said = next(iter(failed.items()))
        print(
            f"Expected that {sys.executable} can import {name}; found {said}. Whatever needs it will fail: "
            "install again what requirements.txt lists, or start the audit with a Python that has it.",
            file=sys.stderr,
            flush=True,
        )


atexit.register(_end_at_once, os.getpid())  # before all imports, hence called after what these register
gc.disable()
_folder = Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None
_import([_RUN_BY_ALL, *os.environ[PRELOAD].split()], _folder)
gc.freeze()
gc.enable()

_usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
signal.signal(signal.SIGINT, _usual)

if _folder is not None:
    with contextlib.suppress(OSError):
        file_of_imported(_folder, os.getpid()).touch()
