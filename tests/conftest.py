"""What the tests have to say at their end."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the confusion matrices, what was planted and what the audit named, and what browsers measured."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    for wanted, title in (("confusion matrix", "planted, and named"), ("browser", "the report in a browser")):
        tables = [text for report in reports for name, text in report.user_properties if name == wanted]
        if tables:
            terminalreporter.section(title)
            for table in tables:
                terminalreporter.write_line(table)
