"""What is used of Snakemake's internals is refused on versions that nobody has tried, and does what it says."""

from __future__ import annotations

import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from reload_audit.planning import snakemake_internals
from reload_audit.planning.snakemake_internals import (
    IMPORTED_FOR_SCRIPTS,
    TRIED,
    Snakemake,
    UntriedVersionError,
    check_version,
)
from support.builders import ROOT


def workflow(**parts: Any) -> Any:
    return SimpleNamespace(
        overwrite_configfiles=[], configfiles=[], modifier=SimpleNamespace(skip_configfile=False), **parts
    )


@pytest.mark.parametrize("version", TRIED)
def test_a_version_that_was_tried_is_accepted(version):
    check_version(version)


@pytest.mark.parametrize("version", ["9.26.1", "9.28.0", "10.0.0", "9.27.1.dev3", ""])
def test_another_version_is_refused_with_what_was_expected_what_was_found_and_what_to_install(version):
    with pytest.raises(UntriedVersionError) as refused:
        Snakemake(workflow(), version)
    message = str(refused.value)
    assert f"found {version}" in message
    assert all(tried in message for tried in TRIED)
    assert f"pip install snakemake=={TRIED[-1]}" in message


def test_the_pinned_version_is_the_last_that_was_tried():
    assert f"snakemake=={TRIED[-1]}" in (ROOT / "requirements.txt").read_text().splitlines()


def limited(jobs: int, seconds: int) -> Any:
    """A workflow whose jobs may start so many in so many seconds."""
    settings = SimpleNamespace(max_jobs_per_timespan=SimpleNamespace(max_jobs=jobs, timespan=seconds))
    return workflow(scheduling_settings=settings, scheduler=SimpleNamespace(job_rate_limiter="its own"))


def test_the_limit_on_jobs_per_second_that_nobody_asked_for_is_taken_away():
    own = limited(100, 1)
    Snakemake(own, TRIED[-1]).plan_only_when_jobs_end()
    assert own.scheduler.job_rate_limiter is None


def test_a_limit_on_jobs_per_second_that_somebody_asked_for_stays():
    asked = limited(5, 1)
    Snakemake(asked, TRIED[-1]).plan_only_when_jobs_end()
    assert asked.scheduler.job_rate_limiter == "its own"


def test_configuration_files_are_those_of_the_command_line_before_those_of_the_snakefile():
    given = workflow()
    given.configfiles = ["config/config.yaml"]
    assert Snakemake(given, TRIED[-1]).configuration_files == ["config/config.yaml"]
    given.overwrite_configfiles = ["mine.yaml"]
    assert Snakemake(given, TRIED[-1]).configuration_files == ["mine.yaml"]
    assert Snakemake(given, TRIED[-1]).has_configuration


LOCAL = {
    "local_exec": True,
    "is_main_process": True,
    "dryrun": False,
    "touch": False,
    "executor_plugin": "local",
    "deployment_settings": SimpleNamespace(deployment_method=frozenset()),
}
"""Of a workflow whose jobs run on this machine."""


@pytest.mark.parametrize(
    ("other", "here"),
    [
        ({}, True),
        ({"local_exec": False}, False),  # a cluster
        ({"is_main_process": False}, False),
        ({"dryrun": True}, False),
        ({"touch": True}, False),
        ({"executor_plugin": None}, False),  # jobs are listed, or a lock is removed
        ({"deployment_settings": SimpleNamespace(deployment_method={"conda"})}, False),  # another interpreter
    ],
)
def test_jobs_start_here_where_they_are_of_this_process_and_its_interpreter(other: dict[str, object], here: bool):
    assert Snakemake(workflow(**LOCAL | other), TRIED[-1]).starts_jobs_here is here


def imported_by(code: str) -> set[str]:
    """What a new interpreter has imported when it has run this."""
    show = f"import sys\n{code}\nprint(*sys.modules)"
    return {*subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True).stdout.split()}


def test_snakemake_imports_for_a_script_what_is_imported_ahead():
    lists = "Snakemake(*[InputFiles()] * 8, rulename='train', bench_iteration=None)"
    assert IMPORTED_FOR_SCRIPTS not in imported_by("import snakemake.iocontainers, snakemake.script")
    assert IMPORTED_FOR_SCRIPTS in imported_by(f"from snakemake.iocontainers import *\n{lists}")


@pytest.mark.parametrize(("other", "ahead"), [({}, True), ({"dryrun": True}, False), ({"local_exec": False}, False)])
def test_where_scripts_will_start_here_it_is_imported_ahead(
    other: dict[str, object], ahead: bool, tmp_path, monkeypatch
):
    monkeypatch.setattr(snakemake_internals, "IMPORTED_FOR_SCRIPTS", "this_is_imported")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "this_is_imported.py").write_text("")
    before = {*threading.enumerate()}
    Snakemake(workflow(**LOCAL | other), TRIED[-1]).import_ahead()
    for thread in {*threading.enumerate()} - before:
        thread.join()
    assert (sys.modules.pop("this_is_imported", None) is not None) is ahead
