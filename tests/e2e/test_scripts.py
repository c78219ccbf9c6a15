"""Evaluation scripts as people write them, each with one fault: the audit names it, and a sound twin has none."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import dropping
import numpy as np
import planted
import pytest
import torch
from sb3_contrib import MaskablePPO, RecurrentPPO
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecFrameStack, VecNormalize

from reload_audit.diagnosis.gap import STANDARD_ERRORS
from reload_audit.jobs.script import audit_script, observe
from reload_audit.models.algorithms import algorithm
from reload_audit.observing.differences import compared_with_models
from reload_audit.records.environment_spec import EnvironmentSpec, WrapperSpec
from reload_audit.records.script_entry import ScriptEntry
from reload_audit.records.script_record import ScriptRecord
from reload_audit.records.specs import EvaluationSpec, ExternalPolicy, ExternalSpec, ReloadSpec, ScriptSpec
from reload_audit.reports.scripts import about_scripts
from reload_audit.results.scripts import script_entries
from support.builders import CRITERIA, ROOT
from support.public_scripts import FAULTY_IN_PUBLIC, SOUND_IN_PUBLIC
from support.script_texts import HIDDEN_PAIR, SEVERAL
from support.scripts import FAULTY as FAULTY_HERE
from support.scripts import RECIPES
from support.scripts import SOUND as SOUND_HERE

pytestmark = pytest.mark.slow

SOUND = {**SOUND_HERE, **{f"public-{name}": case for name, case in SOUND_IN_PUBLIC.items()}}
FAULTY = {**FAULTY_HERE, **{f"public-{name}": case for name, case in FAULTY_IN_PUBLIC.items()}}

Models = tuple[Path, list[ExternalSpec]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """A folder with a small model of each algorithm, and how each is evaluated."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("scripts")
    specs = []
    for algo, recipe in RECIPES.items():
        wrapper = getattr(planted, recipe.wrapper, None)
        venv = make_vec_env(
            planted.Gauge, 4 if algo == "PPO" else 2, env_kwargs=dict(recipe.env_kwargs), wrapper_class=wrapper
        )
        venv = VecNormalize(venv)
        small = {"policy_kwargs": {"net_arch": [16]}, **recipe.hyperparams}
        algorithm(algo)("MlpPolicy", venv, seed=0, **small).learn(recipe.steps).save(folder / algo)
        venv.save(str(folder / f"{algo}.pkl"))
        wrappers = (WrapperSpec(f"planted:{recipe.wrapper}", {}),) if recipe.wrapper else ()
        env = "planted:Gauge-v0" if algo == "PPO" else "planted:Gauge"
        specs.append(external(folder, algo, env, dict(recipe.env_kwargs), wrappers, normalized=True))
    for ending in ("zip", "pkl"):
        shutil.copy(folder / f"PPO.{ending}", folder / f"Backed.{ending}")
    specs.append(replace(external(folder, "Backed", "planted:Backed", {}, normalized=True), algo="PPO"))
    lstm = {"lstm_hidden_size": 8, "net_arch": [8]}
    quick = {"n_steps": 40, "batch_size": 80, "n_epochs": 4, "learning_rate": 1e-2, "gamma": 0.5}
    recalling, costly = make_vec_env(planted.Recall, 8), make_vec_env(planted.Costly, 2)
    RecurrentPPO("MlpLstmPolicy", recalling, seed=0, policy_kwargs=lstm, **quick).learn(2560).save(
        folder / "RecurrentPPO"
    )
    MaskablePPO("MlpPolicy", costly, seed=0, n_steps=32, batch_size=32).learn(64).save(folder / "MaskablePPO")
    specs += [
        external(folder, "RecurrentPPO", "planted:Recall", {}),
        external(folder, "MaskablePPO", "planted:Costly", {}),
    ]
    panel = VecNormalize(make_vec_env(planted.Panel, 4))
    PPO("MultiInputPolicy", panel, seed=0, policy_kwargs={"net_arch": [16]}, **RECIPES["PPO"].hyperparams).learn(
        2048
    ).save(folder / "Panel")
    panel.save(str(folder / "Panel.pkl"))
    specs.append(replace(external(folder, "Panel", "planted:Panel", {}, normalized=True), algo="PPO"))
    normalized = VecNormalize(make_vec_env(planted.Gauge, 4))
    drops = {"features_extractor_class": dropping.Drops, "net_arch": [16]}
    PPO("MlpPolicy", normalized, seed=0, policy_kwargs=drops, **RECIPES["PPO"].hyperparams).learn(2048).save(
        folder / "Drops"
    )
    normalized.save(str(folder / "Drops.pkl"))
    specs.append(replace(external(folder, "Drops", "planted:Gauge", {}, normalized=True), algo="PPO"))
    turned = VecNormalize(make_vec_env(planted.Gauge, 4))
    PPO(
        "MlpPolicy",
        planted.Turned(turned, np.array([2.0, 1.0, 0.5])),
        seed=0,
        policy_kwargs={"net_arch": [16]},
        **RECIPES["PPO"].hyperparams,
    ).learn(2048).save(folder / "Turned")
    turned.save(str(folder / "Turned.pkl"))
    stacked = VecFrameStack(make_vec_env(planted.Gauge), 2)
    PPO("MlpPolicy", stacked, seed=0, n_steps=64).learn(64).save(folder / "Stacked")
    others = VecNormalize(make_vec_env(planted.OtherGauge, 2))
    PPO("MlpPolicy", others, n_steps=64, batch_size=64, seed=1).learn(64).save(folder / "old")
    others.save(str(folder / "other.pkl"))
    for algo in ("PPO", "SAC"):  # of which only scripts say in which environment they were trained
        algorithm(algo).load(folder / algo).save(folder / f"Kept-{algo}")
    moments = VecNormalize.load(str(folder / "A2C.pkl"), make_vec_env(planted.Gauge)).obs_rms
    np.savez(folder / "A2C.npz", mean=moments.mean, var=moments.var)
    return folder, specs


