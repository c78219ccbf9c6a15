"""What a job does in its own interpreter: start fresh processes, and turn whatever happens there into a record.

Nothing here imports PyTorch: only the fresh processes do.

A model that fails to train, load or run is a finding, written down like any other. Only what may well succeed the
next time (a process killed from outside) fails the job.
"""

FORMAT = 1
"""Version of the manifest and of the reload record."""

TRAIN_HASH_SEED = 0
"""PYTHONHASHSEED of training, always the same, so that results are reproducible."""

RELOAD_HASH_SEED = 1
"""PYTHONHASHSEED of a reload: another one, so that an environment that depends on hash order cannot hide."""
