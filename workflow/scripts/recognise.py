"""Try guesses of environments while an audit is planned. They come as JSON on standard input; JSON is the answer.

usage: recognise.py LOG MIB_OF_MEMORY
"""

import json
import sys
from pathlib import Path

from reload_audit.jobs.recognise import try_guesses


def main(asked: dict, log: Path, memory: int) -> str:
    """What became of each guess, as JSON; ``null`` where that cannot be told."""
    return json.dumps(try_guesses(asked["guesses"], asked["trust"], asked["env_versions"], log, memory))


if __name__ == "__main__":
    print(main(json.load(sys.stdin), Path(sys.argv[1]), int(sys.argv[2])))
