"""The configuration that each command writes, as text with a comment that says which command line it is of."""

from __future__ import annotations

import argparse
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from reload_audit.command.mistake import Mistake
from reload_audit.judging.criteria import OTHER_WORDS, VERDICTS
from reload_audit.planning.baseline import LAST
from reload_audit.planning.schema_messages import closest
from reload_audit.reading import named
from reload_audit.reading.refusal import shown

COMMANDS = ("audit", "script", "env", "compare", "init", "run")

_SCRIPTS = (".py", ".ipynb")

_ENVIRONMENT = re.compile(r"[\w./-]+-v\d+|[\w.]+:[\w-]+")
"""What looks like an environment: ``CartPole-v1``, ``robot:Robot``."""

_LONGEST_NAME = 200
"""Characters of a folder's name that come of a model's: a file system takes 255, of which `-audit` needs some."""

_MODELS = "a model's zip, or a folder with models"

Settings = dict[str, object]
"""Keys of a configuration, see ``config/README.md``, with values that YAML can hold."""


@dataclass(frozen=True)
class Audit:
    """What to run, and where.

    :param settings: the configuration
    :param output: the folder of results, logs and Snakemake's own files
    :param notes: what to tell the user before it starts
    """

    settings: Settings
    output: Path
    notes: tuple[str, ...] = ()

    def text(self, arguments: Sequence[str]) -> str:
        """The configuration as YAML.

        :param arguments: the command line that asks for it
        """
        said = shown(shlex.join(["reload-audit", *arguments]))
        head = f"# Written by: {said}\n# To change more, copy this file: reload-audit run --cores 2 --configfile COPY\n"
        return head + yaml.safe_dump(self.settings, sort_keys=False, allow_unicode=True)


def audit(options: argparse.Namespace) -> Audit:
    """What ``reload-audit PATH`` means.

    :raises Mistake: there is nothing at the path, or no such folder
    """
    path = _existing(options.path, _MODELS)
    if path.suffix in _SCRIPTS and named.is_file(path):
        asked = shown(shlex.join(["reload-audit", "script", str(options.path)]))
        raise Mistake(f"{shown(str(options.path))} is a script, and no model; expected: {asked}")
    entry: Settings = {"folder": str(path)}
    entry |= {key: value for key in ("algo", "env", "env_kwargs") if (value := getattr(options, key))}
    if options.claim is not None:
        entry["claim"] = {"mean": options.claim}
    claims = [str(_existing(options.claims, "a table of claims"))] if options.claims else []
    folders, notes = _python_path(options, audited=path)
    settings = {"runs": [entry], **({"claims": claims} if claims else {}), **folders, **_baseline(options.baseline)}
    return _audit(options, settings, _name(path), notes, audited=path)


def _baseline(said: str | None) -> Settings:
    """The earlier audit to compare with: none, the last one, or one that is named."""
    if said is None or said == LAST:
        return {} if said is None else {"baseline": LAST}
    return {"baseline": str(_existing(Path(said), "the audit.json of an earlier audit"))}


def script(options: argparse.Namespace) -> Audit:
    """What ``reload-audit script SCRIPT ...`` means.

    :raises Mistake: there is no such script
    """
    path = _existing(options.script, "a Python file or a notebook")
    if not named.is_file(path):
        raise Mistake(f"expected a Python file or a notebook, found a folder: {shown(str(options.script))}")
    entry: Settings = {"script": str(path), "args": list(options.args), "cwd": str(Path.cwd())}
    if options.model:
        entry["model"] = str(_existing(Path(options.model), "a model's zip"))
    if options.timeout is not None:
        entry["timeout"] = options.timeout
    folders, notes = _python_path(options)
    options.fail_on = options.fail_on or ["degraded", "error", "script"]
    return _audit(options, {"scripts": [entry], **folders}, _name(path), notes)


