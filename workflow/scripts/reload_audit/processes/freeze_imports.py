"""What a fork server does after it has imported all else.

It looks for garbage, for the first time, and exempts the modules from that: otherwise each of its processes searches
their objects again and again, and the server once more when it ends, which takes half a second. And it lets Ctrl-C
through again, which was held back while it imported, after forgetting any that came: the server ends with its caller,
without a traceback.
"""

import gc
import signal

gc.collect()
gc.freeze()
gc.enable()

_usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
signal.signal(signal.SIGINT, _usual)
