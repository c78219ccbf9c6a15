"""Settings of fork servers: hash seeds of their processes, libraries that they import beforehand, and their folder."""

from pathlib import Path

TRAIN_HASH_SEED = 0
"""PYTHONHASHSEED of training, always the same, so that results are reproducible."""

RELOAD_HASH_SEED = 1
"""PYTHONHASHSEED of a reload: another one, so that an environment that depends on hash order cannot hide."""

LIBRARIES = ("stable_baselines3", "sb3_contrib")
"""What takes long to import, which a fork server does once for all its processes. No model's own code is among it."""

JUDGING = ("scipy.special",)
"""What processes import besides that judge what they measure."""

VARIABLE = "RELOAD_AUDIT_FORK_SERVERS"
"""Names the folder of the run's fork servers to them and to its jobs."""

PRELOAD = "RELOAD_AUDIT_PRELOAD"
"""Names to a fork server the modules that it imports."""

OF_A_JOB = {
    *("_", "OLDPWD", "PWD", "SHLVL", "TMPDIR", "TEMPDIR", "TMP", "TEMP", VARIABLE, PRELOAD),
    *("GOTO_NUM_THREADS", "JULIA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
}
"""Environment variables that a shell or Snakemake sets for a job, and that change nothing in what a server imports."""


def file_of_imported(folder: Path, server: int) -> Path:
    """The file by which a fork server says that it has imported all.

    :param folder: of the run
    :param server: its process id
    """
    return folder / f"imported-{server}"
