"""``reload-audit init``: a configuration of what lies in a folder, with comments. Nothing there is run."""

from __future__ import annotations

import ast
import os
import re
import shlex
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from reload_audit.command.mistake import Mistake
from reload_audit.planning.discovery import layouts, tree
from reload_audit.planning.discovery.candidate import Candidate
from reload_audit.reading import limits
from reload_audit.reading.files import read_bytes
from reload_audit.reading.named import is_folder
from reload_audit.reading.refusal import Unreadable, shown

_EVALUATES = re.compile(r"\bevaluate_policy\s*\(|\.predict\s*\(")
_LOADS = re.compile(r"\.load\s*\(")
_TRAINS = re.compile(r"\.learn\s*\(")

_MOST_NAMED = 20


@dataclass(frozen=True)
class Found:
    """What lies in a folder.

    :param models: how many
    :param scripts: paths of scripts that load a model and evaluate it, and train none
    :param environments: ``module:Class`` for each class that is an environment, with the folder of the module
    """

    models: int
    scripts: Sequence[str]
    environments: Sequence[tuple[str, str]]


def init(folder: Path, output: Path) -> int:
    """Write the configuration and say the next command.

    :raises Mistake: there is no such folder, or the file is there already or cannot be written
    """
    if not is_folder(folder):
        raise Mistake(f"init: expected a folder, found no such one: {shown(str(folder))}")
    found = look(folder)
    try:
        with open(output, "x", encoding="utf-8") as file:
            file.write(text(found, folder, output))
    except FileExistsError:
        raise Mistake(f"init: {shown(str(output))} is already there; expected another name: --output") from None
    except OSError as error:
        raise Mistake(f"init: {shown(str(output))}: cannot be written: {error.strerror}") from None
    others = (_count(len(found.scripts), "evaluation script"), _count(len(found.environments), "environment"))
    print(f"Found {', '.join([_count(found.models, 'model'), *others])}; wrote {shown(str(output))}.")
    if not found.models:
        print("No entry is active yet: take the # away from what you want audited.")
    print(f"Next: look through it, then\n  reload-audit run --configfile {_quoted(output)} --cores 2")
    return 0


def look(folder: Path) -> Found:
    """What lies in a folder and below; files are parsed, and nothing of them is run."""
    top = tree.read_tree(str(folder), [])
    models = sum(isinstance(one, Candidate) for one in layouts.models_in(top, tree.title(top)))
    scripts: list[str] = []
    environments: list[tuple[str, str]] = []
    for inner in top.walk():
        for name in sorted(inner.files):
            path = Path(inner.path, name)
            if name.endswith(".py") and inner.has(name):
                source = _source(path)
                if _LOADS.search(source) and _EVALUATES.search(source) and not _TRAINS.search(source):
                    scripts.append(os.path.relpath(path))
                environments += [(f"{path.stem}:{one}", os.path.relpath(inner.path)) for one in _environments(source)]
    return Found(models, scripts[:_MOST_NAMED], environments[:_MOST_NAMED])


def _source(path: Path) -> str:
    """The text of a script; nothing where it cannot be read or is too long for one."""
    try:
        return read_bytes(path, limits.MIB).decode("utf-8", "replace")
    except Unreadable:
        return ""


def _environments(source: str) -> Iterator[str]:
    """Names of classes in a module that derive from something called ``Env``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in body:
        bases = [ast.unparse(base) for base in node.bases] if isinstance(node, ast.ClassDef) else []
        if isinstance(node, ast.ClassDef) and any(re.search(r"(^|\.)Env(\[|$)", base) for base in bases):
            yield node.name


def text(found: Found, folder: Path, output: Path) -> str:
    """The configuration: what was found, and the keys that most people want next, as comments."""
    own = os.path.relpath(folder)
    folders = sorted({where for _, where in found.environments})
    parts = [
        f"# What lies {'here' if own == os.curdir else f'in {shown(own)}'}. Look through it, then:\n"
        f"#   reload-audit run --configfile {_quoted(output)} --cores 2\n"
        "# Paths are relative to the folder that you run this in. Every key: config/README.md of the project.",
        f"# Models that are there ({found.models} found): do they still earn what they earned?\n"
        + _entry({"runs": [own]}, active=found.models > 0)
        + "\n# What they should earn, where their files do not say it: name,claim_mean,claim_std,claim_n\n"
        "# claims: claims.csv",
        "# Scripts of yours that evaluate a model: each is run as you run it, whole, and observed.\n"
        + _entry({"scripts": list(found.scripts) or ["enjoy.py"]}, active=False),
        "# Environments to probe: are they reproducible? Their modules are imported from python_path.\n"
        + _entry({"python_path": folders or ["."]}, active=False)
        + "\n"
        + _entry({"environments": [name for name, _ in found.environments] or ["robot:Robot"]}, active=False),
        "# Will what I train survive? One model for each seed and each n_envs is trained, saved, reloaded, compared.\n"
        "# experiments:\n"
        f"#   - {{name: ppo-mine, algo: PPO, env: {_inline(_first_environment(found))}, normalize: true,\n"
        "#      seeds: [0, 1, 2], n_envs: [1, 8], total_timesteps: 1e5}",
        "# With which verdicts the command ends in 1.\ngate: {fail_on: [degraded, error]}",
    ]
    return "\n\n".join(parts) + "\n"


def _first_environment(found: Found) -> str:
    return found.environments[0][0] if found.environments else "CartPole-v1"


def _entry(content: dict[str, list[str]], *, active: bool) -> str:
    lines = yaml.safe_dump(content, allow_unicode=True).splitlines()
    return "\n".join(lines if active else [f"# {line}" for line in lines])


def _inline(value: str) -> str:
    return f'"{value}"' if ":" in value else value


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _quoted(path: Path) -> str:
    return shown(shlex.quote(str(path)))
