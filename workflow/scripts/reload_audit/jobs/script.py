"""Observe a script of the user's: run it in a fresh process, and write down what it was seen to do."""

from __future__ import annotations

import tempfile
from pathlib import Path

from reload_audit.processes import isolation
from reload_audit.processes.fork_servers import LIBRARIES, RELOAD_HASH_SEED
from reload_audit.records.script_record import ScriptRecord
from reload_audit.records.specs import ScriptSpec

_OBSERVE = "reload_audit.observing.run_script:observe_script"

PRELOAD = (*LIBRARIES, _OBSERVE.partition(":")[0])


def observe(spec: ScriptSpec, method: isolation.Method, record: Path, log: Path) -> None:
    """Run a script under its limits, observed, and write its record.

    :param record: the JSON file to write
    :param log: takes what the script prints
    """
    isolation.prepare(method, hash_seed=RELOAD_HASH_SEED, preload=PRELOAD)
    with tempfile.TemporaryDirectory() as folder:
        outcome = isolation.call(
            _OBSERVE, (spec, folder), method=method, log=log, timeout=spec.timeout, memory=spec.memory
        )
    ScriptRecord(spec, outcome.value, outcome.failure, outcome.usage, str(log)).write(record)