def env(options: argparse.Namespace) -> Audit:
    """What ``reload-audit env ENV`` means."""
    entry: Settings = {"env": options.env, **({"env_kwargs": options.env_kwargs} if options.env_kwargs else {})}
    folders, notes = _python_path(options)
    options.fail_on = options.fail_on or ["error", "environment"]
    return _audit(options, {"environments": [entry], **folders}, options.env, notes)


def _audit(
    options: argparse.Namespace, settings: Settings, name: str, notes: tuple[str, ...], audited: Path | None = None
) -> Audit:
    unknown = [word for word in options.fail_on or () if word not in (*VERDICTS, *OTHER_WORDS)]
    if unknown:
        raise Mistake(f"--fail-on: found {unknown[0]!r}{closest(unknown[0], (*VERDICTS, *OTHER_WORDS))}")
    if re.match(r":|.*:$", getattr(options, "env", None) or ""):
        raise Mistake(f"expected an environment such as CartPole-v1 or module:Name, found {shown(options.env)!r}")
    output = named.at_home(options.output or f"{_as_file_name(name)}-audit").absolute()
    if re.search(r"[{}<>\n]", str(output)):
        raise Mistake(
            f"--output: expected a path without braces, angle brackets and line breaks, which Snakemake takes for "
            f"patterns; found {shown(str(output))}"
        )
    if named.is_there(output) and not named.is_folder(output):
        raise Mistake(f"--output: expected a folder, found a file: {shown(str(output))}")
    _check_strangers(output, audited)
    gate = {"gate": {"fail_on": options.fail_on}} if options.fail_on else {}
    pathvars = {"pathvars": {"results": str(output), "logs": str(output / "logs")}}
    return Audit({**settings, **gate, **pathvars}, output, notes)


def _check_strangers(output: Path, audited: Path | None) -> None:
    """Refuse a folder in which a stranger may have left what Snakemake imports."""
    plugins = output / ".snakemake/pip-deployments"
    inside = audited is not None and Path(os.path.realpath(output)).is_relative_to(os.path.realpath(audited))
    if inside and named.is_there(plugins):
        raise Mistake(
            f"--output: {shown(str(output))} lies in the folder that is audited, and holds .snakemake/pip-deployments, "
            "from which Snakemake would import: expected another folder, or start in one of your own"
        )


def _existing(path: Path, expected: str) -> Path:
    """The absolute path of something that is there; links stay, because their names may say what they are."""
    absolute = named.at_home(path).absolute()
    if not named.is_there(absolute):
        hint = "" if expected != _MODELS else closest(str(path), COMMANDS).replace("mean", "mean the command")
        if expected == _MODELS and _ENVIRONMENT.fullmatch(str(path)):
            hint = f"; to probe an environment: reload-audit env {path}"
        raise Mistake(f"there is nothing at {shown(str(path))}; expected {expected}{hint}")
    return Path(os.path.normpath(absolute))


def _python_path(options: argparse.Namespace, audited: Path | None = None) -> tuple[Settings, tuple[str, ...]]:
    """The folders of the user's modules: those that are named, and this one if a module in it is named itself."""
    folders = [str(_existing(folder, "a folder of Python modules")) for folder in options.python_path]
    module, colon, _ = (getattr(options, "env", None) or "").partition(":")
    here = Path.cwd()
    notes: tuple[str, ...] = ()
    is_here = colon and _holds_module(here, module)
    if is_here and str(here) not in folders:
        own = audited is None or not (here == audited or here.is_relative_to(audited))
        if not own:
            raise Mistake(
                f"{module} lies in {here}, which is audited: nothing is imported from there unless you say so; "
                "expected --python-path ."
            )
        folders.append(str(here))
        notes = (f"{module} is imported from {here}",)
    return ({"python_path": folders} if folders else {}), notes


def _holds_module(folder: Path, module: str) -> bool:
    first = module.partition(".")[0]
    return bool(first) and (named.is_file(folder / f"{first}.py") or named.is_folder(folder / first))


def _name(path: Path) -> str:
    return path.resolve().name if path.is_dir() else path.stem


def _as_file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")[:_LONGEST_NAME] or "reload"
