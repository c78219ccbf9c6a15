"""Which fork servers the jobs of a run share, and what these import.

Only the main process of a run imports this file: what it names would else count as code that decides each job's result.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from reload_audit.processes import shared_servers
from reload_audit.processes.fork_servers import JUDGING, LIBRARIES, RELOAD_HASH_SEED, TRAIN_HASH_SEED

_PROBING = ("yaml", "reload_audit.probing.run_scenario", "reload_audit.probing.checkers")

PRELOAD = {
    TRAIN_HASH_SEED: (*LIBRARIES, "reload_audit.training.train", *_PROBING),
    RELOAD_HASH_SEED: (
        *LIBRARIES,
        *JUDGING,
        "reload_audit.evaluation.trained",
        "reload_audit.evaluation.external",
        "reload_audit.diagnosis.examine",
        *_PROBING,
    ),
}
"""What the fresh processes of most jobs import, by the hash seed of their server: every job of a run waits for one.

Those of a script or a replay import the little that is missing.
"""

_HASH_SEEDS = {
    "train": (TRAIN_HASH_SEED,),
    "reload": (RELOAD_HASH_SEED,),
    "audit_external": (RELOAD_HASH_SEED,),
    "observe": (RELOAD_HASH_SEED,),
    "probe": (TRAIN_HASH_SEED, RELOAD_HASH_SEED),
    "replay": (RELOAD_HASH_SEED,),
}
"""Of the fork servers that the jobs of a rule use."""


def share_servers(rules: Iterable[str]) -> None:
    """Start the fork servers that jobs will use. Where they cannot be started, each job starts its own.

    :param rules: of the jobs that are to run
    """
    for hash_seed in sorted({hash_seed for rule in {*rules} for hash_seed in _HASH_SEEDS.get(rule, ())}):
        with contextlib.suppress(OSError, ValueError):
            shared_servers.share([hash_seed], PRELOAD[hash_seed])
