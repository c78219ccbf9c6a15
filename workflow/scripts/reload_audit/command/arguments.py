"""What ``reload-audit`` understands: its commands, their options, and the help that explains them."""

from __future__ import annotations

import argparse
import math
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

import reload_audit
from reload_audit.command.completion import SHELLS, completion
from reload_audit.planning.schema_messages import closest
from reload_audit.reading.named import is_there

AUDIT = "audit"
"""The command that is meant where none is named: ``reload-audit model.zip``."""

_ABOUT = """\
Does a saved Stable-Baselines3 model still earn the reward it was trained to? If not: why, and what is the fix?

  reload-audit model.zip --env CartPole-v1     one model: the verdict here, the report beside it
  reload-audit runs/                           all models in a folder: RL Zoo's logs, a repository, zips
  reload-audit script enjoy.py --episodes 20   what in my evaluation script costs reward?
  reload-audit env robot:Robot                 is my environment reproducible? Before any training
  reload-audit compare old/ new/               what has changed from one audit to another?
  reload-audit init                            write a configuration of what lies here, and say what comes next
  reload-audit run --configfile mine.yaml      the whole workflow: training grids, clusters, every setting
"""

_END = """\
exit status: 0 if all is well; 1 if a model is degraded or an error (see --fail-on), or the audit could not run;
2 for a mistake on the command line; 130 after Ctrl-C. The same command goes on where it was interrupted.

Nothing in a model's files is executed, and nothing is imported from the folder that you are in unless you name it.
`reload-audit COMMAND --help` explains a command; what lies at PATH is explained by `reload-audit audit --help`.
"""


