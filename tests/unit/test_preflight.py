"""An experiment that cannot start is refused before anything is trained, with the key to change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reload_audit.evaluation.observations import not_finite
from reload_audit.jobs.check import ConfigurationRefused, check_experiments
from reload_audit.training.preflight import find_problems
from support.builders import training_spec

CASES: dict[str, tuple[dict[str, Any], str]] = {
    "an id that nobody registered": ({"env": "CartPoole-v1"}, "here.env: 'CartPoole-v1' cannot be made: "),
    "a module that is not there": (
        {"env": "nowhere:Env"},
        "here.env: 'nowhere:Env' cannot be made: no module named 'nowhere'; expected an installed package, or a file",
    ),
    "a class that is not in its module": (
        {"env": "planted:Drawz"},
        "here.env: 'planted:Drawz' cannot be made: module 'planted' neither has a class 'Drawz' nor registers",
    ),
    "a constructor that raises": (
        {"env": "failing:RaisesInConstructor", "env_kwargs": {"port": 81}},
        "here.env: constructing 'failing:RaisesInConstructor' with {'port': 81} raised ConnectionError: no simulator",
    ),
    "an argument that the constructor does not take": (
        {"env": "planted:Draws", "env_kwargs": {"levle": 1}},
        "here.env: constructing 'planted:Draws' with {'levle': 1} raised TypeError: ",
    ),
    "a wrapper that does not exist": (
        {"wrappers": ["planted.AddsTwo"]},
        "here.wrappers: putting ['planted.AddsTwo'] around 'planted:Draws' raised ImportProblem: module 'planted'",
    ),
    "an action space that the algorithm cannot handle": (
        {"algo": "SAC", "hyperparams": {}},
        "here.algo: SAC needs an action space of kind Box, found Discrete in 'planted:Draws'; choose another algorithm",
    ),
    "a hyperparameter that does not exist": (
        {"hyperparams": {"n_step": 8}},
        "here.hyperparams.n_step: PPO has no such argument; did you mean 'n_steps'?",
    ),
    "a hyperparameter that the algorithm refuses": (
        {"hyperparams": {"n_steps": 1, "batch_size": 1}},
        "here.hyperparams: PPO refuses them: AssertionError: ",
    ),
    "a policy that the algorithm does not have": (
        {"hyperparams": {"policy": "MplPolicy"}},
        "here.hyperparams.policy: PPO has no 'MplPolicy'; expected one of MlpPolicy, CnnPolicy, MultiInputPolicy",
    ),
    "keys to normalise that the observations do not have": (
        {"env": "planted:DictObservations", "normalize": {"norm_obs_keys": ["speed"]}},
        "here.normalize: vectorising 'planted:DictObservations' raised ",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_an_experiment_that_cannot_start_is_refused_with_the_key_to_change(case):
    overrides, message = CASES[case]
    problems = find_problems([("here", training_spec(**overrides))])
    assert len(problems) == 1
    assert problems[0].startswith(message)
    assert "\n" not in problems[0]


def test_a_healthy_experiment_has_no_problem():
    assert find_problems([("here", training_spec())]) == []


@pytest.mark.slow
def test_an_environment_that_kills_its_process_is_named_and_hides_no_other_problem(tmp_path):
    specs = [
        training_spec(),
        training_spec(name="killer", env="killer:Killer"),
        training_spec(name="typo", env="CartPoole-v1"),
    ]
    (tmp_path / "killer.py").write_text("import os\nos.kill(os.getpid(), 11)\n")
    specs[1]["environment"]["python_path"] = [str(tmp_path)]
    with pytest.raises(ConfigurationRefused) as refused:
        check_experiments(
            [(f"experiments[{k}]", spec) for k, spec in enumerate(specs)], "mine.yaml", tmp_path / "log", 4096
        )
    crash, typo = str(refused.value).splitlines()
    assert crash == "mine.yaml: experiments[1].env: trying 'killer:Killer': the process was ended by SIGSEGV"
    assert typo.startswith("mine.yaml: experiments[2].env: 'CartPoole-v1' cannot be made")


@pytest.mark.slow
def test_what_an_environment_does_to_its_process_is_no_problem_of_other_experiments(tmp_path):
    (tmp_path / "vandal.py").write_text(
        "import os, tempfile\nfrom planted import Draws\n\n\n"
        "class Vandal(Draws):\n    def __init__(self):\n"
        "        folder = tempfile.mkdtemp()\n        os.chdir(folder)\n        os.rmdir(folder)\n"
    )
    (tmp_path / "bystander.py").write_text("from planted import Draws as Bystander\n")
    specs = [training_spec(env=name) for name in ("vandal:Vandal", "bystander:Bystander", "CartPoole-v1")]
    for spec in specs:
        spec["environment"]["python_path"].append(str(tmp_path))
    together = [(f"here[{k}]", spec) for k, spec in enumerate(specs)]
    with pytest.raises(ConfigurationRefused) as refused:
        check_experiments(together, "mine.yaml", tmp_path / "log", 4096)
    assert [line.split(":")[1] for line in str(refused.value).splitlines()] == [" here[2].env"]


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.longdouble])
@pytest.mark.parametrize("size", [1, 32, 33])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_seen_among_few_and_many(kind: type, size: int, bad: float) -> None:
    largest = np.full((1, size), np.finfo(kind).max, dtype=kind)
    assert not_finite(largest) is None
    largest[0, -1] = bad
    assert repr(not_finite(largest)) == repr(float(bad))
