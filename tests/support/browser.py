"""Open a report in headless Chromium, from a file and without a network, and note all errors and requests."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

REQUIRED = "CI_REQUIRES_BROWSER"
"""Where this is set, a missing browser is a failure."""

Seen = TypeVar("Seen")

_EXECUTABLES = ("chromium", "chromium-browser", "google-chrome")
_READY = 120_000

_WATCH = """
window.alerted = [];
for (const name of ["alert", "confirm", "prompt"]) window[name] = (...said) => { alerted.push([name, ...said]); };
window.refused = [];
addEventListener("securitypolicyviolation", (event) => refused.push(`${event.violatedDirective} ${event.blockedURI}`));
"""

_CUT = """(elements) => elements
    .filter((one) => one.scrollWidth > one.clientWidth + 1 || one.scrollHeight > one.clientHeight + 2)
    .map((one) => one.innerText)"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser that is installed; without one the test is skipped, or fails where it is required."""
    executable = next(filter(None, map(shutil.which, _EXECUTABLES)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _is_missing("playwright is not installed")
    if executable is None:
        _is_missing(f"there is no browser ({', '.join(_EXECUTABLES)})")
    with sync_playwright() as playwright:
        # Root, as in containers, has no sandbox; shared memory is small there.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=executable, args=arguments)
        yield browser
        browser.close()


def _is_missing(what: str) -> None:
    if os.environ.get(REQUIRED):
        pytest.fail(f"{what}, and {REQUIRED} is set")
    pytest.skip(what)


class Tab:
    """A report in a tab of its own.

    :param has_clock: whether ``page.clock`` may move the page's time on; it goes on by itself, too
    :ivar complaints: errors and warnings of the console, what was raised, what the security policy refused
    :ivar requests: whatever was asked for beside the file itself
    """

    def __init__(
        self,
        browser: Browser,
        path: Path,
        *,
        model: str = "",
        width: int = 1280,
        has_clock: bool = False,
        **settings: Any,
    ) -> None:
        self._context = browser.new_context(viewport={"width": width, "height": 900}, **settings)
        if has_clock:
            self._context.clock.install()
        self._context.add_init_script(_WATCH)
        self._context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.page: Page = self._context.new_page()
        self.address = path.as_uri()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(f"raised: {error}"))
        self.page.on("request", self._requested)
        self.go(model)

    def __enter__(self) -> Tab:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.assert_quiet()
        finally:
            self._context.close()

    def go(self, model: str = "") -> None:
        """Load the report, with the panel of a model if one is named."""
        self.follow(f"#model={quote(model, safe='')}" if model else "")

    def follow(self, link: str) -> None:
        """Load the report anew with what stands behind its address, such as ``#verdict=degraded``."""
        self.page.goto("about:blank")
        self.page.goto(self.address + link)
        self.page.wait_for_selector('body[data-ready="true"]', timeout=_READY)

    def turn_to(self, link: str) -> None:
        """Follow a link to the same report, which stays loaded."""
        self.page.evaluate("(link) => { location.hash = link; }", link)

    @property
    def hash(self) -> str:
        """What stands behind the address: ``#verdict=degraded``."""
        part: str = self.page.evaluate("location.hash")
        return part

    def assert_quiet(self) -> None:
        """Fail where anything was requested from a network, complained, or ran that the page did not bring."""
        refused, alerted = self.page.evaluate("[refused, alerted]")
        wrong = [*self.complaints, *refused, *self.requests, *alerted]
        assert not wrong, wrong

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _requested(self, request: Any) -> None:
        if request.url.partition("#")[0] not in (self.address, "about:blank") and not request.url.startswith("data:"):
            self.requests.append(request.url)

    # --- What the page shows -----------------------------------------------------------------------------------------

    @property
    def shown(self) -> int:
        """How many models it says that it shows."""
        text = self.page.inner_text("#shown")
        found = re.match(r"\D*([\d,]+)", text)
        assert found is not None, text
        return int(found[1].replace(",", ""))

    def wait_for_shown(self, count: int) -> None:
        """Wait until so many models are shown."""
        self.wait_for(lambda: self.shown, count)

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds."""
        self.wait_for(holds, True)

    def wait_for(self, read: Callable[[], Seen], wanted: Seen) -> None:
        """Wait, half a minute at least, until something is as it should be; else fail with what it is."""
        for _ in range(1500):
            if read() == wanted:
                return
            self.page.wait_for_timeout(20)
        assert read() == wanted

    def rows(self) -> Locator:
        """Those rows of the table that exist now: the visible ones and a few around them."""
        return self.page.locator("#table .tabulator-row")

    def row(self, model: str) -> Locator:
        """The row of a model, brought into sight by a search for its name."""
        self.page.fill("#search", model)
        self.wait_until(lambda: self.shown == self.rows().count() or self.rows().count() > 10)
        return self.rows().filter(has=self.page.locator(_cell("model"), has_text=model)).first

    def column(self, field: str) -> list[str]:
        """What stands in a column of these rows, from the top."""
        return [text.strip() for text in self.page.locator(f"#table .tabulator-row {_cell(field)}").all_inner_texts()]

    def sort(self, field: str) -> None:
        """Click the head of a column."""
        head = self.page.locator(f"#table .tabulator-col[tabulator-field={field}]")
        before = head.get_attribute("aria-sort")
        head.locator(".tabulator-col-title").click()
        self.wait_until(lambda: head.get_attribute("aria-sort") != before)

    def press_bar(self, kind: str, name: str) -> None:
        """Press the bar of a cause, environment or group."""
        self.page.locator(f"button.bar[data-{kind}={_quoted(name)}]").first.click()

    def press_tile(self, name: str, kind: str = "verdict") -> None:
        """Press the tile of a verdict, or of another kind."""
        self.page.click(f'button.tile[data-{kind}="{name}"]')

    def panel(self, part: str = "") -> Locator:
        """The panel of a model, or a part of it."""
        return self.page.locator(f'#panel [data-part="{part}"]' if part else "#panel")

    # --- How it looks ------------------------------------------------------------------------------------------------

    def too_wide(self) -> list[str]:
        """What is wider than the place it has: the page, the table, or the text of a cell or a head."""
        page = self.page
        wide: list[str] = page.evaluate(
            """() => [document.documentElement, document.querySelector("#table .tabulator-tableholder")]
                .filter((element) => element && element.scrollWidth > element.clientWidth)
                .map((element) => `${element.tagName} ${element.className} ${element.scrollWidth} px`)"""
        )
        return [*wide, *self.cut("#table .tabulator-col-title")]

    def cut(self, selector: str) -> list[str]:
        """The texts of the elements that have no room for all of it."""
        texts: list[str] = self.page.eval_on_selector_all(selector, _CUT)
        return texts

    def focused(self) -> dict[str, Any]:
        """What has the focus, and whether that shows."""
        found: dict[str, Any] = self.page.evaluate(
            """() => {
                const element = document.activeElement, style = getComputedStyle(element);
                const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
                const shows = outlined || style.boxShadow !== "none";
                const all = [...element.classList].join(" ");
                return {tag: element.tagName, id: element.id, classes: all, shows, text: element.innerText || ""};
            }"""
        )
        return found

    def interactive_after(self) -> float:
        """Milliseconds from the start of loading until everything can be used."""
        moment: float = self.page.evaluate('performance.getEntriesByName("interactive")[0].startTime')
        return moment


def _cell(field: str) -> str:
    return f".tabulator-cell[tabulator-field={field}]"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