class _Help(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of descriptions, and is as wide as a terminal, up to 110 characters."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=min(110, shutil.get_terminal_size().columns - 2))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of a command line; without a command's name it is about what lies at a path.

    :raises SystemExit: after help, or with status 2 after a mistake
    """
    top, commands = parsers()
    said = list(arguments) or ["--help"]
    if said[0] in commands and said[1:2] != ["--help"]:
        _say_what_else_it_may_mean(said)
    if said[0] == "run" and said[1:] not in (["-h"], ["--help"]):  # what follows is for Snakemake
        return argparse.Namespace(command="run", snakemake=said[1:])
    of_top = said[0].partition("=")[0] in (*commands, "-h", "--help", "--version", "--completion")
    meant = "" if said[0].startswith("-") else closest(said[0], [*commands])
    if meant and not of_top and len(said) > 1 and not is_there(said[0]):
        top.error(f"there is no command, file or folder {said[0]}{meant}")
    return top.parse_args(said if of_top else [AUDIT, *said])


def _say_what_else_it_may_mean(said: Sequence[str]) -> None:
    """Note where a command is called as a folder or file here is, and nothing follows that tells them apart."""
    tells = any(word.startswith("--config") or (said[0] != "run" and not word.startswith("-")) for word in said[1:])
    if Path(said[0]).exists() and not tells:
        again = shlex.join(["reload-audit", f"./{said[0]}", *said[1:]])
        print(f"`{said[0]}` is a command here; to audit what is so called in this folder: {again}", file=sys.stderr)


def parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The parser of all, and those of the commands by their names."""
    top = argparse.ArgumentParser(
        prog="reload-audit", description=_ABOUT, epilog=_END, formatter_class=_Help, allow_abbrev=False
    )
    top.add_argument("--version", action="version", version=f"reload-audit {reload_audit.__version__}")
    top.add_argument(
        "--completion",
        choices=SHELLS,
        action=_Completion,
        help='print what completes options in a shell: eval "$(reload-audit --completion bash)"',
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    made = {
        AUDIT: _audit(commands),
        "script": _script(commands),
        "env": _env(commands),
        "compare": _compare(commands),
        "init": _init(commands),
        "run": _run(commands),
    }
    return top, made


class _Completion(argparse.Action):
    """Prints the completion of a shell and ends."""

    def __call__(self, parser: argparse.ArgumentParser, *others: Any) -> None:
        top, commands = parsers()
        files = [action for one in commands.values() for action in one._actions if action.type is _path]
        for name, short in _in_short(top).items():
            commands[name].description = short  # a shell has one line for each
        try:
            print(completion(str(others[1]), top, commands, files, AUDIT))
        except ImportError:
            parser.error("completion needs the package shtab: pip install shtab")
        parser.exit()


def _in_short(top: argparse.ArgumentParser) -> dict[str, str]:
    """What each command is for, in one line."""
    (commands,) = (action for action in top._actions if isinstance(action, argparse._SubParsersAction))
    return {action.dest: action.help or "" for action in commands._choices_actions}


def _audit(commands: Any) -> argparse.ArgumentParser:
    parser = _parser(
        commands,
        AUDIT,
        "audit a saved model, or all in a folder (the command's name may be left out)",
        "Audit one saved model, or whatever lies in a folder: a repository, RL Zoo's logs, a cache, zips.\n"
        "Algorithm, environment, statistics and what it should earn are read beside it; what they do not say is asked.",
        "examples:\n"
        "  reload-audit ppo.zip --env CartPole-v1 --claim 475\n"
        "  reload-audit logs/ --claims benchmark.csv --cores 8\n"
        "  reload-audit my-repository/ --yes            its own code may run: what was read off it is accepted",
    )
    parser.add_argument("path", metavar="PATH", type=_path, help="a model's zip, or a folder with models")
    parser.add_argument("--env", help="the environment: an id such as CartPole-v1, or module:Name of your own")
    parser.add_argument("--algo", help="the algorithm, where the files do not say it: PPO, SAC, ...")
    _add_environment(parser)
    parser.add_argument("--claim", type=_finite, metavar="MEAN", help="what each model earned when it was trained")
    parser.add_argument("--claims", type=_path, metavar="TABLE", help="a table of that: name, claim_mean, ...")
    parser.add_argument(
        "--baseline",
        metavar="AUDIT",
        help="audit.json of an earlier audit to compare with; last: the last one here",
    )
    parser.add_argument(
        "--yes",
        action="store_true",
        help="accept what was read off the repository: its code may run",
    )
    _add_common(parser)
    return parser


def _script(commands: Any) -> argparse.ArgumentParser:
    parser = _parser(
        commands,
        "script",
        "run an evaluation script of yours, observe it, name each line that costs reward",
        "Run an evaluation script of yours as it is, observe what it does, and name each line that costs reward.\n"
        "What follows the script is its own command line, as with `python`; options of reload-audit come before it.",
        "example:\n  reload-audit script --model models/ppo.zip enjoy.py --episodes 20",
    )
    parser.add_argument("--model", help="the zip that it is about, where that is not the one that it loads")
    parser.add_argument(
        "--timeout", type=_whole("seconds"), metavar="SECONDS", help="stop it after so long; what was seen counts"
    )
    _add_python_path(parser)
    _add_common(parser)
    parser.add_argument("script", metavar="SCRIPT", type=_path, help="a Python file or a notebook")
    own = parser.add_argument("args", metavar="ARGUMENT", nargs=argparse.REMAINDER, help="its command line")
    own.required = False  # before Python 3.13, argparse says otherwise
    return parser


def _env(commands: Any) -> argparse.ArgumentParser:
    parser = _parser(
        commands,
        "env",
        "probe an environment: is it reproducible? Before any training",
        "Run an environment with the same seeds and actions in many fresh processes, one thing changed in each:\n"
        "whatever then differs is not controlled by reset(seed=...), and is traced to its cause and line.",
        "example:\n  reload-audit env robot:Robot --env-kwargs '{payload: 2.0}'",
    )
    parser.add_argument("env", metavar="ENV", help="an id such as CartPole-v1, or module:Name of your own")
    _add_environment(parser)
    _add_common(parser)
    return parser


def _compare(commands: Any) -> argparse.ArgumentParser:
    parser = _parser(
        commands,
        "compare",
        "what has changed from one audit to another",
        "Say which models are new, gone, have another verdict or earn more or less than then; which packages differ.\n"
        "Episodes with the same seeds are compared in pairs, where tables lie beside both audit.json. A difference\n"
        "counts only beyond the margin, and where it is not chance: docs/since.md.",
        "examples:\n"
        "  reload-audit compare before/audit.json results/audit.json\n"
        "  reload-audit compare before/ results/ --fail-on regressed,gone",
    )
    parser.add_argument("old", metavar="OLD", type=_path, help="audit.json of the earlier audit, or its folder")
    parser.add_argument("new", metavar="NEW", type=_path, help="that of the later one")
    _add_fail_on(parser, "STATES", "regressed (the default), recovered, changed, same, new, gone")
    return parser


def _init(commands: Any) -> argparse.ArgumentParser:
    parser = _parser(
        commands,
        "init",
        "write a configuration of what lies here, with comments",
        "Look at what lies in a folder (models, evaluation scripts, environments) and write a configuration that\n"
        "audits it, with comments. Nothing is run, and no file is replaced.",
        "",
    )
    parser.add_argument("folder", metavar="FOLDER", nargs="?", type=_path, default=Path(), help="by default this one")
    parser.add_argument(
        "--output", type=_path, metavar="FILE", default=Path("reload-audit.yaml"), help="by default %(default)s"
    )
    return parser


def _run(commands: Any) -> argparse.ArgumentParser:
    parser = _parser(
        commands,
        "run",
        "the whole workflow; every further option is Snakemake's",
        "Start the workflow itself. Every further option goes to Snakemake; results are in `results`.",
        "examples:\n"
        "  reload-audit run --configfile mine.yaml --cores 8\n"
        "  reload-audit run --configfile mine.yaml --cores 8 --dry-run\n"
        "  reload-audit run --configfile mine.yaml --workflow-profile slurm",
    )
    parser.usage = "reload-audit run [OPTION OF SNAKEMAKE ...]"
    return parser


def _parser(commands: Any, name: str, short: str, text: str, end: str) -> argparse.ArgumentParser:
    prog = "reload-audit" if name == AUDIT else f"reload-audit {name}"
    parser: argparse.ArgumentParser = commands.add_parser(
        name, prog=prog, help=short, description=text, epilog=end, formatter_class=_Help, allow_abbrev=False
    )
    return parser


def _add_environment(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--env-kwargs", type=_mapping, default={}, metavar="YAML", help="its arguments: '{payload: 2.0}'"
    )
    _add_python_path(parser)


def _add_python_path(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--python-path", type=_path, action="append", default=[], metavar="FOLDER", help="where modules of yours lie"
    )


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output", type=_path, metavar="FOLDER", help="of report and tables; by default NAME-audit, here"
    )
    parser.add_argument("--cores", type=_whole("cores"), default=_cores(), metavar="N", help="by default %(default)s")
    _add_fail_on(parser, "VERDICTS", "by default degraded,error (and environment or script)")


def _add_fail_on(parser: argparse.ArgumentParser, words: str, which: str) -> None:
    parser.add_argument("--fail-on", type=_words, metavar=words, help=f"with which to end in 1: {which}")


def _cores() -> int:
    """The cores that this process may use, at most eight, as `make audit` takes them."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, 8)


def _mapping(text: str) -> dict[str, object]:
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"expected a mapping such as '{{payload: 2.0}}': {error}") from None
    if not isinstance(content, dict):
        raise argparse.ArgumentTypeError(f"expected a mapping such as '{{payload: 2.0}}', found {text!r}")
    return content


def _path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("expected a path, found an empty text: is a variable of the shell not set?")
    return Path(text)


def _whole(of_what: str) -> Callable[[str], int]:
    """What reads a number of something: a whole one, at least 1, that fits into a C integer."""

    def read(text: str) -> int:
        if not re.fullmatch(r"0*[1-9]\d{0,8}", text, re.ASCII):
            raise argparse.ArgumentTypeError(f"expected a number of {of_what}, 1 or more, found {text!r}")
        return int(text)

    return read


def _finite(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"expected a mean reward such as 475, found {text!r}")
    return number


def _words(text: str) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise argparse.ArgumentTypeError("expected one word or more, found an empty text")
    return words
