"""Probe an environment: same seeds, same actions, one thing changed; what differs, and by which mechanism.

``contrasts`` decides what to run, ``scenario`` runs it in a process of its own, ``conclusions`` says what follows.
"""
