"""RL Zoo's own ``enjoy``, run from its package on a folder of logs, is observed like a script of the user's."""

from __future__ import annotations

import importlib.util
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

ZOO = importlib.util.find_spec("rl_zoo3")

pytestmark = [pytest.mark.slow, pytest.mark.skipif(ZOO is None, reason="needs rl_zoo3, which is not installed")]

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
    assert ZOO is not None
    assert ZOO.origin is not None
    script = Path(ZOO.origin).parent / "enjoy.py"
    python_path = (str(ROOT / "tests/environments"), str(Path(ZOO.origin).parents[1]))
    spec = ScriptSpec("enjoy.py", str(script), (*ENJOY.split(), *options), str(logs), {}, model, 120, 4096, python_path)
    policy = ExternalPolicy(EvaluationSpec(20, 10**6, 4, 1000, (20,)), ("planted",), {}, 2**30)
    record = logs / "record.json"
    audit_script(spec, [], policy, ReloadSpec((), False, "forkserver", 120, 4096), CRITERIA, record, logs / "log")
    (entry,) = script_entries(ScriptRecord.read(record))
    return entry


def test_enjoy_of_the_best_model_has_no_cause_and_its_norm_reward_changes_nothing(logs: Path) -> None:
    entry = enjoyed(logs, "--load-best", "--norm-reward")
    assert (entry.model, entry.causes, entry.differs, entry.problem) == ("best_model", (), False, ""), entry


def test_stochastic_actions_of_enjoy_are_a_cause(logs: Path) -> None:
    entry = enjoyed(logs, "--load-best", "--stochastic")
    assert [cause.cause for cause in entry.causes] == ["policy-mode"], entry
    assert "deterministic=deterministic" in entry.causes[0].code


def test_the_last_model_is_not_the_best_one_that_the_script_is_about(logs: Path) -> None:
    best = logs / "logs/sac/Gauge-v0_1/best_model.zip"
    entry = enjoyed(logs, model=str(best))
    assert [cause.cause for cause in entry.causes] == ["another-model"], entry
