"""How the audit grows: 100, 1,000 and 10,000 external models, and as many that are trained here.

Three tiny models are trained, and audited for real. Then their files are linked and their records copied under other
names: every stage but the reloads themselves works on as many real files and records as an audit of that size has.
Each stage runs in a process of its own, whose wall time and peak memory are read. Needs Linux, for the latter.

usage: python benchmarks/scaling.py [SIZE ...] [--folder FOLDER] [--write docs/scaling.md]
"""

from __future__ import annotations

import argparse
import atexit
import json
import math
import os
import platform
import re
import resource
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Only the standard library is imported here: a stage's process is to import what the stage imports, no more.

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "workflow/scripts"
SCHEMAS = ROOT / "workflow/schemas"

SIZES = (100, 1_000, 10_000)
SHARES = {"recorded": 7, "claimed": 2, "lost": 1}
"""Of ten models: recorded bit by bit, claimed on a card, and one whose statistics are missing, with its diagnosis."""

QUICK = 4.0
"""Seconds below which a stage is run three times, of which the fastest counts."""

MIB = 2**20


@dataclass(frozen=True)
class Reading:
    """What a process cost: wall and processor seconds from its start to its end, and the most MiB that it held."""

    seconds: float
    cpu: float
    mib: float


# --- What runs in a process of its own -----------------------------------------------------------------------------


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
    from reload_audit.records.specs import ExternalPolicy, ReloadSpec

    config = _resolved({"runs": [str(folder / "templates")]})
    criteria, log = Criteria.from_dict(config["verdict"]), folder / "audit.log"
    reload = {key: value for key, value in config["reload"].items() if key != "batch"}
    evaluation = {**config["evaluation"], "looks": config["verdict"]["looks"]}
    policy = ExternalPolicy.from_dict({"evaluation": evaluation, "trust": [], "env_versions": {}, "max_bytes": 2**30})
    seconds = {}
    start = time.perf_counter()
    isolation.prepare("forkserver", hash_seed=RELOAD_HASH_SEED, preload=PRELOAD)
    isolation.call("builtins:len", ([],), method="forkserver", log=log, timeout=600, memory=8192)
    seconds["start"] = time.perf_counter() - start
    for entry in (model.to_dict() for model in _external(config)):
        start = time.perf_counter()
        records = folder / "audited" / f"{entry['model']}.json"
        audit_batch([entry], records, log, policy, ReloadSpec.from_dict(reload), criteria)
        seconds[entry["model"]] = time.perf_counter() - start
    environment = entry["environment"]
    probe = ProbeSpec.from_dict(config["probe"] | {key: reload[key] for key in ("isolation", "memory")})
    start = time.perf_counter()
    record = folder / "audited/probes" / f"{probe_name(environment)}.json"
    probe_environment(probed(environment), entry, policy, probe, record, log)
    seconds["probe"] = time.perf_counter() - start
    (folder / "seconds.json").write_text(json.dumps(seconds))


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

    models = _external(_resolved({"runs": [str(here / "models")]}))
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
    _write_bare(here, files, len(training_batches(trained_models(_resolved(training)))))


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


def find(folder: Path, config: str) -> None:
    """Find the models that a configuration leads to."""
    from reload_audit.planning.configuration import read_yaml

    print(len(_external(_resolved(read_yaml(folder / config)))))


def snakemake(folder: Path, *arguments: str) -> None:
    """What ``snakemake`` runs, with the same profile for this workflow and for others."""
    os.chdir(folder)
    sys.argv = ["snakemake", "--workflow-profile", str(ROOT / "profiles/default"), "--cores", "1", *arguments]
    runpy.run_module("snakemake", run_name="__main__", alter_sys=True)


def aggregate(folder: Path) -> None:
    """Do what rule ``aggregate`` does."""
    import aggregate as script

    results = folder / "results"
    config = _resolved({"runs": [str(folder)]})
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


def _resolved(config: dict[str, Any]) -> dict[str, Any]:
    from reload_audit.planning.configuration import read_yaml, resolve

    return resolve(config, read_yaml(SCHEMAS / "config.schema.yaml"), "config.yaml")


def _external(config: dict[str, Any]) -> list[Any]:
    from reload_audit.planning.configuration import read_yaml
    from reload_audit.planning.discovery.find_models import find_models

    schemas = [read_yaml(SCHEMAS / f"{name}.schema.yaml") for name in ("models", "claims")]
    return [*find_models(config, *schemas).models]


STAGES: dict[str, Callable[..., None]] = {
    function.__name__: function for function in (train, audit, find, snakemake, aggregate, report, summarize, gate)
} | {"copy": lambda folder, size: copy(folder, int(size))}


def _note_peak(path: str) -> None:
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    Path(path).write_text(found[1] if found else "nan")


