"""The models that somebody looks for are found: by filters, search, order and links."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reload_audit.records.since import ModelSince, Since, State
from reload_audit.reports.audit import Audit
from reload_audit.reports.dashboard.entries import entries
from reload_audit.reports.dashboard.scores import window
from support.browser import Tab
from support.fleet import fleet
from support.shown_reports import Content, downloaded, having, some, write

if TYPE_CHECKING:
    from playwright.sync_api import Browser

COLUMNS = {
    "before": "claim_mean",
    "after": "reload_mean_reward",
    "difference": "difference",
    "n_episodes": "n_episodes",
    "q": "q",
}


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
    found = {name for name, text in said.items() if all(word in text for word in words.lower().split())}
    tab.wait_for_shown(len(found))
    assert {row["model"] for row in downloaded(tab)} == found
    tab.page.fill("#search", "")
    tab.wait_for_shown(100)


def test_models_are_found_by_what_has_become_of_them_since_an_earlier_audit(browser: Browser, tmp_path: Path) -> None:
    audit = fleet(40)
    names = having(audit)
    states: dict[str, State] = {names[0]: "regressed", names[1]: "regressed", names[2]: "recovered"}
    models = [ModelSince(name, states.get(name, "same"), "equivalent", "degraded") for name in names[:-1]]
    models += [ModelSince(names[-1], "new", "", "degraded"), ModelSince("no longer here", "gone", "identical", "")]
    audit["since"] = Since("last/audit.json", "2026-11-18", tuple(models)).to_dict()
    _, path = write(audit, tmp_path, with_episodes=False)
    with Tab(browser, path) as tab:
        section = tab.page.locator("section.since")
        assert section.locator("h2").inner_text() == "Since 2026-11-18"
        tab.press_tile("regressed", kind="since")
        tab.wait_for_shown(2)
        assert {*tab.column("model")} == {*names[:2]}
        tab.press_tile("new", kind="since")
        tab.wait_for_shown(3)
        address = tab.hash
        tab.follow("#since=recovered")
        assert tab.column("model") == [names[2]]
        assert section.locator('[aria-pressed="true"]').get_attribute("data-since") == "recovered"
        tab.follow(address)
        assert {*tab.column("model")} == {names[0], names[1], names[-1]}
        assert "no longer here" in section.inner_text()  # it has no row


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
    audit, tab = report_of_hundred
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
    bottom = window(entries(Audit.from_json(audit).models)).bottom
    tab.wait_until(lambda: f",{bottom}," in tab.hash)  # down to the edge
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
    for title in ("Reason", "By chance, q"):
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
    assert "By chance, q" not in heads()
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
    audit, tab = report_of_hundred
    tab.press_tile("degraded")
    tab.wait_for_shown(len(having(audit, verdict="degraded")))
    orders = []
    for _ in range(2):
        tab.sort(field)
        orders.append(tab.column(field))
    assert orders[0] == orders[1][::-1]
    assert field == "verdict" or len(set(orders[0])) > 1


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
