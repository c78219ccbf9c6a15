"""The summary on a terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

from reload_audit.judging.criteria import VERDICTS
from reload_audit.reports.summary import summarize
from support.audit_contents import HOSTILE, audit_of, row_with_cause, suspect_row, trained_row
from support.builders import ROOT

SHOW = """
import sys
from reload_audit.reports import console
console.show(open(sys.argv[1], encoding="utf-8", newline="").read())
"""


@pytest.fixture
def text(tmp_path):
    models = [row_with_cause(name, "clock", name, reason=f"{name} {'long ' * 80}") for name in HOSTILE]
    path = tmp_path / "summary.txt"
    path.write_text(
        summarize(audit_of(trained_row(), trained_row("e", "error"), *models), "results/report.html"), encoding="utf-8"
    )
    return path


def shown(path, terminal: bool, show: str = SHOW, **environment: str) -> str:
    """What is printed, on a terminal of its own or into a pipe."""
    variables = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": "workflow/scripts",
        "PYTHONIOENCODING": "utf-8",
        "TERM": "xterm-256color",
    }
    command = [sys.executable, "-c", show, str(path)]
    arguments = {"cwd": ROOT, "env": variables | environment, "check": True}
    if not terminal:
        return subprocess.run(command, stdout=subprocess.PIPE, **arguments).stdout.decode()
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stdout=theirs, cwd=ROOT, env=variables | environment)
    os.close(theirs)
    parts = []
    while True:
        try:
            parts.append(os.read(ours, 65536))
        except OSError:  # the other end is closed
            break
        if not parts[-1]:
            break
    os.close(ours)
    assert process.wait() == 0
    return b"".join(parts).decode().replace("\r\n", "\n")


def test_a_file_or_a_pipe_gets_the_text_unchanged(text):
    assert shown(text, terminal=False) == text.read_text(encoding="utf-8")


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_that_wants_no_colours_gets_none(text, environment):
    assert shown(text, terminal=True, **environment) == text.read_text(encoding="utf-8")


def test_a_terminal_gets_the_same_words_in_colour(text):
    printed = shown(text, terminal=True, COLORTERM="truecolor")
    assert "\x1b[1;38;2;213;94;0mdegraded\x1b[0m" in printed
    assert re.sub(r"\x1b\[[0-9;]*m", "", printed) == text.read_text(encoding="utf-8")


def test_every_verdict_and_suspect_models_stand_out(tmp_path):
    path = tmp_path / "summary.txt"
    path.write_text(summarize(audit_of(*(trained_row(v, v) for v in VERDICTS), suspect_row()), "r"), encoding="utf-8")
    printed = shown(path, terminal=True, COLORTERM="truecolor")
    for word in (*VERDICTS, "suspect"):
        assert re.search(rf"\x1b\[1(;38;2;\d+;\d+;\d+|;7)m{word}\x1b\[0m", printed), word


def test_planning_does_not_import_rich(text):
    without = f"import sys; sys.modules['rich'] = None; {SHOW}"
    assert shown(text, terminal=True, show=without) == text.read_text(encoding="utf-8")
