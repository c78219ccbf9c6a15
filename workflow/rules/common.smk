"""What all rules share: the library, wherever it is, the configuration, and the plan that is made of both.

What the plan is, scripts/reload_audit/planning/plan.py decides. This file has only what needs Snakemake's `workflow`.
"""

import atexit
import functools
import gc
import importlib
import os
import sys
import time
from pathlib import Path

import snakemake
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

CONDA_ENV = "../envs/audit.yaml"
FOLDER = Path(workflow.snakefile).resolve().parents[1]
IS_HERE = (
    FOLDER.is_dir()
)  # if not, a `module:` uses this workflow from a repository somewhere else


LIBRARY = FOLDER / "scripts/reload_audit"  # of a clone
if IS_HERE and not LIBRARY.is_dir():
    LIBRARY = FOLDER.parents[
        1
    ]  # that of a wheel, which holds the project: see setup.py


def source(path):
    """A file of this workflow by its path from workflow/; fetched first if it is somewhere else."""
    if IS_HERE:
        inside = path.removeprefix("scripts/reload_audit/")
        return FOLDER / path if inside == path else LIBRARY / inside
    try:
        return Path(workflow.source_path(f"../{path}"))
    except WorkflowError as error:
        raise FileNotFoundError(path) from error


def library(module):
    """Import a module of the library. If it is somewhere else, it is fetched first, with all that it imports."""
    if not IS_HERE:
        import runpy

        code = runpy.run_path(source("scripts/reload_audit/planning/code_digest.py"))
        locate = code["locate_by"](
            lambda path: source(f"scripts/{path}"), "reload_audit"
        )
        code["imported_files"](locate(module), module, locate)
    return importlib.import_module(module)


home = str(source("scripts/reload_audit/__init__.py").parents[1])
if home not in sys.path:  # a wheel's is already there, after the standard library
    sys.path.insert(0, home)


def insist_on_own_library(found):
    """Refuse to run another copy of the library than this workflow's own.

    :param found: the folder of the library that a process imports
    """
    if not os.path.samefile(found, home):
        logger.error(
            f"Expected the library of this workflow, in {home}; found another copy before it, "
            f"in {found}. Take that one off PYTHONPATH, or uninstall it, or start its own workflow."
        )
        sys.exit(1)


insist_on_own_library(Path(library("reload_audit").__file__).parents[1])
internals = library("reload_audit.planning.snakemake_internals")
search_path = library("reload_audit.processes.search_path")
IS_MODULE = internals.is_module(workflow)
insist_on_own_library(search_path.library_of_jobs(guest=IS_MODULE))
search_path.import_nothing_from([], guest=IS_MODULE)  # before any other import
configuration = library("reload_audit.planning.configuration")
planning = library("reload_audit.planning.plan")
for_rules = library("reload_audit.planning.for_rules")
ledger = library("reload_audit.planning.ledger")
shown_lines = library("reload_audit.reading.refusal").shown_lines


def refused(function, *arguments, **keywords):
    """What a function returns; where it refuses something, Snakemake says so, without a traceback."""
    try:
        return function(*arguments, **keywords)
    except (configuration.ConfigError, internals.UntriedVersionError) as error:
        raise WorkflowError(shown_lines(str(error))) from None


def planned(function, *arguments, **keywords):
    """As `refused`, while this file is read: only the message is shown, not the place in this file."""
    try:
        return refused(function, *arguments, **keywords)
    except WorkflowError as error:
        logger.error(str(error))
        sys.exit(1)


SNAKEMAKE = planned(internals.Snakemake, workflow, snakemake.__version__)

if not SNAKEMAKE.has_configuration:

    configfile: planned(planning.default_configuration, source)


