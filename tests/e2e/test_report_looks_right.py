"""The report is read at any width, on paper, in the dark, with the keyboard and by screen readers."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from support.browser import Tab
from support.shown_reports import PHONE, WIDTHS, Content, Report, having

if TYPE_CHECKING:
    from playwright.sync_api import Browser


PAPER = 1032
"""Pixels across A4 on its side, within margins of 12 mm."""


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("n", [1, 9, 100])
def test_no_text_is_cut_off_at_usual_window_widths(
    n: int, width: int, browser: Browser, write_report_of: Callable[[int], Report]
) -> None:
    _, path = write_report_of(n)
    with Tab(browser, path, width=width) as tab:
        assert tab.too_wide() == []
        for field in ("verdict", "algorithm", "before", "after", "difference", "n_episodes", "q"):
            assert tab.cut(f"#table .tabulator-cell[tabulator-field={field}]") == []


def test_everything_can_be_reached_with_the_keyboard_and_the_focus_shows(
    browser: Browser, write_report_of: Callable[[int], Report]
) -> None:
    _, path = write_report_of(9)
    with Tab(browser, path) as tab:
        # What takes a filter back can be pressed only where there is one. The focus stays where it is.
        tab.page.evaluate("document.querySelector('button.tile[data-verdict=degraded]').click()")
        reached = []
        for _ in range(80):
            tab.page.keyboard.press("Tab")
            reached.append(tab.focused())
            if reached[-1]["tag"] == "BODY":
                break
        classes = " ".join(one["classes"] for one in reached)
        for wanted in ("tile", "bar", "tabulator-row"):
            assert wanted in classes, wanted
        assert {"search", "clear", "download"} <= {one["id"] for one in reached}
        assert [one for one in reached if not one["shows"] and one["tag"] != "BODY"] == []


def test_a_tile_is_pressed_with_the_keyboard(report_of_hundred: tuple[Content, Tab]) -> None:
    audit, tab = report_of_hundred
    tab.page.focus('button.tile[data-verdict="degraded"]')
    tab.page.keyboard.press("Space")
    tab.wait_for_shown(len(having(audit, verdict="degraded")))
    tab.page.keyboard.press("Enter")
    tab.wait_for_shown(100)


def test_nothing_is_animated_for_those_who_prefer_reduced_motion(
    browser: Browser, write_report_of: Callable[[int], Report]
) -> None:
    audit, path = write_report_of(9)
    with Tab(browser, path, reduced_motion="reduce") as tab:
        tab.press_tile("degraded")
        tab.row(having(audit, verdict="degraded")[0]).click()
        longest = tab.page.evaluate(
            """() => Math.max(...[...document.querySelectorAll("*")].flatMap((element) => {
                const style = getComputedStyle(element);
                return `${style.transitionDuration}, ${style.animationDuration}`.split(",").map(parseFloat);
            }))"""
        )
        assert longest <= 0.01
        assert tab.page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") != "smooth"


def test_every_row_is_printed(browser: Browser, write_report_of: Callable[[int], Report]) -> None:
    audit, path = write_report_of(100)
    with Tab(browser, path) as tab:
        tab.page.emulate_media(media="print")
        tab.page.evaluate('dispatchEvent(new Event("beforeprint"))')
        tab.page.locator("#grid canvas").first.wait_for(state="attached")  # what was not scrolled to is printed, too
        printed = tab.page.inner_text("body")
        assert [model["model"] for model in audit["models"] if model["model"] not in printed] == []
        tab.page.evaluate('dispatchEvent(new Event("afterprint"))')
        tab.page.emulate_media(media="screen")
        assert tab.page.pdf(format="A4").startswith(b"%PDF")


def test_no_column_is_cut_off_on_paper(browser: Browser, write_report_of: Callable[[int], Report]) -> None:
    _, path = write_report_of(9)
    with Tab(browser, path, width=PAPER) as tab:
        tab.page.emulate_media(media="print")
        tab.page.evaluate('dispatchEvent(new Event("beforeprint"))')
        tab.page.locator(".tabulator-print-table td").first.wait_for()
        ends = tab.page.eval_on_selector_all(
            ":is(td, th, .tabulator-cell, .tabulator-col)",
            "(cells) => cells.filter((one) => one.offsetParent).map((one) => one.getBoundingClientRect().right)",
        )
        assert ends
        assert max(ends) <= PAPER


def test_controls_are_not_printed(browser: Browser, write_report_of: Callable[[int], Report]) -> None:
    audit, path = write_report_of(9)
    with Tab(browser, path) as tab:
        tab.page.emulate_media(media="print")
        for selector in ("#search", "#clear", "#download"):
            assert not tab.page.is_visible(selector), selector
        said = tab.page.inner_text("body")
        assert all(model["model"] in said for model in audit["models"])


def test_of_an_opened_model_its_page_alone_is_printed_and_nothing_of_it_is_cut(
    browser: Browser, write_report_of: Callable[[int], Report]
) -> None:
    audit, path = write_report_of(9)
    with Tab(browser, path, width=PAPER) as tab:
        tab.go(audit["models"][0]["model"])
        tab.page.emulate_media(media="print")
        assert tab.panel("command").is_visible()
        assert not tab.page.is_visible("main")
        assert not tab.page.is_visible("#panel nav")
        cut = "(panel) => [panel.scrollHeight - panel.clientHeight, panel.scrollWidth - panel.clientWidth]"
        assert tab.panel().evaluate(cut) == [0, 0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_preferred_colour_scheme(
    scheme: str, browser: Browser, write_report_of: Callable[[int], Report]
) -> None:
    with Tab(browser, write_report_of(9)[1], color_scheme=scheme) as tab:
        colour = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
        if colour == "rgba(0, 0, 0, 0)":
            colour = tab.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        light = statistics.mean(float(part) for part in colour.strip("rgba()").split(",")[:3])
        assert light > 200 if scheme == "light" else light < 60


@pytest.mark.parametrize(
    ("opened", "scheme", "width"),
    [("", "light", WIDTHS[0]), ("", "dark", PHONE), ("panel", "light", PHONE), ("panel", "dark", WIDTHS[0])],
)
def test_the_page_has_no_serious_accessibility_violation(
    opened: str, scheme: str, width: int, browser: Browser, write_report_of: Callable[[int], Report]
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    audit, path = write_report_of(100)
    model = having(audit, verdict="degraded")[0] if opened else ""
    with Tab(browser, path, model=model, width=width, color_scheme=scheme) as tab:
        found = axe.Axe().run(tab.page).response["violations"]
        grave = [
            f"{violation['id']}: {violation['help']}: {node['target']} {node.get('failureSummary', '')[:200]}"
            for violation in found
            if violation["impact"] in ("serious", "critical")
            for node in violation["nodes"][:3]
        ]
        assert grave == []
