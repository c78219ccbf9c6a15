"""Bad input ends before any training, in one message with file, key, what was found and what is expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.builders import experiment
from support.snakemake_runs import Run, Workspace, small_config


@pytest.fixture
def bare_workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "audit")


def refused(workspace: Workspace) -> Run:
    run = workspace.snakemake()
    assert run.status != 0
    assert not (workspace.folder / "results/trained").exists()
    assert "Traceback" not in run.output
    return run


PLANNING = {
    "an unknown key": (
        small_config(experiment(total_timestep=3)),
        "config/config.yaml: experiments[0]: unknown key 'total_timestep'; did you mean 'total_timesteps'?",
    ),
    "a wrong type": (
        small_config(experiment(seeds="0")),
        "config/config.yaml: experiments[0].seeds: expected a list, found a string ('0')",
    ),
    "an unknown algorithm": (
        small_config(experiment(algo="PPOO")),
        "config/config.yaml: experiments[0].algo: found 'PPOO', expected one of A2C, ARS",
    ),
    "no environments": (
        small_config(experiment(n_envs=[0])),
        "config/config.yaml: experiments[0].n_envs[0]: expected at least 1, found 0",
    ),
    "a seed twice": (
        small_config(experiment(seeds=[1, 1])),
        "config/config.yaml: experiments[0].seeds: expected each entry once, found 1 more than once",
    ),
    "unreadable YAML": ("experiments:\n  - name: [\n", "config/config.yaml, line 3, column 1: is not valid YAML"),
    "a key twice": (
        "evaluation:\n  seed: 1\n  seed: 2\n",
        "config/config.yaml, line 3, column 3: is not valid YAML: key 'seed' appears twice",
    ),
}


@pytest.mark.parametrize("case", PLANNING)
def test_an_invalid_configuration_is_refused_while_planning(case, bare_workspace):
    config, message = PLANNING[case]
    bare_workspace.configure(config)
    assert message in refused(bare_workspace).output


def test_a_results_folder_that_cannot_be_written_is_refused_while_planning(bare_workspace):
    bare_workspace.configure(small_config(pathvars={"results": "requirements.txt/results"}))
    message = "requirements.txt/results: cannot be written: Not a directory"
    assert message in refused(bare_workspace).output


@pytest.mark.slow
def test_all_problems_of_experiments_are_reported_at_once(bare_workspace):
    bare_workspace.configure(
        small_config(
            experiment(name="healthy"),
            experiment(name="typo", env="CartPoole-v1"),
            experiment(name="module", env="nowhere:Env"),
            experiment(name="raises", env="failing:RaisesInConstructor"),
            experiment(name="space", algo="SAC", hyperparams={}),
        )
    )
    output = refused(bare_workspace).output
    assert "config/config.yaml: experiments[1] (typo).env: 'CartPoole-v1' cannot be made" in output
    assert "config/config.yaml: experiments[2] (module).env: 'nowhere:Env' cannot be made: no module named" in output
    assert "config/config.yaml: experiments[3] (raises).env: constructing 'failing:RaisesInConstructor'" in output
    assert "config/config.yaml: experiments[4] (space).algo: SAC needs an action space of kind Box" in output