def external(
    folder: Path,
    algo: str,
    env: str,
    env_kwargs: dict[str, object],
    wrappers: tuple[WrapperSpec, ...] = (),
    *,
    normalized: bool = False,
) -> ExternalSpec:
    layers = (WrapperSpec("VecNormalize", {}),) if normalized else ()
    python_path = (str(ROOT / "tests/environments"),)
    environment = EnvironmentSpec(env, env_kwargs, wrappers, "env", layers, python_path)
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


def audited(models: Models, name: str, text: str, model: str = "") -> list[ScriptEntry]:
    """A script's entries in the audit, after it was observed and measured: one of each model.

    :param name: of its file
    """
    folder, specs = models
    (folder / name).write_text(text)
    record = folder / "results" / f"{name}.json"
    spec, policy, reload = specs_of(folder, name, model)
    trusting_nobody = replace(policy, trust=())  # but modules that the script itself has run
    audit_script(spec, specs, trusting_nobody, reload, CRITERIA, record, folder / "log")
    return script_entries(ScriptRecord.read(record))


def specs_of(folder: Path, name: str, model: str) -> tuple[ScriptSpec, ExternalPolicy, ReloadSpec]:
    """How a script in a folder is run, and a model evaluated."""
    python_path = (str(ROOT / "tests/environments"),)
    spec = ScriptSpec(name, str(folder / name), (), str(folder), {}, model, 120, 4096, python_path)
    policy = ExternalPolicy(EvaluationSpec(20, 10**6, 4, 1000, (20,)), ("planted", "dropping"), {}, 2**30)
    return spec, policy, ReloadSpec((), False, "forkserver", 120, 4096)


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_script_has_no_cause(models: Models, name: str) -> None:
    (entry,) = audited(models, f"{name}.py", SOUND[name].script(), SOUND[name].model)
    assert (entry.causes, entry.differs, entry.problem, entry.shown) == ((), False, "", ""), entry


_FAULTY_ENTRIES: dict[str, ScriptEntry] = {}


def faulty(models: Models, name: str) -> ScriptEntry:
    """The entry of a faulty script, which is audited once."""
    if name not in _FAULTY_ENTRIES:
        case = FAULTY[name]
        (_FAULTY_ENTRIES[name],) = audited(models, f"{name}{case.ending}", case.script(), case.model)
    return _FAULTY_ENTRIES[name]


