"""Figures of the report say how many models a mark stands for, fold what is alike, and are saved as they are seen."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from reload_audit.reports.colours import ON_DARK
from support.browser import Tab
from support.fleet import fleet
from support.shown_reports import Content, saved, write

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SVG = "{http://www.w3.org/2000/svg}"


def test_figures_are_saved_and_a_mark_says_how_many_models_it_stands_for(browser: Browser, tmp_path: Path) -> None:
    audit = fleet(40)
    audit["models"] = [model for model in audit["models"] if model["verdict"] == "identical"][:5]
    alike = audit["models"][:3]
    for model, verdict in zip(alike, ("degraded", "degraded", "inconclusive"), strict=True):  # at one place
        model |= {key: alike[0][key] for key in ("claim_mean", "random_mean_reward", "env_id")}
        model["verdict"] = verdict
        model["reload_mean_reward"] = (alike[0]["claim_mean"] + alike[0]["random_mean_reward"]) / 2
    _, path = write(audit, tmp_path, with_episodes=False)
    with Tab(browser, path, color_scheme="dark") as tab:
        scores = ElementTree.fromstring(saved(tab, "#scores ~ .save", "SVG"))  # noqa: S314
        assert "3" in [text.text for text in scores.iter(f"{SVG}text")]
        colours = {element.get(name, "") for element in scores.iter() for name in ("fill", "stroke")}
        assert not [colour for colour in colours if "var(" in colour or "currentColor" in colour]
        assert {ON_DARK["degraded"], ON_DARK["inconclusive"]} <= colours
        assert saved(tab, "#scores ~ .save", "PNG").startswith(b"\x89PNG")
        marks = tab.page.locator("#scores canvas")
        marks.scroll_into_view_if_needed()
        (x, y), box = center_of("3", scores), marks.bounding_box()
        assert box is not None
        tab.page.mouse.click(box["x"] + x, box["y"] + y)
        tab.wait_for_shown(3)


def center_of(text: str, figure: ElementTree.Element) -> tuple[float, float]:
    """Where a text stands in a figure, in pixels from its left and upper edge."""

    def found(element: ElementTree.Element, x: float, y: float) -> tuple[float, float] | None:
        for across, down in re.findall(r"translate\((-?[\d.]+),(-?[\d.]+)\)", element.get("transform", "")):
            x, y = x + float(across), y + float(down)
        if element.tag == f"{SVG}text" and element.text == text:
            return x, y - 3
        return next(filter(None, (found(child, x, y) for child in element)), None)

    place = found(figure, 0.0, 0.0)
    assert place is not None
    return place


def test_panels_without_a_difference_are_folded_into_their_names(report_of_hundred: tuple[Content, Tab]) -> None:
    _, tab = report_of_hundred
    tab.page.locator("#grid").scroll_into_view_if_needed()
    names = tab.page.locator("#grid-folded")
    names.wait_for(state="attached")
    assert "No difference from the reference in any cell: " in names.inner_text()
    height = "document.querySelector('#grid').offsetHeight"
    folded = tab.page.evaluate(height)
    tab.page.locator("#grid-folded button").click()
    assert tab.page.evaluate(height) != folded
    assert tab.page.locator("#grid-folded button").get_attribute("aria-expanded") == "true"
    assert tab.focused()["text"] == "Fold"
