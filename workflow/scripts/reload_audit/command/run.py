"""``reload-audit run``: the workflow itself, with Snakemake's own options."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from reload_audit.command import workflow
from reload_audit.planning.configuration import read_yaml

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
    pathvars = [read_yaml(file).get("pathvars") for file in known.configfile]
    named = [value["results"] for value in pathvars if isinstance(value, dict) and "results" in value]
    status = workflow.snakemake([*workflow.default_profile(arguments), *arguments], Path())
    if status or any(argument.startswith(_LOOKS) for argument in arguments):
        return status
    results = Path(known.directory, str(named[-1]) if named else "results")
    return workflow.ended_as(results) if (results / "audit.json").exists() else 0
