"""Train for real, reload in fresh processes: healthy models come out identical, broken ones as rows that say why."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reload_audit.jobs.reload import reload_model
from reload_audit.jobs.train import train_model
from reload_audit.models import model_folder
from reload_audit.processes.fork_servers import TRAIN_HASH_SEED
from reload_audit.records.episodes import TrainTime, first_difference
from reload_audit.records.specs import Limits, ReloadSpec, TrainingSpec
from reload_audit.records.steps import read_steps
from reload_audit.records.storage import read_json
from reload_audit.results.aggregate import aggregate
from reload_audit.training.checkpoints import Checkpoints
from reload_audit.training.not_finite import TrainingBroke
from reload_audit.training.train import create_model, train, training_environment
from support import builders
from support.builders import training_spec
from support.external_audits import train_all

pytestmark = pytest.mark.slow

RELOAD = ReloadSpec(n_envs=(2,), other_vec_env=True, isolation="forkserver", timeout=60, memory=4096)
CANONICAL_ALONE = replace(RELOAD, n_envs=(), other_vec_env=False)
LIMITS = Limits(timeout=120, memory=4096)
CRITERIA = replace(builders.CRITERIA, looks=(10, 20))

OFF_POLICY = {"learning_starts": 32, "buffer_size": 200, "batch_size": 16, "train_freq": 4}
LSTM = {"policy_kwargs": {"lstm_hidden_size": 8}}

HEALTHY: dict[str, dict[str, Any]] = {
    "A2C": {"algo": "A2C", "hyperparams": {}},
    "ARS": {"algo": "ARS", "hyperparams": {"n_delta": 2}, "env": "planted:Continuous"},
    "CrossQ": {"algo": "CrossQ", "hyperparams": OFF_POLICY, "env": "planted:Continuous"},
    "DDPG": {"algo": "DDPG", "hyperparams": OFF_POLICY, "env": "planted:Continuous"},
    "DQN": {"algo": "DQN", "hyperparams": OFF_POLICY},
    "MaskablePPO": {"algo": "MaskablePPO", "env": "planted:Masked"},
    "masked by a wrapper": {"algo": "MaskablePPO", "env": "planted:Masked", "wrappers": ["planted.MasksFromOutside"]},
    "lives as episodes, clipped rewards": {
        "env": "planted:Lives",
        "wrappers": ["planted.EndsWithLife", "planted.Clips"],
    },
    "cut short by a wrapper": {"wrappers": [{"gymnasium.wrappers.TimeLimit": {"max_episode_steps": 4}}]},
    "a policy of one's own": {
        "hyperparams": {
            "n_steps": 32,
            "batch_size": 32,
            "policy": "stable_baselines3.common.policies.ActorCriticPolicy",
        }
    },
    "PPO": {},
    "QRDQN": {"algo": "QRDQN", "hyperparams": OFF_POLICY},
    "RecurrentPPO": {"algo": "RecurrentPPO", "hyperparams": {"n_steps": 16, "batch_size": 16, **LSTM}},
    "SAC": {"algo": "SAC", "hyperparams": OFF_POLICY, "env": "planted:Continuous"},
    "TD3": {"algo": "TD3", "hyperparams": OFF_POLICY, "env": "planted:Continuous"},
    "TQC": {"algo": "TQC", "hyperparams": OFF_POLICY, "env": "planted:Continuous"},
    "TRPO": {"algo": "TRPO", "hyperparams": {"n_steps": 32, "batch_size": 32}},
    "normalised dictionary": {"env": "planted:DictObservations", "normalize": {"norm_obs_keys": ["position"]}},
    "normalised continuous": {"env": "planted:Continuous", "normalize": True, "n_envs": [3]},
    "stacked images": {"env": "planted:Images", "frame_stack": 2, "total_timesteps": 32},
    "a stack of one's own, off-policy": {
        "algo": "DQN",
        "env": "stacks:Shift",
        "hyperparams": OFF_POLICY,
        "vec_wrappers": ["stacks.Mirrored", {"VecFrameStack": {"n_stack": 2}}, "VecNormalize"],
    },
    "a VecEnv of one's own": {"env": "Sides-v0", "vec_env": "fast:Sides", "normalize": True, "n_envs": [4]},
    "hindsight": {
        "algo": "SAC",
        "env": "planted:Goals",
        "hyperparams": {**OFF_POLICY, "replay_buffer_class": "stable_baselines3.HerReplayBuffer"},
    },
    "trained in subprocesses": {"vec_env": "subproc", "n_envs": [2]},
    "monitored as a vector, wrapped": {"monitor": "vec", "wrappers": [{"planted.AddsOne": {"amount": 2.5}}]},
    "schedules and noise": {
        "algo": "TD3",
        "env": "planted:Continuous",
        "n_envs": [2],
        "hyperparams": {
            **OFF_POLICY,
            "learning_rate": "lin_1e-3",
            "action_noise": {
                "class": "stable_baselines3.common.noise.NormalActionNoise",
                "mean": [0.0],
                "sigma": [0.1],
            },
        },
    },
    "registered, with arguments": {"env": "CartPole-v1", "env_kwargs": {"sutton_barto_reward": True}},
}

ALGORITHMS = [name for name, settings in HEALTHY.items() if settings.get("algo", "PPO") == name]


def audit(folder: Path, *, reload: dict[str, Any] | None = None, **experiment: Any) -> dict[str, Any]:
    """Train, reload and judge one model; its entry of ``audit.json``, with the record it rests on."""
    spec = training_spec(**experiment)
    train_model(spec, folder / "trained", folder / "train.log", code="", limits=LIMITS)
    reload_model(
        folder / "trained", folder / "record.json", folder / "reload.log", replace(RELOAD, **(reload or {})), CRITERIA
    )
    return entry(folder / "record.json", folder / "results")


def entry(record: Path, results: Path) -> dict[str, Any]:
    """A model's entry of ``audit.json``, with its record."""
    aggregate([record], CRITERIA, {}, results)
    (model,) = read_json(results / "audit.json")["models"]
    return {**model, "record": read_json(record)}


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """As :func:`audit`, of many models, all trained from one fork server and all reloaded from another."""
    folder = tmp_path_factory.mktemp("audited")
    experiments = {
        **HEALTHY,
        **{name: {"env": env, "total_timesteps": 256} for name, (env, _) in REWARD_LOST.items()},
        **{env: {"env": env} for env in BROKEN},
        "DQN, rewards that are no numbers": {**HEALTHY["DQN"], "env": "not_finite:NoNumberForAWhile"},
    }
    specs = {name: training_spec(name=f"m{at}", **one) for at, (name, one) in enumerate(experiments.items())}
    train_all(list(specs.values()), folder / "trained", may_fail=True)
    rows = {}
    for name, spec in specs.items():
        record = folder / f"{spec['model']}.json"
        reload_model(folder / "trained" / spec["model"], record, folder / f"{spec['model']}.log", RELOAD, CRITERIA)
        rows[name] = entry(record, folder / "results")
    return rows


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, which tests copy before they change it."""
    folder = tmp_path_factory.mktemp("trained")
    train_model(training_spec(), folder / "model", folder / "log", code="", limits=LIMITS)
    return folder / "model"


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_model_comes_out_identical(name, audited):
    model = audited[name]
    assert (model["verdict"], model["reason"]) == ("identical", "")
    assert {row["condition"]: row["reason"] for row in model["conditions"] if row["status"] == "error"} == {}
    checks = [check for row in model["record"]["conditions"].values() for check in row["checks"]]
    assert [check["check"] for check in checks if not check["passed"]] == []


def test_a_further_condition_of_a_sound_model_ends_after_the_first_episodes_with_the_canonical_bits(audited):
    """Of the 10 that it has; not where a bit of the canonical condition differs, nor in a VecEnv of the user's own."""

    def ran(name: str) -> dict[str, tuple[int, str]]:
        rows = audited[name]["conditions"]
        return {row["condition"]: (row["n_episodes"], row["spared"]) for row in rows if row["condition"] in further}

    further = ("n_envs=2", "SubprocVecEnv")
    for name in ("PPO", "MaskablePPO", "trained in subprocesses"):
        assert ran(name) == {"n_envs=2": (6, "same"), "SubprocVecEnv": (8, "same")}
    assert ran("something drawn at construction") == dict.fromkeys(further, (10, ""))
    assert ran("a VecEnv of one's own") == {"n_envs=2": (10, "")}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_training_in_a_fork_gives_the_bits_of_training_in_a_new_interpreter(name, audited, tmp_path):
    spec = training_spec(**HEALTHY[name])
    train_model(spec, tmp_path / "trained", tmp_path / "log", code="", limits=replace(LIMITS, isolation="spawn"))
    alone, forked = read_json(tmp_path / "trained/manifest.json"), audited[name]["record"]
    assert alone["digests"] == forked["manifest"]["digests"]
    assert read_json(tmp_path / "trained/evaluations.json") == forked["train_time"]


