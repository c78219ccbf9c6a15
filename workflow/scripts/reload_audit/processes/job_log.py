"""Write into a job's log why it failed. The last line is what a user reads first."""

from __future__ import annotations

import atexit
import contextlib
import gc
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from reload_audit.processes import job_memory, notes
from reload_audit.processes.full_disk import is_out_of_space
from reload_audit.reading.refusal import shown_lines

_DISK_FULL = "A disk is full, or a quota used up ({}). Make room and run snakemake again: what is finished is kept.\n"


@contextlib.contextmanager
def job_log(
    path: str | Path, expected: type[Exception] | tuple[type[Exception], ...] = (), *, mem_mb: int | None = None
) -> Iterator[Path]:
    """Write into a log, which begins empty, whatever makes the block fail, and then end the script with status 1.

    :param expected: errors whose message is all that a user needs; others are logged with a traceback
    :param mem_mb: what the job has asked for, in MB; the job fails if processes of it were killed for holding more
    """
    log = Path(path)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("", encoding="utf-8")
    notes.begin(log)
    atexit.register(gc.freeze)  # else the job looks through all that it has made for garbage before it ends
    killed_before = job_memory.kills()
    try:
        yield log
    except expected as error:
        _append(log, f"{error}\n")
        sys.exit(1)
    except Exception as error:
        _append(log, _DISK_FULL.format(error) if is_out_of_space(error) else traceback.format_exc())
        sys.exit(1)
    if mem_mb is not None and job_memory.kills() > killed_before and job_memory.is_limited_to(mem_mb):
        _append(log, f"The job held more than the {mem_mb} MB it had asked for, and processes of it were killed.\n")
        sys.exit(1)


def log_traceback(log: Path) -> None:
    """Write the traceback of the exception that is being handled into a log. The job goes on."""
    _append(log, traceback.format_exc())


def _append(log: Path, message: str) -> None:
    text = shown_lines(message)
    try:
        with open(log, "a", encoding="utf-8") as file:
            file.write(text)
    except OSError:  # the log cannot be written: whoever runs the job sees it on standard error
        print(text, file=sys.stderr)
