"""A profile for a cluster takes the place of the default one, so it has to say what that says."""

from __future__ import annotations

import os
from typing import Any

import pytest
import yaml

from support.builders import ROOT

CLUSTERS = ("slurm", "sbatch")


def profile(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / f"profiles/{name}/profile.yaml").read_text())
    return content


@pytest.mark.parametrize("name", CLUSTERS)
def test_a_cluster_profile_sets_everything_that_the_default_profile_sets(name):
    default = profile("default")
    kept = {key: value for key, value in profile(name).items() if key in default}
    assert kept.pop("retries") > default.pop("retries")
    assert kept == default


def test_executor_plugins_are_pinned_to_the_versions_that_were_tried():
    pinned = (ROOT / "requirements-cluster.txt").read_text()
    documented = (ROOT / "docs/cluster.md").read_text()
    for plugin, name in (("slurm", "plugin"), ("cluster-generic", "cluster-generic")):
        (version,) = (
            line.partition("==")[2]
            for line in pinned.splitlines()
            if line.startswith(f"snakemake-executor-plugin-{plugin}==")
        )
        assert f"{name} {version}" in documented


def test_commands_that_a_profile_names_are_executable_files_in_its_folder():
    for key in ("cluster-generic-submit-cmd", "cluster-generic-status-cmd"):
        assert os.access(ROOT / "profiles/sbatch" / profile("sbatch")[key], os.X_OK)