FOLDERS = planning.Folders(SNAKEMAKE.path("<results>"), SNAKEMAKE.path("<logs>"))
PLAN = planned(
    planning.make_plan,
    config,
    ", ".join(map(os.path.relpath, SNAKEMAKE.configuration_files)),
    FOLDERS,
    source,
    now=time.time(),
    discover=SNAKEMAKE.is_main_process,
)
search_path.import_nothing_from(PLAN.audited_folders, guest=IS_MODULE)
if SNAKEMAKE.is_main_process:
    found = "" if SNAKEMAKE.has_configuration else planning.DEFAULT_CONFIGURATION
    PLAN.warn_of_working_directory(FOLDER, found, sys.argv)
    if not IS_MODULE and internals.is_own_program():
        # Else Snakemake looks through all that it has made for garbage before it ends.
        atexit.register(gc.freeze)
    if not SNAKEMAKE.is_dry_run and not SNAKEMAKE.is_touch:
        library("reload_audit.planning.ending").tell(
            FOLDERS.results, PLAN.config["gate"]["fail_on"]
        )
LEDGER = ledger.Ledger(Path(FOLDERS.results, ".written.json"))
always, by, Asking = for_rules.always, for_rules.by, for_rules.Asking


CONSOLE = (
    SNAKEMAKE.shown_by("snakemake_logger_plugin_reload_audit") if IS_HERE else None
)
if CONSOLE is not None:
    CONSOLE.belong()


def show_progress():
    """Show how far the audit is, until it ends, where Snakemake would show each job's start and end."""
    if CONSOLE is not None and not SNAKEMAKE.is_touch:
        CONSOLE.watch_audit(
            PLAN.work,
            SNAKEMAKE.jobs_to_run(),
            PLAN.config["verdict"]["fdr"],
            Path(FOLDERS.results, "progress.html"),
        )


def show_end(*, failed):
    """Show no further progress."""
    if CONSOLE is not None:
        CONSOLE.unwatch(failed=failed)


def share_fork_servers(rules_to_run):
    """Start what imports PyTorch once for all jobs, where they run as children of this process.

    :param rules_to_run: gives the rules of these jobs
    """
    forks = PLAN.config["reload"]["isolation"] == "forkserver"
    if forks and SNAKEMAKE.starts_jobs_here and not IS_MODULE:
        library("reload_audit.jobs.sharing").share_servers(rules_to_run())


def say_power():
    """Say before anything runs how small a difference between compared models may show."""
    if PLAN.compared_pairs:
        criteria = library("reload_audit.judging.criteria").Criteria
        words = library("reload_audit.reports.since").power(
            PLAN.compared_episodes, criteria.from_dict(PLAN.config["verdict"])
        )
        print("\n".join(words), file=sys.stderr)


@functools.cache
def inspect_results():
    """Snakemake looks at time stamps alone, so it is told which results have changed since they were written."""
    damage = LEDGER.inspect(
        results_of_audit(), time.time(), dry_run=SNAKEMAKE.is_dry_run
    )
    SNAKEMAKE.make_again(PLAN.training.to_make_again(damage.changed))
    SNAKEMAKE.make_again(PLAN.scripts_to_observe_again())
    if str(damage):
        print(damage, file=sys.stderr)


def model_records(wildcards):
    """What says that all models are reloaded. Snakemake asks for it before it decides which jobs have to run."""
    if SNAKEMAKE.is_main_process:
        share_fork_servers(PLAN.first_rules)  # the first imports while jobs are planned
        inspect_results()
    return PLAN.model_record_inputs()


def results_of_audit():
    """Everything that later jobs or people rely on."""
    of_all = [*rules.aggregate.output, *rules.report.output, *rules.summarize.output]
    return PLAN.outputs(list(map(str, of_all)))


def show_summary():
    """The closing words of a finished audit."""
    words = PLAN.closing_words()
    if words:
        print()
        library("reload_audit.reports.console").show(words)
        print()


wildcard_constraints:
    batch=r"[A-Za-z0-9][A-Za-z0-9_.-]*",
    probe=r"[A-Za-z0-9][A-Za-z0-9_.-]*",
    script=r"[A-Za-z0-9][A-Za-z0-9_.-]*",
