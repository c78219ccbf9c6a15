"""Every command that README and docs show is one: its program understands its options, and its files are there."""

from __future__ import annotations

import argparse
import functools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from reload_audit.command.arguments import parse
from support.builders import ROOT

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "config/README.md", "results/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
PROGRAMS = ("reload-audit", "snakemake", "make", "pip", "python", ".venv/bin/python", "bash", "conda")
FENCED = re.compile(r"^ *```(?:bash|sh|console)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(rf"`((?:{'|'.join(map(re.escape, PROGRAMS))}) [^`]+)`")
_ELSEWHERE = re.compile(r"\.\.\.|…|OWNER|/path/to|<|\bCOMMAND\b|\bCOPY\b")
"""What stands for something that only the reader has."""


def commands() -> Iterator[tuple[str, str]]:
    """Each command with the page that it stands on; those in prose, too, if they have an option."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        lines = [line for block in FENCED.findall(text) for line in block.replace("\\\n", " ").splitlines()]
        in_prose = [inline for inline in INLINE.findall(FENCED.sub("", text)) if "\n" not in inline]
        for line in (*lines, *in_prose):
            words = line.split("  #")[0].strip().removeprefix("$ ")
            if words.split(" ")[0] in PROGRAMS and not _ELSEWHERE.search(words) and not words.endswith("--cores"):
                yield str(page.relative_to(ROOT)), words


SHOWN = sorted(set(commands()))


@functools.cache
def snakemake_parser() -> argparse.ArgumentParser:
    from snakemake.cli import get_argument_parser

    return get_argument_parser()


@pytest.mark.parametrize(("page", "command"), SHOWN, ids=[f"{page}: {command}" for page, command in SHOWN])
def test_a_command_that_is_shown_is_understood(page: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for word in shlex.split(command, comments=True) if not re.fullmatch(r"[A-Z_]+=\S*", word)]
    program, *arguments = words
    status: object = 0
    try:
        understood(program, arguments)
    except SystemExit as ended:
        status = ended.code
    assert status == 0, f"{page}: {command}\n{capsys.readouterr().err}"


def understood(program: str, arguments: list[str]) -> None:
    """Raise unless a program understands its arguments.

    :raises SystemExit: what a parser ends with
    """
    match program:
        case "reload-audit":
            options = parse(arguments)
            if options.command == "run":
                snakemake_parser().parse_args(options.snakemake)
        case "snakemake":
            snakemake_parser().parse_args(arguments)
        case "make":
            targets = re.findall(r"^([\w./-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert {word for word in arguments if "=" not in word} <= set(targets)
        case _:
            named = [word for word in arguments if re.search(r"\.(py|txt|yml)$", word) and "/" not in word[:1]]
            ours = [word for word in named if word.startswith(("workflow", "tests", "docs", "requirements", "env"))]
            assert [word for word in ours if not Path(ROOT, word).exists()] == []


def test_the_ways_into_the_audit_are_among_them() -> None:
    programs = {command.split()[0] for page, command in SHOWN if page == "README.md"}
    assert {"reload-audit", "snakemake", "make", "pip"} <= programs
    assert len(SHOWN) > 40
