"""The report in a real browser: what somebody who opens it can see, press, type, copy and print."""

from __future__ import annotations

import csv
import io
import math
import re
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from xml.etree import ElementTree

import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given, settings

from reload_audit.judging.criteria import VERDICTS
from reload_audit.records.replay import Moment, Replay, Side
from reload_audit.records.storage import plain, read_json, write_json
from reload_audit.reports.audit import Audit
from reload_audit.reports.colours import ON_DARK
from reload_audit.reports.dashboard.report import write_report
from support.any_audit import HOSTILE, audits
from support.browser import Tab, chromium
from support.fleet import episodes, fleet

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Content = dict[str, Any]
"""Of an ``audit.json``."""

Report = tuple[Content, Path]

MANY = 10_000
WIDTHS = (1280, 1920)
PHONE = 390
PAPER = 1032
"""Pixels across A4 on its side, within margins of 12 mm."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
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


def write(
    audit: Content, folder: Path, *, with_episodes: bool = True, replays: Mapping[str, Replay] | None = None
) -> Report:
    write_json(folder / "audit.json", audit)
    content, table = read_json(folder / "audit.json"), folder / "episodes.parquet"
    if with_episodes:
        pq.write_table(episodes(audit), table)
    shown = table if with_episodes else None
    write_report(Audit.from_json(content), folder / "report.html", shown, replays=replays or {})
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


# --- It loads --------------------------------------------------------------------------------------------------------


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


def test_a_report_of_models_that_all_failed_says_why(browser: Browser, tmp_path: Path) -> None:
    audit = only(fleet(400), "error")
    _, path = write(audit, tmp_path)
    with Tab(browser, path) as tab:
        tab.wait_for_shown(len(audit["models"]))
        (model, *_) = having(audit, reason="on reload: RuntimeError: the licence server is gone")
        tab.page.fill("#search", "licence server")
        tab.page.wait_for_timeout(100)
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


# --- It filters ------------------------------------------------------------------------------------------------------


def test_pressed_tiles_show_the_models_of_any_of_their_verdicts(report_of_hundred: tuple[Content, Tab]) -> None:
    audit, tab = report_of_hundred
    for verdict in ("degraded", "error"):
        tab.press_tile(verdict)
        assert tab.page.get_attribute(f'button.tile[data-verdict="{verdict}"]', "aria-pressed") == "true"
    tab.wait_for_shown(len(having(audit, verdict=("degraded", "error"))))
    assert sorted(tab.column("model")) == sorted(having(audit, verdict=("degraded", "error")))
    tab.press_tile("degraded")
    tab.wait_for_shown(len(having(audit, verdict="error")))
    tab.press_tile("error")
    tab.wait_for_shown(100)
    assert tab.page.locator('button.tile[aria-pressed="true"]').count() == 0


def test_suspect_models_can_be_looked_at_alone_and_stand_before_other_inconclusive_ones(
    report_of_hundred: tuple[Content, Tab],
) -> None:
    audit, tab = report_of_hundred
    suspect = having(audit, suspect=True)
    assert suspect
    tab.press_tile("inconclusive")
    tab.wait_for_shown(len(having(audit, verdict="inconclusive")))
    assert tab.column("verdict")[: len(suspect) + 1] == [*["suspect"] * len(suspect), "inconclusive"]
    tab.page.click('button.tile[data-mark="suspect"]')
    tab.wait_for_shown(len(suspect))
    assert {row["suspect"] for row in downloaded(tab)} == {"True"}


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


@pytest.mark.parametrize(
    ("kind", "key"), [("cause", "cause"), ("environment", "env_id"), ("group", "experiment")], ids=lambda value: value
)
def test_a_pressed_bar_filters_and_a_second_press_ends_it(
    kind: str, key: str, report_of_hundred: tuple[Content, Tab]
) -> None:
    audit, tab = report_of_hundred
    bars = tab.page.locator(f"button.bar[data-{kind}]")
    names = [bars.nth(number).get_attribute(f"data-{kind}") or "" for number in range(bars.count())]
    assert names
    for name in names[:4]:
        tab.press_bar(kind, name)
        tab.wait_for_shown(len(having(audit, **{key: name})))
        tab.press_bar(kind, name)
        tab.wait_for_shown(100)


def test_filters_of_different_kinds_are_combined_with_and(report_of_hundred: tuple[Content, Tab]) -> None:
    audit, tab = report_of_hundred
    model = some(audit, "cause", verdict="degraded", source="trained")
    wanted = {key: model[key] for key in ("verdict", "cause", "env_id")}
    tab.press_tile("degraded")
    tab.press_bar("cause", model["cause"])
    tab.press_bar("environment", model["env_id"])
    tab.wait_for_shown(len(having(audit, **wanted)))
    tab.page.fill("#search", f"{model['algo']} seed{model['train_seed']}-")
    tab.wait_for_shown(len(having(audit, **wanted, algo=model["algo"], train_seed=model["train_seed"])))
    tab.page.click("#clear")
    tab.wait_for_shown(100)
    assert tab.page.input_value("#search") == ""
    assert tab.page.locator('[aria-pressed="true"]').count() == 0


@pytest.mark.parametrize("words", ["cartpole", "SEED1 ppo", "n8 n4", "licence server", "global-generator", "  dqn   "])
def test_a_search_shows_the_models_that_match_all_of_its_words(
    words: str, report_of_hundred: tuple[Content, Tab]
) -> None:
    audit, tab = report_of_hundred
    tab.page.fill("#search", words)
    said = {
        model["model"]: " ".join(model[key] for key in ("model", "env_id", "algo", "cause", "reason")).lower()
        for model in audit["models"]
    }
    tab.wait_for_shown(sum(all(word in text for word in words.lower().split()) for text in said.values()))
    tab.page.fill("#search", "")
    tab.wait_for_shown(100)


def test_a_search_without_results_says_so_and_can_be_cleared(report_of_hundred: tuple[Content, Tab]) -> None:
    _, tab = report_of_hundred
    tab.page.fill("#search", "there is no such model (.*[")
    tab.wait_for_shown(0)
    assert tab.rows().count() == 0
    tab.page.click("#clear")
    tab.wait_for_shown(100)


def test_dragging_over_the_scores_selects_models_and_a_link_shows_the_same_selection(
    report_of_hundred: tuple[Content, Tab],
) -> None:
    _, tab = report_of_hundred
    canvas = tab.page.locator("#scores canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    left, right = box["x"] + 0.35 * box["width"], box["x"] + 0.99 * box["width"]
    top, bottom = box["y"] + 0.05 * box["height"], box["y"] + 0.95 * box["height"]
    tab.page.mouse.move(left, top)
    tab.page.mouse.down()
    tab.page.mouse.move((left + right) / 2, (top + bottom) / 2, steps=4)
    tab.page.mouse.move(right, bottom, steps=4)
    tab.page.mouse.up()
    tab.wait_until(lambda: ",-0.3," in tab.hash)  # down to the edge
    selected, address = tab.shown, tab.hash
    assert 0 < selected < 100
    tab.page.click("#clear")
    tab.wait_for_shown(100)
    tab.follow(address)
    assert (tab.shown, tab.hash) == (selected, address)


def test_a_link_shows_what_its_sender_saw_and_back_takes_each_step_back(
    report_of_hundred: tuple[Content, Tab],
) -> None:
    audit, tab = report_of_hundred
    tab.press_tile("degraded")
    tab.press_bar("cause", "global-generator")
    tab.page.fill("#search", "seed")
    tab.page.fill("#search", "seed1")
    tab.sort("after")
    tab.sort("after")
    tab.page.click("#columns summary")
    for title in ("Reason", "q"):
        tab.page.locator("#columns label").get_by_text(title, exact=True).click()
    tab.page.keyboard.press("Escape")
    (name, *_) = seen = tab.column("model")
    tab.rows().first.click()
    tab.panel().wait_for(state="visible")
    address = tab.hash
    wanted = having(audit, verdict="degraded", cause="global-generator")
    assert sorted(seen) == sorted(name for name in wanted if "seed1" in name)

    def heads() -> list[str]:
        return tab.page.locator("#table .tabulator-col:visible").evaluate_all(
            "(all) => all.map((one) => one.innerText)"
        )

    tab.follow(address)  # the whole view, in a page that was just opened
    tab.panel().wait_for(state="visible")
    assert name in tab.page.inner_text("#panel h2")
    tab.page.keyboard.press("Escape")
    tab.panel().wait_for(state="hidden")
    assert tab.column("model") == seen
    assert tab.page.input_value("#search") == "seed1"
    assert "Reason" in heads()
    assert "q" not in heads()
    tab.go()
    tab.press_tile("degraded")
    tab.press_bar("cause", "global-generator")
    tab.page.fill("#search", "seed")
    tab.page.fill("#search", "seed1")  # letters of one search are one step
    tab.sort("after")
    for left, gone in ((len(seen), "sort"), (len(wanted), "search"), (len(having(audit, verdict="degraded")), "cause")):
        tab.page.go_back()
        tab.wait_until(lambda gone=gone: f"{gone}=" not in tab.hash)  # type: ignore[misc]
        tab.wait_for_shown(left)
    tab.page.go_back()
    tab.wait_for_shown(100)
    assert tab.hash == ""


@pytest.mark.parametrize(
    "address", ["#verdict=no+such&sort=-nothing&columns=x,,&score=1,2,b,Infinity&model=&beside=%", "#&&=&=="]
)
def test_an_address_that_names_what_is_not_there_shows_all_models(
    address: str, report_of_hundred: tuple[Content, Tab]
) -> None:
    _, tab = report_of_hundred
    tab.follow(address)
    assert tab.shown == 100
    assert not tab.panel().is_visible()


# --- It sorts --------------------------------------------------------------------------------------------------------

COLUMNS = {
    "before": "claim_mean",
    "after": "reload_mean_reward",
    "difference": "difference",
    "n_episodes": "n_episodes",
    "q": "q",
}


@pytest.mark.parametrize("field", list(COLUMNS))
def test_columns_of_numbers_sort_by_number_with_what_is_missing_last(
    field: str, report_of_hundred: tuple[Content, Tab]
) -> None:
    audit, tab = report_of_hundred
    for verdict in ("degraded", "error", "improved"):
        tab.press_tile(verdict)
    tab.wait_for_shown(len(having(audit, verdict=("degraded", "error", "improved"))))
    values = {model["model"]: model[COLUMNS[field]] for model in audit["models"]}
    orders = []
    for _ in range(2):
        tab.sort(field)
        seen = [values[name] for name in tab.column("model")]
        present = [value for value in seen if value is not None]
        assert seen[len(present) :] == [None] * (len(seen) - len(present))
        assert present in (sorted(present), sorted(present, reverse=True))
        orders.append(present)
    assert orders[0] == orders[1][::-1]


@pytest.mark.parametrize("field", ["model", "verdict", "algorithm", "environment", "cause"])
def test_columns_of_words_sort_both_ways(field: str, report_of_hundred: tuple[Content, Tab]) -> None:
    _, tab = report_of_hundred
    tab.press_tile("degraded")
    tab.page.wait_for_timeout(100)
    orders = []
    for _ in range(2):
        tab.sort(field)
        orders.append(tab.column(field))
    assert orders[0] == orders[1][::-1]
    assert field == "verdict" or len(set(orders[0])) > 1


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
        tab.page.evaluate('document.querySelector("#table .tabulator-tableholder").scrollTop = 1e7')
        tab.page.wait_for_timeout(200)
        assert set(tab.column("model")) <= set(having(audit, verdict="degraded"))
        for verdict in ("degraded", "identical"):  # the details of some are left to audit.json
            tab.go(having(audit, verdict=verdict)[-1])
            assert having(audit, verdict=verdict)[-1] in tab.page.inner_text("#panel h2")


# --- One model -------------------------------------------------------------------------------------------------------


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


RED, BLUE = (f"UklGRh4AAABXRUJQVlA4TBEAAAAvD8ADAAdQ{colour}/+BiOh/AAA=" for colour in ("lHLXo", "qHqUu"))
"""Pictures of 16 by 16 pixels, as WebP in Base64."""


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
    with Tab(browser, path, model=one, reduced_motion="reduce") as tab:
        part = tab.panel("replay")
        assert "Episode 3, seed 8, from step 4" in part.inner_text()
        part.scroll_into_view_if_needed()
        tab.page.wait_for_timeout(400)  # longer than a step is shown
        assert part.locator(".film span").inner_text() == "step 4"  # it does not play by itself
        assert tab.page.evaluate(colours) == ["red", "red"]
        part.get_by_label("Step", exact=True).focus()
        tab.page.keyboard.press("ArrowRight")
        tab.wait_until(lambda: tab.page.evaluate(colours) == ["blue", "blue"])
        assert "seen at 6" in part.locator("figure").last.inner_text()
        assert "seen at 6" in part.locator("figure").first.inner_text()
        tab.page.keyboard.press(" ")
        tab.wait_until(lambda: part.locator(".film span").inner_text() == "step 10")
        for side, length in (("first", 10), ("last", 7)):
            assert f"after {length} steps" in getattr(part.locator("figure"), side).inner_text()
        tab.wait_until(
            lambda: tab.page.evaluate(colours) == ["blue", "red"]
        )  # the last frame of an episode, where there is one
        tab.wait_until(lambda: part.get_by_role("button", name="Play").is_visible())
    with Tab(browser, path, model=one) as tab:
        tab.panel("replay").scroll_into_view_if_needed()
        tab.wait_until(lambda: tab.panel("replay").locator(".film span").inner_text() == "step 10")
        tab.go(other)
        assert "No replay: its environment has no screen." in tab.panel("replay").inner_text()


def test_two_models_stand_side_by_side_and_what_they_share_is_said_once(
    report_of_hundred: tuple[Content, Tab],
) -> None:
    audit, tab = report_of_hundred
    one, other, *_ = having(audit, cause="global-generator", source="trained")
    tab.go(one)
    tab.page.get_by_label("Compare with another model").fill(other)
    tab.page.keyboard.press("Enter")
    tab.wait_until(lambda: tab.page.locator("#panel h2").all_inner_texts() == [one, other])
    assert tab.panel("causes").count() == 1
    assert f"the same for {one} and {other}" in tab.panel("causes").inner_text()
    assert tab.panel("claim").count() == 2
    address = tab.hash
    tab.page.get_by_label(f"Take {other} away").click()
    tab.wait_until(lambda: tab.page.locator("#panel h2").all_inner_texts() == [one])
    tab.follow(address)
    tab.wait_until(lambda: tab.page.locator("#panel h2").all_inner_texts() == [one, other])


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
    tab.page.wait_for_timeout(200)
    assert "tabulator-row" in tab.focused()["classes"]
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
        tab.page.wait_for_timeout(100)
        copied = tab.page.evaluate("navigator.clipboard.readText()")
        assert copied.rstrip() == model["causes"][0]["fix"].rstrip()
        assert tab.panel("causes").locator("pre").first.inner_text().rstrip() == copied.rstrip()


# --- It hands out ----------------------------------------------------------------------------------------------------


def downloaded(tab: Tab) -> list[dict[str, str]]:
    with tab.page.expect_download() as started:
        tab.page.click("#download")
    content = Path(started.value.path()).read_bytes().decode("utf-8-sig")
    assert started.value.suggested_filename == "models.csv"
    return list(csv.DictReader(io.StringIO(content, newline=""), strict=True))


def test_the_download_has_the_rows_that_are_shown(report_of_hundred: tuple[Content, Tab]) -> None:
    audit, tab = report_of_hundred
    assert len(downloaded(tab)) == 100
    tab.press_tile("degraded")
    tab.wait_for_shown(len(having(audit, verdict="degraded")))
    rows = downloaded(tab)
    assert sorted(row["model"] for row in rows) == sorted(having(audit, verdict="degraded"))
    by_name = {model["model"]: model for model in audit["models"]}
    numbers = [(float(row["difference"]), by_name[row["model"]]["difference"]) for row in rows]
    assert all(read == pytest.approx(known, rel=1e-3) for read, known in numbers)
    assert all(read < 0 for read, _ in numbers)


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


def test_figures_are_saved_and_a_mark_says_how_many_models_it_stands_for(browser: Browser, tmp_path: Path) -> None:
    audit = fleet(40)
    audit["models"] = [model for model in audit["models"] if model["verdict"] == "identical"][:5]
    alike = audit["models"][:3]
    for model in alike:  # three degraded models of one environment, at one place
        model |= {key: alike[0][key] for key in ("claim_mean", "random_mean_reward", "env_id")}
        model["verdict"] = "degraded"
        model["reload_mean_reward"] = (alike[0]["claim_mean"] + alike[0]["random_mean_reward"]) / 2
    _, path = write(audit, tmp_path, with_episodes=False)
    with Tab(browser, path, color_scheme="dark") as tab:
        scores = ElementTree.fromstring(saved(tab, "#scores ~ .save", "SVG"))  # noqa: S314
        assert "3" in [text.text for text in scores.iter(f"{SVG}text")]
        colours = {element.get(name, "") for element in scores.iter() for name in ("fill", "stroke")}
        assert not [colour for colour in colours if "var(" in colour or "currentColor" in colour]
        assert ON_DARK["degraded"] in colours
        assert saved(tab, "#scores ~ .save", "PNG").startswith(b"\x89PNG")
        marks = tab.page.locator("#scores canvas")
        marks.scroll_into_view_if_needed()
        (x, y), box = center_of("3", scores), marks.bounding_box()
        assert box is not None
        tab.page.mouse.click(box["x"] + x, box["y"] + y)
        tab.wait_for_shown(3)


SVG = "{http://www.w3.org/2000/svg}"


def saved(tab: Tab, buttons: str, kind: str) -> bytes:
    with tab.page.expect_download() as started:
        tab.page.locator(buttons).get_by_text(kind, exact=True).click()
    assert started.value.suggested_filename.endswith(f".{kind.lower()}")
    return Path(started.value.path()).read_bytes()


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


# --- It shows names as names -----------------------------------------------------------------------------------------

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
        usual, unknown = elements(tab), []
        for name in [model["model"] for model in audit["models"] if model["model"].isprintable()]:
            tab.go(name)
            if tab.panel().is_visible():
                assert " ".join(name.split())[:60] in " ".join(tab.page.inner_text("#panel h2").split()), name
            else:
                unknown.append(name)
            assert elements(tab) == usual, name
        assert unknown == []


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
                tab.panel().wait_for(state="visible", timeout=3000)
                tab.page.keyboard.press("Escape")
                tab.panel().wait_for(state="hidden", timeout=3000)
                tab.page.wait_for_timeout(50)


# --- It looks right --------------------------------------------------------------------------------------------------


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


def test_every_row_is_printed(browser: Browser, write_report_of: Callable[[int], Report]) -> None:
    audit, path = write_report_of(100)
    with Tab(browser, path) as tab:
        tab.page.emulate_media(media="print")
        tab.page.evaluate('dispatchEvent(new Event("beforeprint"))')
        tab.page.wait_for_timeout(300)
        printed = tab.page.inner_text("body")
        assert [model["model"] for model in audit["models"] if model["model"] not in printed] == []
        assert tab.page.locator("#grid canvas").count() > 0  # what was not scrolled to is printed, too
        tab.page.evaluate('dispatchEvent(new Event("afterprint"))')
        tab.page.emulate_media(media="screen")
        assert tab.page.pdf(format="A4").startswith(b"%PDF")


def test_no_column_is_cut_off_on_paper(browser: Browser, write_report_of: Callable[[int], Report]) -> None:
    _, path = write_report_of(9)
    with Tab(browser, path, width=PAPER) as tab:
        tab.page.emulate_media(media="print")
        tab.page.evaluate('dispatchEvent(new Event("beforeprint"))')
        tab.page.wait_for_timeout(300)
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("opened", ["", "panel"])
def test_the_page_has_no_serious_accessibility_violation(
    opened: str, scheme: str, browser: Browser, write_report_of: Callable[[int], Report]
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    audit, path = write_report_of(100)
    model = having(audit, verdict="degraded")[0] if opened else ""
    with Tab(browser, path, model=model, color_scheme=scheme) as tab:
        found = axe.Axe().run(tab.page).response["violations"]
        grave = [
            f"{violation['id']}: {violation['help']}: {node['target']} {node.get('failureSummary', '')[:200]}"
            for violation in found
            if violation["impact"] in ("serious", "critical")
            for node in violation["nodes"][:3]
        ]
        assert grave == []


# --- It is quick -----------------------------------------------------------------------------------------------------

LARGEST = {100: 0.7e6, MANY: 1.45e6}
SLOWER_WITH_MANY = 6.0
LOADS = 5


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
