"""Over two hundred healthy models of many kinds: no instrument finds anything, and the audit names no cause."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import planted
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

import faulty
from reload_audit import record_reference
from reload_audit.forensics.examine_files import examine_files
from reload_audit.forensics.model_files import ModelFiles, RecordedDigests
from reload_audit.forensics.search import find_statistics
from reload_audit.models.algorithms import algorithm
from reload_audit.models.model_folder import MODEL, STATISTICS
from reload_audit.probing.conclusions import findings
from reload_audit.reading.model_zip import read_model
from reload_audit.reading.statistics import read_statistics
from reload_audit.records.manifest import Digests
from reload_audit.records.probe_record import ProbeRecord
from reload_audit.records.storage import read_json
from support.external_audits import audit_models

pytestmark = pytest.mark.slow

OFF_POLICY = {"learning_starts": 16, "buffer_size": 200, "batch_size": 16, "train_freq": 4}
RECIPES: dict[str, tuple[dict[str, Any], list[type]]] = {
    "PPO": ({"n_steps": 16, "batch_size": 16, "n_epochs": 2}, [planted.Draws, planted.DictObservations, planted.Gauge]),
    "A2C": ({}, [planted.Continuous, planted.Gauge, faulty.Field]),
    "TRPO": ({"n_steps": 16, "batch_size": 16}, [planted.Draws, faulty.Field]),
    "DQN": (OFF_POLICY, [planted.Draws, faulty.Field]),
    "SAC": (OFF_POLICY, [planted.Continuous]),
    "TD3": (OFF_POLICY, [planted.Continuous]),
}
ENVIRONMENTS = {env.__name__: env for _, environments in RECIPES.values() for env in environments}
SEEDS = range(5)


def recipes() -> Iterator[tuple[str, dict[str, Any], type, bool, int, int]]:
    for algo, (hyperparams, environments) in RECIPES.items():
        kinds = (False,) if algo == "DQN" else (False, True)
        for env, normalize, n_envs, seed in itertools.product(environments, kinds, (1, 3), SEEDS):
            yield algo, hyperparams, env, normalize, n_envs, seed


@pytest.fixture(scope="module")
def recorded_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a folder for each trained and recorded model."""
    th.set_num_threads(1)
    target = tmp_path_factory.mktemp("healthy")
    for number, (algo, hyperparams, env, normalize, n_envs, seed) in enumerate(recipes()):
        venv = make_vec_env(env, n_envs)
        if normalize:
            keys = ["position"] if isinstance(venv.observation_space, spaces.Dict) else None
            venv = VecNormalize(venv, norm_obs_keys=keys)
        policy = "MultiInputPolicy" if isinstance(venv.observation_space, spaces.Dict) else "MlpPolicy"
        small = {"policy_kwargs": {"net_arch": [8]}, "seed": seed, "device": "cpu"}
        model = algorithm(algo)(policy, venv, **hyperparams, **small)
        model.learn(48)
        record_reference(model, target / f"{algo}-{env.__name__}-{number}", env, episodes=10, n_envs=5)
    return target


def test_over_two_hundred_healthy_models_are_tested(recorded_models: Path) -> None:
    assert len(list(recorded_models.iterdir())) > 200


def test_files_of_healthy_models_give_rise_to_no_finding(recorded_models: Path) -> None:
    """Neither with what was recorded beside them, nor as somebody else's zip, of which nothing else is known."""
    found = {}
    for path in recorded_models.iterdir():
        saved = read_model(path / MODEL)
        statistics = read_statistics(path / STATISTICS) if (path / STATISTICS).exists() else None
        algo, name, _ = path.name.split("-")
        env = ENVIRONMENTS[name]()
        there = {"observation_space": env.observation_space, "action_space": env.action_space, "longest_episode": 8}
        for digests in (None, Digests(**read_json(path / "manifest.json")["digests"])):
            others = find_statistics(path / MODEL, saved, algo)
            recorded = RecordedDigests.of(digests)
            findings = examine_files(
                ModelFiles(saved, statistics, algo, recorded=recorded, others=others, **there)
            ).findings
            if findings:
                found[path.name] = findings
    assert not found


def test_healthy_models_are_identical_and_have_no_cause(recorded_models: Path, tmp_path: Path) -> None:
    runs = [str(path) for path in sorted(recorded_models.iterdir())[::9]]
    models = audit_models(tmp_path, runs=runs, trust=["planted", "faulty"])
    assert len(models) == len(runs)
    assert {model["verdict"] for model in models.values()} == {"identical"}
    assert {model["cause"] for model in models.values()} == {""}


def test_healthy_models_have_no_cause_even_where_every_condition_is_forced(
    recorded_models: Path, tmp_path: Path
) -> None:
    runs = [str(sorted(recorded_models.glob(f"{kind}-*"))[-1]) for kind in ("PPO-Draws", "SAC-Continuous")]
    probes = tmp_path / "probes"
    models = audit_models(tmp_path, runs=runs, trust=["planted", "faulty"], reload={"conditions": "all"}, probes=probes)
    assert not [path.name for path in probes.glob("*.json") if findings(ProbeRecord.read(path))]
    assert {model["verdict"] for model in models.values()} == {"identical"}
    assert not [model["causes"] for model in models.values() if model["causes"]]
    conditions = [condition for model in models.values() for condition in model["conditions"]]
    assert {condition["condition"] for condition in conditions} > {"stochastic", "n_envs=1", "unseeded"}
