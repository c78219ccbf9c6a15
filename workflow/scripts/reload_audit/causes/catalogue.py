"""Why a reloaded model may earn something else: every cause that the audit can name.

An instrument (forensics, probe, conditions) returns findings; ``diagnosis`` ranks them. What each cause is, and
its fix, is in ``causes.yaml``; docs/causes has a page of each, with its symptom, its mechanism, and how it is proved.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any, Literal

import yaml

from reload_audit.reading.refusal import shown


@dataclass(frozen=True)
class Cause:
    """One cause.

    :param group: where it lies
    :param explanation: one sentence
    :param fix: code to paste; ``$name`` stands for a finding's detail
    :param defaults: for details that a finding does not have
    :param language: of the fix; YAML is for the audit's own configuration
    """

    group: str
    explanation: str
    fix: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    language: Literal["python", "yaml"] = "python"

    def fix_with(self, details: Mapping[str, Any]) -> str:
        """The fix, with details filled in so that none of them can be more than a value, whatever a file is called.

        ``$name`` is the identifier at the end of ``attribute``: ``doors`` of ``Corridor.doors[3]``. Algorithm and
        environment stand in a fix as code: they are named only if they look like it, see :func:`_algorithm` and
        :func:`_environment`.
        """
        known = {**self.defaults, **{key: value for key, value in details.items() if value is not None}}
        named = re.search(r"(\w+)(\[.*)?$", str(details.get("attribute") or ""))
        if named and named[1].isidentifier():
            known["name"] = named[1]
        written = {key: _written(value) for key, value in known.items()}
        written |= _algorithm(str(details.get("algo"))) | _environment(details)
        fix = self.fix if written["env_import"] else self.fix.replace("$env_import\n", "")
        return Template(fix).safe_substitute(written)


def _algorithm(name: str) -> dict[str, str]:
    """An algorithm and the library that it is imported from."""
    if name in CONTRIB:
        return {"algo": name, "library": "sb3_contrib"}
    return {"algo": name if re.fullmatch(r"[A-Z]\w*[0-9A-Z]", name) else "PPO", "library": "stable_baselines3"}


def _environment(details: Mapping[str, Any]) -> dict[str, str]:
    """How environments are made.

    :param details: ``env_code``: an id in quotes, or the name of a class or function, which ``env_import`` imports
    """
    code, origin = str(details.get("env_code")), str(details.get("env_import"))
    if re.fullmatch(r'"[\w:./-]+"', code):
        return {"env": code.strip('"'), "env_code": code, "env_import": "", "env_made": f"gym.make({code})"}
    imported = re.fullmatch(r"from ([\w.]+) import (\w+)", origin)
    if imported and imported[2] == code:
        return {"env": f"{imported[1]}:{code}", "env_code": code, "env_import": origin, "env_made": f"{code}()"}
    return _environment({"env_code": '"Your-Env-v0"'})


def _written(value: Any) -> str:
    """A value as code or comment has it; a text as it stands between double quotes, in one line."""
    if isinstance(value, str):
        return shown(value.replace("\\", "\\\\").replace('"', '\\"'))
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:_}" if type(value) is int else repr(value)


def _read(path: Path) -> Iterator[tuple[str, Cause]]:
    for group, causes in yaml.safe_load(path.read_text(encoding="utf-8")).items():
        for name, cause in causes.items():
            yield name, Cause(group, **cause)


CAUSES: dict[str, Cause] = dict(_read(Path(__file__).with_name("causes.yaml")))
"""By identifier, which is also the name of its page."""

UNEXPLAINED = "unexplained"

CONTRIB = ("ARS", "CrossQ", "MaskablePPO", "QRDQN", "RecurrentPPO", "TQC", "TRPO")
"""Algorithms of sb3-contrib; all others are of stable-baselines3."""