def test_every_condition_runs_in_a_process_of_its_own_that_did_not_train(tmp_path):
    record = audit(tmp_path)["record"]
    processes = [record["manifest"]["process"], *(row["process"] for row in record["conditions"].values())]
    identities = {(process["host"], process["pid"], process["started"]) for process in processes}
    assert len(identities) == len(processes) == 4


def test_the_strict_isolation_gives_the_same_bits(trained, tmp_path):
    episodes = []
    for method in ("forkserver", "spawn"):
        reload = replace(RELOAD, other_vec_env=False, isolation=method)
        reload_model(trained, tmp_path / method, tmp_path / "log", reload, CRITERIA)
        episodes.append([row["episodes"] for row in read_json(tmp_path / method)["conditions"].values()])
    assert episodes[0] == episodes[1]


def test_the_manifest_says_what_was_trained(tmp_path):
    record = audit(tmp_path, env="CartPole-v1", normalize=True, hyperparams={"n_steps": 32, "gamma": 0.9})
    manifest = record["record"]["manifest"]
    assert manifest["hyperparams"]["gamma"] == 0.9
    assert manifest["hyperparams"]["clip_range"] == 0.2
    assert manifest["acts_on"]["env_spec"]["max_episode_steps"] == 500
    assert manifest["acts_on"]["vec_env_stack"] == ["VecNormalize", "DummyVecEnv"]
    assert manifest["num_timesteps"] == 64
    assert all(manifest["digests"].values())


