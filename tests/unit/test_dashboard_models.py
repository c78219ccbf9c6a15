"""What the dashboard shows of one model: its panel, and its details among ten thousand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reload_audit.reports.dashboard.payload import details, read
from reload_audit.reports.dashboard.report import render
from reload_audit.results import tables
from support.audit_contents import environment_health
from support.dashboard_rows import audit_of, cause, entries, external_row, row_with_causes, trained_row
from support.read_pages import column, panel


def test_the_panel_of_an_external_model_says_how_it_was_loaded() -> None:
    assert dict(panel(**external_row())["details"]) == {
        "Needed to load it": "spaces of gym rebuilt as Gymnasium's",
        "A plain PPO.load": "would raise ModuleNotFoundError: No module named 'gym'",
        "Versions": "stable_baselines3 1.3.0 → 2.9.2",
    }
    assert column(render(audit_of([external_row(claim_kind="model_card")])), "kind") == ["model card"]


def test_the_panel_leaves_out_what_is_not_known_of_a_model() -> None:
    nothing = dict.fromkeys(("loaded_with", "plain_load_error", "version_changes", "sb3_saved"))
    (entry,) = entries([external_row(**nothing)])
    assert details(entry) == []
    (entry,) = entries([external_row(**{**nothing, "plain_load_error": "", "sb3_saved": "2.9.2"})])
    assert details(entry) == [
        ("A plain PPO.load", "would work"),
        ("Versions", "stable_baselines3 2.9.2, as saved"),
    ]


@pytest.mark.parametrize("one", [trained_row, external_row])
def test_remarks_on_a_model_are_in_its_panel(one: Callable[..., dict[str, Any]]) -> None:
    said = "VecMonitor.class_attributes cannot be pickled"
    assert ["Remarks", said] in panel(**one(remarks=said))["details"]


def test_all_claims_are_named_not_only_the_one_that_decides() -> None:
    claims = [
        {"kind": "explicit", "mean": 50.0, "std": 4.0, "n": 300, "where": "claims.csv, line 2"},
        {"kind": "model_card", "mean": 48.5, "std": None, "n": None, "where": "README.md"},
    ]
    assert panel(**external_row(claims=claims))["claims"] == [
        "explicit: 50.00 ± 4.00 over 300 episodes (claims.csv, line 2)",
        "model card: 48.50 (README.md)",
    ]


def test_the_first_divergence_has_the_values_of_both_sides() -> None:
    differences = [{"component": "raw_observations", "index": [2], "reference": 0.5, "reload": 0.25}]
    known = {"text": "Episode 0 differs first at step 3.", "differences": differences}
    said = panel(**row_with_causes("a", cause(), first_divergence=known))
    assert said["divergence"] == "Episode 0 differs first at step 3."
    assert said["differences"] == [["raw observations[2]", "0.5", "0.25"]]


def test_the_probe_of_a_models_environment_is_with_it() -> None:
    environment = environment_health("Corridor-1f", "a", problem=("clock", "It reads the clock."))
    content = audit_of([row_with_causes("a", cause(), probe="Corridor-1f")], environment_health=[environment])
    said = read(render(content))
    assert said["details"][0]["probe"] == "Corridor-1f"
    assert said["environments"]["Corridor-1f"]["problems"] == [{"name": "clock", "evidence": "It reads the clock."}]


def test_the_episodes_of_a_model_that_lost_its_reward_are_paired(tmp_path: Path) -> None:
    rows = [
        {"model": name, "condition": stage, "episode": episode, "seed": episode, "reward": reward + episode}
        for name in ("a", "b")
        for stage, reward in (("in_place", 50.0), ("reference", 50.0), ("reload", -3.0), ("stochastic", 1.0))
        for episode in range(3)
    ]
    tables.write_parquet(tmp_path / "episodes.parquet", tables.table(rows, tables.EPISODES))
    said = read(render(audit_of([row_with_causes("a", cause()), trained_row("b")]), tmp_path / "episodes.parquet"))[
        "details"
    ]
    assert said[0]["pairs"] == {"in_place": [50, 51, 52], "reference": [50, 51, 52], "reload": [-3, -2, -1]}
    assert "pairs" not in said[1]


def test_a_trend_of_a_number_of_evaluations_that_cannot_be_is_shown_with_its_spread_as_written() -> None:
    claim = {"kind": "trend", "mean": 50.0, "std": 2.0, "n": -1, "where": "evaluations.npz"}
    assert "2.00" in str(panel(**trained_row(claims=[claim])))


def test_details_of_the_worst_models_are_in_the_page_however_many_there_are(tmp_path: Path) -> None:
    def fix(number: int) -> str:
        return f"model = '{hashlib.sha512(str(number).encode()).hexdigest() * 4}'"

    models = [row_with_causes(f"m{k}", cause(fix=fix(k))) for k in range(4000)]
    content = read(render(audit_of([*models, trained_row("healthy")])))
    assert len(content["columns"]["model"]) == 4001
    assert 0 < content["detailed"] < 4001
    assert len(content["details"]) == content["detailed"]
