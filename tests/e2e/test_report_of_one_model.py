"""A model's own page says all that is known of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reload_audit.records.audit_file import AuditFile
from reload_audit.records.replay import Moment, Replay, Side
from reload_audit.records.storage import plain
from reload_audit.reports.colours import ON_LIGHT
from reload_audit.reports.dashboard.history import EarlierAudit
from support.browser import Tab
from support.fleet import fleet
from support.shown_reports import Content, Report, having, saved, some, write

if TYPE_CHECKING:
    from playwright.sync_api import Browser

RED, BLUE = (f"UklGRh4AAABXRUJQVlA4TBEAAAAvD8ADAAdQ{colour}/+BiOh/AAA=" for colour in ("lHLXo", "qHqUu"))
"""Pictures of 16 by 16 pixels, as WebP in Base64."""

_CONDITION_AND_REWARD = "rows => rows.map(row => [...row.cells].slice(0, 2).map(cell => cell.textContent))"
"""The first two cells of each row of a table of conditions."""


def test_row_and_page_of_a_consistent_model_say_which_loss_is_not_excluded(
    report_of_hundred: tuple[Content, Tab],
) -> None:
    audit, tab = report_of_hundred
    model = min(
        (model for model in audit["models"] if model["verdict"] == "consistent"), key=lambda m: m["largest_loss"]
    )
    row = tab.row(model["model"])
    share = f"{100 * model['largest_loss_share']:.2g} %"
    assert share in row.inner_text()
    row.click()
    assert f"({share} of what was learned)" in tab.panel("claim").inner_text()
    assert tab.panel("causes").count() == 0


def test_a_link_leads_to_a_model_with_all_that_is_known_of_it(
    browser: Browser, write_report_of: Callable[[int], Report]
) -> None:
    audit, path = write_report_of(100)
    model = some(audit, "causes", "ruled_out", "first_divergence", verdict="degraded", source="trained")
    with Tab(browser, path, model=model["model"]) as tab:
        tab.panel().wait_for(state="visible")
        assert model["model"] in tab.page.inner_text("#panel h2")
        for part in ("causes", "conditions", "episodes", "divergence", "ruled-out", "environment", "command"):
            assert tab.panel(part).is_visible(), part
        causes = tab.panel("causes").inner_text()
        for cause in model["causes"]:
            assert cause["cause"] in causes
            assert all(evidence in causes for evidence in cause["evidence"])
        for part in ("conditions", "episodes"):
            assert_drawn(tab, part)
        assert "snakemake" in tab.panel("command").inner_text()
        assert model["model"] in tab.panel("command").inner_text()


def test_an_external_model_shows_its_claims_and_what_was_tried(
    browser: Browser, write_report_of: Callable[[int], Report]
) -> None:
    audit, path = write_report_of(100)
    model = some(audit, "causes", "claims", verdict="degraded", claim_kind=("explicit", "evaluations", "model_card"))
    with Tab(browser, path, model=model["model"]) as tab:
        claims = tab.panel("claim").inner_text()
        assert all(claim["where"] in claims for claim in model["claims"])
        assert_drawn(tab, "conditions", height=12 * len(model["conditions"]))


def assert_drawn(tab: Tab, part: str, height: int = 60) -> None:
    box = tab.panel(part).locator("canvas").first.bounding_box()
    assert box is not None
    assert box["width"] > 200
    assert box["height"] >= height


def replay_of(steps: tuple[int, ...], *ends: int) -> Replay:
    """Episodes that end after so many steps, with one red frame and then blue ones."""

    def moments(end: int) -> tuple[Moment, ...]:
        frames = [RED, *[BLUE] * (len(steps) - 1)]
        told = zip(frames, steps, strict=True)
        return tuple(Moment(frame, f"seen at {step}", "1", 1.0, step + 1.0, "") for frame, step in told if step < end)

    before, after = (Side(f"condition {end}", end, moments(end)) for end in ends)
    return Replay("", 3, 8, None, steps, (before, replace(after, last_frame=RED)))


def test_a_replay_shows_two_episodes_and_is_played_and_stepped_with_the_keyboard(
    browser: Browser, tmp_path: Path
) -> None:
    audit = fleet(9)
    one, other, *_ = having(audit)
    replays = {one: replay_of((4, 6, 7, 9, 10), 10, 7), other: Replay(problem="its environment has no screen")}
    _, path = write(audit, tmp_path, replays=replays)
    colours = """() => [...document.querySelectorAll("#panel .replay canvas")].map((canvas) => {
        const copy = new OffscreenCanvas(16, 16).getContext("2d", {willReadFrequently: true});
        copy.drawImage(canvas, 0, 0);
        const [red, , blue] = copy.getImageData(8, 8, 1, 1).data;
        return red > blue ? "red" : "blue";
    })"""
    with Tab(browser, path, model=one, reduced_motion="reduce", has_clock=True) as tab:
        part = tab.panel("replay")
        assert "Episode 3, seed 8, from step 4" in part.inner_text()
        part.scroll_into_view_if_needed()
        tab.page.clock.run_for(5000)
        assert part.locator(".film span").inner_text() == "step 4"  # it does not play by itself
        tab.wait_for(lambda: tab.page.evaluate(colours), ["red", "red"])
        part.get_by_label("Step", exact=True).focus()
        tab.page.keyboard.press("ArrowRight")
        tab.wait_for(lambda: tab.page.evaluate(colours), ["blue", "blue"])
        assert "seen at 6" in part.locator("figure").last.inner_text()
        assert "seen at 6" in part.locator("figure").first.inner_text()
        tab.page.keyboard.press(" ")
        tab.page.clock.run_for(5000)
        tab.wait_for(lambda: part.locator(".film span").inner_text(), "step 10")
        for side, length in (("first", 10), ("last", 7)):
            assert f"after {length} steps" in getattr(part.locator("figure"), side).inner_text()
        tab.wait_until(
            lambda: tab.page.evaluate(colours) == ["blue", "red"]
        )  # the last frame of an episode, where there is one
        assert part.get_by_role("button", name="Play").is_visible()
    with Tab(browser, path, model=one) as tab:
        tab.panel("replay").scroll_into_view_if_needed()
        tab.wait_for(lambda: tab.panel("replay").locator(".film span").inner_text(), "step 10")
        tab.go(other)
        assert "No replay: its environment has no screen." in tab.panel("replay").inner_text()


def test_what_a_model_was_in_earlier_audits_is_drawn_told_and_saved(browser: Browser, tmp_path: Path) -> None:
    audit = fleet(9)
    (name, *_) = having(audit, verdict="degraded")
    earlier = {**audit, "models": [{**row, "verdict": "equivalent"} for row in audit["models"] if row["model"] == name]}
    days = ("2026-11-18", "2026-11-19")
    history = [EarlierAudit(day, AuditFile.from_json(plain(earlier))) for day in days]
    _, path = write(audit, tmp_path, with_episodes=False, history=history)
    with Tab(browser, path, model=name) as tab:
        assert tab.panel("history").locator("figcaption").all_inner_texts() == [
            "Mean reward after reload",
            "Difference, in margins",
        ]
        assert_drawn(tab, "history")
        said = tab.panel("history").locator(".chart").first.locator("[role=img]").get_attribute("aria-label") or ""
        assert [part.split(":")[0].strip() for part in said.split(";")[1:]] == [*days, "now"]
        assert said.count("equivalent") == 2
        assert said.endswith("degraded")
        drawn = saved(tab, "#panel [data-part=history] figure:last-child .save button", "SVG").decode()
        assert days[0] in drawn
        assert ON_LIGHT["degraded"] in drawn
        assert ON_LIGHT["equivalent"] in drawn
        tab.go(next(other for other in having(audit) if other != name))
        assert tab.panel("history").count() == 0


def test_two_models_stand_side_by_side_and_what_they_share_is_said_once(
    report_of_hundred: tuple[Content, Tab],
) -> None:
    audit, tab = report_of_hundred
    one, other, *_ = having(audit, cause="global-generator", source="trained")
    tab.go(one)
    tab.page.get_by_label("Compare with another model").fill(other)
    tab.page.keyboard.press("Enter")
    tab.wait_for(lambda: tab.page.locator("#panel h2").all_inner_texts(), [one, other])
    assert tab.panel("causes").count() == 1
    assert f"the same for {one} and {other}" in tab.panel("causes").inner_text()
    assert tab.panel("claim").count() == 2
    address = tab.hash
    tab.page.get_by_label(f"Take {other} away").click()
    tab.wait_for(lambda: tab.page.locator("#panel h2").all_inner_texts(), [one])
    tab.follow(address)
    tab.wait_for(lambda: tab.page.locator("#panel h2").all_inner_texts(), [one, other])


def test_a_panel_has_no_sections_without_content(browser: Browser, write_report_of: Callable[[int], Report]) -> None:
    audit, path = write_report_of(100)
    (name, *_) = having(audit, verdict="identical", source="trained")
    with Tab(browser, path, model=name) as tab:
        tab.panel().wait_for(state="visible")
        for part in ("causes", "divergence", "ruled-out"):
            assert tab.panel(part).count() == 0, part


def test_no_condition_closes_anything_for_a_model_that_lost_nothing(report_of_hundred: tuple[Content, Tab]) -> None:
    audit, tab = report_of_hundred
    for verdict in ("equivalent", "retained"):
        for name in having(audit, verdict=verdict)[:2]:
            tab.go(name)
            assert "closes" not in tab.panel("conditions").text_content()


def test_a_condition_that_ended_early_has_the_reload_s_mean_and_says_how_many_episodes_were_compared(
    report_of_hundred: tuple[Content, Tab],
) -> None:
    audit, tab = report_of_hundred
    (name, *_) = having(audit, verdict="identical", source="trained")
    tab.go(name)
    tab.panel("conditions").wait_for(state="visible")
    said = "5: every bit is as after reload, whose mean is shown; further ones were spared"
    assert said in tab.panel("conditions").text_content()
    rewards = dict(tab.panel("conditions").locator("tbody tr").evaluate_all(_CONDITION_AND_REWARD))
    assert rewards["SubprocVecEnv"] == rewards["n_envs=1"] == rewards["n_envs=8"] == rewards["reload"]


@pytest.mark.parametrize("close", ["#close", "Escape"])
def test_a_click_on_a_row_opens_its_panel(close: str, report_of_hundred: tuple[Content, Tab]) -> None:
    audit, tab = report_of_hundred
    (name, *_) = having(audit, verdict="degraded")
    tab.row(name).click()
    tab.panel().wait_for(state="visible")
    assert name in tab.page.inner_text("#panel h2")
    if close == "Escape":
        tab.page.keyboard.press("Escape")
    else:
        tab.page.click(close)
    tab.panel().wait_for(state="hidden")


def test_with_the_keyboard_a_row_opens_its_panel_and_escape_goes_back_to_it(
    report_of_hundred: tuple[Content, Tab],
) -> None:
    audit, tab = report_of_hundred
    (name, *_) = having(audit, verdict="degraded")
    tab.row(name).focus()
    tab.page.keyboard.press("Enter")
    tab.panel().wait_for(state="visible")
    assert tab.page.evaluate('document.activeElement.closest("#panel") !== null')
    for _ in range(30):  # the focus stays in an open dialog
        tab.page.keyboard.press("Tab")
        assert tab.page.evaluate(
            'document.activeElement === document.body || !!document.activeElement.closest("#panel")'
        )
    tab.page.keyboard.press("Escape")
    tab.panel().wait_for(state="hidden")
    tab.wait_until(lambda: "tabulator-row" in tab.focused()["classes"])
    assert name in tab.focused()["text"]


def test_a_link_to_a_model_that_is_not_there_opens_nothing(
    browser: Browser, write_report_of: Callable[[int], Report]
) -> None:
    _, path = write_report_of(9)
    for address in ("no such model", "%", "\x00"):
        with Tab(browser, path, model=address) as tab:
            assert not tab.panel().is_visible()
    with Tab(browser, path) as tab:
        tab.follow("#model=%E0%A4%A")
        assert not tab.panel().is_visible()


def test_a_fix_is_copied_as_it_is(browser: Browser, write_report_of: Callable[[int], Report]) -> None:
    audit, path = write_report_of(100)
    model = some(audit, "causes", verdict="degraded")
    with Tab(browser, path, model=model["model"]) as tab:
        tab.panel("causes").locator("button.copy").first.click()
        tab.panel("causes").get_by_role("button", name="Copied").wait_for()
        copied = tab.page.evaluate("navigator.clipboard.readText()")
        assert copied.rstrip() == model["causes"][0]["fix"].rstrip()
        assert tab.panel("causes").locator("pre").first.inner_text().rstrip() == copied.rstrip()
