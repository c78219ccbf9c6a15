"""Imported by a fork server when it has imported all else: what is there stays, so nobody looks through it for garbage.

Without it, each of its processes does so again and again, and so does the server, for half a second, when it ends.
"""

import gc

gc.collect()
gc.freeze()
