"""Which fork servers the jobs of a run share, and what these import.

Only the main process of a run imports this file: what it names would else count as code that decides each job's result.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from reload_audit.processes import shared_servers
from reload_audit.processes.fork_servers import LIBRARIES, RELOAD_HASH_SEED, TRAIN_HASH_SEED

PRELOAD = (
    *LIBRARIES,
    "yaml",
    "reload_audit.training.train",
    "reload_audit.evaluation.trained",
    "reload_audit.evaluation.external",
    "reload_audit.diagnosis.examine",
    "reload_audit.probing.run_scenario",
    "reload_audit.probing.checkers",
)
"""What the fresh processes of most jobs import; those of a script or a replay import the little that is missing."""

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
    hash_seeds = sorted({hash_seed for rule in {*rules} for hash_seed in _HASH_SEEDS.get(rule, ())})
    if hash_seeds:
        with contextlib.suppress(OSError, ValueError):
            shared_servers.share(hash_seeds, PRELOAD)
