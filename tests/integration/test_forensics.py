"""What the files alone say: every fault is named, every healthy model is left alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import planted
import pytest
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import CheckpointCallback, EvalCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecExtractDictObs, VecMonitor, VecNormalize

from reload_audit.causes.finding import Finding
from reload_audit.environments.build import build_vec_env
from reload_audit.forensics.earned import monitor_outside, training_on_another_scale
from reload_audit.forensics.examine_files import FileFindings, examine_files
from reload_audit.forensics.model_files import ModelFiles, RecordedDigests
from reload_audit.forensics.search import find_statistics
from reload_audit.forensics.surroundings import compare_actions, compare_observations
from reload_audit.forensics.traces import traces_of
from reload_audit.models.model_folder import MODEL, STATISTICS, content_digests, save
from reload_audit.reading.model_zip import read_model
from reload_audit.reading.refusal import Unreadable
from reload_audit.reading.statistics import read_statistics
from reload_audit.records.manifest import Digests
from reload_audit.records.specs import Claim, TrainingSpec
from reload_audit.training.train import create_model, training_environment
from support.builders import training_spec
from support.faults import FAULTS, Material, swap_mean_and_variance
from support.tiny_models import with_member, with_settings

ON_POLICY = {"n_steps": 16, "policy_kwargs": {"net_arch": [4]}}
OFF_POLICY = {
    "learning_starts": 24,
    "train_freq": 6,
    "gradient_steps": 3,
    "buffer_size": 200,
    "batch_size": 4,
    "policy_kwargs": {"net_arch": [4]},
}
HYPERPARAMS: dict[str, dict[str, Any]] = {
    "PPO": {**ON_POLICY, "batch_size": 16, "n_epochs": 2},
    "A2C": ON_POLICY,
    "SAC": OFF_POLICY,
    "DQN": OFF_POLICY,
}
ENVIRONMENT = {"PPO": "Draws", "A2C": "Continuous", "SAC": "Continuous", "DQN": "Draws"}
STEPS = 144
CHECKPOINT = 72


def spec_of(algo: str, **overrides: Any) -> TrainingSpec:
    defaults: dict[str, Any] = {"env": f"planted:{ENVIRONMENT[algo]}", "normalize": True, "n_envs": 1, "seeds": [0]}
    settings = {**defaults, "algo": algo, "hyperparams": HYPERPARAMS[algo], **overrides}
    return TrainingSpec.from_dict(training_spec(**{**settings, "n_envs": [settings["n_envs"]]}))


def train(folder: Path, algo: str, seed: int = 0, **overrides: Any) -> Path:
    """A model, its statistics, and both at half of its training in ``checkpoint``; ``digests.json`` has its digests."""
    spec = spec_of(algo, seeds=[seed], **overrides)
    venv = training_environment(spec)
    model = create_model(spec, venv)
    halfway = CheckpointCallback(CHECKPOINT // spec.n_envs, str(folder), "half", save_vecnormalize=True)
    model.learn(STEPS, callback=halfway)
    save(model, folder)
    digests = content_digests(model, model.get_vec_normalize_env())
    (folder / "digests.json").write_text(json.dumps(asdict(digests)))
    (folder / "checkpoint").mkdir()
    (folder / f"half_{CHECKPOINT}_steps.zip").rename(folder / "checkpoint" / MODEL)
    statistics = folder / f"half_vecnormalize_{CHECKPOINT}_steps.pkl"
    if statistics.exists():
        statistics.rename(folder / "checkpoint" / STATISTICS)
    for later in folder.glob("half_*"):
        later.unlink()
    venv.close()
    return folder


def examined(folder: Path, algo: str, *, manifest: bool = False, **known: Any) -> FileFindings:
    statistics = folder / STATISTICS
    recorded = Digests(**json.loads((folder / "digests.json").read_text())) if manifest else None
    return examine_files(
        ModelFiles(
            read_model(folder / MODEL),
            read_statistics(statistics) if statistics.exists() else None,
            algo,
            recorded=RecordedDigests.of(recorded),
            **known,
        )
    )


def named(findings: list[Finding]) -> list[tuple[str, bool]]:
    return [(finding.cause, finding.proof) for finding in findings]


@pytest.fixture(scope="module")
def trained_runs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """For each algorithm a folder with the runs ``0`` and ``1``, which differ in their seed."""
    folders = {algo: tmp_path_factory.mktemp(algo) for algo in HYPERPARAMS}
    for algo, folder in folders.items():
        for seed in (0, 1):
            train(folder / str(seed), algo, seed)
    return folders


@pytest.fixture(params=HYPERPARAMS)
def algo(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model_copy(trained_runs: Mapping[str, Path], algo: str, tmp_path: Path) -> Path:
    """A copy of a healthy model."""
    return Path(shutil.copytree(trained_runs[algo] / "0", tmp_path / "model"))


def material(runs: Mapping[str, Path], algo: str) -> Material:
    def make_venv() -> VecEnv:
        return DummyVecEnv([getattr(planted, ENVIRONMENT[algo])])

    return Material(algo, make_venv, checkpoint=runs[algo] / "0" / "checkpoint", agent=runs[algo] / "1")


# --- Faults in the files -----------------------------------------------------------------------------------------

IN_FILES = [name for name, fault in FAULTS.items() if not fault.trained_with]
OFF_POLICY_ALGOS = ("SAC", "DQN")


@pytest.mark.parametrize("fault", IN_FILES)
def test_a_fault_is_proved_where_a_manifest_was_recorded(
    trained_runs: Mapping[str, Path], algo: str, model_copy: Path, fault: str
) -> None:
    FAULTS[fault].plant(model_copy, material(trained_runs, algo))
    assert named(examined(model_copy, algo, manifest=True).findings) == [(FAULTS[fault].cause, True)]


PROVED_WITHOUT_MANIFEST = {
    "statistics of a checkpoint": HYPERPARAMS,
    "statistics left in training mode": HYPERPARAMS,
    "mean and variance swapped": HYPERPARAMS,
    "statistics lost": ("PPO", "A2C"),
    "statistics of another seed": OFF_POLICY_ALGOS,
}


@pytest.mark.parametrize("fault", PROVED_WITHOUT_MANIFEST)
def test_a_fault_in_statistics_is_proved_by_the_files_of_a_model(
    trained_runs: Mapping[str, Path], algo: str, model_copy: Path, fault: str
) -> None:
    if algo not in PROVED_WITHOUT_MANIFEST[fault]:
        pytest.skip("these files do not tell")
    FAULTS[fault].plant(model_copy, material(trained_runs, algo))
    assert named(examined(model_copy, algo).findings) == [(FAULTS[fault].cause, True)]


@pytest.mark.parametrize("fault", ["statistics lost", "statistics of another seed"])
def test_the_right_statistics_nearby_prove_the_fault_and_name_the_fix(
    trained_runs: Mapping[str, Path], algo: str, model_copy: Path, fault: str
) -> None:
    right = model_copy / "old" / "final.stats"
    right.parent.mkdir()
    shutil.copyfile(model_copy / STATISTICS, right)
    FAULTS[fault].plant(model_copy, material(trained_runs, algo))
    others = find_statistics(model_copy / MODEL, read_model(model_copy / MODEL), algo)
    (finding,) = examined(model_copy, algo, others=others).findings
    assert (finding.cause, finding.proof, finding.details["file"]) == (FAULTS[fault].cause, True, str(right))


def test_parameters_of_a_checkpoint_are_recognised_by_their_optimizer_s_steps(
    trained_runs: Mapping[str, Path], algo: str, model_copy: Path
) -> None:
    FAULTS["parameters of a checkpoint"].plant(model_copy, material(trained_runs, algo))
    (finding,) = examined(model_copy, algo).findings
    assert named([finding]) == [("parameters-of-another-checkpoint", False)]
    assert 0 < finding.details["optimizer_steps"] < finding.details["optimizer_steps_expected"]


def test_swapped_statistics_with_negative_variances_are_read_to_be_named_and_never_used(
    trained_runs: Mapping[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(trained_runs["PPO"] / "0", tmp_path / "model"))
    normalize = VecNormalize.load(str(folder / STATISTICS), DummyVecEnv([planted.Draws]))
    normalize.obs_rms.mean = -np.abs(normalize.obs_rms.mean) - 1.0
    normalize.save(str(folder / STATISTICS))
    swap_mean_and_variance(folder, material(trained_runs, "PPO"))
    assert named(examined(folder, "PPO").findings) == [("statistics-swapped", True)]
    with pytest.raises(Unreadable, match="expected variances of at least 0"):
        read_statistics(folder / STATISTICS).around(DummyVecEnv([planted.Draws]))


def test_statistics_beside_a_model_without_vecnormalize_are_another_agents(
    trained_runs: Mapping[str, Path], tmp_path: Path
) -> None:
    folder = train(tmp_path / "model", "PPO", normalize=False)
    shutil.copyfile(trained_runs["PPO"] / "0" / STATISTICS, folder / STATISTICS)
    assert named(examined(folder, "PPO").findings) == [("statistics-of-another-agent", True)]


def test_statistics_of_other_observations_are_another_agents(trained_runs: Mapping[str, Path], tmp_path: Path) -> None:
    folder = train(tmp_path / "model", "PPO", env="planted:DictObservations", normalize={"norm_obs_keys": ["position"]})
    shutil.copyfile(trained_runs["PPO"] / "0" / STATISTICS, folder / STATISTICS)
    assert named(examined(folder, "PPO").findings) == [("statistics-of-another-agent", True)]


def test_statistics_of_another_number_of_environments_are_another_agents(
    trained_runs: Mapping[str, Path], tmp_path: Path
) -> None:
    folder = train(tmp_path / "model", "PPO", n_envs=3)
    shutil.copyfile(trained_runs["PPO"] / "0" / STATISTICS, folder / STATISTICS)
    assert named(examined(folder, "PPO").findings) == [("statistics-of-another-agent", True)]


def test_final_statistics_beside_the_best_model_are_those_of_another_checkpoint(tmp_path: Path) -> None:
    spec = spec_of("A2C", n_envs=2)
    venv, evaluation = (training_environment(spec) for _ in range(2))
    model = create_model(spec, venv)
    best = EvalCallback(evaluation, n_eval_episodes=2, eval_freq=32, best_model_save_path=str(tmp_path), verbose=0)
    best.best_mean_reward = -np.inf
    model.learn(96, callback=best)
    model.learn(96, callback=None, reset_num_timesteps=False)
    save(model, tmp_path)
    (tmp_path / "best_model.zip").replace(tmp_path / MODEL)
    (finding,) = examined(tmp_path, "A2C", role="best").findings
    assert named([finding]) == [("statistics-of-another-checkpoint", True)]
    assert finding.details["statistics_steps"] == 192 > finding.details["num_timesteps"]


# --- Healthy models ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["0", "0/checkpoint", "1", "1/checkpoint"])
def test_a_healthy_model_and_its_checkpoints_have_no_finding(
    trained_runs: Mapping[str, Path], algo: str, folder: str
) -> None:
    role = "checkpoint" if "checkpoint" in folder else "final"
    for said in (role, "final"):  # a checkpoint may be called anything
        assert examined(trained_runs[algo] / folder, algo, role=said).findings == []


def test_the_statistics_of_a_finished_model_are_proved_to_be_its_own(
    trained_runs: Mapping[str, Path], algo: str
) -> None:
    facts = examined(trained_runs[algo] / "0", algo, manifest=True).facts
    assert facts["statistics_paired"]
    assert facts["optimizer_steps"] == facts["optimizer_steps_expected"] != {}
    assert facts["parameters_finite"]
    json.dumps(facts, allow_nan=False)


@pytest.mark.parametrize(
    "overrides",
    [
        {"n_envs": 3},
        {"n_envs": 3, "normalize": False},
        {"normalize": False},
        {"normalize": {"norm_obs": False}},
        {"normalize": {"norm_reward": False, "clip_obs": 0.5}},
        {"env": "planted:DictObservations", "normalize": {"norm_obs_keys": ["position"]}},
        {"frame_stack": 2},
        {"n_envs": 2, "monitor": "vec"},
    ],
    ids=json.dumps,
)
@pytest.mark.parametrize("algo", ["PPO", "DQN"])
def test_no_valid_way_to_train_is_taken_for_a_fault(algo: str, overrides: dict[str, Any], tmp_path: Path) -> None:
    if algo == "DQN" and "frame_stack" in overrides:
        pytest.skip("SB3 does not stack around VecNormalize for replay buffers")
    folder = train(tmp_path / "model", algo, **overrides)
    spec = spec_of(algo, **overrides)
    venv = build_vec_env(spec_of(algo, **{**overrides, "normalize": False}).environment, 1, seed=0)
    for place in (folder, folder / "checkpoint"):
        found = examined(
            place,
            algo,
            n_envs=spec.n_envs,
            observation_space=venv.observation_space,
            action_space=venv.action_space,
            max_episode_steps=8,
        )
        assert found.findings == []
    assert examined(folder, algo, manifest=True).findings == []


def test_learning_twice_freezing_and_evaluating_is_no_fault(algo: str, tmp_path: Path) -> None:
    spec = spec_of(algo)
    venv = training_environment(spec)
    model = create_model(spec, venv)
    normalize = model.get_vec_normalize_env()
    assert normalize is not None
    model.learn(96).learn(96)  # counts its steps from zero, which its statistics do not
    save(model, tmp_path)
    assert examined(tmp_path, algo).findings == []

    normalize.training = False
    model.learn(48, reset_num_timesteps=False)
    observations = normalize.reset()
    for _ in range(20):
        observations, _, _, _ = normalize.step(model.predict(observations)[0])
    save(model, tmp_path)
    assert [finding for finding in examined(tmp_path, algo).findings if finding.proof] == []


def test_continued_training_with_new_statistics_is_no_proof_of_a_fault(tmp_path: Path) -> None:
    spec = spec_of("PPO")
    model = create_model(spec, training_environment(spec)).learn(48)
    model.set_env(training_environment(spec))
    model.learn(48, callback=CheckpointCallback(24, str(tmp_path), save_vecnormalize=True), reset_num_timesteps=False)
    (tmp_path / "rl_model_72_steps.zip").rename(tmp_path / MODEL)
    (tmp_path / "rl_model_vecnormalize_72_steps.pkl").rename(tmp_path / STATISTICS)
    assert [finding for finding in examined(tmp_path, "PPO").findings if finding.proof] == []


def test_normalising_one_key_of_the_observations_is_no_fault(tmp_path: Path) -> None:
    venv = VecExtractDictObs(VecNormalize(DummyVecEnv([planted.Goals])), "observation")
    save(PPO("MlpPolicy", venv, n_steps=16, batch_size=16, n_epochs=1).learn(32), tmp_path)
    assert examined(tmp_path, "PPO").findings == []


def test_a_model_that_starts_from_anothers_parameters_is_no_proof_of_a_fault(
    trained_runs: Mapping[str, Path], algo: str, tmp_path: Path
) -> None:
    spec = spec_of(algo)
    model = create_model(spec, training_environment(spec))
    model.set_parameters(trained_runs[algo] / "0" / MODEL)
    save(model.learn(96), tmp_path)
    assert [finding for finding in examined(tmp_path, algo).findings if finding.proof] == []


# --- Environments ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "algo", "environment", "details"),
    [
        ("actions rescaled", "SAC", "Continuous", {"low": -1.0, "high": 1.0}),
        ("actions rescaled", "A2C", "Continuous", {"low": -1.0, "high": 1.0}),
        ("frames stacked", "A2C", "Continuous", {"k": 3}),
        ("frames stacked", "PPO", "Images", {"k": 3}),
        ("observations of another type", "PPO", "Images", {"dtype": "float32", "low": 0.0, "high": 255.0}),
    ],
)
def test_a_fault_in_the_environment_is_named_with_what_undoes_it(
    fault: str, algo: str, environment: str, details: dict[str, Any], tmp_path: Path
) -> None:
    chosen: dict[str, Any] = {"env": f"planted:{environment}", "normalize": False}
    folder = train(tmp_path / "model", algo, **chosen, **FAULTS[fault].trained_with)
    venv = build_vec_env(spec_of(algo, **chosen).environment, 1, seed=0)
    (finding,) = examined(
        folder, algo, observation_space=venv.observation_space, action_space=venv.action_space
    ).findings
    assert (finding.cause, dict(finding.details)) == (FAULTS[fault].cause, details)


def box(low: float, high: float, shape: tuple[int, ...] = (3,), dtype: Any = np.float32) -> spaces.Box:
    return spaces.Box(low, high, shape, dtype)


LARGEST = float(np.finfo(np.float32).max)
HARMLESS: dict[str, tuple[spaces.Space, spaces.Space]] = {
    "precision": (box(-1, 1), box(-1, 1, dtype=np.float64)),
    "infinity, as gym wrote it": (box(-LARGEST, LARGEST), box(-np.inf, np.inf)),
    "infinity in another precision": (box(-np.inf, np.inf), box(-np.inf, np.inf, dtype=np.float64)),
    "whole numbers of another size": (box(0, 9, dtype=np.int64), box(0, 9, dtype=np.int32)),
    "no boxes": (spaces.Discrete(4), spaces.Discrete(4, start=1)),
    "another kind": (spaces.Discrete(4), box(0, 4)),
    "a shape that is no multiple": (box(0, 1, (6,)), box(0, 1, (4,))),
    "fewer numbers": (box(0, 1, (3,)), box(0, 1, (6,))),
    "one number": (box(0, 1, ()), box(0, 1, ())),
}


@pytest.mark.parametrize("pair", HARMLESS)
def test_spaces_that_differ_in_name_only_are_no_fault(pair: str) -> None:
    trained, offered = HARMLESS[pair]
    assert compare_observations(trained, offered, None) == []
    assert compare_actions(trained, offered) == []


def test_repeated_bounds_prove_stacked_frames() -> None:
    one = spaces.Box(np.array([-1, -8], np.float32), np.array([1, 8], np.float32))
    stacked = spaces.Box(np.repeat(one.low, 4), np.repeat(one.high, 4))
    assert named(compare_observations(stacked, one, None)) == [("frame-stack-missing", True)]
    assert named(compare_observations(box(-1, 1, (8,)), one, None)) == [("frame-stack-missing", False)]


# --- How a reward was measured -----------------------------------------------------------------------------------


def test_episodes_longer_than_the_environment_allows_prove_another_time_limit(trained_runs: Mapping[str, Path]) -> None:
    (finding,) = examined(trained_runs["PPO"] / "0", "PPO", max_episode_steps=5).findings
    assert (finding.cause, finding.proof, finding.details["max_episode_steps"]) == ("time-limit", True, 8)


def test_many_episodes_of_one_greatest_length_suggest_another_time_limit(tmp_path: Path) -> None:
    folder = train(tmp_path / "model", "PPO", wrappers=[{"gymnasium.wrappers.TimeLimit": {"max_episode_steps": 4}}])
    (finding,) = examined(folder, "PPO", max_episode_steps=8).findings
    assert (finding.cause, finding.proof, finding.details["max_episode_steps"]) == ("time-limit", False, 4)


class Pays(planted.Draws):
    """Rewards of about 100 a step."""

    def step(self, action: Any) -> planted.Step:
        observation, reward, *rest = super().step(action)
        return observation, 100.0 + reward, *rest


@pytest.mark.parametrize(("outside", "expected"), [(True, ["monitor-outside-vecnormalize"]), (False, [])])
def test_a_monitor_outside_vecnormalize_shows_in_its_scale(outside: bool, expected: list[str], tmp_path: Path) -> None:
    inner = DummyVecEnv([Pays])
    venv = VecMonitor(VecNormalize(inner)) if outside else VecNormalize(VecMonitor(inner))
    save(PPO("MlpPolicy", venv, n_steps=64, batch_size=64, n_epochs=1, seed=0).learn(512), tmp_path)
    traces = traces_of(read_model(tmp_path / MODEL), "PPO", 1)
    statistics = read_statistics(tmp_path / STATISTICS)
    lengths = [episode.length for episode in traces.episodes]
    found = training_on_another_scale(traces, statistics, 100.0 * float(np.mean(lengths)), float(np.mean(lengths)))
    assert [finding.cause for finding in (found,) if finding] == expected
    assert monitor_outside(100.0, 0.0, 100.0, 5.0, statistics) is None


def claim(mean: float, kind: Any = "explicit") -> Claim:
    return Claim(kind, mean, 1.0, 4, "table")


@pytest.mark.parametrize(("mean", "found"), [(30.0, [("best-of-k", True)]), (20.0, []), (30.4, []), (29.99, [])])
def test_a_claim_that_is_the_highest_of_several_evaluations_is_named(
    trained_runs: Mapping[str, Path], tmp_path: Path, mean: float, found: list[Any]
) -> None:
    path = tmp_path / "evaluations.npz"
    np.savez(path, timesteps=[10, 20, 30], results=[[9.0, 11.0], [29.0, 31.0], [19.0, 21.0]])
    findings = examined(trained_runs["PPO"] / "0", "PPO", claims=[claim(mean)], evaluations=str(path)).findings
    assert named(findings) == found
    assert [dict(finding.details) for finding in findings] == [{"k": 3, "n": 2, "nearest": [10.0, 20.0]}][: len(found)]


def test_a_claim_is_not_the_best_where_all_evaluations_are_equal(
    trained_runs: Mapping[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "evaluations.npz"
    np.savez(path, timesteps=[10, 20], results=[[500.0], [500.0]])
    assert examined(trained_runs["PPO"] / "0", "PPO", claims=[claim(500.0)], evaluations=str(path)).findings == []


# --- Files that are anything else --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "left"),
    [
        (
            {"num_timesteps": "many", "_n_updates": -3, "n_envs": [1], "n_steps": 1e300, "n_epochs": 0},
            {"num_timesteps": None, "n_envs": 1, "trained_steps": None, "optimizer_steps_expected": {}},
        ),
        (
            {"_last_obs": {"a": 1}, "_last_original_obs": [1], "ep_info_buffer": 3, "batch_size": 0},
            {"num_timesteps": 144, "statistics_pairing": "unknown", "training_episodes": 0, "monitor": None},
        ),
        (
            {"ep_info_buffer": [{"r": "x", "l": 3}, {"r": 1e300, "l": 1}, 7, {"r": 1.0, "l": -1}]},
            {"num_timesteps": 144, "statistics_pairing": "own", "training_episodes": 0, "monitor": None},
        ),
    ],
)
def test_settings_that_make_no_sense_count_as_unknown(
    trained_runs: Mapping[str, Path], algo: str, model_copy: Path, settings: dict[str, Any], left: dict[str, Any]
) -> None:
    (model_copy / MODEL).write_bytes(with_settings((model_copy / MODEL).read_bytes(), **settings))
    facts = examined(model_copy, algo, manifest=True).facts
    json.dumps(facts, allow_nan=False)
    assert {name: facts[name] for name in left} == left


def test_spaces_that_make_no_sense_are_not_compared(
    trained_runs: Mapping[str, Path], algo: str, model_copy: Path
) -> None:
    (model_copy / MODEL).write_bytes(
        with_settings((model_copy / MODEL).read_bytes(), observation_space=None, action_space={}, policy_delay=0)
    )
    assert examined(model_copy, algo, observation_space=box(0, 1), action_space=box(0, 1)).findings == []


def test_parameters_that_cannot_be_read_are_no_finding(
    trained_runs: Mapping[str, Path], algo: str, model_copy: Path
) -> None:
    (model_copy / MODEL).write_bytes(with_member((model_copy / MODEL).read_bytes(), "policy.pth", b"PK not a zip"))
    assert examined(model_copy, algo, manifest=True).findings == []


def test_unreadable_files_nearby_are_skipped(trained_runs: Mapping[str, Path], model_copy: Path, algo: str) -> None:
    (model_copy / "vecnormalize_2.pkl").write_bytes(b"no pickle")
    (model_copy / "vecnormalize_3.pkl").symlink_to(model_copy / "nowhere")
    found = find_statistics(model_copy / MODEL, read_model(model_copy / MODEL), algo)
    assert [(Path(one.path).name, one.proved) for one in found if one.proved] == [(STATISTICS, True)]
