"""Try every experiment before anything runs. Their training specs come as JSON on standard input.

usage: check.py NAME_OF_THE_CONFIGURATION LOG MIB_OF_MEMORY forkserver|spawn
"""

import json
import sys
from pathlib import Path

from reload_audit.jobs.check import ConfigurationRefused, check_experiments
from reload_audit.processes.isolation import Method


def main(experiments: list, source: str, log: Path, memory: int, method: Method) -> str | None:
    """What is wrong with the experiments, as a message; None where nothing is."""
    try:
        check_experiments([(where, spec) for where, spec in experiments], source, log, memory, method)
    except ConfigurationRefused as error:
        return str(error)
    return None


if __name__ == "__main__":
    sys.exit(main(json.load(sys.stdin), sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
