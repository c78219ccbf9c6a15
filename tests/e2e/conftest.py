"""A browser, and reports of so many models in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING

import pytest

from support.browser import Tab, chromium
from support.fleet import fleet
from support.shown_reports import Content, Report, write

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="session")
def write_report_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Report]:
    """A function that writes the report of so many models, once for each number, and returns audit and page."""

    @cache
    def written(n: int) -> Report:
        return write(fleet(n), tmp_path_factory.mktemp(f"fleet{n}"))

    return written


@pytest.fixture
def report_of_hundred(browser: Browser, write_report_of: Callable[[int], Report]) -> Iterator[tuple[Content, Tab]]:
    """The audit of a hundred models, and its report in a tab."""
    audit, path = write_report_of(100)
    with Tab(browser, path) as tab:
        yield audit, tab
