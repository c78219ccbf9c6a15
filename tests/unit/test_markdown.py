"""The summary in Markdown, for a pull request or a chat message."""

from __future__ import annotations

from typing import Any

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from reload_audit.reports.markdown import code, summarize
from reload_audit.reports.model_cards import Suggestion
from support.audit_contents import (
    HOSTILE,
    audit_of,
    consistent_row,
    external_row,
    inconclusive_row,
    row_with_cause,
    suspect_row,
    trained_row,
)

GITHUB = MarkdownIt("commonmark").enable(["table", "strikethrough"])
OWN_HTML = {"<br>", "<details>", "</details>"}


def summary(*models: dict[str, Any], cards: tuple[Suggestion, ...] = ()) -> str:
    return summarize(audit_of(*models), "results/report.html", cards)


def tokens(text: str) -> list[Token]:
    """All of a text's tokens, those within paragraphs and cells included."""
    return [part for token in GITHUB.parse(text) for part in [token, *(token.children or [])]]


def rows(text: str) -> list[list[str]]:
    """The cells of all tables, without heads."""
    found: list[list[str]] = []
    parsed = GITHUB.parse(text)
    for position, token in enumerate(parsed):
        if token.type == "tr_open":
            found.append([])
        elif token.type == "td_open":
            found[-1].append("".join(part.content for part in parsed[position + 1].children or []))
    return [row for row in found if row]


def test_the_answer_comes_first_and_the_report_last():
    lines = summary(trained_row(), row_with_cause("a", "clock")).splitlines()
    assert lines[0] == "**1 of 2 models still earns its train-time reward after reload; 1 is degraded.**"
    assert lines[-1] == "Report: `results/report.html`"


def test_the_verdicts_are_counted_and_what_is_open_says_why():
    text = summary(trained_row(), trained_row(), inconclusive_row("no_claim"), inconclusive_row("best_of_k"))
    assert rows(text)[:2] == [["identical", "2", ""], ["inconclusive", "2", "1 no_claim, 1 best_of_k"]]


def test_suspect_models_are_counted_and_listed_right_after_degraded_ones():
    found = rows(
        summary(inconclusive_row("no_claim"), suspect_row("s"), row_with_cause("d", "clock"), consistent_row())
    )
    assert found[:3] == [
        ["consistent", "1", "a loss of up to 60 % of what was learned is not excluded"],
        ["inconclusive", "2", "1 suspect, 1 no_claim"],
        ["degraded", "1", ""],
    ]
    assert [row[:2] for row in found[3:5]] == [["d", "degraded"], ["s", "inconclusive (suspect)"]]


def test_the_worst_models_show_what_they_lost_why_and_where_the_fix_is():
    text = summary(row_with_cause("a", "clock", "It is 9:00.", reason="earns 40 less"))
    assert rows(text)[1] == [
        "a",
        "degraded",
        "50.00 ± 4.00 → 10.00 ± 1.00 (in place)",
        "earns 40 less",
        "clock: It is 9:00.<br>docs/causes/clock.md",
    ]


def test_causes_are_counted_with_their_pages():
    text = summary(
        *(row_with_cause(name, "clock", verdict="inconclusive") for name in "ab"), row_with_cause("c", "hash-order")
    )
    assert rows(text)[-2:] == [["clock", "2", "docs/causes/clock.md"], ["hash-order", "1", "docs/causes/hash-order.md"]]


def test_an_audit_without_models_or_losses_has_a_short_summary():
    assert summary() == "**No models were audited.**\n\nReport: `results/report.html`\n"
    assert summary(trained_row()).count("\n") == 7


@pytest.mark.parametrize("text", HOSTILE)
def test_names_and_messages_are_shown_as_they_are_and_do_nothing(text):
    """What is in a code span is no HTML, link, image, mention or formula."""
    cards = (
        Suggestion(text, "improved", text, "1", "2", b"x"),
        Suggestion(text, "degraded", text, "1", why_no_patch="-"),
    )
    one = row_with_cause(text, text, text, reason=text, plain_load_error=text, source="hub", claim_kind="explicit")
    written = summary(one, external_row(text, "error", reason=text), cards=cards)
    parsed = tokens(written)
    assert {token.content.strip() for token in parsed if token.type == "html_inline"} <= OWN_HTML
    blocks = "".join(token.content for token in parsed if token.type == "html_block")
    assert "<script" not in blocks
    assert "<img" not in blocks
    assert not {"link_open", "image", "heading_open", "fence", "s_open"} & {token.type for token in parsed}
    assert len([token for token in parsed if token.type == "strong_open"]) == 1
    plain = "".join(token.content for token in parsed if token.type == "text")
    assert not [word for word in ("@", "#1", "GH-", "://", "www.", "$", "0123456789abcdef") if word in plain]
    assert all(len(row) in (3, 5) for row in rows(written))
    shown = [token.content for token in parsed if token.type == "code_inline"]
    assert text.strip() in shown or not text.isprintable() or not text.strip()
    assert all(line.isprintable() for line in written.split("\n"))


@pytest.mark.parametrize("text", ["a", "`", "``a`", "a ``` b", "a`"])
def test_a_code_span_shows_its_text(text):
    (span,) = [token for token in tokens(code(text)) if token.type == "code_inline"]
    assert span.content == text


def test_corrections_of_cards_are_listed_with_their_patches():
    cards = (
        Suggestion("a/b", "improved", "hub/b/README.md", "10.00 +/- 1.00", "50.00 +/- 1.00", b"-"),
        Suggestion("c", "degraded", "hub/c/README.md", "500 +/- 0", why_no_patch="explained by statistics-missing"),
    )
    text = summary(external_row(), cards=cards)
    assert "2 model cards state another mean reward than was measured; 1 with a patch in model_cards/; " in text
    assert "1 without: explained by statistics-missing (1)." in text
    assert (
        "- `model_cards/a-b.patch`: `10.00 +/- 1.00` → `50.00 +/- 1.00` on `hub/b/README.md`, whose model is improved"
        in text
    )


def test_ten_thousand_models_with_long_names_fit_into_a_comment():
    long = "`|" * 5_000
    models = [
        row_with_cause(f"{k}{long}", f"c{k}{long}", long, reason=long, verdict=v)
        for v in ("error", "degraded")
        for k in range(5_000)
    ]
    cards = tuple(Suggestion(f"{k}{long}", "improved", long, "1", "2", b"-") for k in range(5_000))
    assert len(summary(*models, cards=cards)) < 60_000


def test_models_of_one_cause_in_one_environment_are_one_row_with_all_their_names():
    models = [row_with_cause(name, "clock", "It is 9:00.", reason="earns 40 less") for name in "abc"]
    (row,) = [row for row in rows(summary(*models)) if "clock" in row[-1] and len(row) == 5]
    assert row[:2] == ["a<br>b<br>c", "3 degraded"]
    assert row[3:] == ["earns 40 less", "clock: It is 9:00.<br>docs/causes/clock.md"]


def test_every_degraded_and_suspect_model_is_named_before_any_inconclusive_one():
    lost = [row_with_cause(f"lost{k}.", f"cause{k % 30}") for k in range(100)]
    likely = [suspect_row(f"likely{k}.") for k in range(20)]
    text = summary(*(row_with_cause(f"open{k}.", "no-claim", verdict="inconclusive") for k in range(9)), *likely, *lost)
    assert all(f"`{kind}{k}.`" in text for kind, n in (("lost", 100), ("likely", 20)) for k in range(n))
    assert "`open" not in text
