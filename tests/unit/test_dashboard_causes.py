"""The dashboard's causes with their fixes, and its environments."""

from __future__ import annotations

import json
import re

import pytest

from reload_audit.causes.catalogue import CAUSES
from reload_audit.reports.dashboard.causes import cause_rows, certainty
from reload_audit.reports.dashboard.payload import read
from reload_audit.reports.dashboard.report import render
from support.audit_contents import environment_health
from support.dashboard_rows import FIX, NASTY, audit_of, cause, entries, row_with_causes, trained_row
from support.read_pages import Page, panel


def test_each_cause_has_a_row_those_that_explain_most_first() -> None:
    both = row_with_causes("c", cause("clock"), cause("hash-order"))
    rows = cause_rows(
        entries(
            [row_with_causes("a", cause("hash-order")), row_with_causes("b", cause("clock")), both, trained_row("d")]
        )
    )
    assert [(row.name, row.models, row.best) for row in rows] == [("clock", 2, 2), ("hash-order", 2, 1)]
    assert rows[0].verdicts == (("degraded", 2),)
    assert "About clock." in render(audit_of([both]))


def test_a_cause_shows_the_model_that_shows_it_best() -> None:
    unsure, other, best = cause(proven=False), cause(share=0.81), cause(share=0.99)
    (row,) = cause_rows(
        entries([row_with_causes("a", unsure), row_with_causes("b", other), row_with_causes("c", best)])
    )
    assert (row.example.name, row.shown.share) == ("c", 0.99)


def test_a_cause_says_whether_it_is_proven_and_how_much_of_the_gap_it_closes() -> None:
    causes = [cause(), cause(proven=False, share=None), cause(share=-3.0), cause("unexplained", share=None)]
    (entry,) = entries([row_with_causes("a", *causes)])
    assert [certainty(one) for one in entry.causes] == [
        ["proven", "closes 97 % of the gap"],
        ["not proven"],
        ["proven", "closes 0 % of the gap"],
        [],
    ]


def test_a_model_shows_its_causes_with_their_evidence() -> None:
    said = panel(**row_with_causes("a", cause(), cause("clock")))
    assert [one["cause"] for one in said["causes"]] == ["global-generator", "clock"]
    assert said["causes"][0]["evidence"] == ["It draws.", "It drew."]
    assert said["causes"][0]["fix"] == FIX
    assert said["ruled_out"] == ["files: they are as saved"]


def test_without_causes_nothing_is_said_of_them() -> None:
    healthy = trained_row(cause="", causes=[], ruled_out=[], first_divergence=None)
    html = render(audit_of([healthy]))
    assert html == render(audit_of([trained_row()]))
    assert ">Causes" not in html


def test_a_fix_can_be_copied_as_it_is() -> None:
    fix = FIX + "\n        assert 0 < self.goal & 7, '<b>'"
    html = render(audit_of([row_with_causes("a", cause(fix=fix))]))
    assert Page(html).code == [fix]
    assert read(html)["details"][0]["causes"][0]["fix"] == fix


@pytest.mark.parametrize("text", [NASTY, "safe\u202egnp.exe\x1b[2J\u200f"])
def test_texts_of_causes_are_shown_as_text_only(text: str) -> None:
    said = cause(text, explanation=text, evidence=[text, text], fix=f"{text}\n{text}")
    html = render(audit_of([row_with_causes("a", said, ruled_out=[text], first_divergence={"text": text})]))
    assert not re.search("[\u200e\u200f\u202a-\u202e\u2066-\u2069\x1b]", html + json.dumps(read(html)))
    page = Page(html)
    assert (page.count("img"), page.count("script")) == (0, Page(render(audit_of([trained_row()]))).count("script"))
    assert not [attrs for tag, attrs in page.tags if tag == "a" and (attrs["href"] or "").startswith("..")]


def test_every_known_cause_leads_to_its_page() -> None:
    html = render(audit_of([row_with_causes("a", *map(cause, CAUSES), cause("of/another.tool"))]))
    links = {attrs["href"] or "" for tag, attrs in Page(html).tags if tag == "a"}
    pages = {f"../docs/causes/{name}.md" for name in CAUSES}
    assert {link for link in links if not link.startswith("#")} == pages
    assert {f"../{said['page']}" for said in read(html)["causes"].values() if said["page"]} == pages


def test_each_faulty_environment_has_its_evidence_and_fix_and_healthy_ones_are_only_named() -> None:
    faulty = environment_health("corridor:Corridor", "a", problem=("clock", "It reads the clock at a.py:7."))
    faulty["problems"][0] |= {"fix": "self.np_random", "where": "a.py:7 in reset"}
    page = render(audit_of([trained_row("a", "equivalent")], environment_health=[environment_health(), faulty]))
    section = page.partition('id="environments-title"')[2].partition("</section>")[0]
    for said in ("not reproducible", "It reads the clock at a.py:7.", "self.np_random", "a.py:7 in reset", "#model=a"):
        assert said in section
    assert section.count("<details>") == 1
    assert re.search(r"reproducible</span> CartPole-v1", section)
    assert "1 of its models earns as before" in section
    assert 'id="environments-title"' not in render(audit_of([trained_row()]))


def test_a_verdict_has_a_shade_where_its_environment_is_not_reproducible() -> None:
    faulty = environment_health("E", "a", "b", problem=("clock", "-"))
    leaving = environment_health("F", "c", problem=("environment-checker", "-"), reproducible=True)
    models = [trained_row("a", "equivalent"), trained_row("b", "degraded"), trained_row("c")]
    said = read(render(audit_of(models, environment_health=[faulty, leaving])))
    assert [said["columns"]["model"][index] for index in said["fragile"]] == ["a"]
