"""Evaluation scripts as people write them, each with one fault: the audit names it, and a sound twin has none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import planted
import pytest
import torch
from sb3_contrib import MaskablePPO, RecurrentPPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from reload_audit.jobs.script import audit_script
from reload_audit.models.algorithms import algorithm
from reload_audit.records.script_entry import ScriptEntry
from reload_audit.records.script_record import ScriptRecord
from reload_audit.records.specs import (
    EnvironmentSpec,
    EvaluationSpec,
    ExternalPolicy,
    ExternalSpec,
    ReloadSpec,
    ScriptSpec,
    WrapperSpec,
)
from reload_audit.results.scripts import script_entry
from support.builders import CRITERIA, ROOT

pytestmark = pytest.mark.slow

OFF_POLICY = {"learning_starts": 50, "batch_size": 64, "train_freq": 4, "gradient_steps": 2, "gamma": 0.1}
RECIPES = {
    "PPO": ({"n_steps": 64, "batch_size": 64, "learning_rate": 1e-2, "gamma": 0.5}, 2048, "discrete"),
    "A2C": ({"n_steps": 16, "learning_rate": 1e-2, "gamma": 0.5}, 3000, "discrete"),
    "SAC": ({**OFF_POLICY, "learning_rate": 1e-2}, 800, "continuous"),
    "DQN": (
        {**OFF_POLICY, "learning_rate": 5e-3, "target_update_interval": 50, "exploration_final_eps": 0.3},
        1200,
        "discrete",
    ),
}

HEAD = """
from planted import Gauge
from stable_baselines3 import ALGO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecNormalize

"""

LOOP = """
venv = make_vec_env(Gauge, n_envs=1, env_kwargs={"action": "ACTION"})
venv = VecNormalize.load("ALGO.pkl", venv)
venv.training = False
venv.norm_reward = False
model = ALGO.load("ALGO.zip", env=venv)

rewards = []
for episode in range(25):
    obs = venv.reset()
    done, total = False, 0.0
    while not done:
        action, _ = model.predict(obs, deterministic=True)
        obs, reward, done, info = venv.step(action)
        total += reward[0]
    rewards.append(total)
print(f"mean reward: {sum(rewards) / len(rewards):.2f}")
"""

EVALUATE = """
venv = VecNormalize.load("ALGO.pkl", make_vec_env(Gauge, n_envs=4, env_kwargs={"action": "ACTION"}))
venv.training = False
venv.norm_reward = False
model = ALGO.load("ALGO")
mean, std = evaluate_policy(model, venv, n_eval_episodes=40)
print(mean, std)
"""

DEPLOYED = """
import pickle
import numpy as np

with open("ALGO.pkl", "rb") as file:
    statistics = pickle.load(file)
model = ALGO.load("ALGO.zip")
env = Gauge("ACTION")
scores = []
for _ in range(25):
    obs, _ = env.reset()
    score, over = 0.0, False
    while not over:
        action, _ = model.predict(statistics.normalize_obs(obs), deterministic=True)
        obs, reward, terminated, truncated, _ = env.step(action)
        over, score = terminated or truncated, score + reward
    scores.append(score)
print(np.mean(scores))
"""

RECALL = """
import numpy as np
from planted import Recall
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.env_util import make_vec_env

venv = make_vec_env(Recall, n_envs=2)
model = RecurrentPPO.load("RecurrentPPO")
obs, states, starts = venv.reset(), None, np.ones(2, dtype=bool)
for _ in range(120):
    action, states = model.predict(obs, state=states, episode_start=starts, deterministic=True)
    obs, rewards, starts, infos = venv.step(action)
"""

MASKED = """
from planted import Costly
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.utils import get_action_masks
from stable_baselines3.common.env_util import make_vec_env

env = make_vec_env(Costly, n_envs=1)
model = MaskablePPO.load("MaskablePPO")
for _ in range(30):
    obs, done = env.reset(), False
    while not done:
        action, _ = model.predict(obs, action_masks=get_action_masks(env), deterministic=True)
        obs, reward, done, info = env.step(action)
