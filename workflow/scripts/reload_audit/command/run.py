"""``reload-audit run``: the workflow itself, with Snakemake's own options."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from reload_audit.command import workflow
from reload_audit.planning.configuration import read_configuration
from reload_audit.planning.plan import DEFAULT_CONFIGURATION

_LOOKS = (
    *("-n", "--dry-run", "--dryrun", "--unlock", "--touch", "-t", "--lint", "-h", "--help", "-v", "--version"),
    *("--list", "--dag", "--rulegraph", "--filegraph", "--d3dag", "--summary", "--detailed-summary", "--report"),
    *("--delete", "--cleanup", "--archive", "--containerize", "--print-compilation", "--conda-"),
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
    given = [Path(file) for file in known.configfile] or ([default] if default.exists() else [])
    written = {key: value for file in given for key, value in read_configuration(file).items()}
    status = workflow.snakemake([*workflow.default_profile(arguments), *arguments], Path())
    if status or any(argument.startswith(_LOOKS) for argument in arguments):
        return status
    pathvars = written.get("pathvars")
    results = Path(known.directory, str((isinstance(pathvars, dict) and pathvars.get("results")) or "results"))
    return workflow.ended_as(results, written) if (results / "audit.json").exists() else 0
