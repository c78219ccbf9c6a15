"""What an error itself says is to be configured or installed, for the fix of a model that does not run."""

from __future__ import annotations

import re

from reload_audit.causes.finding import Detail
from reload_audit.reading.trust import can_be_trusted
from reload_audit.reading.yaml_text import parse_yaml

_TIME = re.compile(r"did not finish within ([\d.]+) seconds|time limit leaves no time for episodes")
_MEMORY = re.compile(r"held more memory than its limit of (\d+) MiB")
_CLASSES = re.compile(r"classes: \{[^{}]+\}")
_TRUST = re.compile(r"add '(\w+)' to trust|configure trust: \[(\w+)\]")
_PACKAGE = re.compile(r"which is not installed: pip install '?([\w.-]+(\[[\w,-]+\])?)")
_MODULE_TO_WRITE = re.compile(r"my_module\.\w+")

_MORE = 4
"""How many times as much a fix suggests as was not enough."""

_SECONDS = 7200
"""What a fix suggests where it is not said how many were too few."""


def advice_in(failure: str) -> dict[str, Detail]:
    """Details for the fix of a failure: the limit, classes or package that it names; none where it names nothing."""
    section = "training" if failure.startswith("in training: ") else "reload"
    if (found := _TIME.search(failure)) is not None:
        value = _SECONDS if found[1] is None else _MORE * int(float(found[1]))
        return {"section": section, "limit": "timeout", "value": str(value)}
    if (found := _MEMORY.search(failure)) is not None:
        return {"section": section, "limit": "memory", "value": str(_MORE * int(found[1]))}
    if (found := _CLASSES.search(failure)) is not None and (classes := _mapping(found[0])):
        return {"classes": classes}
    if (found := _TRUST.search(failure)) is not None and can_be_trusted(found[1] or found[2]):
        return {"trust": found[1] or found[2]}
    if (found := _PACKAGE.search(failure)) is not None:
        return {"package": found[1]}
    return {}


def _mapping(line: str) -> dict[str, Detail]:
    """What a line of ``classes`` holds; empty where it is cut off, or names other modules than one to be written.

    A failure quotes names from files, which are anybody's.
    """
    try:
        classes = dict(parse_yaml(line)["classes"])
    except (ValueError, TypeError):
        return {}
    to_write = all(_MODULE_TO_WRITE.fullmatch(str(target)) for target in classes.values())
    return {str(name): str(target) for name, target in classes.items()} if to_write else {}
