"""RL Zoo's own ``enjoy``, run from its package on a folder of logs, is observed like a script of the user's."""

from __future__ import annotations

import shutil
from pathlib import Path

import planted
import pytest
import torch
from stable_baselines3 import SAC
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from reload_audit.jobs.script import audit_script
from reload_audit.records.script_entry import ScriptEntry
from reload_audit.records.script_record import ScriptRecord
from reload_audit.records.specs import EvaluationSpec, ExternalPolicy, ReloadSpec, ScriptSpec
from reload_audit.results.scripts import script_entries
from support.builders import CRITERIA, ROOT
from support.scripts import RECIPES

ZOO = ROOT / "build/rl_zoo"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not ZOO.is_dir(), reason="needs RL Zoo: make build/rl_zoo/ready")]

CONFIG = """!!python/object/apply:collections.OrderedDict
- - - n_timesteps
    - 800
  - - normalize
    - true
  - - policy
    - MlpPolicy
"""
ARGUMENTS = """!!python/object/apply:collections.OrderedDict
- - - algo
    - sac
  - - env
    - Gauge-v0
  - - env_kwargs
    - action: wide
"""
ENJOY = "--env Gauge-v0 --algo sac -f logs --exp-id 1 -n 240 --gym-packages planted --device cpu --seed 3"


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with RL Zoo's logs of one SAC: its last model is hardly trained, its best one is."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("zoo")
    run = folder / "logs/sac/Gauge-v0_1"
    (run / "Gauge-v0").mkdir(parents=True)
    recipe = RECIPES["SAC"]
    venv = VecNormalize(make_vec_env(planted.Gauge, 2, env_kwargs=dict(recipe.env_kwargs)))
    model = SAC("MlpPolicy", venv, seed=0, policy_kwargs={"net_arch": [16]}, **recipe.hyperparams)
    model.save(run / "Gauge-v0.zip")
    model.learn(recipe.steps).save(run / "best_model.zip")
    venv.save(str(run / "Gauge-v0/vecnormalize.pkl"))
    (run / "Gauge-v0/config.yml").write_text(CONFIG)
    (run / "Gauge-v0/args.yml").write_text(ARGUMENTS)
    return folder


def enjoyed(logs: Path, *options: str, model: str = "") -> ScriptEntry:
    script = str(ZOO / "rl_zoo3/enjoy.py")
    python_path = (str(ROOT / "tests/environments"), str(ZOO))
    spec = ScriptSpec("enjoy.py", script, (*ENJOY.split(), *options), str(logs), {}, model, 120, 4096, python_path)
    policy = ExternalPolicy(EvaluationSpec(20, 10**6, 4, 1000, (20,)), ("planted",), {}, 2**30)
    record = logs / "record.json"
    audit_script(spec, [], policy, ReloadSpec((), False, "forkserver", 120, 4096), CRITERIA, record, logs / "log")
    (entry,) = script_entries(ScriptRecord.read(record))
    return entry


SOUND = {
    "what it rescales rewards by": ["--norm-reward"],
    "no window": ["--no-render", "--deterministic"],
    "a log of its rewards": ["--reward-log", "rewards"],
}


@pytest.mark.parametrize("what", SOUND)
def test_enjoy_of_the_best_model_has_no_cause_with(logs: Path, what: str) -> None:
    entry = enjoyed(logs, "--load-best", *SOUND[what])
    assert (entry.model, entry.causes, entry.differs, entry.problem) == ("best_model", (), False, ""), entry
    assert (entry.shown, entry.n) == ("", 30)


def test_of_the_checkpoints_that_enjoy_can_load_the_one_that_it_loads_is_named(logs: Path) -> None:
    run = logs / "logs/sac/Gauge-v0_1"
    for name, steps in (("Gauge-v0", 100), ("best_model", 800)):
        shutil.copy(run / f"{name}.zip", run / f"rl_model_{steps}_steps.zip")
    early, late = enjoyed(logs, "--load-checkpoint", "100"), enjoyed(logs, "--load-last-checkpoint")
    assert (early.model, early.causes, late.model, late.causes) == ("rl_model_100_steps", (), "rl_model_800_steps", ())
    assert "lies beside" not in " ".join((*early.remarks, *late.remarks)), "the option names it"


def test_options_that_enjoy_does_not_take_end_in_what_it_raised_and_where(logs: Path) -> None:
    entry = enjoyed(logs, "--load-best", "--env-kwargs", "nonsense:3")
    assert (entry.n, entry.problem) == (None, "it raised before its first episode ended")
    assert "unexpected keyword argument 'nonsense'" in entry.raised
    assert entry.raised_at.startswith("utils.py:")


def test_stochastic_actions_of_enjoy_are_a_cause(logs: Path) -> None:
    entry = enjoyed(logs, "--load-best", "--stochastic")
    assert [cause.cause for cause in entry.causes] == ["policy-mode"], entry
    assert "deterministic=deterministic" in entry.causes[0].code


def test_the_last_model_is_not_the_best_one_that_the_script_is_about(logs: Path) -> None:
    best = logs / "logs/sac/Gauge-v0_1/best_model.zip"
    entry = enjoyed(logs, model=str(best))
    assert [cause.cause for cause in entry.causes] == ["another-model"], entry
