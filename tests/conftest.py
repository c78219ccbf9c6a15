"""In which order the tests run beside each other, and what they have to say at their end."""

from __future__ import annotations

import functools
import itertools
import os
from collections import Counter
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

_DURATIONS = Path(__file__).parent / "support/durations.yaml"
_LONGEST = 40
"""Groups of tests whose seconds are told at the end: what `support/durations.yaml` says is held against them."""

# Tests run beside each other, so each has one thread, and so have the processes that it starts: two of PyTorch's that
# share a core wait for each other, and learning takes up to twenty times as long.
for _library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"

# No test asserts how long something takes: machines are shared. And every run tries the same examples, so that a change
# fails for what it did; `HYPOTHESIS_EXAMPLES=2000` tries that many others.
settings.register_profile(
    "same examples", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "other examples",
    settings.get_profile("same examples"),
    derandomize=False,
    max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", 100)),
)
settings.load_profile("other examples" if "HYPOTHESIS_EXAMPLES" in os.environ else "same examples")


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
    """Print what took longest, the confusion matrices (what was planted and what was named), what browsers measured."""
    seconds: Counter[str] = Counter()
    for report in itertools.chain.from_iterable(terminalreporter.stats.values()):
        if isinstance(report, pytest.TestReport):
            seconds[_group(report.nodeid)] += report.duration
    if len(seconds) > _LONGEST:
        terminalreporter.section("seconds that the longest took, and what durations.yaml says")
        for group, took in seconds.most_common(_LONGEST):
            terminalreporter.write_line(f"{took:6.0f} {_durations().get(group, 0):6} {group}")
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    for wanted, title in (("confusion matrix", "planted, and named"), ("browser", "the report in a browser")):
        tables = [text for report in reports for name, text in report.user_properties if name == wanted]
        if tables:
            terminalreporter.section(title)
            for table in tables:
                terminalreporter.write_line(table)