def test_training_that_takes_too_long_is_an_error_row(tmp_path):
    train_model(
        training_spec(total_timesteps=10**9), tmp_path / "trained", tmp_path / "log", code="", limits=Limits(3, 4096)
    )
    failure = read_json(tmp_path / "trained/manifest.json")["failure"]
    assert failure["message"] == "did not finish within 3 seconds"


def test_training_replaces_a_model_of_another_spec_and_keeps_one_of_the_same(tmp_path):
    def manifest(spec: dict[str, Any]) -> dict[str, Any]:
        train_model(spec, tmp_path / "trained", tmp_path / "log", code="", limits=LIMITS)
        return read_json(tmp_path / "trained/manifest.json")

    old = manifest(training_spec())
    assert manifest(training_spec())["process"] == old["process"]
    assert manifest(training_spec(total_timesteps=96))["num_timesteps"] == 96


REWARD_LOST = {
    "something drawn at construction": ("planted:ConstructionDraws", "process"),
    "a curriculum that is not saved": ("planted:WarmsUp", "environment"),
}


@pytest.mark.parametrize("name", REWARD_LOST)
def test_a_lost_reward_is_found_in_the_gap_where_it_was_lost(name, audited):
    assert (audited[name]["verdict"], audited[name]["gap"]) == ("degraded", REWARD_LOST[name][1])


