"""The workflow runs where it is not: in another folder, as a module of another workflow, from a git repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from counting import counted

from reload_audit.planning.configuration import read_yaml
from support.builders import ROOT, experiment
from support.snakemake_runs import Run, Workspace, small_config

pytestmark = pytest.mark.slow

USING = """
configfile: "config/audit.yaml"


module audit:
    snakefile:
        {snakefile}
    config:
        config["audit"]
    pathvars:
        results="here/results",
        logs="here/logs"


use rule * from audit as audit_*


onstart:
    audit.onstart()


onsuccess:
    audit.onsuccess()


onerror:
    audit.onerror()
"""

PLANNED = {"train": 1, "reload": 1, "probe": 1, "aggregate": 1, "report": 1, "summarize": 1, "all": 1}


def snakemake(folder: Path, *arguments: str, **variables: str) -> Run:
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": "", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1200,
    )
    return Run(done.returncode, done.stdout)


def user_of(snakefile: str, folder: Path) -> Path:
    """A folder with a workflow that uses this one, and a configuration of which the audit's is a part."""
    (folder / "config").mkdir(parents=True)
    (folder / "Snakefile").write_text(USING.format(snakefile=snakefile))
    config = {"audit": small_config(experiment(env="CartPole-v1"), python_path=[]), "other": 1}
    (folder / "config/audit.yaml").write_text(yaml.safe_dump(config))
    shutil.copytree(ROOT / "profiles/default", folder / "profiles/default")
    return folder


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("deployment") / "clone")


@pytest.fixture(scope="module")
def finished(clone: Workspace) -> Path:
    """A finished audit in a workflow that uses a clone as a module."""
    folder = user_of(f'"{clone.folder}/workflow/Snakefile"', clone.folder.parent / "user")
    run = snakemake(folder)
    assert run.status == 0, run.output
    assert run.jobs == {f"audit_{rule}": count for rule, count in PLANNED.items()}
    assert "Checking the experiments of config/audit.yaml" in run.output
    return folder


def test_a_bare_snakemake_in_a_clone_finds_workflow_and_profile(clone):
    run = snakemake(clone.folder, "--dry-run")
    assert "Using workflow specific profile profiles/default" in run.output
    assert run.jobs["train"] >= 4


def test_another_folder_without_a_configuration_audits_the_default_with_its_examples(clone, tmp_path):
    run = snakemake(tmp_path, "--snakefile", str(clone.folder / "Snakefile"), "--dry-run")
    assert run.jobs["train"] >= 4
    run = snakemake(clone.folder, "--directory", str(tmp_path / "new"), "--dry-run")
    assert run.jobs["train"] >= 4


def test_another_folder_s_own_configuration_counts(clone, tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text(yaml.safe_dump(small_config(python_path=[])))
    run = snakemake(clone.folder, "--directory", str(tmp_path), "--dry-run")
    assert run.jobs["train"] == 1


def test_a_module_writes_where_its_user_says_and_nowhere_else(finished):
    assert (finished / "here/results/report.html").exists()
    assert (finished / "here/results/config.yaml").exists()
    assert not (finished / "results").exists()


def test_a_second_run_of_a_snakemake_module_does_nothing(finished):
    assert "Nothing to be done" in snakemake(finished).output


def test_a_module_notices_results_that_were_edited_since(finished):
    record = next((finished / "here/results/reloaded").glob("*.json"))
    content, written = record.read_bytes(), record.stat()
    record.write_bytes(content[:100])
    assert "100 bytes instead of" in snakemake(finished, "--dry-run").output
    record.write_bytes(content)
    os.utime(record, ns=(written.st_atime_ns, written.st_mtime_ns))


def test_a_module_starts_no_fork_servers_for_all_jobs(clone, finished, tmp_path):
    folder = user_of(f'"{clone.folder}/workflow/Snakefile"', tmp_path / "user")
    made = next((finished / "here/results/trained/.batches").glob("*.json")).relative_to(finished)
    (folder / ".snakemake/locks").mkdir(parents=True)
    (folder / ".snakemake/locks/0.output.lock").write_text(f"{made}\n")  # so that it is refused before any job
    _, processes = counted([sys.executable, "-m", "snakemake", "--cores", "1"], folder, tmp_path / "counts")
    assert processes
    assert not [process for process in processes if "multiprocessing.forkserver" in " ".join(process.arguments)]


def test_a_module_whose_jobs_would_run_another_copy_of_the_library_is_refused(clone, finished):
    other = ROOT / "workflow/scripts"
    run = snakemake(finished, "--dry-run", PYTHONPATH=str(other))
    assert run.status == 1
    assert f"Expected the library of this workflow, in {clone.folder}/workflow/scripts; found another" in run.output
    assert f"in {other}. Take that one off PYTHONPATH" in run.output


def test_the_copied_profile_keeps_comments_from_running_jobs_again(finished, clone):
    script = clone.folder / "workflow/scripts/train.py"
    before = script.read_bytes()
    script.write_bytes(before + b"# a comment\n")
    assert "Nothing to be done" in snakemake(finished, "--dry-run").output
    script.write_bytes(before)


def test_every_setting_of_the_default_profile_is_documented():
    documented = (ROOT / "docs/deploy.md").read_text()
    for key in read_yaml(ROOT / "profiles/default/profile.yaml"):
        assert f"`{key}:" in documented or key == "show-failed-logs", key


def git(folder: Path, *arguments: str) -> None:
    person = ("-c", "user.name=Someone", "-c", "user.email=someone@example.org")
    subprocess.run(["git", *person, *arguments], cwd=folder, check=True, capture_output=True)  # noqa: S607


def test_a_module_from_a_git_repository_fetches_all_that_it_needs(clone, tmp_path):
    hosted = tmp_path / "hosted/me/audit"
    shutil.copytree(clone.folder, hosted, ignore=shutil.ignore_patterns("results", "logs", ".snakemake"))
    git(hosted, "init", "--initial-branch", "main")
    git(hosted, "add", "--all")
    git(hosted, "commit", "--message", "A release")
    folder = user_of('github("me/audit", path="workflow/Snakefile", branch="main")', tmp_path / "user")
    instead_of_github = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{tmp_path}/hosted/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    run = snakemake(folder, "--dry-run", **instead_of_github)
    assert run.jobs == {f"audit_{rule}": count for rule, count in PLANNED.items()}, run.output


def test_the_snakemake_workflow_catalog_is_told_how_to_use_the_workflow():
    usage = read_yaml(ROOT / ".snakemake-workflow-catalog.yml")["usage"]
    assert usage["report"] is True
    assert set(usage["software-stack-deployment"]) >= {"conda"}
