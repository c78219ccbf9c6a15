"""A second run does nothing; a change runs again exactly what it affects."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from stable_baselines3 import PPO

from support.builders import experiment
from support.snakemake_runs import Workspace, small_config

pytestmark = pytest.mark.slow

CONFIG = small_config(
    experiment(name="one", seeds=[0, 1]),
    experiment(name="two", env="corridor:Corridor", normalize=True, wrappers=["planted.AddsOne"]),
    runs=[{"folder": "external", "env": "CartPole-v1"}],
)

LIBRARY = "workflow/scripts/reload_audit"
RESULTS = {"aggregate", "report", "summarize"}
RELOADING = {"reload", "audit_external", *RESULTS}


@pytest.fixture(scope="module")
def finished_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("finished") / "audit")
    """Three trained models and an external one, in three environments, which were audited."""
    workspace.configure(CONFIG)
    (workspace.folder / "external").mkdir()
    PPO("MlpPolicy", "CartPole-v1").save(workspace.folder / "external/ppo.zip")
    run = workspace.snakemake()
    assert run.status == 0, run.output
    once = dict.fromkeys(["all", "audit_external", *RESULTS], 1)
    assert run.jobs == {"train": 3, "reload": 3, "probe": 3, **once}
    return workspace


@pytest.fixture
def workspace(finished_workspace: Workspace) -> Iterator[Workspace]:
    """The finished audit, whose files are put back after the test."""
    sources = [path for path in finished_workspace.folder.rglob("*") if _is_source(path, finished_workspace)]
    kept = {path: (path.read_bytes(), path.stat()) for path in sources}
    yield finished_workspace
    for path, (content, stat) in kept.items():
        if path.read_bytes() != content:
            path.write_bytes(content)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def _is_source(path: Path, workspace: Workspace) -> bool:
    parts = path.relative_to(workspace.folder).parts
    return path.is_file() and parts[0] not in ("results", "logs", ".snakemake") and "__pycache__" not in parts


def planned(workspace: Workspace) -> dict[str, int]:
    """What a dry run would do, without the target rule itself."""
    run = workspace.snakemake("--dry-run")
    assert run.status == 0, run.output
    return {rule: count for rule, count in run.jobs.items() if rule != "all"}


def test_a_second_run_does_nothing(workspace):
    assert "Nothing to be done" in workspace.snakemake().output


def test_touching_every_source_file_runs_nothing_again(workspace):
    for path in [*workspace.folder.rglob("*.py"), *workspace.folder.rglob("*.smk"), *workspace.folder.rglob("*.yaml")]:
        if _is_source(path, workspace):
            path.touch()
    assert planned(workspace) == {}


def test_another_hyperparameter_trains_its_experiment_alone(workspace):
    two = CONFIG["experiments"][1]
    changed = {**two, "hyperparams": {**two["hyperparams"], "gamma": 0.5}}
    workspace.configure({**CONFIG, "experiments": [CONFIG["experiments"][0], changed]})
    assert planned(workspace) == {"train": 1, "reload": 1, "probe": 1, "aggregate": 1, "report": 1, "summarize": 1}


def test_more_memory_or_time_trains_nothing_again(workspace):
    one, two = CONFIG["experiments"]
    workspace.configure({**CONFIG, "experiments": [{**one, "resources": {"mem_mb": 9000, "runtime": 90}}, two]})
    assert planned(workspace) == {}


def test_a_further_seed_trains_one_further_model(workspace):
    more = [experiment(name="one", seeds=[0, 1, 7]), CONFIG["experiments"][1]]
    workspace.configure({**CONFIG, "experiments": more})
    assert planned(workspace) == {"train": 1, "reload": 1, "aggregate": 1, "report": 1, "summarize": 1}


def test_another_margin_reloads_but_does_not_train(workspace):
    workspace.configure({**CONFIG, "verdict": {"looks": [10, 20], "margin_std": 0.1}})
    assert planned(workspace) == {"reload": 3, "audit_external": 1, "aggregate": 1, "report": 1, "summarize": 1}


def test_another_gate_changes_no_result(workspace):
    workspace.configure({**CONFIG, "gate": {"fail_on": ["error"]}})
    assert planned(workspace) == {}


@pytest.mark.parametrize(
    ("module", "rules"),
    [
        ("training/train", {"train", "reload", "probe", *RESULTS}),
        ("remedies/pickling", {"train", "reload", "probe", *RESULTS}),
        ("environments/build", {"train", "probe", *RELOADING}),
        ("evaluation/conditions", RELOADING),
        ("forensics/examine_files", RELOADING),
        ("remedies/normalize_as_trained", RELOADING),
        ("causes/trials", RELOADING),
        ("probing/scenario", {"probe", *RESULTS}),
        ("diagnosis/conclude", RESULTS),
        ("results/aggregate", RESULTS),
        ("reports/dashboard/report", {"report"}),
        ("reports/junit", {"summarize"}),
    ],
)
def test_editing_a_library_module_runs_again_the_jobs_that_import_it(module, rules, workspace):
    workspace.append(f"{LIBRARY}/{module}.py", "\nedited = True\n")
    assert set(planned(workspace)) == rules


def test_editing_a_trial_of_a_cause_runs_again_the_jobs_that_try_it(workspace):
    edit(workspace, "causes/causes.yaml", "turn: 12", "turn: 10")
    assert set(planned(workspace)) == RELOADING


def test_editing_what_restores_an_older_version_of_an_environment_runs_reloads_again(workspace):
    edit(workspace, "causes/migrations.yaml", "lap_complete_percent: 1.0", "lap_complete_percent: 0.99")
    assert set(planned(workspace)) == RELOADING


def test_no_docstring_or_comment_or_formatting_runs_anything_again(workspace):
    """Of the library and the scripts, and of the user's own code where it ends: a probe names lines of that."""
    for path in (workspace.folder / "workflow/scripts").rglob("*.py"):
        path.write_text(_written_otherwise(path.read_text()))
    workspace.append("examples/corridor.py", "\n\n# edited\n")
    assert planned(workspace) == {}


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("causes/causes.yaml", "explanation: The environment", "explanation: Edited, the environment"),
        ("causes/causes.yaml", "super().reset(seed=seed)", "super().reset(seed=seed)  # edited"),
        ("causes/migrations.yaml", "changed: lidar", "changed: edited, lidar"),
        ("remedies/pickling_advice.py", "Do not pickle the wrapper", "Edited: do not pickle the wrapper"),
        ("judging/reasons.py", "it appears in the fresh process", "edited: it appears in the fresh process"),
        ("judging/divergence_wording.py", "the wrappers between", "edited: the wrappers between"),
    ],
)
def test_rewording_what_was_found_measures_nothing_again(file, before, after, workspace):
    edit(workspace, file, before, after)
    rules = set(planned(workspace))
    assert "report" in rules
    assert rules <= RESULTS


