"""The two stories that this audit began with, from the lost reward to the repair that its printed fix prescribes."""

from __future__ import annotations

import ast
import inspect
import json
import pickle
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecMonitor, VecNormalize

import corridor
import stories
from reload_audit import save_statistics
from reload_audit.evaluation.wrappers import PostedNormalizer
from reload_audit.jobs.reload import reload_model
from reload_audit.models.model_folder import MANIFEST, MODEL, STATISTICS
from reload_audit.reading.statistics import read_statistics
from reload_audit.records.specs import ReloadSpec
from reload_audit.records.storage import read_json
from reload_audit.results.aggregate import aggregate
from support.builders import CRITERIA, ROOT, training_spec
from support.external_audits import audit_models, train_all

pytestmark = pytest.mark.slow

TRUST = ["corridor", "stories"]
BY_HEART = {"n_steps": 32, "batch_size": 64, "n_epochs": 4, "learning_rate": 3e-3, "gamma": 0.9, "ent_coef": 0.01}
STEPS = 6_400

Models = dict[str, dict[str, Any]]


def run(script: str, folder: Path) -> None:
    """Run a script of a user's in an interpreter of its own."""
    path = f"{ROOT / 'workflow/scripts'}:{ROOT / 'examples'}"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env={"PYTHONPATH": path, "PATH": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def assignments(code: str) -> set[str]:
    """What a piece of code sets on ``self``, each as one line."""
    nodes = [node for node in ast.walk(ast.parse(textwrap.dedent(code))) if isinstance(node, ast.Assign)]
    return {line for line in map(ast.unparse, nodes) if line.startswith("self.")}


# --- High right after training, low after reload -------------------------------------------------------------------


@dataclass(frozen=True)
class Story:
    """A reward that is lost, and how it is kept.

    :param cause: what has to be named first
    :param gap: between which measurements it is lost
    :param shown: what the evidence has to name
    :param prescribed: what fix and repair both have to say
    """

    faulty: type[gym.Env]
    repaired: type[gym.Env]
    cause: str
    gap: str
    shown: str
    prescribed: str


def line_of(owner: type, code: str) -> str:
    """File and number of the line of a class that contains a piece of code."""
    lines, first = inspect.getsourcelines(owner)
    (number,) = [first + index for index, line in enumerate(lines) if code in line and "#" not in line]
    return f"{Path(inspect.getfile(owner)).name}:{number}"


STORIES = [
    Story(
        corridor.Corridor,
        stories.DoorsOfALevel,
        cause="global-generator",
        gap="process",
        shown=line_of(corridor.Corridor, "np.random.randint"),
        prescribed="self.right_doors = np.random.default_rng(level).integers(8, size=10)",
    ),
    Story(
        stories.MovesItsDoors,
        stories.MovesItsDoorsFrom,
        cause="curriculum",
        gap="environment",
        shown="episodes is 25 instead of 0",
        prescribed="self.episodes = episodes",
    ),
    Story(
        stories.SharesItsRust,
        stories.HasItsOwnRust,
        cause="shared-between-instances",
        gap="process",
        shown="SharesItsRust.rust",
        prescribed="self.rust = 0.0",
    ),
]
each_story = pytest.mark.parametrize("story", STORIES, ids=lambda story: story.cause)


def named(env: type[gym.Env]) -> str:
    return f"{env.__module__}:{env.__name__}"


def learn(environments: list[type[gym.Env]], folder: Path) -> None:
    """Train a model in ten of each environment, as the workflow does."""
    recipe = {"algo": "PPO", "n_envs": [10], "total_timesteps": STEPS, "hyperparams": BY_HEART}
    train_all([training_spec(name=env.__name__, env=named(env), **recipe) for env in environments], folder)


def by_environment(models: Models) -> Models:
    return {model["env_id"].partition(":")[2]: model for model in models.values()}


@pytest.fixture(scope="module")
def model_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of models: ``faulty``, and ``repaired`` but for the one whose repair is not in its training."""
    folder = tmp_path_factory.mktemp("stories")
    learn([story.faulty for story in STORIES], folder / "faulty")
    learn([story.repaired for story in STORIES if story.cause != "curriculum"], folder / "repaired")
    return folder


@pytest.fixture(scope="module")
def faulty_rows(model_folders: Path) -> Models:
    """What the audit says of the models that were trained in faulty environments, by environment."""
    return by_environment(
        audit_models(
            model_folders / "lost", runs=[str(model_folders / "faulty")], trust=TRUST, probes=model_folders / "probes"
        )
    )


@pytest.fixture(scope="module")
def repaired_rows(model_folders: Path) -> Models:
    """What the audit says of the models that were trained in repaired environments, by environment."""
    return by_environment(audit_models(model_folders / "kept", runs=[str(model_folders / "repaired")], trust=TRUST))


@each_story
def test_a_memorised_environment_earns_about_50_in_training_and_next_to_nothing_after_a_reload(
    faulty_rows: Models, story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    model = faulty_rows[story.faulty.__name__]
    with capsys.disabled():
        means = [model[f"{when}_mean_reward"] for when in ("train", "reference", "reload")]
        print(f"\n{story.cause:26} in place {means[0]:6.2f}, reference {means[1]:6.2f}, reload {means[2]:6.2f}")
    assert model["train_mean_reward"] > 45
    assert model["reload_mean_reward"] < 5
    assert (model["verdict"], model["gap"]) == ("degraded", story.gap)


@each_story
def test_the_cause_is_named_first_with_the_line_or_attribute_to_blame(faulty_rows: Models, story: Story) -> None:
    first = faulty_rows[story.faulty.__name__]["causes"][0]
    assert first["cause"] == story.cause
    assert story.shown in " ".join(first["evidence"])


@each_story
def test_the_repaired_environment_does_what_the_printed_fix_says(faulty_rows: Models, story: Story) -> None:
    fix = faulty_rows[story.faulty.__name__]["causes"][0]["fix"]
    assert story.prescribed in assignments(fix)
    assert story.prescribed in assignments(inspect.getsource(story.repaired))
    assert story.prescribed not in assignments(inspect.getsource(story.faulty))


@pytest.mark.parametrize(
    "story", [story for story in STORIES if story.cause != "curriculum"], ids=lambda one: one.cause
)
def test_in_the_repaired_environment_the_reward_is_kept_bit_for_bit(repaired_rows: Models, story: Story) -> None:
    model = repaired_rows[story.repaired.__name__]
    assert (model["verdict"], model["causes"]) == ("identical", [])
    assert model["reload_mean_reward"] > 45


TRAIN_AGAIN = """
import json
from pathlib import Path

import gymnasium as gym
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env

from reload_audit import record_reference

torch.set_num_threads(1)
gym.register("Doors-v0", entry_point="stories:MovesItsDoorsFrom")
venv = make_vec_env("Doors-v0", n_envs=10)
model = PPO("MlpPolicy", venv, seed=0, device="cpu", **{hyperparams})
model.learn({steps})

{fix}
record_reference(model, "again", "stories:MovesItsDoorsFrom", env_kwargs=env_kwargs, episodes=20, n_envs=4)
"""


@pytest.fixture(scope="module")
def rows_with_progress(model_folders: Path, faulty_rows: Models) -> Models:
    """What the audit says once the fix has saved how far the curriculum came, by the model's name.

    ``again`` is a model that was trained with the repair; the other is the very one that had lost its reward.
    """
    fix = faulty_rows["MovesItsDoors"]["causes"][0]["fix"]
    saving = fix[fix.index("# ... save") :].replace("MovesItsDoors", "MovesItsDoorsFrom")
    run(TRAIN_AGAIN.format(hyperparams=BY_HEART, steps=STEPS, fix=saving), model_folders)
    progress = json.loads((model_folders / "env_kwargs.json").read_text())
    (before,) = (model_folders / "faulty").glob("MovesItsDoors-*")
    told = {"env": named(stories.MovesItsDoorsFrom), "env_kwargs": progress}
    runs = [{"folder": str(before), **told}, str(model_folders / "again")]
    models = audit_models(model_folders / "with progress", runs=runs, trust=TRUST)
    return {"again" if "again" in name else "before": model for name, model in models.items()}


def test_a_model_earns_its_reward_again_once_its_curriculum_s_progress_is_restored(
    faulty_rows: Models, rows_with_progress: Models
) -> None:
    before, now = faulty_rows["MovesItsDoors"], rows_with_progress["before"]
    assert now["reload_mean_reward"] == pytest.approx(before["train_mean_reward"], abs=now["margin"])
    assert now["verdict"] in ("identical", "equivalent")


def test_a_model_whose_progress_is_saved_beside_it_is_identical_after_a_reload(rows_with_progress: Models) -> None:
    again = rows_with_progress["again"]
    assert (again["verdict"], again["causes"]) == ("identical", [])
    assert again["reload_mean_reward"] > 45


# --- Statistics that cannot be pickled -----------------------------------------------------------------------------

BOILER = {
    "algo": "PPO",
    "env": named(stories.SteadyBoiler),
    "n_envs": [8],
    "total_timesteps": 4096,
    "normalize": True,
    "monitor": "vec",
    "hyperparams": {"n_steps": 128, "batch_size": 128, "learning_rate": 3e-3, "gamma": 0.9},
}
SEED = 5
RELOAD = ReloadSpec(n_envs=(), other_vec_env=False, isolation="forkserver", timeout=120, memory=4096)


@pytest.fixture(scope="module")
def boiler_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a model that was trained in a stack of VecMonitor and VecNormalize."""
    folder = tmp_path_factory.mktemp("boiler")
    spec = training_spec(name="boiler", **BOILER)
    train_all([spec], folder)
    return folder / str(spec["model"])


@pytest.fixture(scope="module")
def row_without_statistics(boiler_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the audit says of the same model where its statistics were left out."""
    folder = tmp_path_factory.mktemp("shipped")
    shutil.copytree(boiler_folder, folder / "boiler")
    (folder / "boiler" / STATISTICS).unlink()
    (model,) = audit_models(folder / "audit", runs=[str(folder / "boiler")], trust=TRUST).values()
    return model


def test_a_stack_of_vecmonitor_and_vecnormalize_cannot_be_pickled() -> None:
    venv = VecMonitor(VecNormalize(DummyVecEnv([stories.SteadyBoiler])))
    with pytest.raises(TypeError, match="cannot pickle 'mappingproxy' object"):
        pickle.dumps(venv)


def test_the_audit_names_the_wrapper_that_cannot_be_pickled_its_attribute_and_the_remedy(
    boiler_folder: Path, tmp_path: Path
) -> None:
    (part,) = read_json(boiler_folder / MANIFEST)["unpicklable"]
    assert part["layer"] == "VecMonitor"
    assert part["attribute"].startswith("class_attributes")
    assert part["way"] == "monitor environments"
    reload_model(boiler_folder, tmp_path / "record.json", tmp_path / "log", RELOAD, CRITERIA)
    aggregate([tmp_path / "record.json"], CRITERIA, {}, tmp_path)
    (model,) = read_json(tmp_path / "audit.json")["models"]
    assert model["verdict"] == "identical"
    for said in (model["remarks"], (tmp_path / "models.csv").read_text()):
        assert "VecMonitor.class_attributes" in said
        assert "cannot pickle 'mappingproxy' object" in said
        assert "save only the statistics" in said


DEPLOY = """
import gymnasium as gym
import numpy as np
import torch
from stable_baselines3 import PPO

from reload_audit import NormalizeAsTrained
from stories import SteadyBoiler

torch.set_num_threads(1)
env = NormalizeAsTrained(SteadyBoiler(), "statistics.npz")
model = PPO.load("model.zip", device="cpu")
observation, info = env.reset(seed={seed})
seen, rewards, over = [], [], False
while not over:
    seen.append(observation)
    action, state = model.predict(observation, deterministic=True)
    observation, reward, terminated, truncated, info = env.step(action)
    rewards.append(reward)
    over = terminated or truncated
np.savez("episode.npz", seen=seen, rewards=rewards)
"""


def episode(model: PPO, venv: VecEnv) -> tuple[np.ndarray, np.ndarray]:
    """Observations as the policy sees them, and rewards, of one episode in one environment."""
    venv.seed(SEED)
    observation, seen, rewards, over = np.asarray(venv.reset()), [], [], False
    while not over:
        seen.append(observation[0])
        following, reward, dones, _ = venv.step(model.predict(observation, deterministic=True)[0])
        observation = np.asarray(following)
        rewards.append(reward[0])
        over = bool(dones[0])
    return np.array(seen), np.array(rewards)


def as_trained(boiler: Path, **kwargs: Any) -> VecNormalize:
    """One environment in the frozen VecNormalize that SB3 loads from the statistics."""
    venv = DummyVecEnv([lambda: stories.SteadyBoiler(**kwargs)])
    normalize = VecNormalize.load(str(boiler / STATISTICS), venv)
    normalize.training = normalize.norm_reward = False
    return normalize


def as_posted(boiler: Path, **kwargs: Any) -> VecEnv:
    """What the commonly posted wrapper makes of the statistics: one environment, normalised by it."""
    moments = read_statistics(boiler / STATISTICS).observations[""]
    return DummyVecEnv([lambda: PostedNormalizer(stories.SteadyBoiler(**kwargs), moments)])


def test_saved_as_numbers_the_statistics_give_the_same_episode_bit_for_bit_in_one_environment_of_a_new_process(
    boiler_folder: Path, tmp_path: Path
) -> None:
    shutil.copyfile(boiler_folder / MODEL, tmp_path / "model.zip")
    save_statistics(as_trained(boiler_folder), tmp_path / "statistics.npz")
    run(DEPLOY.format(seed=SEED), tmp_path)
    seen, rewards = episode(PPO.load(boiler_folder / MODEL, device="cpu"), as_trained(boiler_folder))
    with np.load(tmp_path / "episode.npz") as deployed:
        assert deployed["seen"].dtype == seen.dtype
        np.testing.assert_array_equal(deployed["seen"], seen)
        np.testing.assert_array_equal(deployed["rewards"].astype(np.float32), rewards)


def test_without_its_statistics_the_model_is_degraded_and_they_are_named_as_missing(
    row_without_statistics: dict[str, Any],
) -> None:
    assert (row_without_statistics["verdict"], row_without_statistics["causes"][0]["cause"]) == (
        "degraded",
        "statistics-missing",
    )
    assert row_without_statistics["reload_mean_reward"] < row_without_statistics["train_mean_reward"] - 100


REPAIR = """
import gymnasium as gym
import json
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecNormalize

from reload_audit import NormalizeAsTrained, save_statistics

torch.set_num_threads(1)
gym.register("Boiler-v0", entry_point="stories:SteadyBoiler")
# As they are in memory when training has ended:
model = PPO.load("model.zip", env=VecNormalize.load("kept.pkl", make_vec_env("Boiler-v0")), device="cpu")

{fix}
venv.seed(0)
one = evaluate_policy(model, venv, n_eval_episodes=20)[0]
env.reset(seed=0)
other = evaluate_policy(model, make_vec_env(lambda: env, seed=0), n_eval_episodes=20)[0]
with open("earned.json", "w") as file:
    json.dump([one, other], file)
"""


def test_the_printed_fix_brings_the_reward_back_where_it_is_pasted(
    boiler_folder: Path, row_without_statistics: dict[str, Any], tmp_path: Path
) -> None:
    shutil.copyfile(boiler_folder / MODEL, tmp_path / "model.zip")
    shutil.copyfile(boiler_folder / STATISTICS, tmp_path / "kept.pkl")
    fix = row_without_statistics["causes"][0]["fix"].replace("Your-Env-v0", "Boiler-v0")
    run(REPAIR.format(fix=fix), tmp_path)
    around, wrapped = json.loads((tmp_path / "earned.json").read_text())
    assert around == wrapped == pytest.approx(row_without_statistics["train_mean_reward"], abs=5)


@pytest.mark.parametrize("broken", [False, True], ids=["as in training", "with a broken sensor"])
def test_the_commonly_posted_wrapper_shows_the_policy_other_numbers_and_earns_another_reward(
    boiler_folder: Path, broken: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    model = PPO.load(boiler_folder / MODEL, device="cpu")
    right, posted = (make(boiler_folder, broken=broken) for make in (as_trained, as_posted))
    (seen, _), (seen_posted, _) = (episode(model, venv) for venv in (right, posted))
    earned, earned_posted = (reward(model, venv) for venv in (right, posted))
    with capsys.disabled():
        print(f"\nposted wrapper: inputs up to {np.abs(seen_posted).max():.5g}, reward {earned_posted:.2f}; ", end="")
        print(f"VecNormalize: inputs up to {np.abs(seen).max():.5g}, reward {earned:.2f}")
    assert (np.abs(seen_posted[0, 5:]) > 1.1 * np.abs(seen[0, 5:])).all()
    assert earned_posted != earned
    if broken:
        assert np.abs(seen).max() == 10.0
        assert np.abs(seen_posted).max() > 1000.0


def reward(model: PPO, venv: VecEnv) -> float:
    venv.seed(SEED)
    return float(np.mean(evaluate_policy(model, venv, n_eval_episodes=20, warn=False)[0]))
