"""Before anything runs: does every experiment's environment exist, and can its algorithm act there?

Not a rule, because everything would have to wait for it and run again after it. It runs once for a configuration, in
a process of its own, and leaves the resolved configuration beside the results.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from reload_audit.planning.configuration import ConfigError
from reload_audit.planning.resolved import TrainingData
from reload_audit.processes.search_path import for_children, named_in_environment, with_library


def check_experiments(
    experiments: Sequence[tuple[str, TrainingData]],
    checked: str,
    marker: Path,
    script: Path,
    source: str,
    log: Path,
    memory: int,
    isolation: str,
) -> None:
    """Try every experiment, unless the same has been tried before.

    :param experiments: where each stands in the configuration, and a training spec of it
    :param checked: all that decides the outcome, as a text; it is written into ``marker`` when there is no problem
    :param script: ``workflow/scripts/check.py``
    :param source: the configuration's name, for messages
    :param log: takes what the processes print
    :param memory: MiB that trying them may take
    :param isolation: how the processes are started in which they are tried
    :raises ConfigError: experiments cannot start; one line says why of each
    """
    if marker.exists() and marker.read_text(encoding="utf-8") == checked:
        return
    # Where SB3 is missing, jobs bring their own software, and say themselves what is wrong.
    if experiments and importlib.util.find_spec("stable_baselines3") is not None:
        print(f"Checking the experiments of {source}")
        done = subprocess.run(
            [sys.executable, str(script), source, str(log), str(memory), isolation],
            input=json.dumps(experiments),
            stderr=subprocess.PIPE,
            env={**os.environ, **for_children(with_library(named_in_environment()))},
            text=True,
        )
        if done.returncode:
            raise ConfigError(done.stderr.strip())
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.write_text(checked, encoding="utf-8")
