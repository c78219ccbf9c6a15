"""An audit does no more than it has to, in counts: budgets.yaml says how many of what, and why that many."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from counting import Planning, Process, calls, counted, planned

from reload_audit.jobs.train import train_model
from reload_audit.planning.configuration import read_yaml
from reload_audit.planning.discovery import find_models
from reload_audit.records.specs import Limits, TrainingSpec
from support.builders import ROOT, experiment, resolved, training_spec
from support.snakemake_runs import Run, Workspace, small_config

pytestmark = pytest.mark.slow

BUDGETS = read_yaml(ROOT / "tests/support/budgets.yaml")

ENVIRONMENT = {"env": "counting:counted_environment", "env_kwargs": {"name": "Draws"}}
ONLY_ON_RELOAD = {"env": "counting:counted_environment", "env_kwargs": {"name": "ConstructionDraws"}}
FEW, MANY = 50, 100
BARE = 'rule all:\n    output: "nothing"\n    script: "config/config.yaml"\n'


# --- One audit, of healthy models and of such that have lost their reward ------------------------------------------


@dataclass(frozen=True)
class Audited:
    run: Run
    folder: Path
    processes: list[Process]
    left: list[str]

    def table(self) -> pd.DataFrame:
        return pd.read_csv(self.folder / "results/processes.csv")

    def process(self, model: str, condition: str) -> Process:
        """The one that measured a condition."""
        row = self.table().query("model == @model and condition == @condition").iloc[0]
        return next(process for process in self.processes if process.pid == row["pid"])

    def jobs(self, rule: str) -> list[Process]:
        """The interpreters of a rule's scripts."""
        script = re.compile(rf"scripts/(tmp\w+\.)?{rule}\.py")
        return [process for process in self.processes if any(map(script.search, process.arguments[:2]))]

    def below(self, process: Process) -> Iterator[Process]:
        """All processes that come of one."""
        for child in self.processes:
            if child.parent == process.pid:
                yield child
                yield from self.below(child)

    def family(self, job: Process) -> list[Process]:
        """A job, all that comes of it, and what was forked for it from a server of the run."""
        first = [process for process in self.processes if process.forked and process.script == job.script]
        found = {process.pid: process for one in (job, *first) for process in (one, *self.below(one))}
        return [*found.values()]

    def fork_servers(self) -> list[Process]:
        """Of all jobs, in the order in which they were started: that of trainings, that of reloads."""
        named = "multiprocessing.forkserver"
        return [process for process in self.processes if not process.forked and named in process.arguments[-1]]


