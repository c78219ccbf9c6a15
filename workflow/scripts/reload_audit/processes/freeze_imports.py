"""What a fork server does after it has imported all else.

It looks for garbage, for the first time, and exempts the modules from that: otherwise each of its processes searches
their objects again and again. It lets Ctrl-C through again, which was held back while it imported, after forgetting any
that came: the server ends with its caller, without a traceback. And it leaves a file that says so in the run's folder.
"""

import contextlib
import gc
import os
import signal
from pathlib import Path

from reload_audit.processes.fork_servers import VARIABLE, file_of_imported

gc.collect()
gc.freeze()
gc.enable()

_usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
signal.signal(signal.SIGINT, _usual)

with contextlib.suppress(LookupError, OSError):  # no server of a run, or its folder is gone
    file_of_imported(Path(os.environ[VARIABLE]), os.getpid()).touch()
