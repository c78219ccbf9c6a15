"""Agents that the SB3 team published between 2020 and 2024 load and earn what is claimed; planted wrongs are caught."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from support.builders import ROOT
from support.snakemake_runs import Workspace

SHARED = ROOT.parent / "shared/models"
AGENTS = SHARED / "rl-trained-agents"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not AGENTS.is_dir(), reason=f"the published agents are not at {AGENTS}"),
]

MOUNTAIN_CAR = "ppo/MountainCar-v0_1"
CONTINUOUS = "a2c/MountainCarContinuous-v0_1"
PENDULUM = "a2c/Pendulum-v1_1"

TWO_MARGINS = 2 * 50.0  # five per cent of what ppo/Pendulum earns above a random policy is 50


def copy(agent: str, folder: Path) -> Path:
    run = folder / agent
    shutil.copytree(AGENTS / agent, run)
    for parent, _, files in os.walk(run):
        for path in (Path(parent), *(Path(parent) / name for name in files)):
            path.chmod(0o755)
    return run


def statistics(run: Path) -> Path:
    (found,) = run.glob("*/vecnormalize.pkl")
    return found


@pytest.fixture(scope="module")
def model_rows(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("published")
    planted = folder / "planted"
    statistics(copy(MOUNTAIN_CAR, planted / "removed")).unlink()
    swapped = [statistics(copy(agent, planted / "swapped")) for agent in (MOUNTAIN_CAR, CONTINUOUS)]
    contents = [path.read_bytes() for path in swapped]
    for path, content in zip(swapped, reversed(contents), strict=True):
        path.write_bytes(content)
    copy(PENDULUM, planted / "overstated")
    claims = list(csv.reader((SHARED / "claims.csv").read_text().splitlines()))
    with open(folder / "overstated.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "claim_mean", "claim_std", "claim_n"])
        (mean, std, n), *_ = [row[2:] for row in claims if row[:2] == ["a2c", "Pendulum-v1"]]
        writer.writerow([f"overstated/{PENDULUM}", float(mean) + TWO_MARGINS, std, n])

    workspace = Workspace(folder / "audit")
    workspace.configure(
        {
            "runs": [str(AGENTS), str(planted)],
            "claims": [str(SHARED / "claims.csv"), str(folder / "overstated.csv")],
        }
    )
    run = workspace.snakemake()
    assert run.status == 0, run.output
    return pd.read_csv(workspace.folder / "results/models.csv", index_col="model")


def claims() -> dict[str, tuple[float, float, int]]:
    with open(SHARED / "claims.csv", newline="") as file:
        return {
            f"{row['algo']}/{row['env_id']}_1": (float(row["claim_mean"]), float(row["claim_std"]), int(row["claim_n"]))
            for row in csv.DictReader(file)
        }


def test_all_eight_agents_earn_what_the_benchmark_claims(model_rows):
    published = model_rows.loc[list(claims())]
    assert len(published) == 8
    assert published["verdict"].to_dict() == dict.fromkeys(claims(), "equivalent")
    assert set(published["claim_kind"]) == {"explicit"}
    assert {
        name: tuple(row) for name, *row in published[["claim_mean", "claim_std", "claim_n"]].itertuples()
    } == claims()


def test_files_that_belong_together_pass_every_check(model_rows):
    assert model_rows.loc[list(claims()), "checks_failed"].isna().all()


def test_the_best_model_beside_a_final_one_is_a_model_of_its_own_with_the_best_evaluation_as_its_claim(model_rows):
    best = model_rows.loc["ars/CartPole-v1_1/best_model"]
    assert (best["verdict"], best["claim_kind"], best["num_timesteps"]) == ("equivalent", "best", 25_000)


def test_the_row_says_what_a_plain_load_would_have_raised(model_rows):
    errors = model_rows.loc[list(claims()), "plain_load_error"].fillna("")
    assert (errors == "ModuleNotFoundError: No module named 'gym'").sum() == 6
    assert set(errors[errors == ""].index) == {"a2c/CartPole-v1_1", "a2c/Pendulum-v1_1"}


def test_the_row_says_which_versions_saved_and_loaded_it(model_rows):
    row = model_rows.loc["trpo/Acrobot-v1_1"]
    assert (row["sb3_saved"], row["sb3_loaded"][:2]) == ("1.3.1a7", "2.")
    assert "numpy 1.20.3 → " in row["version_changes"]
    assert "spaces of gym rebuilt as Gymnasium's" in row["loaded_with"]


def test_missing_statistics_are_caught(model_rows):
    row = model_rows.loc[f"removed/{MOUNTAIN_CAR}"]
    assert (row["verdict"], row["checks_failed"]) == ("degraded", "statistics")
    assert row["reload_mean_reward"] == -200.0


@pytest.mark.parametrize("agent", [MOUNTAIN_CAR, CONTINUOUS])
def test_statistics_of_another_agent_are_caught_even_where_they_cost_nothing(model_rows, agent):
    row = model_rows.loc[f"swapped/{agent}"]
    assert row["checks_failed"] == "statistics' steps"
    assert "its files do not agree" in row["reason"]


def test_a_claim_that_is_off_by_two_margins_is_caught(model_rows):
    row = model_rows.loc[f"overstated/{PENDULUM}"]
    assert (row["verdict"], row["claim_kind"]) == ("degraded", "explicit")
    assert pytest.approx(2 * model_rows.loc[PENDULUM, "margin"], rel=0.1) == TWO_MARGINS
