"""Make many models of three: links to their files, copies of their records, and Snakefiles with as many jobs."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from growth.configurations import external_models, resolved_configuration

SHARES = {"recorded": 7, "claimed": 2, "lost": 1}
"""Of ten models: recorded bit by bit, claimed on a card, and one whose statistics are missing, with its diagnosis."""


def copy(folder: Path, size: int) -> None:
    """Make ``size`` models: files are links to the three, records are theirs under other names."""
    from reload_audit.planning.discovery import find_models
    from reload_audit.planning.training_batches import training_batches
    from reload_audit.planning.training_specs import trained_models
    from reload_audit.planning.watched_files import files_of

    kinds = [kind for kind, share in SHARES.items() for _ in range(share)]
    here, templates = folder / str(size), folder / "templates"
    for index in range(size):
        kind = kinds[index % len(kinds)]
        model = here / "models" / f"{kind}-{index:06d}"
        model.mkdir(parents=True)
        for file in (templates / kind).iterdir():
            os.link(file, model / file.name)
    columns = ["name", "algo", "env", "model", "claim_mean", "claim_std", "claim_n"]
    paths = sorted((here / "models").glob("*/*.zip"))
    rows = [[path.parent.name, "PPO", "CartPole-v1", str(path), "100", "50", "100"] for path in paths]
    (here / "models.tsv").write_text("".join("\t".join(row) + "\n" for row in [columns, *rows]))
    small = {"algo": "PPO", "env": "CartPole-v1", "total_timesteps": 64, "seeds": list(range(size)), "n_envs": [1]}
    training = {"experiments": [{"name": "small", **small}]}
    for name, content in {
        "external": {"runs": [str(here / "models")]},
        "table": {"models": str(here / "models.tsv")},
        "trained": training,
    }.items():
        (here / f"{name}.yaml").write_text(json.dumps(content))

    models = external_models(resolved_configuration({"runs": [str(here / "models")]}))
    results = here / "results"
    (results / "external").mkdir(parents=True)
    (results / "external/models.json").write_text(json.dumps([model.to_dict() for model in models], indent=1))
    records = {kind: json.loads((folder / f"audited/{kind}.json").read_text())[0] for kind in SHARES}
    by_name = {model.model: model for model in models}
    batches = find_models.batches(by_name, find_models.usual_size(size))
    for name, batch in batches.items():
        copies = [_renamed(records[model.partition("-")[0]], by_name[model].to_dict()) for model in batch]
        (results / f"external/{name}.json").write_text(json.dumps(copies))
    shutil.copytree(folder / "audited/probes", results / "probes")
    files = {name: [file for model in batch for file in files_of(by_name[model])] for name, batch in batches.items()}
    _write_bare(here, files, len(training_batches(trained_models(resolved_configuration(training)))))


def _renamed(record: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    return {**record, "manifest": {**record["manifest"], "model": entry["model"], "external": entry}}


BARE_EXTERNAL = """
import json
JOBS = json.load(open("jobs.json"))
rule all:
    input: expand("bare/{job}", job=JOBS)
rule one:
    input: lambda wildcards: JOBS[wildcards.job]
    output: "bare/{job}"
"""
BARE_TRAINED = """
JOBS = range(BATCHES)
rule all:
    input: expand("bare/{job}.second", job=JOBS)
rule first:
    output: "bare/{job}.first"
DIRECTIVES
rule second:
    input: "bare/{job}.first"
    output: "bare/{job}.second"
"""
BARE = """    shell: "touch {output}"
"""
SAME_DIRECTIVES = """    log: "logs/{job}"
    conda: "env.yaml"
    threads: lambda wildcards: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1,
        runtime=lambda wildcards, attempt: 1,
        gpu=lambda wildcards: 0,
    params:
        spec=lambda wildcards: None,
        code=lambda wildcards: None,
    message: "Running {wildcards.job}"
    script: "nothing.py"
"""


def _write_bare(here: Path, files: dict[str, list[str]], batches: int) -> None:
    """Snakefiles with as many jobs: of external models with the same files, of trained ones two a batch.

    Each once with nothing else, and once with the directives that this workflow's rules have.
    """
    (here / "jobs.json").write_text(json.dumps(files))
    (here / "empty.smk").write_text("")
    (here / "nothing.py").write_text("")
    (here / "env.yaml").write_text("dependencies: []\n")
    for kind, directives in ("bare", BARE), ("alike", SAME_DIRECTIVES):
        trained = BARE_TRAINED.replace("BATCHES", str(batches)).replace("DIRECTIVES\n", directives)
        (here / f"{kind}-external.smk").write_text(BARE_EXTERNAL + directives)
        (here / f"{kind}-trained.smk").write_text(trained + directives)