# --- What starts and reads these processes -------------------------------------------------------------------------


def run(stage: str, folder: Path, *arguments: object) -> Reading:
    """Run one stage once.

    :raises subprocess.CalledProcessError: it failed; what it printed is printed
    """
    with tempfile.TemporaryDirectory() as temporary:
        peak, log = Path(temporary) / "peak", Path(temporary) / "log"
        command = [sys.executable, __file__, "--stage", stage, str(peak), str(folder), *map(str, arguments)]
        start, cpu = time.perf_counter(), _cpu_of_children()
        with open(log, "w") as output:
            done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
        seconds, cpu = time.perf_counter() - start, _cpu_of_children() - cpu
        if done.returncode:
            print(log.read_text(errors="replace")[-5_000:], file=sys.stderr)
            done.check_returncode()
        return Reading(seconds, cpu, float(peak.read_text()) / 1024)


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def read(stage: str, folder: Path, *arguments: object) -> Reading:
    """Read what one stage costs: of a quick one the fastest of three runs."""
    first = run(stage, folder, *arguments)
    readings = [first] if first.seconds > QUICK else [first, *(run(stage, folder, *arguments) for _ in range(2))]
    return min(readings, key=lambda reading: reading.seconds)


def measured(folder: Path, size: int) -> dict[str, Reading]:
    """Run every stage for one number of models; what each cost, by its name."""
    here = folder / str(size)
    ours = ("--snakefile", ROOT / "Snakefile", "--configfile")
    jobs = json.loads((here / "jobs.json").read_text())
    job = ("--mode", "remote", "--nolock", "--target-jobs", f"audit_external:batch={next(iter(jobs))}", "-n")
    elsewhere = ("--config", 'pathvars={"results": "unrun", "logs": "unrun/logs"}')
    plan = ("--dry-run",)
    stages: dict[str, tuple[object, ...]] = {
        "find models in folders": ("find", "external.yaml"),
        "find models of a table": ("find", "table.yaml"),
        "parse an empty Snakefile": ("snakemake", "--snakefile", "empty.smk", "--list-rules"),
        "parse, main process (finds the models)": ("snakemake", *ours, "external.yaml", "--list-rules"),
        "parse, process of a job": ("snakemake", *ours, "external.yaml", "--mode", "remote", "--list-rules"),
        "parse and plan, process of a job": ("snakemake", *ours, "external.yaml", *job),
        "plan external models": ("snakemake", *ours, "external.yaml", *elsewhere, *plan),
        "plan external models, bare Snakefile": ("snakemake", "--snakefile", "bare-external.smk", *plan),
        "plan external models, same directives": ("snakemake", "--snakefile", "alike-external.smk", *plan),
        "plan trained models": ("snakemake", *ours, "trained.yaml", *elsewhere, *plan),
        "plan trained models, bare Snakefile": ("snakemake", "--snakefile", "bare-trained.smk", *plan),
        "plan trained models, same directives": ("snakemake", "--snakefile", "alike-trained.smk", *plan),
        **{name: (name,) for name in ("aggregate", "report", "summarize", "gate")},
    }
    found = {}
    for name, (stage, *arguments) in stages.items():
        found[name] = read(str(stage), here, *arguments)
        print(f"{size:,} models: {name}: {_cell(found[name])}", flush=True)
    return found


# --- What is said of them ------------------------------------------------------------------------------------------


def growth(sizes: Sequence[int], values: Sequence[float]) -> str:
    """The exponent between each two sizes; and that of what is beyond the smallest, without what starting costs.

    A straight line, whatever its height, has 1 as the latter.
    """
    pairs = [(n, m, a, b) for (n, a), (m, b) in zip(_pairs(sizes, values), _pairs(sizes, values)[1:], strict=False)]
    raw = [math.log(b / a) / math.log(m / n) for n, m, a, b in pairs]
    said = ", ".join(f"{exponent:.2f}" for exponent in raw)
    if len(sizes) < 3:
        return said
    (n, a), (m, b), (o, c) = _pairs(sizes, values)[-3:]
    if b - a < 0.1 * a or c <= b:
        return f"{said}; –"
    return f"{said}; {math.log((c - a) / (b - a)) / math.log((o - n) / (m - n)):.2f}"


def _pairs(sizes: Sequence[int], values: Sequence[float]) -> list[tuple[int, float]]:
    return list(zip(sizes, values, strict=True))


def table(readings: dict[int, dict[str, Reading]]) -> str:
    """All readings in Markdown."""
    sizes = list(readings)
    lines = [["stage", *(f"{size:,}" for size in sizes), "growth"], ["---"] * (len(sizes) + 2)]
    for stage in readings[sizes[0]]:
        row = [readings[size][stage] for size in sizes]
        lines.append([stage, *map(_cell, row), growth(sizes, [reading.cpu for reading in row])])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(reading: Reading) -> str:
    return f"{reading.seconds:.2f} s ({reading.cpu:.2f} s), {reading.mib:.0f} MiB"


