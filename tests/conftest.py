"""In which order the tests run beside each other, and what they have to say at their end."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

_DURATIONS = Path(__file__).parent / "support/durations.yaml"

# No test asserts how long something takes: machines are shared.
settings.register_profile("on busy machines", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("on busy machines")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are cores: tests on a cluster, in a browser and with time limits mostly wait."""
    return (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Keep tests that share fixtures in one worker."""
    return _Groups(config, log)


class _Groups(LoadScopeScheduling):
    """Gives workers the tests of one group after the other, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest begin first, so that all workers end together."""
    items.sort(key=lambda item: -_durations().get(_group(item.nodeid), 0))


@functools.cache
def _durations() -> dict[str, int]:
    return dict(yaml.safe_load(_DURATIONS.read_text(encoding="utf-8")))


def _group(nodeid: str) -> str:
    """The file of a test, with the test's parameter where that is a group of its own."""
    file, _, test = nodeid.partition("::")
    name = file.removeprefix("tests/")
    own = f"{name} {test.partition('[')[2].removesuffix(']')}"
    return own if own in _durations() else name


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the confusion matrices, what was planted and what the audit named, and what browsers measured."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    for wanted, title in (("confusion matrix", "planted, and named"), ("browser", "the report in a browser")):
        tables = [text for report in reports for name, text in report.user_properties if name == wanted]
        if tables:
            terminalreporter.section(title)
            for table in tables:
                terminalreporter.write_line(table)
