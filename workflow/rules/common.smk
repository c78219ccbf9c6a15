"""What all rules share: the resolved configuration, the models it names, and digests of the code behind each rule.

Nothing here is heavier than the standard library, a YAML reader and a schema validator: on a cluster every job
plans the workflow again.
"""

import functools
import os

CONDA_ENV = "../envs/audit.yaml"
SNAKEMAKES_OWN_LIMIT = (100, 1)  # jobs, seconds
CONFIG_SOURCE = ", ".join(
    os.path.relpath(file) for file in workflow.overwrite_configfiles or [DEFAULT_CONFIG]
)


def resolved_config():
    """The configuration with defaults filled in, or one message with everything that is wrong with it."""
    schema = configuration.read_yaml(source("../schemas/config.schema.yaml"))
    try:
        resolved = configuration.resolve(config, schema, CONFIG_SOURCE)
        if workflow.is_main_process:
            for folder in ("<results>", "<logs>"):
                configuration.check_writable(workflow.pathvars.apply(folder))
        return resolved
    except configuration.ConfigError as error:
        raise WorkflowError(str(error)) from None


@functools.cache
def locate_library(module):
    """The file of a module of the library; None for modules of others."""
    if module.partition(".")[0] == "reload_audit":
        path = module.replace(".", "/")
        for candidate in (f"{path}.py", f"{path}/__init__.py"):
            try:
                file = source(candidate)
            except (OSError, WorkflowError):
                continue
            if file.exists():
                return file
    return None


def code_of(script, *data):
    """Digest of everything that a rule's script imports from the library, of its data files and the requirements."""
    files = [source(file) for file in ("../../requirements.txt", *data)]
    return code_digest(source(script), locate_library, files)


AUDIT = resolved_config()
MODELS = configuration.trained_models(AUDIT)
RELOAD = {key: value for key, value in AUDIT["reload"].items() if key != "batch"}
TRAINING_CODE = code_of("train.py")
RELOAD_CODE = code_of("reload.py")


def user_code(content, with_lines=False):
    """Digest of the user's own code on python_path that names in the configuration lead to."""
    locate = locate_in(map(Path, AUDIT["python_path"]))
    return named_code_digest(content, locate, with_lines)


# Without what its jobs ask a cluster for, which decides no result.
USER_CODE = {
    experiment["name"]: user_code({**experiment, "resources": None})
    for experiment in AUDIT["experiments"]
}


def spec_of(wildcards):
    return MODELS[wildcards.model]


def training_code(wildcards):
    return TRAINING_CODE + USER_CODE[spec_of(wildcards)["experiment"]]


def reload_code(wildcards):
    return RELOAD_CODE + USER_CODE[spec_of(wildcards)["experiment"]]


def plan_only_when_jobs_end():
    """Spare the main process half of its work, or a core where jobs are many.

    With a limit on jobs per second, every job that ends leaves one more timer behind: each makes Snakemake look at the
    inputs of all jobs that wait, once a second, until none waits. Only a limit that somebody asked for is worth that.
    """
    limit = workflow.scheduling_settings.max_jobs_per_timespan
    if limit is not None and (limit.max_jobs, limit.timespan) == SNAKEMAKES_OWN_LIMIT:
        workflow.scheduler.job_rate_limiter = None


def show_summary():
    """The closing words of a finished audit, if they are about what is there now."""
    summary, audit = (
        Path(workflow.pathvars.apply(f"<results>/{name}"))
        for name in ("summary.txt", "audit.json")
    )
    if summary.exists() and summary.stat().st_mtime >= audit.stat().st_mtime:
        source("reload_audit/reports/console.py")
        from reload_audit.reports import console

        print()
        console.show(summary.read_text(encoding="utf-8"))
        print()


wildcard_constraints:
    model=r"[A-Za-z0-9][A-Za-z0-9_.-]*",
