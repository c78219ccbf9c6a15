"""A report opens from one file in a browser, whatever its size and whatever it holds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reload_audit.judging.criteria import VERDICTS
from support.browser import Tab
from support.fleet import fleet
from support.shown_reports import MANY, Content, Report, having, write

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LARGEST = {100: 0.6e6, MANY: 1.4e6}


SLOWER_WITH_MANY = 6.0


LOADS = 3


@pytest.mark.parametrize("n", [0, 1, 9, 100, pytest.param(MANY, marks=pytest.mark.slow)])
def test_a_report_of_any_size_opens_from_a_file_without_errors_or_requests(
    n: int, browser: Browser, write_report_of: Callable[[int], Report]
) -> None:
    audit, path = write_report_of(n)
    with Tab(browser, path) as tab:
        if n:
            tab.wait_for_shown(n)
            assert tab.rows().count() > 0
        for verdict in VERDICTS:
            tile = tab.page.locator(f'button.tile[data-verdict="{verdict}"]')
            if tile.count():
                assert f"{audit['counts'][verdict]:,}" in tile.inner_text()
        assert tab.cut("button.tile b") == []


def test_a_report_of_models_that_all_failed_says_why(browser: Browser, tmp_path: Path) -> None:
    audit = only(fleet(400), "error")
    _, path = write(audit, tmp_path)
    with Tab(browser, path) as tab:
        tab.wait_for_shown(len(audit["models"]))
        (model, *_) = having(audit, reason="on reload: RuntimeError: the licence server is gone")
        tab.page.fill("#search", "licence server")
        tab.wait_for_shown(len(having(audit, reason="on reload: RuntimeError: the licence server is gone")))
        assert model in tab.column("model")
        tab.go(model)
        assert "the licence server is gone" in tab.panel().inner_text()


def only(audit: Content, *verdicts: str) -> Content:
    models = [model for model in audit["models"] if model["verdict"] in verdicts]
    counts = {verdict: sum(model["verdict"] == verdict for model in models) for verdict in VERDICTS}
    return {**audit, "models": models, "counts": counts}


def test_without_javascript_the_answer_and_the_counts_are_there(
    browser: Browser, write_report_of: Callable[[int], Report]
) -> None:
    audit, path = write_report_of(100)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    said = page.inner_text("body")
    assert "of 100 models still earn" in said
    assert page.locator("button.tile[data-verdict]:enabled").count() == len(
        [count for count in audit["counts"].values() if count]
    )
    assert page.locator("button.bar").count() > 0
    context.close()


@pytest.mark.slow
def test_thousands_of_rows_can_be_scrolled_sorted_and_filtered(
    browser: Browser, write_report_of: Callable[[int], Report]
) -> None:
    audit, path = write_report_of(MANY)
    with Tab(browser, path) as tab:
        assert tab.rows().count() < 200
        tab.sort("after")
        tab.sort("after")
        earned = sorted((m["reload_mean_reward"] or -math.inf for m in audit["models"]), reverse=True)
        by_name = {model["model"]: model["reload_mean_reward"] for model in audit["models"]}
        seen = [by_name[name] for name in tab.column("model")][:10]
        assert seen in (earned[:10], earned[::-1][:10], sorted(value for value in earned if value > -math.inf)[:10])
        tab.press_tile("degraded")
        tab.wait_for_shown(audit["counts"]["degraded"])
        first = tab.column("model")[0]
        tab.page.evaluate('document.querySelector("#table .tabulator-tableholder").scrollTop = 1e7')
        tab.wait_until(lambda: first not in tab.column("model"))
        assert set(tab.column("model")) <= set(having(audit, verdict="degraded"))
        for verdict in ("degraded", "identical"):  # the details of some are left to audit.json
            tab.go(having(audit, verdict=verdict)[-1])
            assert having(audit, verdict=verdict)[-1] in tab.page.inner_text("#panel h2")


@pytest.mark.slow
def test_thousands_of_models_load_nearly_as_quickly_as_a_few(
    browser: Browser, write_report_of: Callable[[int], Report], record_property: Callable[[str, object], None]
) -> None:
    said, moments, sizes = [], {}, {}
    for n in (9, 100, MANY):
        _, path = write_report_of(n)
        sizes[n] = path.stat().st_size
        with Tab(browser, path) as tab:
            taken = []
            for _ in range(LOADS):
                tab.go()
                taken.append(tab.interactive_after())
        moments[n] = statistics.median(taken)
        said.append(f"{n:>6,} models: {sizes[n] / 1e6:.2f} MB, interactive after {moments[n]:,.0f} ms")
    record_property("browser", "\n".join(said))
    assert {n: size for n, size in sizes.items() if size > LARGEST.get(n, math.inf)} == {}
    assert moments[MANY] <= SLOWER_WITH_MANY * moments[9]