@pytest.mark.parametrize("name", FAULTY)
def test_a_script_s_faults_are_named_with_their_lines(models: Models, name: str) -> None:
    case, entry = FAULTY[name], faulty(models, name)
    named = [cause.cause for cause in entry.causes]
    if "unseeded" in name:  # once in hundreds of times, chance looks like something that was not seen
        assert sorted(cause for cause in named if cause != "unexplained") == sorted(case.causes), entry
        return
    assert sorted(named) == sorted(case.causes), entry
    assert all(cause.where.startswith(f"{name}{case.ending}") for cause in entry.causes if cause.cause != "unexplained")
    assert entry.agrees in (True, None) or {*case.causes} & NOT_REPRODUCED, entry
    assert entry.differs == bool({*case.causes} - IN_THE_FIGURE_ALONE), entry
    without_cost = {cause.cause for cause in entry.causes if cause.cost is None}
    assert without_cost <= IN_THE_FIGURE_ALONE | NOT_REPRODUCED, entry


@pytest.mark.parametrize("name", ["halved-SAC", "swapped-PPO", "exported-not-rescaled-SAC", "cast-A2C", "in-place-SAC"])
def test_what_is_done_by_one_rule_has_a_cost(models: Models, name: str) -> None:
    (cause,) = faulty(models, name).causes
    assert cause.cost is not None
    assert cause.cost > 5.0, cause


def test_planted_against_named_is_a_diagonal(models: Models) -> None:
    pairs = Counter(
        (planted, named)
        for name, case in FAULTY.items()
        if len(case.causes) == 1
        for planted in case.causes
        for named in [cause.cause for cause in faulty(models, name).causes] or ["-"]
        if not ("unseeded" in name and named == "unexplained")
    )
    columns = sorted({cause for pair in pairs for cause in pair})
    for row in columns:
        print(f"{row:30s}", *(f"{pairs[row, column] or '.':>3}" for column in columns))
    assert all(planted == named for planted, named in pairs)


def test_each_of_several_models_is_compared(models: Models) -> None:
    ppo, a2c = audited(models, "several.py", SEVERAL)
    assert (ppo.model, ppo.causes, ppo.name) == ("PPO", (), "several.py (PPO)")
    assert [cause.cause for cause in a2c.causes] == ["statistics-not-loaded"]
    assert a2c.model == "A2C"


def test_episodes_that_are_all_the_same_are_no_more_than_one(models: Models) -> None:
    same = SOUND["deployed-A2C"].script().replace("reset(seed=seed)", "reset(seed=5)")
    (entry,) = audited(models, "same.py", same.replace("import A2C", "import PPO").replace("A2C.load", "PPO.load"))
    assert (entry.causes, entry.differs) == ((), False), entry
    assert any("the same one over and over" in remark for remark in entry.remarks)
    assert any("PPO.load reads a model of A2C" in remark for remark in entry.remarks)


def test_two_lines_that_cost_something_only_together_are_found_beside_one_that_costs_all(models: Models) -> None:
    (entry,) = audited(models, "hidden-pair.py", HIDDEN_PAIR)
    found = {cause.cause: cause.together_with for cause in entry.causes}
    pair = {"env-kwargs": ("wrappers-differ",), "wrappers-differ": ("env-kwargs",)}
    assert found == {"load-not-assigned": (), **pair}, entry


TRAINS = """
from planted import Gauge, SwapsActions
from stable_baselines3 import A2C
from stable_baselines3.common.env_util import make_vec_env

if __name__ == "__main__":
    venv = make_vec_env(Gauge, n_envs=2, env_kwargs=dict(early=EARLY), wrapper_class=WRAPPER)
    A2C("MlpPolicy", venv).learn(3000).save("models/gauge")
"""

PLAYS = """
import pickle
from pathlib import Path
from planted import Gauge
from stable_baselines3 import A2C

folder = Path("models")
statistics = pickle.loads((folder / "vecnormalize.pkl").read_bytes())
model = A2C.load(folder / "gauge")
env = Gauge(early=EARLY)
for seed in range(25):
    obs, _ = env.reset(seed=seed)
    over = False
    while not over:
        action, _ = model.predict(statistics.normalize_obs(obs), deterministic=True)
        obs, reward, over, _, info = env.step(action)
"""


