"""What a fork server does before it imports anything else: look for no garbage until it has imported all.

Nearly everything that imports make stays; looking through it again and again would take a seventh of their time.
"""

import gc

gc.disable()
