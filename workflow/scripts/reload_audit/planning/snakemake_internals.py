"""What this workflow uses of Snakemake that Snakemake does not document, all of it in this one file.

It may change with any version, so a version on which nobody has tried it is refused before anything is planned.
Snakemake is not imported: its ``workflow`` object is an argument.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

TRIED = ("9.27.0", "9.27.1")
"""The versions of Snakemake that the tests of this workflow have passed with."""

_ITS_OWN_LIMIT = (100, 1)
"""Snakemake's default limit: a number of jobs, and the seconds in which at most so many may start."""


_OWN_LINES = "DefaultStreamHandler"
"""What Snakemake calls the handler that writes its lines to the terminal."""

IMPORTED_FOR_SCRIPTS = "pandas"
"""What Snakemake imports for the first script that it starts, where it is installed."""


class UntriedVersionError(RuntimeError):
    """This version of Snakemake may have other internals than those that are used here."""


def check_version(found: str) -> None:
    """Check that a version of Snakemake is one of those in ``TRIED``.

    :raises UntriedVersionError: it is not
    """
    if found not in TRIED:
        raise UntriedVersionError(
            f"expected Snakemake {' or '.join(TRIED)}, found {found}: this workflow uses parts of Snakemake that "
            f"change without notice, and was tried on no other version; install one of these, for example with "
            f"`pip install snakemake=={TRIED[-1]}`, or a release of this workflow that knows yours"
        )


def is_own_program() -> bool:
    """Whether this process is the command ``snakemake``, and not a program of somebody's that calls Snakemake."""
    program = Path(sys.argv[0])
    return program.name == "snakemake" or program.parts[-2:] == ("snakemake", "__main__.py")


def is_module(workflow: Any) -> bool:
    """Whether the workflow is used as a module of somebody else's Snakefile."""
    return not workflow.modifier.is_main_snakefile()


class Snakemake:
    """The undocumented parts of a workflow object.

    :param workflow: what Snakemake calls ``workflow`` in a Snakefile
    :param version: of Snakemake
    :raises UntriedVersionError: see :func:`check_version`
    """

    def __init__(self, workflow: Any, version: str) -> None:
        check_version(version)
        self._workflow = workflow

    @property
    def has_configuration(self) -> bool:
        """Whether the configuration is given already: with ``--configfile``, or by the workflow that uses this one."""
        return bool(self._workflow.overwrite_configfiles) or bool(self._workflow.modifier.skip_configfile)

    @property
    def configuration_files(self) -> list[str]:
        """The files that the configuration comes from: those of ``--configfile``, else those of ``configfile:``."""
        return list(map(str, self._workflow.overwrite_configfiles or self._workflow.configfiles))

    @property
    def is_main_process(self) -> bool:
        """Whether this process plans the audit, and not the one job that it was started for."""
        return bool(self._workflow.is_main_process)

    @property
    def is_dry_run(self) -> bool:
        """Whether nothing will run."""
        return bool(self._workflow.dryrun)

    @property
    def starts_jobs_here(self) -> bool:
        """Whether this process starts the jobs, on this machine and with its own interpreter.

        It is known as soon as jobs are planned, and not yet while a Snakefile is read: that is also done to list them.
        """
        executes = self._workflow.executor_plugin is not None and not self.is_dry_run and not self.is_touch
        here = self._workflow.local_exec and not self._workflow.deployment_settings.deployment_method
        return self.is_main_process and executes and bool(here)

    def path(self, pattern: str) -> str:
        """A path with its path variables, such as ``<results>``, filled in. To be asked while a Snakefile is read:
        in a module, the variables are its own only then."""
        return str(self._workflow.pathvars.apply(pattern))

    def make_by_default(self, rule: str) -> None:
        """The rule that is run where none is named. Snakemake drops the ``default_target`` of an included Snakefile."""
        self._workflow.default_target = rule

    def make_again(self, outputs: Iterable[str]) -> None:
        """Run the jobs of these outputs, whatever their time stamps say. For input functions: planning goes on."""
        self._workflow.dag.forcefiles.update(outputs)

    @property
    def is_touch(self) -> bool:
        """Whether jobs only stamp their outputs anew."""
        return bool(self._workflow.touch)

    def jobs_to_run(self) -> list[tuple[str, str]]:
        """Rule of each job that is to run, and the values of its wildcards, joined with dots. For ``onstart``."""
        jobs = self._workflow.dag.needrun_jobs()
        return [(job.rule.name, ".".join(job.wildcards_dict.values())) for job in jobs]

    def shown_by(self, module: str) -> Any | None:
        """Let a logger plugin take the place of Snakemake's own lines.

        Snakemake looks for plugins before it reads a Snakefile, on the import path, where a clone is not.

        :param module: of the plugin
        :return: the plugin's handler; None where nothing will run, the user asked for less or for another plugin, or
            this process runs a job
        """
        manager = self._workflow.logger_manager
        if not self.is_main_process or manager.settings.dryrun or manager.settings.quiet or is_module(self._workflow):
            return None
        plugin = importlib.import_module(module)
        chosen = next((handler for handler in manager.plugin_handlers if isinstance(handler, plugin.LogHandler)), None)
        if chosen is not None or any(handler.writes_to_stream for handler in manager.plugin_handlers):
            return chosen
        handler = plugin.LogHandler(manager.settings, None)
        handler.addFilter(manager._default_filter())
        handler.setFormatter(manager._default_formatter())
        for own in [own for own in manager.logger.handlers if own.name == _OWN_LINES]:
            manager.logger.removeHandler(own)
        manager.logger.addHandler(handler)
        return handler

    def import_ahead(self) -> None:
        """Import in the background what Snakemake imports when it starts its first script. For ``onstart``.

        To hand params to a script it asks pandas whether one is a table, and importing it takes a third of a second.
        """
        if self.starts_jobs_here and importlib.util.find_spec(IMPORTED_FOR_SCRIPTS) is not None:
            threading.Thread(target=importlib.import_module, args=[IMPORTED_FOR_SCRIPTS]).start()

    def plan_only_when_jobs_end(self) -> None:
        """Take away Snakemake's own limit on jobs per second. For ``onstart``.

        It spares the main process half of its work, or a core where jobs are many: with a limit, every job that ends
        leaves one more timer behind, and each makes Snakemake look at the inputs of all jobs that wait, once a second,
        until none waits. Only a limit that somebody asked for is worth that.
        """
        limit = self._workflow.scheduling_settings.max_jobs_per_timespan
        if limit is not None and (limit.max_jobs, limit.timespan) == _ITS_OWN_LIMIT:
            self._workflow.scheduler.job_rate_limiter = None