def keep_model(models: Models, repository: Path) -> None:
    """Copy the model of A2C, and its statistics, into a repository of its own."""
    (repository / "models").mkdir()
    shutil.copy(models[0] / "A2C.zip", repository / "models/gauge.zip")
    shutil.copy(models[0] / "A2C.pkl", repository / "models/vecnormalize.pkl")


@pytest.mark.parametrize(
    ("trained", "wrapper", "plays", "named", "denied"),
    [
        ("True", "None", "False", True, False),
        ("True", "None", "True", False, False),
        ("True", "SwapsActions", "True", False, True),
        ("False", "None", "True", False, True),
    ],
    ids=["other-arguments", "the-same", "less-than-its-zip-says", "more-than-its-zip-says"],
)
def test_the_environment_of_the_script_that_trains_a_model_counts_unless_the_zip_denies_it(
    models: Models, tmp_path: Path, trained: str, wrapper: str, plays: str, named: bool, denied: bool
) -> None:
    keep_model(models, tmp_path)
    (tmp_path / "train.py").write_text(TRAINS.replace("EARLY", trained).replace("WRAPPER", wrapper))
    (entry,) = audited((tmp_path, []), "plays.py", PLAYS.replace("EARLY", plays))
    assert [cause.cause for cause in entry.causes] == ["env-kwargs"] * named, entry
    assert any("not believed, as in that environment" in one for one in entry.remarks) == denied
    for cause in entry.causes:
        assert cause.instead == "env = Gauge(early=True)"
        assert cause.evidence.endswith("the model was trained with early=True (train.py:7)")


def test_a_script_s_own_line_is_named_where_training_builds_its_environment_with_the_same_function(
    models: Models, tmp_path: Path
) -> None:
    keep_model(models, tmp_path)
    (tmp_path / "builds.py").write_text(BUILDS)
    trains = TRAINS.replace("planted import Gauge, SwapsActions", "builds import build")
    trains = trains.replace(
        "Gauge, n_envs=2, env_kwargs=dict(early=EARLY), wrapper_class=WRAPPER", "lambda: build(EARLY), 2"
    )
    (tmp_path / "train.py").write_text(trains.replace("EARLY", "True"))
    plays = PLAYS.replace("planted import Gauge", "builds import build").replace("env = Gauge(early=EARLY)", CALLS)
    (entry,) = audited((tmp_path, []), "plays.py", plays)
    (cause,) = entry.causes
    assert (cause.cause, cause.code, cause.instead) == ("env-kwargs", CALLS, ""), entry


def test_an_environment_that_only_worker_processes_see_is_taken_to_be_that_of_training(
    models: Models, tmp_path: Path
) -> None:
    keep_model(models, tmp_path)
    (unknown,) = audited((tmp_path, []), "works.py", WORKS)
    assert unknown.problem.startswith("which environment its worker processes make is not seen, and no script")
    (tmp_path / "train.py").write_text(TRAINS.replace("EARLY", "True").replace("WRAPPER", "None"))
    (entry,) = audited((tmp_path, []), "works.py", WORKS)
    assert [cause.cause for cause in entry.causes] == ["statistics-not-loaded"], entry
    assert (
        "which environment its worker processes make is not seen: it is taken to be that of training" in entry.remarks
    )


WORKS = """
from planted import Gauge
from stable_baselines3 import A2C
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import SubprocVecEnv

if __name__ == "__main__":
    venv = SubprocVecEnv([lambda: Gauge(early=True)] * 2)
    print(evaluate_policy(A2C.load("models/gauge"), venv, n_eval_episodes=40))
"""
CALLS = "env = build(early=False)"
BUILDS = 'import gymnasium as gym\nimport planted\ndef build(early):\n    return gym.make("Gauge-v0", early=early)\n'