BREAKS = "in training: TrainingBroke: "

BROKEN = {
    "failing:RaisesInTraining": "in training: RuntimeError: the simulator went away",
    "failing:CrashesInTraining": "in training: the process was ended by SIGSEGV",
    "failing:RaisesOnReload": "on reload: RuntimeError: the licence server is gone",
    "failing:CrashesOnReload": "on reload: the process was ended by SIGSEGV",
    "failing:ExitsOnReload": "on reload: the process ended by itself with exit status 0, without a result",
    "failing:KilledOnReload": "on reload: the process was ended by SIGKILL, twice: for want of memory, or by somebody",
    "planted:NoNumber": "on reload: NonFiniteReward: episode ",
    "not_finite:NoNumberAsReward": f"{BREAKS}the environment gave a reward of nan at step 21 of training",
    "not_finite:NoNumberObserved": f"{BREAKS}the environment gave an observation with nan at step 21 of training",
    "not_finite:InfinityObserved": f"{BREAKS}the environment gave an observation with inf at the first reset",
    "not_finite:CountsFromOne": f"{BREAKS}at step 4 of training an observation is 3; of Discrete(3, start=1)",
    "not_finite:ObservesTooMuch": "in training: ValueError: could not broadcast input array from shape (4,)",
    "not_finite:NoNumberObservedOnReload": "on reload: UnusableObservation: an observation holds nan",
}


@pytest.mark.parametrize("env", BROKEN)
def test_whatever_breaks_is_an_error_row_with_its_reason(env, audited):
    assert audited[env]["verdict"] == "error"
    assert audited[env]["reason"].startswith(BROKEN[env])


def test_a_training_that_goes_on_after_a_reward_that_is_no_number_is_remarked_on(audited):
    model = audited["DQN, rewards that are no numbers"]
    said = "the environment gave a reward of nan at step 21 of training; parameters of its network are not finite"
    assert model["verdict"] == "identical"
    assert said in model["remarks"]


def test_training_that_diverges_is_said_to_have_diverged(tmp_path):
    spec = training_spec(hyperparams={"n_steps": 16, "batch_size": 16, "learning_rate": 1e30})
    with pytest.raises(TrainingBroke, match="at step 16 of training the network's parameters are not finite"):
        train(spec, str(tmp_path))


def test_a_hanging_environment_is_an_error_row_with_the_limit(tmp_path):
    model = audit(tmp_path, env="failing:HangsOnReload", reload={"timeout": 8})
    assert model["verdict"] == "error"
    # A slow machine may not even begin an episode in that time; where one began, it is said that none ended.
    assert model["reason"].startswith("on reload: did not finish within 8 seconds")


def test_a_memory_hungry_environment_is_an_error_row_with_the_limit(tmp_path):
    model = audit(tmp_path, env="failing:FillsMemoryOnReload", reload={"memory": 1500})
    assert (model["verdict"], model["reason"]) == ("error", "on reload: held more memory than its limit of 1500 MiB")


def test_an_error_row_comes_with_the_log_of_what_happened(audited):
    model = audited["failing:RaisesOnReload"]
    assert "the licence server is gone" in Path(model["log"]).read_text()
    failure = model["record"]["conditions"]["reload"]["failure"]
    assert "failing.py" in failure["details"]


