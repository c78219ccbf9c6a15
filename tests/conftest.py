"""In which order the tests run beside each other, and what they have to say at their end."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import pytest
import yaml

_DURATIONS = Path(__file__).parent / "support/durations.yaml"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are cores: tests on a cluster, in a browser and with time limits mostly wait."""
    return (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1) + 1


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests that share fixtures in one worker, and let the longest begin first, so that all end together."""
    durations = yaml.safe_load(_DURATIONS.read_text(encoding="utf-8"))
    group_of = functools.cache(functools.partial(_group, durations))
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group_of(item.nodeid)))
    items.sort(key=lambda item: -durations.get(group_of(item.nodeid), 0))


def _group(durations: dict[str, int], nodeid: str) -> str:
    """The file of a test, with the test's parameter where that is a group of its own."""
    file, _, test = nodeid.partition("::")
    name = file.removeprefix("tests/")
    own = f"{name} {test.partition('[')[2].removesuffix(']')}"
    return own if own in durations else name


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the confusion matrices, what was planted and what the audit named, and what browsers measured."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    for wanted, title in (("confusion matrix", "planted, and named"), ("browser", "the report in a browser")):
        tables = [text for report in reports for name, text in report.user_properties if name == wanted]
        if tables:
            terminalreporter.section(title)
            for table in tables:
                terminalreporter.write_line(table)