@pytest.mark.parametrize("spoilt", [True, False])
def test_a_model_that_lies_beside_the_one_that_is_loaded_counts_where_it_certainly_earns_more(
    models: Models, tmp_path: Path, spoilt: bool
) -> None:
    (tmp_path / "models").mkdir()
    shutil.copy(models[0] / "A2C.zip", tmp_path / "models/best_model.zip")
    shutil.copy(models[0] / "A2C.pkl", tmp_path / "models/vecnormalize.pkl")
    last = A2C.load(models[0] / "A2C")
    if spoilt:
        last.policy.action_net.weight.data.neg_()
    last.save(tmp_path / "models/gauge")
    (entry,) = audited((tmp_path, []), "plays.py", PLAYS.replace("EARLY", "True"))
    assert [cause.cause for cause in entry.causes] == ["another-model"] * spoilt, entry
    assert entry.model == ("best_model" if spoilt else "gauge")
    for cause in entry.causes:
        assert cause.instead == 'model = A2C.load(folder / "best_model.zip")'


NOT_COMPARED = {
    'n = int(input("How many episodes? "))': "it reads from standard input, which is empty here",
    "PPO.load('models/best')": "models/best.zip, which is no file: does `cwd` name the right folder?",
    "from argparse import *\np=ArgumentParser()\np.add_argument('--model', required=True)\np.parse_args()": "as `args`",
    "A2C.load('SAC')": "A2C.load is given a model of SAC, and raises (other-algorithm)",
    "x = 1": "it neither makes a model nor steps an environment",
    "raise SystemExit('no display')": "SystemExit: no display",
    "import os\nos.kill(os.getpid(), 11)": "the process was ended by SIGSEGV",
}


@pytest.mark.parametrize("text", NOT_COMPARED)
def test_a_script_that_runs_no_episode_says_why(models: Models, text: str) -> None:
    (entry,) = audited(models, "no-episode.py", f"from stable_baselines3 import A2C, PPO\n{text}\n")
    assert any(NOT_COMPARED[text] in line for line in about_scripts((entry,))), [*about_scripts((entry,))]


IN_THE_FIGURE_ALONE = {"reward-normalized", "reset-return-misread", "episodes-counted-wrongly", "other-algorithm"} | {
    "frame-stack-missing"
}
"""Faults that leave what episodes earn as it is: the script makes another number of it, or raises before it has one."""

NOT_REPRODUCED = {"actions-changed", "done-of-a-vector", "unexplained"}
"""Faults that are no condition: what they cost is computed from episodes, or said not to be known."""

NOT_ONE_LINE = {"episodes-counted-wrongly", "short-episode-bias", "unexplained"} | {
    "public-explores",
    "repeated-PPO",
    "reordered-SAC",
    "sampled-actions-PPO",
    "switched-off-A2C",
}
"""Causes, and scripts, which no other text of one of the script's lines puts right."""

ONE_OF_TWO = {"continued-without-statistics"}
"""Causes beside which there is another: the model is trained on, be it with its statistics."""

REPAIRED = [
    name
    for name, case in FAULTY.items()
    if len(case.causes) == 1 and case.ending == ".py" and not {name, *case.causes} & NOT_ONE_LINE
]


@pytest.mark.parametrize("name", REPAIRED)
def test_the_printed_line_put_in_place_of_the_faulty_one_makes_the_script_sound(models: Models, name: str) -> None:
    text, entry = FAULTY[name].script(), faulty(models, name)
    cause = entry.causes[0]
    assert cause.instead, cause
    lines = text.splitlines()
    number = int(cause.where.rpartition(":")[2]) - 1
    assert lines[number].strip().startswith(cause.code)
    lines[number] = lines[number].replace(cause.code, cause.instead)
    folder, specs = models
    (folder / "repaired.py").write_text("\n".join(lines))
    spec, policy, reload = specs_of(folder, "repaired.py", FAULTY[name].model)
    observation = observe(spec, reload, str(folder / "kept"), folder / "log").observation
    assert observation is not None
    compared = compared_with_models(observation, spec, specs, policy, str(folder / "kept"))[0].compared
    assert compared.figure is not None, (cause, observation.raised)
    blamed = {(one.cause, one.line.line) for one in compared.differences if one.line is not None}
    assert (cause.cause, number + 1) not in blamed, (cause, compared)
    if entry.model_mean is not None and entry.model_std is not None and cause.cause not in ONE_OF_TWO:
        earned = np.asarray(compared.figure.earned)
        error = np.hypot(entry.model_std, earned.std()) / np.sqrt(min(earned.size, 20))
        assert compared.figure.mean == pytest.approx(entry.model_mean, abs=2 * STANDARD_ERRORS * error + 1e-9), cause