TAMPERED = {
    "parameters": lambda model: model.policy.optimizer.param_groups[0]["params"][0].data.add_(0.1),
    "optimizer": lambda model: model.policy.optimizer.param_groups[0].update(lr=0.5),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_model_that_is_not_the_one_saved_is_an_error_that_names_what_differs(what, trained, tmp_path):
    from stable_baselines3 import PPO

    shutil.copytree(trained, tmp_path / "trained")
    model = PPO.load(tmp_path / "trained/model.zip", device="cpu")
    TAMPERED[what](model)
    model.save(tmp_path / "trained/model.zip")
    reload_model(tmp_path / "trained", tmp_path / "record.json", tmp_path / "log", CANONICAL_ALONE, CRITERIA)
    checks = read_json(tmp_path / "record.json")["conditions"]["reload"]["checks"]
    assert [check["check"] for check in checks if not check["passed"]] == [what]


def test_missing_statistics_are_an_error_that_names_the_file(tmp_path):
    train_model(training_spec(normalize=True), tmp_path / "trained", tmp_path / "log", code="", limits=LIMITS)
    (tmp_path / "trained/vecnormalize.pkl").unlink()
    reload_model(tmp_path / "trained", tmp_path / "record.json", tmp_path / "log", CANONICAL_ALONE, CRITERIA)
    assert "vecnormalize.pkl" in read_json(tmp_path / "record.json")["conditions"]["reload"]["failure"]["message"]


def test_training_twice_gives_the_same_model_bit_for_bit(tmp_path):
    for name in ("one", "two"):
        train_model(training_spec(normalize=True), tmp_path / name, tmp_path / "log", code="", limits=LIMITS)
    one, two = (read_json(tmp_path / name / "manifest.json") for name in ("one", "two"))
    assert one["digests"] == two["digests"]
    assert read_json(tmp_path / "one/evaluations.json") == read_json(tmp_path / "two/evaluations.json")


@pytest.mark.parametrize(
    "recipe", [{"normalize": True}, {"algo": "DQN", "hyperparams": OFF_POLICY}], ids=["PPO normalized", "DQN"]
)
def test_an_interrupted_training_goes_on_from_its_last_checkpoint_and_says_so(recipe, tmp_path):
    killed = {"env": "failing:KilledOnceInTraining", "env_kwargs": {"marker": str(tmp_path / "killed")}}
    model = audit(tmp_path, **killed, **recipe, total_timesteps=320, checkpoint_every=64)
    manifest = model["record"]["manifest"]
    assert manifest["resumed_from"] in (128, 192)  # killed at 200
    assert manifest["num_timesteps"] == 320
    assert model["verdict"] == "identical"
    assert f"went on from {manifest['resumed_from']} steps" in model["remarks"]
    assert not (tmp_path / ".checkpoints/trained").exists()


def test_a_training_that_failed_goes_on_from_its_checkpoint_when_it_is_run_again(tmp_path):
    fails = {"env": "failing:KilledOnceInTraining", "env_kwargs": {"marker": str(tmp_path / "x"), "killed": False}}
    spec = training_spec(**fails, total_timesteps=320, checkpoint_every=64)
    train_model(spec, tmp_path / "trained", tmp_path / "log", code="", limits=LIMITS)
    assert "the simulator went away" in read_json(tmp_path / "trained/manifest.json")["failure"]["message"]
    shutil.rmtree(tmp_path / "trained")  # as Snakemake does before it runs a job again
    train_model(spec, tmp_path / "trained", tmp_path / "log", code="", limits=LIMITS)
    assert read_json(tmp_path / "trained/manifest.json")["resumed_from"] in (128, 192)


def test_a_checkpoint_of_another_experiment_is_not_used(tmp_path):
    spec = training_spec(total_timesteps=320, checkpoint_every=64)
    checkpoints = Checkpoints(tmp_path / ".checkpoints/trained", [spec, "older code"])
    venv = training_environment(TrainingSpec.from_dict(spec))
    checkpoints.save(create_model(TrainingSpec.from_dict(spec), venv))
    assert checkpoints.last() is not None
    train_model(spec, tmp_path / "trained", tmp_path / "log", code="", limits=LIMITS)
    assert read_json(tmp_path / "trained/manifest.json")["resumed_from"] is None


def test_a_checkpoint_that_was_cut_off_is_deleted_so_that_training_begins_anew(tmp_path, capsys):
    spec = TrainingSpec.from_dict(training_spec(algo="DQN", hyperparams=OFF_POLICY, normalize=True))
    model, checkpoints = create_model(spec, training_environment(spec)), Checkpoints(tmp_path, "experiment")
    for name in (model_folder.MODEL, model_folder.STATISTICS, "replay_buffer.pkl"):
        checkpoints.save(model)
        checkpoint = checkpoints.last()
        assert checkpoint is not None
        (checkpoint / name).write_bytes((checkpoint / name).read_bytes()[:100])  # the rest was never on the disk
        assert checkpoints.last() is None
        assert f"{checkpoint} is not as it was written" in capsys.readouterr().out
        assert not checkpoint.exists()


def test_of_a_checkpoint_that_cannot_be_saved_nothing_is_left(tmp_path):
    spec = TrainingSpec.from_dict(training_spec())
    model = create_model(spec, training_environment(spec))
    model.cannot_be_saved = threading.Lock()
    with pytest.raises(TypeError, match="lock"):
        Checkpoints(tmp_path, "experiment").save(model)
    assert [path for path in tmp_path.rglob("*") if path.is_file() or path.name.startswith(".")] == []


def test_writing_checkpoints_changes_no_bit_of_a_training(tmp_path):
    for name, every in (("with", 64), ("without", None)):
        spec = training_spec(total_timesteps=256, checkpoint_every=every, normalize=True)
        train_model(spec, tmp_path / name, tmp_path / "log", code="", limits=LIMITS)
    with_some, without = (read_json(tmp_path / name / "manifest.json") for name in ("with", "without"))
    assert with_some["digests"] == without["digests"]


def test_leftovers_of_a_killed_training_are_removed_and_those_of_running_ones_are_not(tmp_path):
    finished = subprocess.Popen([sys.executable, "-c", ""])
    finished.wait()
    host = platform.node()
    dead, alive = (tmp_path / f".other@{host}@{pid}@x" for pid in (finished.pid, os.getpid()))
    elsewhere = tmp_path / f".other@not-{host}@{finished.pid}@x"
    for folder in (dead, alive, elsewhere):
        folder.mkdir()
    train_model(training_spec(), tmp_path / "trained", tmp_path / "log", code="", limits=LIMITS)
    assert (dead.exists(), alive.exists(), elsewhere.exists()) == (False, True, True)


@pytest.mark.parametrize(("environment", "run"), [("planted:ConstructionDraws", 20), ("planted:WarmsUp", 40)])
def test_more_than_one_look_is_run_in_place_only_where_the_first_is_not_the_reference_s(environment, run, tmp_path):
    spec = training_spec(env=environment, total_timesteps=512)
    spec["evaluation"] = {**spec["evaluation"], "episodes": 40, "looks": [20, 40]}
    train(spec, str(tmp_path))
    measured = TrainTime.from_dict(read_json(tmp_path / model_folder.EVALUATIONS))
    assert measured.in_place is not None
    assert [one.seed for one in measured.in_place] == [one.seed for one in measured.reference[:run]]
    assert [*measured.quoted[run:]] == [*measured.reference[run:]]
    assert (first_difference(measured.quoted, measured.reference) is None) == (run == 20)


def test_training_records_the_reference_s_steps_and_where_in_place_diverges_from_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONHASHSEED", str(TRAIN_HASH_SEED))
    spec = training_spec(env="planted:ConstructionDraws")
    assert train(spec, str(tmp_path)).in_place_divergence is None
    assert len(read_steps(tmp_path / model_folder.STEPS).episodes) == 20
    later = train(training_spec(env="planted:WarmsUp", total_timesteps=512), str(tmp_path)).in_place_divergence
    assert later is not None
    assert (later.episode, later.step, later.implies) == (0, 1, "reward")
