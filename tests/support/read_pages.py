"""What a browser makes of a report before its script runs, and what the script unpacks."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from reload_audit.reports.dashboard.payload import read
from reload_audit.reports.dashboard.report import render
from support.dashboard_rows import audit_of


class Page(HTMLParser):
    """What a browser makes of a report before its script runs."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.code: list[str] = []  # every <pre>
        self._in_code = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_code = tag == "pre"
        if self._in_code:
            self.code.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_code = self._in_code and tag != "pre"

    def handle_data(self, data: str) -> None:
        if self._in_code:
            self.code[-1] += data.removeprefix("\n")  # as browsers do at the start of a <pre>

    def count(self, tag: str) -> int:
        return sum(found == tag for found, _ in self.tags)

    def buttons(self, kind: str) -> list[str | None]:
        return [attrs[f"data-{kind}"] for tag, attrs in self.tags if tag == "button" and f"data-{kind}" in attrs]


def column(html: str, name: str) -> list[Any]:
    """A column of the table, as the page's script unpacks it."""
    found = read(html)["columns"][name]
    return [found["words"][position] for position in found["at"]] if isinstance(found, dict) else found


def visible(html: str) -> str:
    """The page's own text, without what is packed and what is code."""
    return re.sub(r"<(style|script)[^>]*>.*?</\1>", "", html, flags=re.DOTALL)


def panel(**fields: Any) -> dict[str, Any]:
    """What the page knows of a single model besides its row."""
    (only,) = read(render(audit_of([fields])))["details"]
    return only
