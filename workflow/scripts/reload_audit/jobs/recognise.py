"""Try guesses of the environments that models were trained in, in a process with limits of time and memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from reload_audit.processes import isolation
from reload_audit.processes.fork_servers import TRAIN_HASH_SEED

_SECONDS = 60.0


def try_guesses(
    guesses: Sequence[Mapping[str, object]],
    trusted: Sequence[str],
    replacements: Mapping[str, str],
    log: Path,
    memory: int,
) -> list[dict[str, object]] | None:
    """What ``environments.recognition.try_guesses`` gives; None where its process came to nothing.

    :param log: takes what environments print
    :param memory: MiB that the process may hold
    """
    isolation.prepare("spawn", hash_seed=TRAIN_HASH_SEED)
    outcome = isolation.call(
        "reload_audit.environments.recognition:try_guesses",
        (guesses, trusted, replacements),
        method="spawn",
        log=log,
        timeout=_SECONDS,
        memory=memory,
    )
    return outcome.value if outcome.failure is None else None
