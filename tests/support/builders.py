"""Small experiments for tests, and the default criteria."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reload_audit.causes.finding import Finding
from reload_audit.judging.criteria import Criteria
from reload_audit.planning.configuration import read_yaml, resolve
from reload_audit.planning.training_specs import trained_models
from reload_audit.records.conditions import CANONICAL, Condition
from reload_audit.records.environment_spec import EnvironmentSpec
from reload_audit.records.examination import Estimate, Examination, Facts, Trial
from reload_audit.records.specs import ExternalSpec

ROOT = Path(__file__).parents[2]
SCHEMA = read_yaml(ROOT / "workflow/schemas/config.schema.yaml")

CRITERIA = Criteria(alpha=0.05, fdr=0.05, margin_fraction=0.05, margin_std=0.2, looks=(20, 40, 80, 160, 320))

EXAMINATION = Examination(
    facts=Facts(num_timesteps=1_000, saved_with={"stable_baselines3": "2.9.2"}, statistics_paired=True),
    findings=(Finding("frame-stack-missing", "forensics", True, "It observes 4 frames.", {"k": 4}),),
    target=50.0,
    pairs=True,
    estimates=(Estimate("the first 10 episodes", "short-episode-bias", 12.5, {"n": 10, "n_envs": 4}),),
    trials=(
        Trial(
            replace(Condition(CANONICAL, 10), name="frame_stack=4", environment={"frame_stack": 4}),
            ("frame-stack-missing",),
            {"k": 4},
        ),
        Trial(replace(Condition(CANONICAL, 10), name="n_envs=1", n_envs=1)),
    ),
)
"""An examination in which everything is said that one can say."""

Moments = tuple[float, float, int]


def moments(sample: np.ndarray) -> Moments:
    """What a claim consists of: mean, standard deviation with ddof 0, and number of episodes."""
    return float(sample.mean()), float(sample.std()), len(sample)


def resolved(**config: Any) -> dict[str, Any]:
    """A configuration with the schema's defaults, made quick where it does not say otherwise."""
    quick = {"evaluation": {"episodes": 20, "n_envs": 4}, "reload": {"n_envs": [2]}, "verdict": {"looks": [10, 20]}}
    return resolve({**quick, **config}, SCHEMA, "config.yaml")


def experiment(**overrides: Any) -> dict[str, Any]:
    """An experiment of a healthy model that trains in a second."""
    small = {
        "name": "small",
        "algo": "PPO",
        "env": "planted:Draws",
        "total_timesteps": 64,
        "hyperparams": {"n_steps": 32, "batch_size": 32, "n_epochs": 1},
    }
    return {**small, **overrides}


def training_spec(**overrides: Any) -> dict[str, Any]:
    """The training spec of the one model of :func:`experiment` with these overrides."""
    config = resolved(
        experiments=[experiment(**overrides)], python_path=[str(ROOT / "tests/environments"), str(ROOT / "examples")]
    )
    (spec,) = trained_models(config).values()
    return spec


def external_spec(name: str, path: str = "model.zip") -> ExternalSpec:
    """A final PPO model in CartPole that nothing is known of but its zip."""
    return ExternalSpec(
        model=name,
        source="folder",
        group="models",
        role="final",
        algo="PPO",
        device="cpu",
        deterministic=True,
        path=path,
        statistics=None,
        normalized=None,
        n_envs=1,
        environment=EnvironmentSpec("CartPole-v1", {}, (), "env", (), ()),
        named_by_user=(),
    )
