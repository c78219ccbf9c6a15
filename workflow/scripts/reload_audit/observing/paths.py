"""Paths in what is said to a user, as the script itself would write them."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

from reload_audit.records.script_record import ScriptDifference
from reload_audit.records.specs import ScriptSpec

_FURTHEST = 2
"""Folders above the working directory, to which a path is written with ``..``."""


def as_written(difference: ScriptDifference, script: ScriptSpec) -> ScriptDifference:
    """A difference with paths from the script's working directory in place of absolute ones.

    They stay absolute where the script writes such paths itself, or goes into another folder.
    """
    try:
        text = Path(script.script).read_text()
    except (OSError, ValueError):
        return difference
    if "chdir(" in text:
        return difference
    instead = re.sub(
        r"(?<=['\"])/[^'\"]+(?=['\"])", lambda found: shortened(found[0], script.cwd, text), difference.instead
    )
    evidence = re.sub(r"(?<=[ :])/[^\s,:]+", lambda found: shortened(found[0], script.cwd, text), difference.evidence)
    return replace(difference, instead=instead, evidence=evidence)


def shortened(path: str, cwd: str, text: str) -> str:
    """An absolute path from a working directory.

    :param text: of the script, which may write the folder of this path itself
    """
    folder = os.path.realpath(cwd)
    if not Path(path).is_absolute() or f"{Path(path).parent}/" in text:
        return path
    relative = os.path.relpath(os.path.realpath(path), folder)
    return path if Path(relative).parts.count("..") > _FURTHEST else relative
