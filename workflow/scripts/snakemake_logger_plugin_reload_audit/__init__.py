"""Snakemake's logger plugin ``reload-audit``: how far an audit is, instead of lines for each job's start and end.

Snakemake finds it where this package is installed. A clone is on no import path while Snakemake reads its arguments:
there the workflow hands it to Snakemake (``planning/snakemake_internals.py``). Processes of jobs have no plugins.

Before the workflow has said what there is to do, after it has ended, and where another workflow is run, all is shown as
Snakemake shows it. Its log file has every line in any case.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

if TYPE_CHECKING:
    from reload_audit.progress.state import Work
    from reload_audit.progress.watch import Watch

_INTERRUPTED = ("Terminating processes", "Will exit after finishing")
"""How lines begin that say that somebody ends the run."""

_WANTED = ("Nothing to be done", "Trying to restart job", *_INTERRUPTED)
"""How other lines of information begin that are shown."""

_WHERE = "Complete log(s)"
"""How the line begins that is shown where the run has failed."""

_BEFORE_EXECUTION = "Assuming unrestricted shared filesystem usage."


class LogHandler(LogHandlerBase):
    """Takes Snakemake's lines, and shows those that say more than the progress of the audit does."""

    def __post_init__(self) -> None:
        from snakemake.logging import ColorizingTextHandler

        settings = self.common_settings
        stream = sys.stdout if settings.stdout else sys.stderr
        self._lines = ColorizingTextHandler(nocolor=settings.nocolor, stream=stream)
        self._watch: Watch | None = None
        self._belongs = self._executes = self._fails = self._is_interrupted = False
        self._on_interrupt: Callable[..., Any] | None = None

    @property
    def writes_to_stream(self) -> bool:
        """It does."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """Snakemake does that itself."""
        return False

    @property
    def has_filter(self) -> bool:
        """What ``--quiet`` hides is Snakemake's own affair."""
        return False

    @property
    def has_formatter(self) -> bool:
        """Lines that are shown are as Snakemake words them."""
        return False

    @property
    def needs_rulegraph(self) -> bool:
        """Names of models come from the plan."""
        return False

    def belong(self) -> None:
        """It is an audit that is run: lines that its progress replaces are to be hidden from the start."""
        self._belongs = True

    def watch_audit(self, work: Work, to_run: Iterable[tuple[str, str]], fdr: float, page: Path) -> None:
        """Show the progress of an audit, which begins now.

        :param work: all that it is about
        :param to_run: rule and wildcards of each job that is to run
        :param fdr: the false discovery rate over all models
        :param page: where ``progress.html`` goes
        """
        from reload_audit.progress.display import display
        from reload_audit.progress.state import State
        from reload_audit.progress.watch import Watch

        state = State(work, to_run, fdr)
        stream = self._lines.stream
        self._watch = Watch(state, display(stream, coloured=not self._lines.nocolor), page)
        self._note_interrupts()

    def unwatch(self, *, failed: bool) -> None:
        """Show no further progress: the audit has ended."""
        if self._watch is not None:
            self._fails = failed
            self._watch.close("interrupted" if self._is_interrupted else "failed" if failed else "finished")
            self._watch = None
        self._note_no_interrupts()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line of Snakemake's."""
        event = getattr(record, "event", None)
        self._executes |= event == LogEvent.WORKFLOW_STARTED
        if self._watch is not None:
            self._take(record, event, self._watch)
        if self._is_shown(record, event):
            self._show(record)

    def close(self) -> None:
        """Something else than the end of the audit ends Snakemake: Ctrl-C, say."""
        if self._watch is not None:
            self._watch.close("interrupted")
            self._watch = None
        self._note_no_interrupts()
        super().close()

    def _note_interrupts(self) -> None:
        """Know of Ctrl-C before Snakemake says that jobs have failed: a terminal sends it to them, too."""
        before = signal.getsignal(signal.SIGINT)
        if not callable(before) or threading.current_thread() is not threading.main_thread():
            return

        def noted(*of_signal: Any) -> Any:
            self._is_interrupted = True
            return before(*of_signal)

        signal.signal(signal.SIGINT, noted)
        self._on_interrupt = before

    def _note_no_interrupts(self) -> None:
        if self._on_interrupt is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._on_interrupt)
            self._on_interrupt = None

    def _take(self, record: logging.LogRecord, event: LogEvent | None, watch: Watch) -> None:
        told = record.__dict__
        self._is_interrupted |= str(record.msg).startswith(_INTERRUPTED)
        if event == LogEvent.JOB_INFO:
            does = told["rule_msg"] or told["rule_name"]
            log = next(iter(told["log"]), None)
            watch.start(told["jobid"], told["rule_name"], [*told["wildcards"].values()], does, log)
        elif event == LogEvent.JOB_FINISHED:
            watch.end(told["job_id"])
        elif self._is_interrupted:
            return  # jobs that end now have not failed
        elif event == LogEvent.JOB_ERROR:
            watch.fail(told["jobid"], self.format(record))
        elif event == LogEvent.GROUP_INFO:
            for job in told["jobs"]:
                does, log = job.message or job.rule.name, next(iter(job.log), None)
                watch.start(job.jobid, job.rule.name, [*job.wildcards_dict.values()], does, log)
        elif event == LogEvent.GROUP_ERROR:
            for job in told["job_error_info"]:
                watch.fail(job["jobid"], self.format(record))

    def _is_shown(self, record: logging.LogRecord, event: LogEvent | None) -> bool:
        if not self._belongs or self.common_settings.verbose:
            return True
        if record.levelno != logging.INFO:
            return not self._is_interrupted or record.levelno < logging.ERROR
        message = str(record.msg)
        if event is not None:
            return event in (LogEvent.SHELLCMD, LogEvent.DEBUG_DAG)
        if not self._executes:
            return message != _BEFORE_EXECUTION
        return message.startswith(_WANTED) or (self._fails and message.startswith(_WHERE))

    def _show(self, record: logging.LogRecord) -> None:
        self._lines.setFormatter(self.formatter)
        if self._watch is None:
            self._lines.emit(record)
            return
        with self._watch.shown() as stream:
            before = self._lines.setStream(stream)
            try:
                self._lines.emit(record)
            finally:
                self._lines.setStream(before or stream)