@pytest.fixture(scope="module")
def recorded_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A healthy model, as somebody else may have recorded it."""
    folder = tmp_path_factory.mktemp("template")
    spec = training_spec(**ENVIRONMENT, normalize=True)
    train_model(spec, folder / "model", folder / "log", "", Limits(300, 4096))
    return folder / "model"


@pytest.fixture(scope="module")
def counted_audit(recorded_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Audited:
    workspace = Workspace(tmp_path_factory.mktemp("budgets") / "audit")
    for name in ("found-0", "found-1"):
        shutil.copytree(recorded_model, workspace.folder / "found" / name)
    shutil.copytree(recorded_model, workspace.folder / "claimed", ignore=shutil.ignore_patterns("*.json", "*.npz"))
    (workspace.folder / "claimed/model.zip").rename(workspace.folder / "claimed/claimed.zip")
    (workspace.folder / "claims.csv").write_text("name,claim_mean,claim_std,claim_n\nclaimed,100,1,100\n")
    workspace.configure(
        small_config(
            experiment(name="sound", normalize=True, **ENVIRONMENT),
            experiment(name="lost", normalize=True, **ONLY_ON_RELOAD),
            runs=["found", {"folder": "claimed", **ENVIRONMENT}],
            claims="claims.csv",
            trust=["counting"],
        )
    )
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--verbose"]
    counts = workspace.folder.parent / "counts"
    done, processes = counted(command, workspace.folder, counts)
    assert done.returncode == 0, done.stdout
    verdicts = pd.read_csv(workspace.folder / "results/models.csv", index_col="model")["verdict"].to_dict()
    assert verdicts == {
        "sound-seed0-n1": "identical",
        "found-0": "identical",
        "found-1": "identical",
        "lost-seed0-n1": "degraded",
        "claimed": "degraded",
    }
    left = sorted(path.name for path in (counts / "temp").iterdir())
    return Audited(Run(done.returncode, done.stdout), workspace.folder, processes, left)


# --- Evaluation ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def counted_evaluation(counted_audit: Audited) -> tuple[Counter[str], list[int], int]:
    """What the canonical evaluation of a healthy model took, the lengths of its episodes, and the number of looks."""
    record = json.loads((counted_audit.folder / "results/reloaded/sound-seed0-n1.json").read_text())
    lengths = [episode["length"] for episode in record["conditions"]["reload"]["episodes"]]
    looks = record["manifest"]["spec"]["evaluation"]["looks"]
    return Counter(counted_audit.process("sound-seed0-n1", "reload").counts), lengths, looks.index(len(lengths)) + 1


def steps_of_all(lengths: Sequence[int], stops: Sequence[int], slots: int) -> int:
    """Steps that environments side by side make together: those of the slot that takes longest, look by look."""
    looks = [lengths[start:stop] for start, stop in pairwise([0, *stops])]
    return sum(max(sum(look[slot::slots]) for slot in range(slots)) for look in looks)


def test_an_environment_is_stepped_and_reset_for_the_measured_episodes_alone(counted_evaluation):
    counts, lengths, _ = counted_evaluation
    assert counts["steps"] == sum(lengths) + BUDGETS["evaluation"]["steps beyond those of the episodes"]
    assert counts["resets"] == len(lengths) + BUDGETS["evaluation"]["resets beyond one an episode"]


def test_an_evaluation_builds_an_environment_a_slot(counted_evaluation, counted_audit):
    counts, _, _ = counted_evaluation
    assert counts["environments"] == 4 + BUDGETS["evaluation"]["environments beyond one a slot"]


def test_the_policy_is_asked_once_a_step_of_all_slots_and_computes_an_action_alone(counted_evaluation):
    counts, lengths, _ = counted_evaluation
    steps = steps_of_all(lengths, (len(lengths),), slots=4)
    assert counts["FlattenExtractor"] == steps * BUDGETS["evaluation"]["forward passes a step of all slots"]
    assert counts["Linear"] == steps * BUDGETS["evaluation"]["linear layers a step of all slots"]


def test_the_policy_s_mode_is_set_once_a_look(counted_evaluation):
    counts, _, looks = counted_evaluation
    assert counts["modes set"] == looks * BUDGETS["evaluation"]["modes set a look"]


def test_training_steps_environments_for_training_and_its_three_measurements_alone(counted_audit):
    counts = counted_audit.process("sound-seed0-n1", "train").counts
    measured = json.loads((counted_audit.folder / "results/trained/sound-seed0-n1/evaluations.json").read_text())
    lengths = [episode["length"] for kind in ("in_place", "reference", "random_policy") for episode in measured[kind]]
    learning = experiment()["total_timesteps"]
    assert counts["steps"] == learning + sum(lengths) + BUDGETS["training"]["steps beyond those it is for"]
    assert counts["environments"] == BUDGETS["training"]["environments"]


def test_a_step_of_training_takes_few_calls(tmp_path: Path) -> None:
    from reload_audit.training.train import train

    def run(steps: int) -> None:
        train(training_spec(total_timesteps=steps), str(tmp_path))

    run(64)  # whatever happens once has happened
    few, many = calls(lambda: run(320)), calls(lambda: run(640))  # measuring takes the same in both
    assert (many - few) / 320 <= BUDGETS["training"]["function calls a step, at most"]


def test_a_step_of_an_environment_takes_few_calls(recorded_model):
    from reload_audit.environments.build import build_vec_env
    from reload_audit.evaluation.rollouts import ModelPolicy, run_episodes
    from reload_audit.models import model_folder
    from reload_audit.records.steps import Steps

    spec = TrainingSpec.from_dict(json.loads((recorded_model / "manifest.json").read_text())["spec"])
    environment = replace(spec.environment, env="planted:Draws", env_kwargs={})
    policy = ModelPolicy(model_folder.load_model(recorded_model, "PPO", "cpu"))
    normalizer = model_folder.normalizer_from_file(recorded_model)
    venv = build_vec_env(environment, 16, seed=0, normalizer=normalizer)
    lengths = []

    def run(episodes: int) -> None:
        ran = run_episodes(policy, venv, spec.evaluation, start=0, stop=episodes, steps=Steps())
        lengths.append(sum(episode.length for episode in ran))

    run(16)  # whatever happens once has happened
    few, many = calls(lambda: run(160)), calls(lambda: run(320))
    venv.close()
    assert (many - few) / (lengths[2] - lengths[1]) <= BUDGETS["evaluation"]["function calls a step, at most"]


# --- Processes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", BUDGETS["processes of a model"])
def test_a_model_takes_a_fresh_process_for_each_question(model, counted_audit):
    rows = counted_audit.table().query("model == @model and fresh")
    assert len(rows) == BUDGETS["processes of a model"][model]
    assert rows["pid"].is_unique


@pytest.mark.parametrize("rule", BUDGETS["processes of a job"])
def test_a_job_starts_no_more_processes_than_it_needs(rule, counted_audit):
    jobs = counted_audit.jobs(rule)
    families = [*map(counted_audit.family, jobs)]
    budget = BUDGETS["processes of a job"][rule]
    assert {sum(not process.forked for process in family) for family in families} == {budget["interpreters"]}
    assert sorted(sum(process.forked for process in family) for family in families) == budget["forked"]


def test_all_jobs_share_a_fork_server_for_each_hash_seed(counted_audit):
    servers = {process.pid for process in counted_audit.fork_servers()}
    assert len(servers) == BUDGETS["fork servers of an audit"]
    assert set(counted_audit.table()["parent_pid"]) == servers


def test_a_fresh_process_starts_no_programs(counted_audit):
    programs = {
        f"{condition} {model}": len(counted_audit.process(model, condition).programs)
        for condition, model in (("train", "sound-seed0-n1"), ("reload", "sound-seed0-n1"), ("reload", "found-0"))
    }
    assert programs == BUDGETS["programs that a fresh process starts"]


# --- Imports -------------------------------------------------------------------------------------------------------


def interpreters(audited: Audited) -> dict[str, Process]:
    """One process of each kind that imports anything: scripts, what others are copied from, and copies."""
    scripts = ("check", "train", "reload", "audit_external", "probe", "aggregate", "summarize", "report")
    return {f"script {rule}": audited.jobs(rule)[0] for rule in scripts} | {
        "fork server of trainings": audited.fork_servers()[0],
        "fork server of reloads": audited.fork_servers()[1],
        "fresh process of train": audited.process("sound-seed0-n1", "train"),
        "fresh process of reload": audited.process("sound-seed0-n1", "reload"),
        "fresh process of audit_external": audited.process("found-0", "reload"),
    }


def check_imports(modules: Sequence[str], budget: dict[str, Any]) -> None:
    needless = [
        module for module in modules for name in budget["none of"] if module == name or module.startswith(f"{name}.")
    ]
    assert not needless
    assert 0 < len(modules) <= budget["at most"]


@pytest.mark.parametrize("kind", BUDGETS["imports"])
def test_a_process_imports_only_what_it_needs(kind, counted_audit):
    check_imports(interpreters(counted_audit)[kind].modules, BUDGETS["imports"][kind])


def test_the_command_imports_little_before_it_starts_snakemake():
    code = "import sys, reload_audit.command.main; print(*sys.modules, sep='\\n')"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow/scripts")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    check_imports(done.stdout.split(), BUDGETS["command"])


# --- Files ---------------------------------------------------------------------------------------------------------


def test_an_audit_leaves_no_more_files_than_budgeted(counted_audit):
    folders = [counted_audit.folder / name for name in ("results", "logs")]
    files = [
        path.relative_to(counted_audit.folder) for folder in folders for path in folder.rglob("*") if path.is_file()
    ]

    def of(path: Path) -> str:
        names = {name.partition(".")[0] for name in path.parts}
        kinds = {"trained model": "sound-seed0-n1", "other trained model": "lost-seed0-n1", "batch": "batch"}
        known = [kind for kind, name in kinds.items() if name in names]
        return "environment" if path.parts[1] in ("probe", "probes") else known[0] if known else "audit"

    counts = Counter(map(of, files))
    environments = len(list((counted_audit.folder / "results/probes").iterdir()))
    assert counts.pop("other trained model") == counts["trained model"]
    assert {**counts, "environment": counts["environment"] / environments} == BUDGETS["files"], sorted(files)


def test_no_temporary_files_are_left(counted_audit):
    assert counted_audit.left == []


# --- Scheduling ----------------------------------------------------------------------------------------------------


def test_snakemake_selects_jobs_once_a_job_however_long_they_take(counted_audit):
    selections = counted_audit.run.output.count("Selected jobs: ")
    jobs = counted_audit.run.output.count("Finished jobid: ")
    assert jobs == sum(counted_audit.run.jobs.values())
    assert selections <= jobs * BUDGETS["scheduling"]["selections a job, at most"]


# --- Planning ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plans:
    bare: Planning
    main: tuple[Planning, Planning]
    job: tuple[Planning, Planning]


@pytest.fixture(scope="module")
def counted_plans(recorded_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Plans:
    """What planning costs: of one rule alone, and of few and many external models, in main process and job."""
    workspace = Workspace(tmp_path_factory.mktemp("plans") / "audit")
    (workspace.folder / "bare.smk").write_text(BARE)
    bare = planned(workspace.folder, "--snakefile", "bare.smk", "--dry-run")
    readings: dict[str, list[Planning]] = {"main": [], "job": []}
    fleets = {number: workspace.folder / f"models/{number}" for number in (FEW, MANY)}
    for number, fleet in fleets.items():
        for index in range(number):
            shutil.copytree(recorded_model, fleet / f"model-{index:03}", copy_function=os.link)
    for fleet in fleets.values():
        small = {"n_envs": [2], "other_vec_env": False, "batch": 10}
        config = small_config(experiments=[], runs=[str(fleet)], trust=["counting"], reload=small)
        workspace.configure(config)
        readings["main"].append(planned(workspace.folder, "--dry-run"))
        batch = _remember_models(config, workspace.folder / "results/external/models.json")
        job = ("--mode", "remote", "--nolock", "--target-jobs", f"audit_external:batch={batch}", "--dry-run")
        readings["job"].append(planned(workspace.folder, *job))
        shutil.rmtree(workspace.folder / "results")
    return Plans(bare, main=(*readings["main"],), job=(*readings["job"],))


def _remember_models(config: dict[str, Any], file: Path) -> str:
    """Write the file that jobs read, and name a batch whose size both audits have."""
    schemas = [read_yaml(ROOT / f"workflow/schemas/{name}.schema.yaml") for name in ("models", "claims")]
    models = find_models.find_models(resolved(**config), *schemas).models
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps([model.to_dict() for model in models], indent=1))
    batches = find_models.batches([model.model for model in models], 10)
    return next(name for name, batch in batches.items() if len(batch) == 7)


def test_planning_imports_only_this_library_beyond_what_snakemake_imports(counted_plans):
    modules = set(counted_plans.job[0].modules) - set(counted_plans.bare.modules)
    budget = BUDGETS["planning"]["imports"]
    assert {module.partition(".")[0] for module in modules} - set(sys.stdlib_module_names) == set(budget["packages"])
    assert len(modules) <= budget["modules, at most"]


@pytest.mark.parametrize("process", ["main", "job"])
@pytest.mark.parametrize("what", ["calls", "looks", "opened"])
def test_a_further_model_adds_a_bounded_cost_to_planning(what, process, counted_plans):
    few, many = getattr(counted_plans, process)
    added = (getattr(many, what) - getattr(few, what)) / (MANY - FEW)
    assert added <= BUDGETS["planning"][f"a further model adds in {process} process, at most"][what]


@pytest.mark.parametrize("what", ["calls", "looks", "opened"])
def test_planning_in_the_process_of_a_job_has_a_bounded_cost(what, counted_plans):
    added = getattr(counted_plans.job[0], what) - getattr(counted_plans.bare, what)
    assert added <= BUDGETS["planning"]["the workflow adds to a bare one in job process, at most"][what]
