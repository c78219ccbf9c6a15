"""The dashboard's page: its rows and tiles, whose texts they show, and how they are shown."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reload_audit.judging.criteria import VERDICTS
from reload_audit.reports.audit import Audit
from reload_audit.reports.dashboard.payload import read
from reload_audit.reports.dashboard.report import bars, render, setting_texts, write_report
from support.dashboard_rows import (
    EVERY_VERDICT,
    NASTY,
    audit_of,
    cause,
    entries,
    external_row,
    row_with_causes,
    trained_row,
)
from support.read_pages import Page, column, visible

TEXTS = (
    *("model", "experiment", "algo", "env_id", "reason", "gap", "log", "claim_source"),
    *("loaded_with", "plain_load_error", "sb3_saved", "sb3_loaded", "version_changes", "remarks"),
)


def test_the_sentence_stands_at_the_top_of_the_page() -> None:
    sentence = "2 of 3 models still earn their train-time reward after reload; 1 is degraded."
    assert sentence in render(audit_of([trained_row("a"), trained_row("b"), trained_row("c", "degraded")]))


def test_every_model_has_a_row_the_worst_first_and_numbers_in_names_in_order() -> None:
    names = ["p-n16", "p-n8", "p-n1"]
    html = render(audit_of([trained_row(name, v) for v in ("identical", "error") for name in (n + v for n in names)]))
    assert column(html, "model") == [
        *("p-n1error", "p-n8error", "p-n16error"),
        *("p-n1identical", "p-n8identical", "p-n16identical"),
    ]


def test_every_verdict_has_a_tile_that_is_a_button() -> None:
    assert Page(render(audit_of(EVERY_VERDICT))).buttons("verdict") == list(VERDICTS)


def test_only_a_claim_can_be_consistent_with_a_reload() -> None:
    assert Page(render(audit_of([trained_row()]))).buttons("verdict") == [v for v in VERDICTS if v != "consistent"]
    assert Page(render(audit_of([external_row()]))).buttons("verdict") == list(VERDICTS)


SUSPECT = {"verdict": "inconclusive", "suspect": True, "difference": -3.0, "ci_low": -3.9, "ci_high": -2.1}


def test_suspect_models_stand_before_other_inconclusive_ones_and_can_be_filtered_by() -> None:
    rows = [trained_row("a", "inconclusive"), trained_row("b", **SUSPECT), trained_row("c", "degraded")]
    html = render(audit_of(rows))
    assert column(html, "model") == ["c", "b", "a"]
    assert column(html, "suspect") == [0, 1, 0]
    assert Page(html).buttons("mark") == ["suspect"]
    assert Page(render(audit_of(EVERY_VERDICT))).buttons("mark") == []


def test_the_page_says_what_consistent_means_and_which_loss_is_not_excluded() -> None:
    html = render(audit_of([external_row(verdict="consistent", largest_loss=12.34, largest_loss_share=0.31)]))
    assert "no number of reload episodes could show equivalence" in visible(html)
    assert (column(html, "largest_loss"), column(html, "loss_share")) == ([12.34], [0.31])


def test_a_row_says_in_which_other_environment_its_model_ran() -> None:
    models = [external_row("a", env_id="Pendulum-v0", env_ran="Pendulum-v1"), external_row("b", env_ran="CartPole-v1")]
    html = render(audit_of(models))
    assert [column(html, name) for name in ("model", "environment", "ran")] == [
        ["a", "b"],
        ["Pendulum-v0", "CartPole-v1"],
        ["Pendulum-v1", ""],
    ]


def test_causes_environments_and_experiments_can_be_filtered_by() -> None:
    page = Page(
        render(audit_of([row_with_causes("a", cause()), trained_row("b"), external_row("c", env_id="Pendulum-v1")]))
    )
    assert page.buttons("cause") == ["global-generator"]
    assert page.buttons("environment") == ["CartPole-v1", "Pendulum-v1"]
    assert page.buttons("group") == ["cartpole", "zoo/agents"]


def test_bars_are_sorted_by_losses_and_as_long_as_their_number_of_models() -> None:
    pairs = [("a", "identical")] * 4 + [("b", "identical"), ("b", "degraded")]
    first, second = bars(pairs)
    assert (first.name, first.count, first.share) == ("b", 2, 0.5)
    assert (second.name, second.verdicts) == ("a", (("identical", 4),))


@pytest.mark.parametrize("one", [trained_row, external_row])
@pytest.mark.parametrize("field", TEXTS)
@pytest.mark.parametrize("text", [NASTY, "\"quotes\" & 'quotes' <b>", "🤖 naïve"])
def test_texts_from_audited_files_are_shown_as_text_only(
    one: Callable[..., dict[str, Any]], field: str, text: str
) -> None:
    harmless = Page(render(audit_of([one(verdict="error")])))
    html = render(audit_of([{**one(verdict="error"), field: text}]))
    page = Page(html)
    if field == "model":
        assert column(html, "model") == [text]
    assert page.count("img") == 0
    assert page.count("script") == harmless.count("script")
    assert page.count("b") == harmless.count("b")
    assert {name for _, attributes in page.tags for name in attributes if name.startswith("on")} == set()


@pytest.mark.parametrize("field", TEXTS)
def test_characters_that_reverse_the_writing_direction_are_shown_escaped(field: str) -> None:
    html = render(audit_of([{**external_row(verdict="error"), field: "safe\u202egnp.exe\x1b[2J\u200f"}]))
    for text in (html, json.dumps(read(html), ensure_ascii=False)):
        assert not re.search("[\u200e\u200f\u202a-\u202e\u2066-\u2069\x1b]", text)


def test_very_long_texts_are_shortened() -> None:
    ordinary = len(render(audit_of([external_row(verdict="error")])))
    endless = dict.fromkeys(TEXTS, "x" * 10_000 + "1" * 10_000)
    assert len(render(audit_of([external_row(verdict="error", **endless)]))) < ordinary + 10_000


def test_a_lone_surrogate_in_a_message_does_not_prevent_the_report(tmp_path: Path) -> None:
    write_report(audit_of([trained_row(verdict="error", reason="cannot read \udcff")]), tmp_path / "report.html")
    assert column((tmp_path / "report.html").read_text(encoding="utf-8"), "reason") == ["cannot read \\udcff"]


def test_the_same_audit_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("once.html", "twice.html"):
        write_report(audit_of(EVERY_VERDICT), tmp_path / name)
    assert (tmp_path / "once.html").read_bytes() == (tmp_path / "twice.html").read_bytes()


def test_the_order_of_the_models_in_the_audit_does_not_matter() -> None:
    assert render(audit_of(EVERY_VERDICT)) == render(audit_of(EVERY_VERDICT[::-1]))


def test_nothing_is_loaded_from_elsewhere() -> None:
    html = render(audit_of([*EVERY_VERDICT, row_with_causes("a", cause())]))
    links = [attrs.get(name) for _, attrs in Page(html).tags for name in ("src", "href", "srcset", "data", "action")]
    assert all(link.startswith(("#", "../docs/causes/")) for link in links if link is not None)
    own = html.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|@import|fetch\(|XMLHttpRequest|import\(", own)


def test_the_page_itself_forbids_any_script_but_its_own() -> None:
    policy = next(a["content"] for tag, a in Page(render(audit_of([]))).tags if tag == "meta" and "http-equiv" in a)
    allowed = r"script-src( 'sha256-[\w+/]{43}='){5}"
    assert re.fullmatch(rf"default-src 'none'; style-src 'unsafe-inline'; {allowed}", policy or "")


@pytest.mark.parametrize("models", [[], [trained_row()], [trained_row(f"m{k}", "error") for k in range(6)]])
def test_audits_without_models_or_with_failed_models_only_have_a_page(models: list[dict[str, Any]]) -> None:
    columns = read(render(audit_of(models)))["columns"]
    assert {m["model"] for m in models} == set(columns.get("model", []))


def test_missing_settings_and_fields_are_left_out_of_the_page() -> None:
    assert column(render(Audit.from_json({"models": [{"model": "bare", "verdict": "error"}]})), "model") == ["bare"]
    trained_with = [{"versions": None, "machine": None, "models": 1}]
    assert setting_texts(Audit.from_json({"settings": {}, "trained_with": trained_with}), []) == []


def test_the_settings_that_decided_are_printed() -> None:
    said = setting_texts(audit_of([trained_row()]), entries([trained_row()]))
    assert said[0] == "margin: the larger of 5 % of |train − random policy| and 0.2 train-time std"
    assert "SB3 2.9.2" in said


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ([trained_row()], "it earns what it earned in place;"),
        ([external_row()], "it earns what is claimed;"),
        ([trained_row(), external_row()], "it earns what it earned in place, or what is claimed;"),
    ],
)
def test_the_wording_fits_trained_and_external_models(models: list[dict[str, Any]], said: str) -> None:
    assert f"On the dashed line {said}" in render(audit_of(models))


def test_nothing_is_said_of_claims_where_all_models_were_trained_here() -> None:
    possible = [row for row in EVERY_VERDICT if row["verdict"] != "consistent"]
    assert "claim" not in visible(render(audit_of(possible)))


def test_external_models_are_not_shown_as_experiments_with_seeds_and_n_envs() -> None:
    assert "seed by seed" not in render(audit_of([external_row()]))
    assert "seed by seed" in render(audit_of([external_row(), trained_row()]))


def test_a_long_path_in_a_text_shows_as_its_file_and_whole_where_it_is_pointed_at() -> None:
    path = f"/{'deep/' * 12}model.zip"
    html = render(audit_of([row_with_causes("a", cause(evidence=[f"{path}: it cannot be read"]))]))
    assert f'<span title="{path}">…/model.zip</span>: it cannot be read' in html


def test_plain_loads_that_would_fail_are_counted_at_the_top() -> None:
    error = "ModuleNotFoundError: No module named &#39;gym&#39; (1)"
    said = f"1 of 2 external models would not load with a plain ALGO.load: {error}"
    assert said in render(audit_of([external_row("a"), external_row("b", plain_load_error="")]))
    assert "plain ALGO.load" not in render(audit_of([trained_row()]))


def test_the_versions_that_saved_external_models_are_printed() -> None:
    models = [external_row(f"m{k}", sb3_saved=f"1.{k}.0") for k in range(7)]
    said = "external models saved with SB3 1.0.0, 1.1.0, 1.2.0, 1.3.0, 1.4.0 and 2 others, loaded with 2.9.2"
    assert said in setting_texts(audit_of(models), entries(models))
