"""Slow environments give what there is: a verdict of the episodes so far, and how long the rest would take."""

from __future__ import annotations

from pathlib import Path

import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env

from support.external_audits import audit_table

pytestmark = pytest.mark.slow


def test_episodes_that_ended_in_time_are_judged_and_the_others_named(tmp_path: Path) -> None:
    from as_written import Walk

    PPO("MlpPolicy", make_vec_env(Walk, 2), seed=0, n_steps=32, device="cpu").save(tmp_path / "model.zip")
    claim = {"claim_mean": 0.0, "claim_std": 2.5, "claim_n": 100_000}
    rows = [
        {"name": name, "model": str(tmp_path / "model.zip"), "algo": "PPO", "env": f"slow:{name}", **claim}
        for name in ("Stuck", "StuckAtOnce")
    ]
    audit = audit_table(
        rows,
        tmp_path / "audit",
        evaluation={"episodes": 40, "n_envs": 4, "seed": 1_000_000},
        verdict={"looks": [20, 40], "further_looks": [], "margin_std": 0.2},
        reload={"timeout": 25},
    )
    stuck, at_once = audit["Stuck"], audit["StuckAtOnce"]
    assert (stuck["verdict"], stuck["n_episodes"]) == ("consistent", 20)
    assert "its time ended before 20 more episodes" in stuck["reason"]
    assert at_once["verdict"] == "error"
    assert "did not finish within 25 seconds; none of the first 20 episodes had ended" in at_once["reason"]