"""


@dataclass(frozen=True)
class Case:
    """A script: a sound one, with texts in it replaced.

    :param causes: that the audit has to name, in any order
    """

    algo: str
    text: str
    causes: tuple[str, ...] = ()
    edits: Mapping[str, str] = field(default_factory=dict)

    def script(self) -> str:
        text = self.text
        for old, new in self.edits.items():
            assert old in text, old
            text = text.replace(old, new)
        head = HEAD if self.algo in RECIPES else ""
        action = RECIPES[self.algo][2] if head else ""
        return (head + text).replace("ALGO", self.algo).replace("ACTION", action)


NEW = 'VecNormalize.load("ALGO.pkl", venv)', "VecNormalize(venv)"
CASES = {
    "loop-PPO": Case("PPO", LOOP),
    "loop-A2C": Case("A2C", LOOP),
    "loop-SAC": Case("SAC", LOOP),
    "loop-DQN": Case("DQN", LOOP),
    "evaluate-PPO": Case("PPO", EVALUATE),
    "deployed-A2C": Case("A2C", DEPLOYED),
    "deployed-SAC": Case("SAC", DEPLOYED),
    "recall": Case("RecurrentPPO", RECALL),
    "masked": Case("MaskablePPO", MASKED),
    "never-loaded-PPO": Case(
        "PPO",
        LOOP,
        ("load-not-assigned",),
        {'model = ALGO.load("ALGO.zip", env=venv)': 'model = ALGO("MlpPolicy", venv, seed=0)\nmodel.load("ALGO.zip")'},
    ),
    "never-loaded-SAC": Case(
        "SAC",
        EVALUATE,
        ("load-not-assigned",),
        {'model = ALGO.load("ALGO")': 'model = ALGO("MlpPolicy", venv, seed=0)\nALGO.load("ALGO", env=venv)'},
    ),
    "new-statistics-PPO": Case("PPO", LOOP, ("statistics-not-loaded",), dict([NEW])),
    "new-frozen-statistics-A2C": Case("A2C", LOOP, ("statistics-not-loaded",), dict([NEW])),
    "no-statistics-DQN": Case(
        "DQN", LOOP, ("statistics-not-loaded",), {'venv = VecNormalize.load("ALGO.pkl", venv)': ""}
    ),
    "no-statistics-deployed-PPO": Case(
        "PPO", DEPLOYED, ("statistics-not-loaded",), {"statistics.normalize_obs(obs)": "obs"}
    ),
    "rewards-normalized-PPO": Case("PPO", LOOP, ("reward-normalized",), {"venv.norm_reward = False": ""}),
    "stochastic-DQN": Case("DQN", LOOP, ("policy-mode",), {", deterministic=True": ""}),
    "trained-on-A2C": Case(
        "A2C",
        LOOP,
        ("trained-while-evaluating",),
        {"rewards = []": "model.lr_schedule = lambda _: 0.5\nmodel.learn(500)\nrewards = []"},
    ),
    "state-dropped": Case("RecurrentPPO", RECALL, ("recurrent-state-dropped",), {"state=states, ": ""}),
    "no-masks": Case("MaskablePPO", MASKED, ("action-masks-missing",), {", action_masks=get_action_masks(env)": ""}),
    "tuple": Case(
        "PPO",
        DEPLOYED,
        ("reset-return-misread",),
        {"obs, _ = env.reset()": "obs = env.reset()", "statistics.normalize_obs(obs)": "obs"},
    ),
    "two-faults-PPO": Case(
        "PPO",
        LOOP,
        ("load-not-assigned", "reward-normalized"),
        {
            'ALGO.load("ALGO.zip", env=venv)': 'ALGO("MlpPolicy", venv, seed=0)\nmodel.load("ALGO.zip")',
            "venv.norm_reward = False": "",
        },
    ),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[ExternalSpec]]:
    """A folder with a small model of each algorithm, and how each is evaluated."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("scripts")
    specs = []
    for algo, (hyperparams, steps, action) in RECIPES.items():
        venv = VecNormalize(make_vec_env(planted.Gauge, 4 if algo == "PPO" else 2, env_kwargs={"action": action}))
        made = algorithm(algo)("MlpPolicy", venv, seed=0, policy_kwargs={"net_arch": [16]}, **hyperparams).learn(steps)
        made.save(folder / algo)
        venv.save(str(folder / f"{algo}.pkl"))
        specs.append(external(folder, algo, "planted:Gauge", {"action": action}, normalized=True))
    lstm = {"lstm_hidden_size": 8, "net_arch": [8]}
    quick = {"n_steps": 40, "batch_size": 80, "n_epochs": 4, "learning_rate": 1e-2, "gamma": 0.5}
    recalling = make_vec_env(planted.Recall, 8)
    RecurrentPPO("MlpLstmPolicy", recalling, seed=0, policy_kwargs=lstm, **quick).learn(2560).save(
        folder / "RecurrentPPO"
    )
    MaskablePPO("MlpPolicy", make_vec_env(planted.Costly, 2), seed=0, n_steps=32, batch_size=32).learn(64).save(
        folder / "MaskablePPO"
    )
    specs += [
        external(folder, "RecurrentPPO", "planted:Recall", {}),
        external(folder, "MaskablePPO", "planted:Costly", {}),
    ]
    return folder, specs


