"""Take the pictures of the documentation from the report that is in results/: `make audit`, then `make screenshots`.

They show the default audit. Needs Chromium, and requirements-dev.txt.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).parent / "images"
READY = 'body[data-ready="true"]'


def main(report: Path) -> None:
    """Write ``docs/images/*.png``."""
    executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        for name, scheme in (("report", "light"), ("report-dark", "dark")):
            page = browser.new_page(viewport={"width": 1280, "height": 1120}, color_scheme=scheme)
            page.goto(report.resolve().as_uri())
            page.wait_for_selector(READY)
            _picture(page, name)
        page = browser.new_page(viewport={"width": 1280, "height": 1560})
        page.goto(report.resolve().as_uri())
        page.wait_for_selector(READY)
        page.locator("#grid").scroll_into_view_if_needed()
        _picture(page, "n_envs", selector="section:has(> #grid)")
        page.locator(".tabulator-row").first.click()
        _picture(page, "model", selector="#panel")
        browser.close()


def _picture(page: Page, name: str, selector: str = "") -> None:
    page.wait_for_timeout(500)
    (page.locator(selector) if selector else page).screenshot(path=HERE / f"{name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results/report.html"))
