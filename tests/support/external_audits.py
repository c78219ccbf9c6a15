"""Audit models that lie in folders, in fresh processes as the workflow does, without the workflow around it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema

from reload_audit.jobs import probe, train
from reload_audit.jobs.external import audit_batch
from reload_audit.jobs.probe import Prober, ProbeSpec
from reload_audit.judging.criteria import Criteria
from reload_audit.models.model_folder import MANIFEST
from reload_audit.planning.configuration import read_yaml
from reload_audit.planning.plan import Folders, Plan, make_plan
from reload_audit.processes import isolation
from reload_audit.processes.fork_servers import RELOAD_HASH_SEED, TRAIN_HASH_SEED
from reload_audit.records.manifest import TrainedManifest
from reload_audit.records.probe_names import probe_name, probed
from reload_audit.records.specs import ExternalPolicy, ReloadSpec
from reload_audit.records.storage import read_json, write_json
from reload_audit.results.aggregate import aggregate
from support.builders import ROOT, resolved

LIMITS = {"timeout": 120, "memory": 4096}
AUDIT_SCHEMA = read_yaml(ROOT / "workflow/schemas/audit.schema.json")
PROBE = ProbeSpec(seeds=2, steps=20, episodes=25, isolation="forkserver", timeout=60, memory=4096)


def audit_table(rows: Sequence[Mapping[str, Any]], folder: Path, **sections: Any) -> dict[str, dict[str, Any]]:
    """Audit a table of models; what ``audit.json`` says of each, by its name."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "models.tsv"
    cells = [columns, *([_cell(row.get(name)) for name in columns] for row in rows)]
    table.write_text("".join("\t".join(line) + "\n" for line in cells), encoding="utf-8")
    return audit_models(folder, models=str(table), **sections)


def audit_models(folder: Path, *, probes: Path | None = None, **config: Any) -> dict[str, dict[str, Any]]:
    """Audit the external models that a configuration leads to; the row of each in ``audit.json``, by its name.

    :param probes: a folder that takes what probing the models' environments finds; what is there is not probed again
    """
    plan = external_plan(folder, **config)
    models = [model.to_dict() for model in plan.external.values()]
    criteria = Criteria.from_dict(plan.config["verdict"])
    records = folder / "records.json"
    policy, reloading = ExternalPolicy.from_dict(plan.external_policy), ReloadSpec.from_dict(plan.reload_settings)
    audit_batch(models, records, folder / "audit.log", policy, reloading, criteria)
    probed_files = [] if probes is None else probe_all([model["environment"] for model in models], probes)
    aggregate([records], criteria, plan.aggregation_settings, folder, probed_files, plan.passed_over)
    audit = read_json(folder / "audit.json")
    jsonschema.validate(audit, AUDIT_SCHEMA)
    return {model["model"]: model for model in audit["models"]}


def external_plan(folder: Path, **config: Any) -> Plan:
    """The plan of an audit of external models into a folder, quick where the configuration does not say otherwise."""
    reload = {"n_envs": [], "other_vec_env": False, **LIMITS, **config.pop("reload", {})}
    python_path = [str(ROOT / "tests/environments"), str(ROOT / "examples")]
    written = resolved(**{"python_path": python_path, "reload": reload, **config})
    folders = Folders(results=str(folder), logs=str(folder))
    return make_plan(written, "config.yaml", folders, (ROOT / "workflow").joinpath, now=0.0, discover=True)


def probe_all(environments: Sequence[Mapping[str, Any]], folder: Path) -> list[Path]:
    """Probe each distinct environment, all from two fork servers, and return a file for each."""
    files = {folder / f"{probe_name(environment)}.json": environment for environment in environments}
    log = folder / "probe.log"
    probers = {
        file: Prober(probed(environment), PROBE, log) for file, environment in files.items() if not file.exists()
    }
    if probers:
        isolation.prepare("forkserver", hash_seed=TRAIN_HASH_SEED, preload=probe.PRELOAD)
        going_on = [prober for prober in probers.values() if prober.probe()]
        isolation.prepare("forkserver", hash_seed=RELOAD_HASH_SEED, preload=probe.PRELOAD)
        for prober in going_on:
            prober.probe_hash_order()
    for file, prober in probers.items():
        prober.record().write(file)
    return list(files)


def _cell(value: Any) -> str:
    return "" if value is None else json.dumps(value) if isinstance(value, dict | list) else str(value)


def train_all(specs: Sequence[Mapping[str, Any]], folder: Path, *, may_fail: bool = False) -> None:
    """Train models into folders of their names, as the workflow does, but all from one fork server.

    :param may_fail: whether a training that fails is recorded, as the workflow does, instead of being an error
    """
    isolation.prepare("forkserver", hash_seed=TRAIN_HASH_SEED, preload=train.PRELOAD)
    for spec in specs:
        target = folder / spec["model"]
        target.mkdir(parents=True)
        outcome = isolation.call(
            "reload_audit.training.train:train",
            (spec, str(target)),
            method="forkserver",
            log=folder / "train.log",
            **LIMITS,
        )
        assert may_fail or outcome.failure is None, outcome.failure
        manifest = TrainedManifest(spec["model"], spec, "", outcome.failure, outcome.usage, outcome.value)
        write_json(target / MANIFEST, manifest.to_dict())
