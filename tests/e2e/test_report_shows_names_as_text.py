"""Whatever an audit holds is shown as text, and never becomes part of the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import Phase, given, settings

from support.any_audit import audits
from support.browser import Tab
from support.shown_reports import PHONE, WIDTHS, Content, Report, downloaded, having, hostile, write

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def elements(tab: Tab) -> dict[str, int]:
    """How many there are of those elements that a text could smuggle in."""
    counted: dict[str, int] = tab.page.evaluate(
        """() => Object.fromEntries(["script:not([type])", "img", "iframe", "object", "link", "meta", "base", "title"]
            .map((name) => [name, document.querySelectorAll(name).length]))"""
    )
    return counted


def test_names_with_markup_or_control_characters_are_shown_as_text(
    browser: Browser, write_report_of: Callable[[int], Report], tmp_path: Path
) -> None:
    with Tab(browser, write_report_of(9)[1]) as tab:
        usual = elements(tab)
    audit, path = write(hostile(), tmp_path, with_episodes=False)
    with Tab(browser, path) as tab:
        tab.wait_for_shown(len(audit["models"]))
        assert elements(tab) == usual
        named = "".join(tab.column("model"))
        for text in ("</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "{{ 7 * 7 }}"):
            assert text in named
        for verdict in ("degraded", "identical"):
            tab.press_tile(verdict)
        tab.wait_for_shown(len(having(audit, verdict=("degraded", "identical"))))
        assert tab.page.locator("[onerror], [onmouseover], [href^=javascript]").count() == 0


def test_every_model_has_a_working_link_whatever_its_name(browser: Browser, tmp_path: Path) -> None:
    audit, path = write(hostile(), tmp_path, with_episodes=False)
    with Tab(browser, path) as tab:
        usual = elements(tab)
        names = [model["model"] for model in audit["models"] if model["model"].isprintable()]
        for number, name in enumerate(names):
            if number % 10:
                tab.turn_to(f"#model={quote(name, safe='')}")
            else:
                tab.go(name)
            beginning = " ".join(name.split())[:60]
            tab.wait_until(lambda part=beginning: part in " ".join(tab.page.inner_text("#panel h2").split()))  # type: ignore[misc]
            assert elements(tab) == usual, name


@settings(max_examples=15, phases=[Phase.explicit, Phase.generate])  # shrinking takes minutes
@given(audit=audits())
def test_any_audit_that_the_schema_allows_has_a_working_page(audit: Content, browser: Browser) -> None:
    with TemporaryDirectory() as folder:
        _, path = write(audit, Path(folder), with_episodes=False)
        with Tab(browser, path) as tab:
            tab.wait_for_shown(len(audit["models"]))
            for row in range(tab.rows().count()):
                if not tab.rows().nth(row).locator("[tabulator-field=model]").inner_text().strip():
                    continue  # nothing can be linked to that has no name
                tab.rows().nth(row).focus()
                tab.page.keyboard.press("Enter")
                tab.panel().wait_for(state="visible")
                tab.page.keyboard.press("Escape")
                tab.panel().wait_for(state="hidden")


@pytest.mark.parametrize("width", [PHONE, *WIDTHS])
def test_long_names_do_not_widen_the_page(width: int, browser: Browser, tmp_path: Path) -> None:
    audit, path = write(hostile(), tmp_path, with_episodes=False)
    longest = sorted((model["model"] for model in audit["models"]), key=len)[-2:]
    with Tab(browser, path, width=width) as tab:
        assert tab.too_wide() == []
        tab.follow(f"#model={quote(longest[0])}&beside={quote(longest[1])}")
        tab.panel().wait_for(state="visible")
        assert tab.page.locator("#panel h2").count() == 2
        assert tab.page.evaluate("document.querySelector('#panel').scrollWidth") <= width


def test_a_spreadsheet_takes_no_name_for_a_formula(browser: Browser, tmp_path: Path) -> None:
    audit, path = write(hostile(), tmp_path, with_episodes=False)
    with Tab(browser, path) as tab:
        rows = downloaded(tab)
    assert len(rows) == len(audit["models"])
    assert len({tuple(row) for row in rows}) == 1
    for row in rows:
        for key, cell in row.items():
            assert cell is not None
            assert not cell.startswith(("=", "+", "@", "\t", "\r")), (key, cell)
            assert not cell.startswith("-") or is_number(cell), (key, cell)


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
