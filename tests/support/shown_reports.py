"""Reports that tests look at in a browser, and what they should show."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from reload_audit.records.storage import plain, read_json, write_json
from reload_audit.reports.audit import Audit
from reload_audit.reports.dashboard.report import write_report
from support.any_audit import HOSTILE
from support.browser import Tab
from support.fleet import fleet
from support.fleet_rewards import episodes

Content = dict[str, Any]
"""Of an ``audit.json``."""

Report = tuple[Content, Path]

MANY = 10_000
"""Models of the largest report."""

WIDTHS = (1280, 1920)
PHONE = 390
"""Widths of windows, in pixels."""


def write(audit: Content, folder: Path, *, with_episodes: bool = True, **shown: Any) -> Report:
    """Write an audit and its report.

    :param shown: what else the report shows, as ``write_report`` takes it
    """
    write_json(folder / "audit.json", audit)
    content, table = read_json(folder / "audit.json"), folder / "episodes.parquet"
    if with_episodes:
        pq.write_table(episodes(audit), table)
    write_report(Audit.from_json(content), folder / "report.html", table if with_episodes else None, **shown)
    return content, folder / "report.html"


def having(audit: Content, **wanted: Any) -> list[str]:
    """The names of models with these values; any of several."""
    return [
        model["model"]
        for model in audit["models"]
        if all(model[key] in (value if isinstance(value, tuple) else (value,)) for key, value in wanted.items())
    ]


def some(audit: Content, *parts: str, **wanted: Any) -> Mapping[str, Any]:
    """The first model with these values that has all these parts."""
    names = set(having(audit, **wanted))
    return next(model for model in audit["models"] if model["model"] in names and all(model[part] for part in parts))


TEXTS = ("experiment", "algo", "env_id", "reason", "cause", "claim_source", "loaded_with", "remarks", "log")


def hostile() -> Content:
    """Models of all kinds whose every text is hostile, each with a name of its own."""
    names = [name for name in HOSTILE if name.strip()]
    audit = fleet(len(names))
    for model, name in zip(audit["models"], names, strict=True):
        model |= {"model": name, **dict.fromkeys(TEXTS, name), "ruled_out": [name]}
        model["causes"] = [{**cause, "cause": name, "evidence": [name], "fix": name} for cause in model["causes"]]
        model["conditions"] = [{**row, "model": name, "reason": name} for row in model["conditions"]]
        model["claims"] = [{**claim, "where": name} for claim in model["claims"]]
    content: Content = plain(audit)
    return content


def downloaded(tab: Tab) -> list[dict[str, str]]:
    with tab.page.expect_download() as started:
        tab.page.click("#download")
    content = Path(started.value.path()).read_bytes().decode("utf-8-sig")
    assert started.value.suggested_filename == "models.csv"
    return list(csv.DictReader(io.StringIO(content, newline=""), strict=True))


def saved(tab: Tab, buttons: str, kind: str) -> bytes:
    """The file that one of a figure's buttons saves."""
    with tab.page.expect_download() as started:
        tab.page.locator(buttons).get_by_text(kind, exact=True).click()
    assert started.value.suggested_filename.endswith(f".{kind.lower()}")
    return Path(started.value.path()).read_bytes()
