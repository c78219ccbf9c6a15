"""What a fork server does before it imports anything else.

It looks for no garbage until it has imported all: nearly everything that imports make stays, and looking through it
again and again would take a seventh of their time. And it sees to it that the server ends at once, after what libraries
have registered to be called at the end, and without taking down what it has imported.
"""

import atexit
import gc
import os

gc.disable()


def _end_at_once(server: int) -> None:
    """End this process if it is the server, and not one that was copied from it.

    :param server: its id
    """
    if os.getpid() == server:
        os._exit(0)


atexit.register(_end_at_once, os.getpid())  # before all imports, hence called after what these register
