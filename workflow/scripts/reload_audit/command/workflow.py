"""Start the workflow that this library belongs to, wherever that is, and say as what it ended."""

from __future__ import annotations

import contextlib
import fcntl
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from platformdirs import user_cache_dir

from reload_audit.command.mistake import Mistake
from reload_audit.planning.configuration import read_yaml
from reload_audit.planning.discovery.tree import OUTPUT
from reload_audit.processes import search_path

_LIBRARY = Path(__file__).resolve().parents[1]

PROJECT = _LIBRARY / "project" if (_LIBRARY / "project").is_dir() else _LIBRARY.parents[2]
"""The folder of ``Snakefile``, ``workflow`` and ``profiles``: part of the package in a wheel, else the repository."""

INTERRUPTED = 130
"""The exit status after Ctrl-C, as of a shell."""


def snakemake(
    arguments: Sequence[str], folder: Path, variables: Mapping[str, str] | None = None, held: Sequence[int] = ()
) -> int:
    """Start Snakemake on the workflow in a new interpreter, which imports nothing from the working directory.

    :param folder: the working directory
    :param variables: further environment variables
    :param held: open files that it keeps open too: see :func:`alone_in`
    :return: its exit status
    """
    named = [os.path.abspath(entry) for entry in search_path.named_in_environment()]  # noqa: PTH100 a text, as there
    command = [sys.executable, "-P", "-m", "snakemake", "--snakefile", str(PROJECT / "Snakefile"), *arguments]
    environment = {**os.environ, **search_path.for_children(named), **place_of_cache(folder), **(variables or {})}
    interrupted = []
    process = subprocess.Popen(command, cwd=folder, env=environment, pass_fds=held)

    def hand_on(number: int, _frame: object) -> None:
        interrupted.append(number)
        if number == signal.SIGTERM:  # a terminal sends SIGINT to Snakemake itself, which ends its jobs first
            process.send_signal(number)

    before = {number: signal.signal(number, hand_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        status = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return INTERRUPTED if interrupted else abs(status)


def place_of_cache(folder: Path) -> dict[str, str]:
    """Environment variables that give Snakemake's cache a place in an audit's folder, where the user's has none."""
    usual = Path(user_cache_dir("snakemake"))
    try:
        usual.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=usual):
            return {}
    except OSError:
        return {"XDG_CACHE_HOME": os.path.abspath(folder / ".snakemake/cache")}  # noqa: PTH100 a text


def default_profile(arguments: Sequence[str]) -> list[str]:
    """What this project's own profile says, as options: Snakemake would say of each profile that it uses it.

    :return: none where the user names a profile
    """
    if any(argument.startswith("--workflow-profile") for argument in arguments):
        return []
    options = []
    for key, value in read_yaml(PROJECT / "profiles/default/profile.yaml").items():
        values = [] if value is True else value if isinstance(value, list) else [value]
        options += [f"--{key}", *map(str, values)]
    return [*options, "--workflow-profile", "none"]


def ended_as(results: Path, fail_on: Sequence[str] | None) -> int:
    """The exit status of a finished audit: 1 if the gate is closed, after saying for what, in the words of that rule.

    :param results: the folder of its results
    :param fail_on: what closes the gate; None for what does where the configuration does not say
    :raises Mistake: there are none
    """
    audit = results / "audit.json"
    if not audit.exists():
        raise Mistake(f"there is no {audit}: the audit did not end")
    if fail_on is None:
        schema = read_yaml(PROJECT / "workflow/schemas/config.schema.yaml")
        fail_on = schema["properties"]["gate"]["properties"]["fail_on"]["default"]
    rule = runpy.run_path(str(PROJECT / "workflow/scripts/gate.py"))
    try:
        rule["main"](audit, fail_on)
    except rule["GateClosed"] as closed:
        print(closed, file=sys.stderr)
        return 1
    return 0


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[list[int]]:
    """Make a folder, and lock it against other audits until the block and all processes that were given the lock end.

    :return: the file number of the lock, for Snakemake: where the command alone is killed, Snakemake writes on
    :raises Mistake: it cannot be written, or another audit is at work there
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / OUTPUT, "a+")  # noqa: SIM115 closed below
    except OSError as error:
        raise Mistake(f"{folder}: cannot be written: {error.strerror}; expected another folder: --output") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Mistake(
                f"another audit is at work in {folder}: wait until it has ended, or name another folder: --output"
            ) from None
        except OSError:  # a file system without locks
            pass
        yield [lock.fileno()]