def _written_otherwise(code: str) -> str:
    """The same code with other docstrings and comments, and formatted in another way."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            node.value.value = f"Edited.\n\n{node.value.value}"
    return f"# Edited.\n\n{ast.unparse(tree)}\n"


def edit(workspace: Workspace, file: str, before: str, after: str) -> None:
    path = workspace.folder / LIBRARY / file
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_editing_an_own_wrapper_or_policy_trains_again_what_uses_it(workspace):
    workspace.append("tests/environments/planted.py", "\nedited = True\n")
    assert planned(workspace) == {"train": 3, "reload": 3, "probe": 2, "aggregate": 1, "report": 1, "summarize": 1}


def test_editing_an_own_environment_trains_again_what_uses_it(workspace):
    workspace.append("examples/corridor.py", "\nedited = True\n")
    assert planned(workspace) == {"train": 1, "reload": 1, "probe": 1, "aggregate": 1, "report": 1, "summarize": 1}


def test_a_comment_that_moves_lines_of_an_own_environment_probes_it_again(workspace):
    path = workspace.folder / "examples/corridor.py"
    path.write_text(f"# edited\n{path.read_text()}")
    assert planned(workspace) == {"probe": 1, "aggregate": 1, "report": 1, "summarize": 1}


def test_another_version_of_a_dependency_trains_everything_again(workspace):
    workspace.append("requirements.txt", "\n# numpy==9.9\n")
    assert planned(workspace)["train"] == 3