def external(
    folder: Path, algo: str, env: str, env_kwargs: dict[str, object], *, normalized: bool = False
) -> ExternalSpec:
    layers = (WrapperSpec("VecNormalize", {}),) if normalized else ()
    python_path = (str(ROOT / "tests/environments"),)
    environment = EnvironmentSpec(env, env_kwargs, (), "env", layers, python_path)
    statistics = str(folder / f"{algo}.pkl") if normalized else None
    return ExternalSpec(
        model=algo,
        source="table",
        group="",
        role="final",
        algo=algo,
        device="cpu",
        deterministic=True,
        path=str(folder / f"{algo}.zip"),
        statistics=statistics,
        normalized=normalized,
        n_envs=None,
        environment=environment,
        named_by_user=("env", "wrappers", "vec_wrappers"),
    )


def audited(folder: Path, specs: list[ExternalSpec], name: str, text: str) -> ScriptEntry:
    """A script's entry in the audit, after it was observed and measured."""
    (folder / f"{name}.py").write_text(text)
    record = folder / "results" / f"{name}.json"
    spec = ScriptSpec(
        name, str(folder / f"{name}.py"), (), str(folder), {}, "", 120, 4096, (str(ROOT / "tests/environments"),)
    )
    policy = ExternalPolicy(EvaluationSpec(20, 10**6, 4, 1000, (20,)), ("planted",), {}, 2**30)
    reload = ReloadSpec((), False, "forkserver", 120, 4096)
    audit_script(spec, specs, policy, reload, CRITERIA, record, folder / "log")
    return script_entry(ScriptRecord.read(record))


@pytest.mark.parametrize("name", CASES)
def test_a_script_s_fault_is_named_with_its_line_and_a_sound_one_has_none(
    models: tuple[Path, list[ExternalSpec]], name: str
) -> None:
    case = CASES[name]
    entry = audited(*models, name, case.script())
    assert sorted(cause.cause for cause in entry.causes) == sorted(case.causes), entry
    assert all(cause.where.startswith(f"{name}.py:") for cause in entry.causes)
    assert entry.agrees in (True, None), entry
    assert entry.differs == bool(set(case.causes) - {"reward-normalized", "reset-return-misread"}), entry


@pytest.mark.parametrize(
    "name", ["never-loaded-PPO", "new-statistics-PPO", "rewards-normalized-PPO", "stochastic-DQN", "no-masks"]
)
def test_the_printed_line_put_in_place_of_the_faulty_one_makes_the_script_sound(
    models: tuple[Path, list[ExternalSpec]], name: str
) -> None:
    text = CASES[name].script()
    (cause,) = audited(*models, f"faulty-{name}", text).causes
    assert cause.instead
    lines = text.splitlines()
    number = int(cause.where.rpartition(":")[2]) - 1
    assert lines[number].strip() == cause.code
    lines[number] = lines[number].replace(cause.code, cause.instead)
    repaired = audited(*models, f"repaired-{name}", "\n".join(lines))
    assert (repaired.causes, repaired.differs) == ((), False)
