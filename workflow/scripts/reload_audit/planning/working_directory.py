"""Warn of files in an audited working directory that Snakemake would read and whose commands it would run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from reload_audit.reading.refusal import shown

_PROFILES = ("default", "profiles/default")
"""Where Snakemake looks for a profile that nobody has asked for, first in the working directory."""

_PLUGINS = ".snakemake/pip-deployments"
"""A folder that every process that imports Snakemake imports from."""


def warning(audited: Iterable[str], own: Path, configuration: str, arguments: Sequence[str]) -> str:
    """What in the working directory can run commands, where that directory is audited; empty if nothing can.

    :param audited: folders in which external models are looked for
    :param own: the top folder of this workflow
    :param configuration: path of the file that is the configuration because no other was given; empty if one was
    :param arguments: those of Snakemake
    """
    here = Path.cwd().resolve()
    if here == own.resolve() or not any(here.is_relative_to(os.path.realpath(folder)) for folder in audited):
        return ""
    chosen = any(argument.startswith("--workflow-profile") for argument in arguments)
    profile = "" if chosen else next((name for name in _PROFILES if Path(name).exists()), "")
    found = [name for name in (profile, _PLUGINS, configuration) if name and Path(name).exists()]
    if not found:
        return ""
    return (
        f"Warning: the working directory, {shown(str(here))}, is audited, and {', '.join(found)} in it can run any "
        "command: if it is not yours, start the audit in a folder of your own, and name this one in `runs`"
    )
