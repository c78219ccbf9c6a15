"""Agents published for version 3 of MuJoCo environments: known changes are undone, others presumed to be the cause."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import pytest

from support.builders import ROOT
from support.snakemake_runs import Workspace

SHARED = ROOT.parent / "shared/models"
AGENTS = SHARED / "harder-agents"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not AGENTS.is_dir(), reason=f"the published agents are not at {AGENTS}"),
    pytest.mark.skipif(importlib.util.find_spec("mujoco") is None, reason="MuJoCo is not installed"),
]

ANT, WALKER = "a2c/Ant-v3_1", "ars/Walker2d-v3_1"

Row = dict[str, Any]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row]:
    workspace = Workspace(tmp_path_factory.mktemp("moved") / "audit")
    workspace.configure(
        {"runs": [str(AGENTS / agent) for agent in (ANT, WALKER)], "claims": [str(SHARED / "claims-harder.csv")]}
    )
    run = workspace.snakemake()
    assert run.status == 0, run.output
    audit = json.loads((workspace.folder / "results/audit.json").read_text())
    return {model["model"]: model for model in audit["models"]}


def test_an_ant_without_contact_forces_earns_its_claim_with_zeros_in_their_place(models: dict[str, Row]) -> None:
    row = models["Ant-v3_1"]
    assert (row["verdict"], row["env_id"], row["env_ran"]) == ("equivalent", "Ant-v3", "Ant-v4")
    assert row["loaded_with"].startswith("Ant-v3 ran as Ant-v4 with 84 zeros in place of contact forces")
    assert row["conditions"][0]["migration"] == "84 zeros in place of contact forces"


@pytest.mark.parametrize("name", ["Walker2d-v3_1", "best_model"])
def test_a_walker_that_earns_less_in_version_4_is_presumed_to_lose_by_that(name: str, models: dict[str, Row]) -> None:
    row = models[name]
    assert (row["verdict"], row["cause"], row["env_ran"]) == ("degraded", "env-version", "Walker2d-v4")
    assert not row["causes"][0]["proven"]
    assert row["causes"][0]["evidence"][0] == "Walker2d-v3 ran as Walker2d-v4"
