"""Settings of fork servers: the hash seed of their processes, and the libraries that they import beforehand."""

TRAIN_HASH_SEED = 0
"""PYTHONHASHSEED of training, always the same, so that results are reproducible."""

RELOAD_HASH_SEED = 1
"""PYTHONHASHSEED of a reload: another one, so that an environment that depends on hash order cannot hide."""

LIBRARIES = ("stable_baselines3", "sb3_contrib", "scipy.special")
"""What takes long to import, which a fork server does once for all its processes. No model's own code is among it."""
