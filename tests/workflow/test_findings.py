"""A lost reward or a failure is a row, not a failed job; only the gate turns verdicts into an exit status."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from reload_audit.records.replay import read_replays
from reload_audit.reports.dashboard.payload import read
from support.builders import experiment
from support.snakemake_runs import Run, Workspace, small_config

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished_audit(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Run]:
    workspace = Workspace(tmp_path_factory.mktemp("findings") / "audit")
    workspace.configure(
        small_config(
            experiment(name="healthy", n_envs=[1, 2]),
            experiment(name="falls", env="failing:RaisesInTraining"),
            experiment(name="crashes", env="failing:CrashesOnReload"),
            experiment(name="loses", env="planted:ConstructionDraws"),
            replay=True,
        )
    )
    return workspace, workspace.snakemake()


def models(workspace: Workspace) -> pd.DataFrame:
    return pd.read_csv(workspace.folder / "results/models.csv", index_col="model")


def test_every_model_gets_its_verdict_and_no_job_fails(finished_audit):
    workspace, run = finished_audit
    assert run.status == 0, run.output
    assert models(workspace)["verdict"].to_dict() == {
        "healthy-seed0-n1": "identical",
        "healthy-seed0-n2": "identical",
        "falls-seed0-n1": "error",
        "crashes-seed0-n1": "error",
        "loses-seed0-n1": "degraded",
    }


def test_the_summary_on_the_console_counts_and_names_the_worst(finished_audit):
    _, run = finished_audit
    assert "2 of 5 models still earn their train-time reward after reload; 1 is degraded and 2 ended" in run.output
    assert "Verdicts: 2 identical, 1 degraded, 2 error." in run.output
    assert re.search(r"falls-seed0-n1 +error (?s:.*?)the simulator went away", run.output)
    assert "Report: results/report.html" in run.output


def test_the_report_contains_every_model(finished_audit):
    workspace, _ = finished_audit
    content = read((workspace.folder / "results/report.html").read_text())
    assert set(content["columns"]["model"]) == set(models(workspace).index)
    assert (workspace.folder / "results/figures/scores.svg").exists()


def test_a_replay_says_of_a_model_that_lost_its_reward_why_there_is_nothing_to_show(finished_audit):
    workspace, run = finished_audit
    assert run.jobs["replay"] == 1
    replays = read_replays(workspace.folder / "results/replays.json")
    assert [*replays] == ["loses-seed0-n1"]  # what raises or crashes has no episodes
    assert "no condition went as the reference did" in replays["loses-seed0-n1"].problem
    content = read((workspace.folder / "results/report.html").read_text())
    assert [content["columns"]["model"][index] for index in content["replayed"]] == ["loses-seed0-n1"]


def test_models_that_need_a_look_are_a_table_of_their_own_the_worst_first(finished_audit):
    workspace, _ = finished_audit
    flagged = pd.read_csv(workspace.folder / "results/flagged.csv")
    assert list(flagged["model"]) == ["crashes-seed0-n1", "falls-seed0-n1", "loses-seed0-n1"]


def test_snakemake_s_own_report_holds_a_few_results_whatever_the_number_of_models(finished_audit):
    workspace, _ = finished_audit
    run = workspace.snakemake("--report", "report.zip")
    assert run.status == 0, run.output
    with zipfile.ZipFile(workspace.folder / "report.zip") as archive:
        names = [Path(name).name for name in archive.namelist() if "/data/raw/" in name]
    figures = ["causes.svg", "n_envs.svg", "scores.svg", "seeds.svg"]
    assert sorted(names) == sorted([*figures, "flagged.csv", "report.html", "summary.txt"])


def test_the_markdown_and_junit_summaries_agree_with_the_console(finished_audit):
    workspace, run = finished_audit
    results = workspace.folder / "results"
    assert (results / "summary.txt").read_text() in run.output
    assert "| degraded | 1 |" in (results / "summary.md").read_text()
    assert 'tests="5" failures="1" errors="2" skipped="0"' in (results / "junit.xml").read_text()
    assert list((results / "model_cards").glob("*.patch")) == []


def test_the_gate_fails_and_names_the_models(finished_audit):
    workspace, _ = finished_audit
    gate = workspace.snakemake("gate")
    assert gate.status != 0
    assert "loses-seed0-n1: degraded" in gate.output
    assert "healthy" not in gate.output.partition("gate: models")[2]


def test_the_gate_passes_verdicts_that_it_is_not_told_to_stop(finished_audit):
    workspace, _ = finished_audit
    gate = workspace.snakemake("gate", "--config", "gate={'fail_on': ['inconclusive']}")
    assert gate.status == 0, gate.output


def test_tables_in_csv_and_parquet_are_equal(finished_audit):
    workspace, _ = finished_audit
    parquet = pd.read_parquet(workspace.folder / "results/models.parquet").set_index("model")
    numbers = parquet.select_dtypes("number").columns
    pd.testing.assert_frame_equal(models(workspace)[numbers], parquet[numbers], check_dtype=False, check_exact=True)
