"""Scripts are told apart by their names, and what is said of each is in the report and on its model's page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from reload_audit.planning.scripts import planned_scripts
from reload_audit.records.script_entry import ScriptCause, ScriptEntry
from reload_audit.records.script_record import (
    Compared,
    Comparison,
    ScriptRecord,
)
from reload_audit.reports.dashboard.report import render
from reload_audit.reports.scripts import about_scripts, of_models
from reload_audit.results.scripts import script_entries
from support.audit_contents import audit_of, trained_row
from support.builders import resolved
from support.observed_scripts import script_in

ENTRY = ScriptEntry(
    name="enjoy.py",
    model="robot",
    mean=10.0,
    std=1.0,
    n=20,
    where="enjoy.py:9",
    earned=10.0,
    model_mean=50.0,
    model_std=2.0,
    reproduced=20.0,
    agrees=False,
    gap=40.0,
    differs=True,
    causes=(
        ScriptCause("load-not-assigned", "enjoy.py:8", "model.load('robot')", "it never acts", "", 30.0, 30.0, 0.75),
    ),
    harmless=(),
    problem="",
    raised="",
    raised_at="",
    stopped="",
    remarks=(),
    together=30.0,
    model_n=200,
)


def test_what_no_line_explains_is_said_with_its_amount() -> None:
    assert "Alone it costs 30 of 40" in " ".join(about_scripts((ENTRY,)))


def test_a_model_s_page_says_what_scripts_earn_with_it() -> None:
    (said,) = of_models([ENTRY]).values()
    assert said == (
        "enjoy.py earns 10 ± 1 (20 episodes); robot earns 50 ± 2 (200 episodes): enjoy.py:8 load-not-assigned"
    )


def test_a_model_that_earned_more_in_training_is_not_said_to_earn_what_it_earns() -> None:
    same = replace(ENTRY, mean=50.0, causes=(), differs=False)
    assert "no more than chance" in " ".join(about_scripts((same,)))
    said = " ".join(about_scripts((replace(same, contradicted="its zip says that training earned 90"),)))
    assert "50 ± 2 (200 episodes) there, but its zip says that training earned 90" in said
    assert "no more than chance" not in said


def test_a_report_of_scripts_alone_shows_their_lines_each_as_deep_as_it_is() -> None:
    page = render(audit_of(scripts=[ENTRY.to_dict()]))
    assert '<main class="of-scripts">' in page
    assert '<span style="--depth:0">enjoy.py earns 10 ± 1' in page
    assert '<span style="--depth:5">see docs/causes/load-not-assigned.md' in page
    assert "<main>" in render(audit_of(trained_row(), scripts=[ENTRY.to_dict()]))


def test_scripts_with_the_longest_names_that_files_can_have_are_told_apart(tmp_path: Path) -> None:
    paths = [tmp_path / folder / f"{252 * 'n'}.py" for folder in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        path.touch()
    planned = planned_scripts(resolved(scripts=list(map(str, paths))), [], "mine.yaml")
    assert [spec.script for spec in planned.values()] == list(map(str, paths))
    assert max(map(len, planned)) < 160


def test_models_of_one_name_are_told_apart_by_their_folders() -> None:
    paths = {"/runs/ppo_0/model.zip": "ppo_0/model", "/runs/ppo_1/model.zip": "ppo_1/model", "/runs/a2c.zip": "a2c"}
    comparisons = [Comparison(Compared(Path(path).stem, path, None)) for path in (*paths, "")]
    spec = script_in(Path("/"), "compare.py")
    entries = script_entries(ScriptRecord(spec, None, None, None, "log", comparisons))
    assert [entry.model for entry in entries] == [*paths.values(), ""]
    assert entries[0].name == "compare.py (ppo_0/model)"
