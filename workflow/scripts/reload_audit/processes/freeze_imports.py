"""What a fork server does after it has imported all else.

It looks for garbage, for the first time, and exempts the modules from that: otherwise each of its processes searches
their objects again and again. It lets Ctrl-C through again, which was held back while it imported, after forgetting any
that came: the server ends with its caller, without a traceback. And it lets the server end at once, without taking down
what it has imported.
"""

import atexit
import gc
import os
import signal

gc.collect()
gc.freeze()
gc.enable()

_usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
signal.signal(signal.SIGINT, _usual)


def _end_at_once(server: int) -> None:
    """End this process if it is the server, and not one that was copied from it.

    :param server: its id
    """
    if os.getpid() == server:
        os._exit(0)


atexit.register(_end_at_once, os.getpid())
