"""What runs in a process of its own: train and audit three models, and each stage of an audit of many.

Only the standard library is imported at the top: a stage's process is to import what the stage imports, no more.
"""

from __future__ import annotations

import json
import os
import runpy
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from growth.configurations import ROOT, external_models, resolved_configuration
from growth.copies import copy


def train(folder: Path) -> None:
    """Train the three models, each into a folder laid out like a published one."""
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.vec_env import VecNormalize

    from reload_audit import ReferenceRecorder

    torch.set_num_threads(1)
    settings: dict[str, Any] = {"n_steps": 64, "policy_kwargs": {"net_arch": [16]}, "seed": 1, "device": "cpu"}
    models = folder / "templates"
    model = PPO("MlpPolicy", make_vec_env("CartPole-v1", n_envs=8), **settings)
    model.learn(4_096, callback=ReferenceRecorder(str(models / "recorded"), env="CartPole-v1"))
    _publish(models / "claimed", model, *evaluate_policy(model, make_vec_env("CartPole-v1"), n_eval_episodes=100))

    venv = VecNormalize(make_vec_env("CartPole-v1", n_envs=8))
    model = PPO("MlpPolicy", venv, **settings)
    model.learn(32_768)
    venv.training, venv.norm_reward = False, False
    _publish(models / "lost", model, *evaluate_policy(model, venv, n_eval_episodes=100))


def _publish(folder: Path, model: Any, mean: float, std: float) -> None:
    """Write a model into a Hugging Face repository with a card."""
    folder.mkdir()
    model.save(folder / "ppo-CartPole-v1.zip")
    metric = f"{{type: mean_reward, value: {mean:.2f} +/- {std:.2f}, name: mean_reward, verified: false}}"
    result = f"{{dataset: {{name: CartPole-v1, type: CartPole-v1}}, metrics: [{metric}]}}"
    card = f"---\nlibrary_name: stable-baselines3\nmodel-index:\n- name: PPO\n  results: [{result}]\n---\n# PPO\n"
    (folder / "README.md").write_text(card, encoding="utf-8")


def audit(folder: Path) -> None:
    """Audit the three models, one by one as a batch does, and probe their environment; note how long each took."""
    from reload_audit.jobs.external import PRELOAD, audit_batch
    from reload_audit.jobs.probe import ProbeSpec, probe_environment
    from reload_audit.judging.criteria import Criteria
    from reload_audit.processes import isolation
    from reload_audit.processes.fork_servers import RELOAD_HASH_SEED
    from reload_audit.records.probe_names import probe_name, probed
    from reload_audit.records.probe_record import ProbeRecord
    from reload_audit.records.specs import ExternalPolicy, ReloadSpec

    config = resolved_configuration({"runs": [str(folder / "templates")]})
    criteria, log = Criteria.from_dict(config["verdict"]), folder / "audit.log"
    reload = {key: value for key, value in config["reload"].items() if key != "batch"}
    evaluation = {**config["evaluation"], "looks": config["verdict"]["looks"]}
    policy = ExternalPolicy.from_dict({"evaluation": evaluation, "trust": [], "env_versions": {}, "max_bytes": 2**30})
    seconds = {}
    start = time.perf_counter()
    isolation.prepare("forkserver", hash_seed=RELOAD_HASH_SEED, preload=PRELOAD)
    isolation.call("builtins:len", ([],), method="forkserver", log=log, timeout=600, memory=8192)
    seconds["start"] = time.perf_counter() - start
    models = external_models(config)
    for model in models:
        start = time.perf_counter()
        records = folder / "audited" / f"{model.model}.json"
        audit_batch([model.to_dict()], records, log, policy, ReloadSpec.from_dict(reload), criteria)
        seconds[model.model] = time.perf_counter() - start
    environment = models[0].environment.to_dict()
    probe = ProbeSpec.from_dict(config["probe"] | {key: reload[key] for key in ("isolation", "memory")})
    start = time.perf_counter()
    record = folder / "audited/probes" / f"{probe_name(environment)}.json"
    probe_environment(probed(environment), models[0], policy, probe, record, log)
    seconds["probe"] = time.perf_counter() - start
    if failure := ProbeRecord.read(record).failure:
        raise RuntimeError(f"the environment cannot be probed: {failure.message}")
    (folder / "seconds.json").write_text(json.dumps(seconds))


def find(folder: Path, config: str) -> None:
    """Find the models that a configuration leads to."""
    from reload_audit.planning.configuration import read_yaml

    print(len(external_models(resolved_configuration(read_yaml(folder / config)))))


def snakemake(folder: Path, *arguments: str) -> None:
    """What ``snakemake`` runs, with the same profile for this workflow and for others."""
    os.chdir(folder)
    sys.argv = ["snakemake", "--workflow-profile", str(ROOT / "profiles/default"), "--cores", "1", *arguments]
    runpy.run_module("snakemake", run_name="__main__", alter_sys=True)


def aggregate(folder: Path) -> None:
    """Do what rule ``aggregate`` does."""
    import aggregate as script

    results = folder / "results"
    config = resolved_configuration({"runs": [str(folder)]})
    settings = {key: config[key] for key in ("evaluation", "verdict", "reload")}
    records, probes = sorted((results / "external").glob("batch*.json")), sorted((results / "probes").iterdir())
    script.main([*map(str, records)], [*map(str, probes)], settings, results)


def report(folder: Path) -> None:
    """Do what rule ``report`` does."""
    import report as script

    results = folder / "results"
    written = (results / name for name in ("audit.json", "episodes.parquet", "report.html", "figures"))
    script.main(*written, {"results": "results", "logs": "logs"})


def summarize(folder: Path) -> None:
    """Do what rule ``summarize`` does."""
    import summarize as script

    shutil.rmtree(folder / "results/model_cards", ignore_errors=True)
    script.main(folder / "results/audit.json")


def gate(folder: Path) -> None:
    """Do what rule ``gate`` does, where no model may be an error."""
    import gate as script

    script.main(folder / "results/audit.json", ["error"])


STAGES: dict[str, Callable[..., None]] = {
    function.__name__: function for function in (train, audit, find, snakemake, aggregate, report, summarize, gate)
} | {"copy": lambda folder, size: copy(folder, int(size))}
