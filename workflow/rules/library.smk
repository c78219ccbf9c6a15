"""Make the library importable while planning, and refuse an unreadable default configuration by file and line."""

import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

DEFAULT_CONFIG = Path("config/config.yaml")


SCRIPTS = (
    Path(workflow.current_basedir.get_path_or_uri(secret_free=True)) / "../scripts"
).resolve()
IS_HERE = SCRIPTS.is_dir()


def source(path):
    """A file of this workflow, by its path below workflow/scripts; fetched first where this is a remote module."""
    return (
        SCRIPTS / path if IS_HERE else Path(workflow.source_path(f"../scripts/{path}"))
    )


for module in (
    "planning/__init__",
    "planning/code_digest",
    "planning/configuration",
    "planning/ledger",
    "planning/job_requests",
    *(
        f"planning/discovery/{name}"
        for name in (
            "__init__",
            "candidate",
            "find_models",
            "layouts",
            "names",
            "settings",
            "tables",
            "tree",
            "zips",
        )
    ),
    *(f"reading/{name}" for name in ("__init__", "files", "refusal", "texts")),
    *(f"records/{name}" for name in ("__init__", "probe_names")),
):
    source(f"reload_audit/{module}.py")
sys.path.insert(0, str(source("reload_audit/__init__.py").parents[1]))

from reload_audit.planning import configuration, job_requests
from reload_audit.planning.discovery import find_models as discovery
from reload_audit.planning.code_digest import (
    code_digest,
    locate_in,
    named_code_digest,
    package_digest,
)

if DEFAULT_CONFIG.exists() and not workflow.overwrite_configfiles:
    # Snakemake would refuse it too, without saying which file it is.
    try:
        configuration.read_yaml(DEFAULT_CONFIG)
    except configuration.ConfigError as error:
        raise WorkflowError(str(error)) from None
