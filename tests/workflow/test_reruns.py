"""A second run does nothing; a change runs again exactly what it affects."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.builders import experiment
from support.snakemake_runs import Workspace, small_config

pytestmark = pytest.mark.slow

CONFIG = small_config(
    experiment(name="one", seeds=[0, 1]),
    experiment(name="two", env="corridor:Corridor", normalize=True, wrappers=["planted.AddsOne"]),
)


@pytest.fixture(scope="module")
def workspace_of_three_models(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("finished") / "audit")
    workspace.configure(CONFIG)
    run = workspace.snakemake()
    assert run.status == 0, run.output
    assert run.jobs == {"all": 1, "train": 3, "reload": 3, "probe": 2, "aggregate": 1, "report": 1, "summarize": 1}
    return workspace


@pytest.fixture
def workspace(workspace_of_three_models: Workspace) -> Iterator[Workspace]:
    """The finished audit, whose files are put back after the test."""
    kept = {
        path: (path.read_bytes(), path.stat())
        for path in workspace_of_three_models.folder.rglob("*")
        if _is_source(path)
    }
    yield workspace_of_three_models
    for path, (content, stat) in kept.items():
        if path.read_bytes() != content:
            path.write_bytes(content)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def _is_source(path: Path) -> bool:
    return path.is_file() and not {"results", "logs", ".snakemake", "__pycache__"} & set(path.parts)


def planned(workspace: Workspace) -> dict[str, int]:
    """What a dry run would do, without the target rule itself."""
    run = workspace.snakemake("--dry-run")
    assert run.status == 0, run.output
    return {rule: count for rule, count in run.jobs.items() if rule != "all"}


def test_a_second_run_does_nothing(workspace):
    assert "Nothing to be done" in workspace.snakemake().output


def test_touching_every_source_file_runs_nothing_again(workspace):
    for path in [*workspace.folder.rglob("*.py"), *workspace.folder.rglob("*.smk"), *workspace.folder.rglob("*.yaml")]:
        if _is_source(path):
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
    assert planned(workspace) == {"reload": 3, "aggregate": 1, "report": 1, "summarize": 1}


def test_another_gate_changes_no_result(workspace):
    workspace.configure({**CONFIG, "gate": {"fail_on": ["error"]}})
    assert planned(workspace) == {}


@pytest.mark.parametrize(
    ("module", "rules"),
    [
        ("training", {"train", "reload", "probe", "aggregate", "report", "summarize"}),
        ("environments", {"train", "reload", "probe", "aggregate", "report", "summarize"}),
        ("evaluation", {"reload", "aggregate", "report", "summarize"}),
        ("diagnosis/examination", {"reload", "aggregate", "report", "summarize"}),
        ("normalization", {"reload", "aggregate", "report", "summarize"}),
        ("probing/scenario", {"probe", "aggregate", "report", "summarize"}),
        ("diagnosis/conclusion", {"aggregate", "report", "summarize"}),
        ("aggregation", {"aggregate", "report", "summarize"}),
        ("dashboard/report", {"report"}),
        ("summary", {"report", "summarize"}),
        ("junit", {"summarize"}),
    ],
)
def test_editing_a_library_module_runs_again_what_imports_it(module, rules, workspace):
    workspace.append(f"workflow/scripts/reload_audit/{module}.py", "\n# edited\n")
    assert set(planned(workspace)) == rules


def test_editing_an_own_wrapper_or_policy_trains_again_what_uses_it(workspace):
    workspace.append("tests/environments/planted.py", "\n# edited\n")
    assert planned(workspace) == {"train": 3, "reload": 3, "probe": 2, "aggregate": 1, "report": 1, "summarize": 1}


def test_editing_an_own_environment_trains_again_what_uses_it(workspace):
    workspace.append("examples/corridor.py", "\n# edited\n")
    assert planned(workspace) == {"train": 1, "reload": 1, "probe": 1, "aggregate": 1, "report": 1, "summarize": 1}


def test_another_version_of_a_dependency_trains_everything_again(workspace):
    workspace.append("requirements.txt", "\n# numpy==9.9\n")
    assert planned(workspace)["train"] == 3
