"""A model that is compared with a claim, and still undecided, goes on while its episodes are cheap."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from support.external_audits import audit_table

pytestmark = pytest.mark.slow

LOOKS = {"looks": [20, 40], "further_looks": [80, 160], "margin_std": 0.2, "margin_fraction": 0.05}


@pytest.fixture(scope="module")
def undecided(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """An untrained model, whose episodes end soon and differ, and a claim of nearly a margin more than it earns."""
    path = tmp_path_factory.mktemp("model") / "untrained.zip"
    model = PPO("MlpPolicy", "CartPole-v1", seed=0, n_steps=64)
    model.save(path)
    rewards, _ = evaluate_policy(model, make_vec_env("CartPole-v1", 8, seed=1), 400, return_episode_rewards=True)
    mean, std = float(np.mean(rewards)), float(np.std(rewards))
    claim = {"claim_mean": mean + 0.15 * std, "claim_std": std, "claim_n": 100_000}
    return {"name": "untrained", "model": str(path), "algo": "PPO", "env": "CartPole-v1", **claim}


@pytest.mark.parametrize(("seconds", "episodes"), [(60, {80, 160}), (0, {40})])
def test_it_goes_on_until_it_is_decided_and_not_where_its_episodes_have_taken_too_long(
    seconds: int, episodes: set[int], undecided: dict[str, Any], tmp_path: Path
) -> None:
    evaluation, verdict = {"episodes": 40, "n_envs": 8}, {**LOOKS, "seconds": seconds}
    (model,) = audit_table([undecided], tmp_path, evaluation=evaluation, verdict=verdict).values()
    assert model["n_episodes"] in episodes
    if seconds == 0:
        assert model["verdict"] == "inconclusive"
        assert "would decide (verdict.further_looks, verdict.seconds)" in model["reason"]


def test_two_models_that_are_compared_run_all_usual_looks_though_their_own_verdicts_are_clear(
    undecided: dict[str, Any], tmp_path: Path
) -> None:
    evaluation, verdict = {"episodes": 40, "n_envs": 8}, {**LOOKS, "margin_std": 2.0}
    rows, compare = [undecided, {**undecided, "name": "new"}], [{"candidate": "new", "shipping": "untrained"}]
    models = audit_table(rows, tmp_path, evaluation=evaluation, verdict=verdict, compare=compare).values()
    assert {(model["verdict"], model["n_episodes"]) for model in models} == {("equivalent", 40)}  # shown by 20


def test_those_who_watch_are_told_the_verdict_that_the_table_has_also_where_training_episodes_decide(
    undecided: dict[str, Any], tmp_path: Path
) -> None:
    model = PPO.load(undecided["model"])
    model.ep_info_buffer = deque({"r": 9.0 + t % 3, "l": 9 + t % 3, "t": float(t)} for t in range(100))
    model.save(tmp_path / "trained.zip")
    row = {"name": "trained", "model": str(tmp_path / "trained.zip"), "algo": "PPO", "env": "CartPole-v1"}
    mean = undecided["claim_mean"] - 0.15 * undecided["claim_std"]
    (found,) = audit_table([{**row, "claim_mean": mean}], tmp_path).values()
    assert (found["verdict"], found["claim_kind"]) == ("retained", "training")
    assert {one["condition"] for one in found["conditions"]} == {"reload", "stochastic"}, "nothing is to be explained"
    (notes,) = tmp_path.rglob("*.notes")
    said = [json.loads(line).get("verdict") for line in notes.read_text().splitlines()]
    assert [*filter(None, said)] == ["retained"]
