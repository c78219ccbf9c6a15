"""Run Snakemake in copies of one process that has imported it: a test then waits for the workflow alone.

A copy does what ``python -m snakemake`` does, in a folder and with an environment of its own.
"""

from __future__ import annotations

import functools
import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn


def run(folder: Path, arguments: list[str], environment: dict[str, str], output: Path, timeout: float) -> int:
    """Run Snakemake to its end; its exit status. What it prints goes into ``output``.

    :param timeout: seconds
    :raises subprocess.TimeoutExpired: after these
    """
    server = _server()
    call = {
        "folder": str(folder),
        "arguments": arguments,
        "environment": environment,
        "output": str(output),
    }
    server.stdin.write(json.dumps(call) + "\n")
    server.stdin.flush()
    if not select.select([server.stdout], [], [], timeout)[0]:
        server.kill()
        raise subprocess.TimeoutExpired(["snakemake", *arguments], timeout)
    return int(server.stdout.readline())


@functools.cache
def _server() -> Any:
    """The process that has imported Snakemake; it ends with the tests' own."""
    return subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _serve() -> None:
    import snakemake.cli

    for line in sys.stdin:
        copy = os.fork()
        if copy == 0:
            _become_snakemake(snakemake.cli.main, **json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]), flush=True)


def _become_snakemake(
    main: Any, folder: str, arguments: list[str], environment: dict[str, str], output: str
) -> NoReturn:
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    with open(os.devnull) as nothing, open(output, "w") as file:
        os.dup2(nothing.fileno(), 0)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = [str(Path(sys.modules["snakemake"].__file__ or "").with_name("__main__.py")), *arguments]
    sys.path[0] = folder
    main()
    sys.exit()


if __name__ == "__main__":
    _serve()