def targets(readings: dict[int, dict[str, Reading]]) -> str:
    """What was aimed at, for the largest size, and what was measured."""
    size = max(readings)
    found = readings[size]

    def more(stage: str) -> str:
        ours, empty = found[stage], found["parse an empty Snakefile"]
        return f"{ours.seconds - empty.seconds:.2f} ({ours.cpu - empty.cpu:.2f})"

    def ratio(models: str, other: str) -> str:
        ours, others = found[f"plan {models}"], found[f"plan {models}, {other}"]
        return f"{ours.seconds / others.seconds:.2f} ({ours.cpu / others.cpu:.2f})"

    both = found["aggregate"], found["report"]
    together = f"{sum(one.seconds for one in both):.1f} ({sum(one.cpu for one in both):.1f})"
    memory = f"{max(one.mib for one in both):.0f}"
    rows = [
        ("aggregate and report, seconds together", "60", together),
        ("aggregate and report, peak MiB of the larger", "2048", memory),
        ("seconds to parse, beyond an empty Snakefile: process of a job", "1", more("parse, process of a job")),
        ("the same, main process, which finds the models", "1", more("parse, main process (finds the models)")),
        *(
            (f"planning {models}, times as long as: {other}", "1.5", ratio(models, other))
            for models in ("external models", "trained models")
            for other in ("bare Snakefile", "same directives")
        ),
    ]
    lines = [(f"{size:,} models", "at most", "measured"), ("---",) * 3, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def reloads(folder: Path, size: int) -> str:
    """What cannot be simulated, extrapolated from the models that were audited."""
    seconds = json.loads((folder / "seconds.json").read_text())
    records = {kind: (folder / f"audited/{kind}.json").stat().st_size / 1000 for kind in SHARES}
    mean = sum(seconds[kind] * share for kind, share in SHARES.items()) / sum(SHARES.values())
    kinds = ", ".join(f"{kind} {seconds[kind]:.1f} s ({records[kind]:.0f} kB of record)" for kind in SHARES)
    return (
        f"Not simulated are the reloads. One after the other they took: {kinds}; the start of a job "
        f"{seconds['start']:.1f} s, the probe of the environment {seconds['probe']:.0f} s. In the proportions of the "
        f"simulation ({_shares()}) that is {mean:.1f} s a model, and {mean * size / 3600:.1f} hours for {size:,} "
        "models in one job at a time, if all were as small and as quick as these. It divides by the number of jobs "
        "that run at once."
    )


def _shares() -> str:
    return ", ".join(f"{share} {kind}" for kind, share in SHARES.items())


def machine() -> str:
    """Processor, cores, memory, versions."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in ("snakemake", "pyarrow", "pandas"))
    processor = cpu[1] if cpu else platform.processor()
    cores = os.cpu_count()
    return f"{processor}, {cores} cores, {memory:.0f} GiB; Python {platform.python_version()}, {versions}"


def main(sizes: Sequence[int], folder: Path, document: Path | None) -> None:
    """Measure, print, and write into the document what is between its marks."""
    if not (folder / "seconds.json").exists():
        for stage in ("train", "audit"):
            print(stage, flush=True)
            run(stage, folder)
    readings = {}
    for size in sizes:
        if not (folder / str(size) / "jobs.json").exists():
            shutil.rmtree(folder / str(size), ignore_errors=True)
            run("copy", folder, size)
        readings[size] = measured(folder, size)
    parts = [f"Read on {machine()}.", table(readings), targets(readings), reloads(folder, max(sizes))]
    said = "\n\n".join(parts)
    print(said)
    if document is not None:
        text = document.read_text(encoding="utf-8")
        begin, end = "<!-- measured -->\n", "\n<!-- /measured -->"
        before, after = text.partition(begin)[0], text.partition(end)[2]
        document.write_text(f"{before}{begin}{said}{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--stage"]:
        _, _, stage, peak, where, *arguments = sys.argv
        sys.path.insert(0, str(SCRIPTS))
        atexit.register(_note_peak, peak)
        STAGES[stage](Path(where), *arguments)
    else:
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("sizes", nargs="*", type=int, default=SIZES)
        parser.add_argument("--folder", type=Path, help="keeps models, records and results; what is there is used")
        parser.add_argument("--write", type=Path, metavar="DOCUMENT", help="takes the tables")
        options = parser.parse_args()
        with tempfile.TemporaryDirectory() as scratch:
            main(options.sizes, (options.folder or Path(scratch)).resolve(), options.write)
