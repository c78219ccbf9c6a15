"""An untrained model of every kind of source, as people keep them, and what the audit's records say of each."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import gymnasium as gym
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecFrameStack, VecNormalize

from reload_audit.causes.fixes import ModelToFix, Source
from reload_audit.diagnosis.evidence import Evidence
from reload_audit.jobs.external import audit_batch
from reload_audit.judging.criteria import Criteria
from reload_audit.models.model_folder import MANIFEST
from reload_audit.records.environment_spec import EnvironmentSpec
from reload_audit.records.manifest import TrainedManifest
from reload_audit.records.model_record import ModelRecord, read_records
from reload_audit.records.specs import ExternalPolicy, ReloadSpec
from reload_audit.records.storage import read_json
from reload_audit.training.recorder import record_reference
from support.builders import ROOT, experiment, training_spec
from support.external_audits import external_plan, train_all
from support.published_layouts import hub_repository, text, zoo_run

SMALL = {"n_steps": 16, "batch_size": 16, "n_epochs": 1, "device": "cpu"}
SOURCES: tuple[Source, ...] = get_args(Source)
TRUSTED = {"python_path": [str(ROOT / "tests/environments")], "trust": ["fields"]}
ORCHARD = "fields:Orchard"


@dataclass(frozen=True)
class Audited:
    """A model that has been audited: what fixes may name of it, how it was configured, and how its environment ran.

    :param config: the configuration that leads to it, with paths relative to the folder that it was made in
    """

    model: ModelToFix
    config: Mapping[str, Any]
    environment: EnvironmentSpec


def one_of_each_source(folder: Path) -> dict[Source, Audited]:
    """Make a model of every kind in a folder, with statistics of VecNormalize, and audit it there."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        made = {source: make() for source, make in _EXTERNAL.items()}
        return {"trained": _trained(), **_audited(made)}
    finally:
        os.chdir(before)


def _trained() -> Audited:
    """A trained model that observes a dictionary."""
    small = {"env": ORCHARD, "env_kwargs": {"soil": 2}, "normalize": {"norm_obs_keys": ["position"]}}
    spec = training_spec(**small, hyperparams={key: value for key, value in SMALL.items() if key != "device"})
    train_all([spec], Path("results/trained"))
    manifest = TrainedManifest.from_dict(read_json(Path("results/trained", spec["model"], MANIFEST)))
    config = {"experiments": [experiment(**small)], "python_path": TRUSTED["python_path"]}
    model = Evidence.of(ModelRecord(manifest, "log"), None, Path("results")).model
    return Audited(model, config, manifest.training_spec.environment)


def _audited(configs: Mapping[Source, Mapping[str, Any]]) -> dict[Source, Audited]:
    """Audit each model in fresh processes, as the workflow does."""
    merged = {"runs": [run for config in configs.values() for run in config.get("runs", [])], **TRUSTED}
    merged["models"] = next(config["models"] for config in configs.values() if "models" in config)
    plan = external_plan(Path("audit"), **merged)
    policy, reload = ExternalPolicy.from_dict(plan.external_policy), ReloadSpec.from_dict(plan.reload_settings)
    models = [model.to_dict() for model in plan.external.values()]
    criteria = Criteria.from_dict(plan.config["verdict"])
    audit_batch(models, Path("audit/records.json"), Path("audit/log"), policy, reload, criteria)
    found: dict[Source, Audited] = {}
    for record in map(ModelRecord.from_dict, read_records(Path("audit/records.json"))):
        assert record.external is not None
        assert record.failure == ""
        source = record.external.source
        model = Evidence.of(record, None, Path("results")).model
        environment = record.external.environment
        ran = EnvironmentSpec.from_dict({**environment.to_dict(), "env": model.env})
        found[source] = Audited(model, {**configs[source], **TRUSTED}, ran)
    return found


def _saved(
    venv: VecNormalize, zip_file: Path, statistics: Path, frame_stack: int | None = None, policy: str = "MlpPolicy"
) -> PPO:
    """Save a model that has learned a little, and the statistics of its observations.

    Nothing says what it earned, so that the audit examines it.
    """
    stacked = venv if frame_stack is None else VecFrameStack(venv, frame_stack)
    model = PPO(policy, stacked, **SMALL).learn(64)
    model.ep_info_buffer.clear()
    for file in (zip_file, statistics):
        file.parent.mkdir(parents=True, exist_ok=True)
    model.save(zip_file)
    venv.save(str(statistics))
    return model


def _recorded() -> dict[str, Any]:
    """A recording, in an environment that has an argument."""
    venv = VecNormalize(make_vec_env("fields:Field-v1", env_kwargs={"soil": 2}))
    model = _saved(venv, Path("made/model.zip"), Path("made/vecnormalize.pkl"))
    record_reference(model, "recordings/field", "fields:Field-v1", env_kwargs={"soil": 2}, episodes=20, n_envs=4)
    return {"runs": ["recordings"]}


def _in_table() -> dict[str, Any]:
    """A row of a table, which names an environment that does not exist any more."""
    _saved(VecNormalize(make_vec_env("Pendulum-v1")), Path("old/pendulum.zip"), Path("old/scales.pkl"))
    columns = ["name", "algo", "env", "model", "vecnormalize"]
    row = ["old-pendulum", "PPO", "Pendulum-v0", "old/pendulum", "old/scales.pkl"]
    text(Path("models.tsv"), "\n".join("\t".join(cells) for cells in (columns, row)) + "\n")
    return {"models": "models.tsv"}


def _in_zoo() -> dict[str, Any]:
    """A run of RL Zoo with an argument, a wrapper and stacked frames."""
    run = Path("zoo/ppo/Field-v1_1")
    wrapper = {"fields.Bright": {"light": 1.0}}
    zoo_run(
        run, "Field-v1", {"env_kwargs": {"soil": 3}}, {"normalize": True, "frame_stack": 2, "env_wrapper": [wrapper]}
    )
    for empty in ("evaluations.npz", "0.monitor.csv"):
        (run / empty).unlink()
    import fields

    venv = make_vec_env(lambda: fields.Bright(gym.make("Field-v1", soil=3), light=1.0), n_envs=2)
    _saved(VecNormalize(venv), run / "Field-v1.zip", run / "Field-v1/vecnormalize.pkl", frame_stack=2)
    return {"runs": ["zoo"]}


def _on_hub() -> dict[str, Any]:
    """A repository whose environment another package registers, and which claims nothing."""
    folder = hub_repository(Path("hub/ppo-Field-v1"), "ppo-Field-v1.zip", "Field-v1")
    (folder / "results.json").unlink()
    card = (folder / "README.md").read_text(encoding="utf-8")
    text(folder / "README.md", "".join(line for line in card.splitlines(True) if "metrics:" not in line))
    _saved(VecNormalize(make_vec_env("fields:Field-v1")), folder / "ppo-Field-v1.zip", folder / "vec_normalize.pkl")
    return {"runs": ["hub"]}


def _in_folder() -> dict[str, Any]:
    """A zip with statistics beside it, which observes a dictionary."""
    import fields

    venv = VecNormalize(make_vec_env(fields.Orchard), norm_obs_keys=["position"])
    files = Path("mine/orchard_final.zip"), Path("mine/orchard_final_vecnormalize.pkl")
    _saved(venv, *files, policy="MultiInputPolicy")
    return {"runs": [{"folder": "mine", "env": ORCHARD}]}


_EXTERNAL: dict[Source, Callable[[], dict[str, Any]]] = {
    "recorded": _recorded,
    "table": _in_table,
    "zoo": _in_zoo,
    "hub": _on_hub,
    "folder": _in_folder,
}
