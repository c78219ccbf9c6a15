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


DISCOVERY = (
    "__init__",
    "found",
    "given",
    "layouts",
    "names",
    "settings",
    "tree",
    "zips",
)
READING = ("__init__", "files", "refusal", "texts")
for module in (
    "code_digest",
    "configuration",
    "ledger",
    "resources",
    *(f"discovery/{name}" for name in DISCOVERY),
    *(f"reading/{name}" for name in READING),
    *(f"probing/{name}" for name in ("__init__", "names")),
):
    source(f"reload_audit/{module}.py")
sys.path.insert(0, str(source("reload_audit/__init__.py").parents[1]))

from reload_audit import configuration, discovery, resources
from reload_audit.code_digest import (
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
