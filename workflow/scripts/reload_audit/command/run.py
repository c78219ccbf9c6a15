"""``reload-audit run``: the workflow itself, with Snakemake's own options."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from reload_audit.command import workflow
from reload_audit.planning.configuration import read_configuration
from reload_audit.planning.ending import asked_in, told_in
from reload_audit.planning.plan import DEFAULT_CONFIGURATION

_LOOKS = (
    *("-n", "--dry-run", "--dryrun", "--unlock", "--touch", "-t", "--lint", "-h", "--help", "-v", "--version"),
    *("--list", "-l", "--lt", "--lc", "--li", "--lp", "--lu", "--dag", "--rulegraph", "--filegraph", "--d3dag"),
    *("--summary", "-S", "--detailed-summary", "-D", "--delete", "--cleanup", "--cm", "--archive", "--containerize"),
    *("--container-cleanup-images", "--export-cwl", "--generate-unit-tests", "--draft-notebook", "--edit-notebook"),
    *("--print-compilation", "--conda-create-envs-only", "--conda-cleanup-envs", "--report="),
    *("--until", "-U", "--omit-from", "-O"),
)
"""How Snakemake's options begin with which no audit runs to its end."""


def run(arguments: Sequence[str]) -> int:
    """Start Snakemake in the working directory, and end as it does, or as the gate does where an audit has ended.

    :param arguments: of Snakemake
    :raises ConfigError: a configuration file cannot be read; Snakemake would not say which
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--configfile", "--configfiles", nargs="+", action="extend", default=[])
    parser.add_argument("--directory", "-d", default=".")
    known, _ = parser.parse_known_args(list(arguments))
    default = Path(known.directory, DEFAULT_CONFIGURATION)
    for file in [Path(file) for file in known.configfile] or ([default] if default.exists() else []):
        read_configuration(file)
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder, "ending.json")
        status = workflow.snakemake([*workflow.default_profile(arguments), *arguments], Path(), asked_in(told))
        ending = told_in(told)
    looks = any(argument == "--report" or argument.startswith(_LOOKS) for argument in arguments)
    if status or looks or ending is None or not (ending.results / "audit.json").exists():
        return status
    return workflow.ended_as(ending.results, ending.fail_on)
