"""Where an audit ends and what closes its gate, as the workflow tells the command that has started it.

Snakemake alone knows: options, profiles, environment variables and configuration files all have a say.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TOLD = "RELOAD_AUDIT_ENDING"
"""The environment variable that names the file in which it is told."""


@dataclass(frozen=True)
class Ending:
    """How to judge a finished audit.

    :param results: the folder of its results
    :param fail_on: what closes its gate
    """

    results: Path
    fail_on: Sequence[str]


def asked_in(file: Path) -> dict[str, str]:
    """The environment variables that ask a workflow for its ending.

    :param file: in which to tell it
    """
    return {_TOLD: str(file)}


def tell(results: str, fail_on: Sequence[str]) -> None:
    """Tell it, if this process was asked."""
    if _TOLD in os.environ:
        told = {"results": os.path.abspath(results), "fail_on": list(fail_on)}  # noqa: PTH100 a text, as given
        Path(os.environ[_TOLD]).write_text(json.dumps(told), encoding="utf-8")


def told_in(file: Path) -> Ending | None:
    """What was told in a file; None where the workflow was not even planned."""
    if not file.exists():
        return None
    told = json.loads(file.read_text(encoding="utf-8"))
    return Ending(Path(told["results"]), told["fail_on"])
