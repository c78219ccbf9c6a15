"""What a stranger has written reaches consoles, logs and tables on one line, without control characters or formulas."""

from __future__ import annotations

import contextlib
import csv
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from reload_audit.planning.code_digest import code_digest
from reload_audit.planning.watched_files import watched_files
from reload_audit.processes import isolation
from reload_audit.processes.job_log import job_log
from reload_audit.reading.literals import literal
from reload_audit.reports.flagged import COLUMNS
from reload_audit.results import tables
from support.builders import external_spec

CONTROLS = [
    *("\x1b[31mred\x1b[2J", "line\nfeed", "car\rriage", "\u202eturned", "\x07bell", "para\u2029graph", "next\x85line"),
    *("\x9b31mcsi", "zero\u200bwidth", "\ufeffmark", "\x00nul", "\x7fdel", "\ud800half"),
]
FORMULAS = [
    "=1+1",
    "+1",
    "-x",
    "@SUM(1)",
    "＝1+1",
    "＋1",
    "－1",
    "＠x",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "\u3000=1",
    "\tx",
    "\rx",
]


@pytest.mark.parametrize("text", ["dict(a='\\d\\q')", "'\\8'", "0x1for", "1if 1else 2", "1 is 1", "(1)(2)"])
def test_a_warning_of_python_about_a_text_is_not_passed_on(text: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with contextlib.suppress(ValueError):
            literal(text)
    assert not caught


def test_a_warning_of_python_about_code_is_left_to_who_imports_it(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text("a = '\\d'\nb = 1 is 1\n")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert code_digest(tmp_path / "odd.py", lambda _: None)
    assert not caught


@pytest.mark.parametrize("name", [name for name in CONTROLS if "\0" not in name and name.isascii()])
def test_snakemake_is_given_no_path_that_it_would_print_as_it_is(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.zip"
    path.touch()
    watched = watched_files([replace(external_spec("model"), path=str(path))], now=path.stat().st_mtime + 1)
    assert watched.inputs == ()
    assert [file for file, _, _ in watched.unwatched] == [str(path)]


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_what_a_process_prints_stands_in_the_log_with_escapes(method: isolation.Method, tmp_path: Path) -> None:
    log = tmp_path / "log"
    printed = "".join(f"{text} end\n" for text in CONTROLS)
    isolation.call("support.isolation_targets:print_text", (printed,), method=method, log=log, timeout=60)
    outcome = isolation.call("support.isolation_targets:raise_error", ("\x1b[2J",), method=method, log=log, timeout=60)
    lines = log.read_text(encoding="utf-8").split("\n")
    assert all(line.isprintable() for line in lines), [line for line in lines if not line.isprintable()]
    assert sum(line.endswith(" end") for line in lines) == len(CONTROLS)
    assert outcome.failure is not None
    assert outcome.failure.message.isprintable()


def test_why_a_job_fails_stands_in_its_log_with_escapes(tmp_path: Path) -> None:
    for error in (ValueError, KeyError):
        with pytest.raises(SystemExit), job_log(tmp_path / "log", expected=ValueError):
            raise error("\x1b[2J\u202e")
        lines = (tmp_path / "log").read_text(encoding="utf-8").split("\n")
        assert any("x1b[2J" in line for line in lines)
        assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("schema", [tables.MODELS, COLUMNS], ids=["models.csv", "flagged.csv"])
def test_a_table_for_spreadsheets_has_neither_formulas_nor_control_characters(
    schema: tables.pa.Schema, tmp_path: Path
) -> None:
    texts = [name for name in schema.names if schema.field(name).type == tables.pa.string()]
    rows = [
        dict.fromkeys(texts, text) | {"difference": -1.5} for text in [*CONTROLS, *FORMULAS] if text != "\ud800half"
    ]
    tables.write_csv(tmp_path / "table.csv", rows, schema)
    with open(tmp_path / "table.csv", encoding="utf-8", newline="") as file:
        content = file.read()
    assert content.count("\n") == len(rows) + 1, "a row is a line"
    for row in csv.DictReader(content.splitlines()):
        assert row["difference"] == "-1.5"
        for name in texts:
            assert row[name].isprintable()
            assert row[name].strip()[0] not in "=+-@＝＋－＠", row[name]


def test_other_cells_of_a_table_are_as_they_were(tmp_path: Path) -> None:
    plain = ["ppo/CartPole-v1", "a = b", "50 % (-3)", "é", "", None, 'say "x", y']
    tables.write_csv(tmp_path / "table.csv", [{"model": text} for text in plain], tables.MODELS)
    with open(tmp_path / "table.csv", encoding="utf-8", newline="") as file:
        assert [row["model"] for row in csv.DictReader(file)] == [text or "" for text in plain]
