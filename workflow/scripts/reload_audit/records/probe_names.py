"""Which models share an environment, and the name of the file with its probe's record. Standard library only."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

_KEYS = ("env", "env_kwargs", "wrappers", "python_path")


def probed(environment: Mapping[str, Any]) -> dict[str, Any]:
    """The environment specification to probe: without what a model adds around it.

    :param environment: as ``environment_spec.EnvironmentSpec.from_dict`` reads it
    """
    plain = {key: environment[key] for key in _KEYS} | {"vec_env": environment.get("vec_env")}
    return plain | {"monitor": "env", "vec_wrappers": []}


def probe_name(environment: Mapping[str, Any]) -> str:
    """A readable file name, different for each environment even where a file system ignores case."""
    content = json.dumps(probed(environment), sort_keys=True, default=str)
    readable = re.sub(r"[^A-Za-z0-9_.-]+", "-", environment["env"]).strip("-._")[:60] or "environment"
    return f"{readable}-{hashlib.sha256(content.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
