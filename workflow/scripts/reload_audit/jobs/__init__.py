"""What a job does in its own interpreter: start fresh processes, and turn whatever happens there into a record.

Nothing here imports PyTorch: only the fresh processes do.

A model that fails to train, load or run is a finding, written down like any other. Only what happens to the job itself
(a full disk, a lost node) fails it.
"""

FORMAT = 1
"""Version of the manifest and of the reload record."""

TRAIN_HASH_SEED = 0
"""PYTHONHASHSEED of training, always the same, so that results are reproducible."""

RELOAD_HASH_SEED = 1
"""PYTHONHASHSEED of a reload: another one, so that an environment that depends on hash order cannot hide."""

LIBRARIES = ("stable_baselines3", "sb3_contrib", "scipy.special")
"""What takes long to import: fork servers do so once for all their processes. Nothing of a model's is among it."""
