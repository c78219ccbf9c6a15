"""Statistics and evaluations are joined to the models that they belong to, by what they hold."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.save_util import data_to_json
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from reload_audit.planning.discovery.find_models import Unanswered
from reload_audit.reading.evaluations import Evaluations, read_evaluations
from reload_audit.reading.outlines import outline_of_statistics
from reload_audit.reading.refusal import Unreadable
from support.published_layouts import by_name, sb3_zip, text

PLAIN = spaces.Box(-1.0, 1.0, (3,))
MIXED = spaces.Dict({"position": spaces.Box(-1.0, 1.0, (2,)), "mode": spaces.Discrete(3)})
NORMALIZED, NOT_NORMALIZED, OFF_POLICY = (
    {"gae_lambda": 0.9, "_last_obs": [0], "_last_original_obs": np.zeros(3)},
    {"gae_lambda": 0.9, "_last_obs": [0], "_last_original_obs": None},
    {"target_entropy": 1.0, "_last_original_obs": np.zeros(3)},
)


class Still(gym.Env):
    """An environment that has only spaces."""

    action_space = spaces.Discrete(2)

    def __init__(self, space: spaces.Space) -> None:
        self.observation_space = space


def model(
    path: Path,
    steps: int,
    trained: Mapping[str, Any] = NORMALIZED,
    *,
    space: spaces.Space = PLAIN,
    started: float | None = None,
) -> Path:
    """A model's zip with what SB3 writes about its training."""
    settings = {"clip_range": 0.2, "n_epochs": 10, "num_timesteps": steps, "observation_space": space, **trained}
    return sb3_zip(path, json.loads(data_to_json(settings | ({} if started is None else {"start_time": started}))))


def statistics(path: Path, steps: int, space: spaces.Space = PLAIN) -> Path:
    """Statistics as VecNormalize saves them after so many steps in one environment, whatever the file is called."""
    keys = ["position"] if isinstance(space, spaces.Dict) else None
    saved = VecNormalize(DummyVecEnv([lambda: Still(space)]), norm_obs_keys=keys)
    for running in saved.obs_rms.values() if keys else [saved.obs_rms]:
        running.count += steps + 1
    saved.ret_rms.count += steps
    path.parent.mkdir(parents=True, exist_ok=True)
    saved.save(str(path))
    return path


def evaluations(path: Path, steps: Sequence[int], means: Sequence[float] | None = None) -> Path:
    """Evaluations of two episodes each, as EvalCallback writes them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rewards = np.asarray(range(len(steps)) if means is None else means, dtype=float)
    np.savez(path, timesteps=np.asarray(steps), results=np.stack([rewards - 1, rewards + 1], axis=1))
    return path


def found(folder: Path) -> dict[str, dict[str, Any]]:
    return by_name(runs=[{"folder": str(folder), "env": "CartPole-v1"}])


def of(folder: Path, name: str, what: str) -> Any:
    return found(folder)[name][what]


# --- Statistics --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", [PLAIN, MIXED], ids=["plain", "dictionary"])
@pytest.mark.parametrize("place", ["agent_stats.pkl", "stats/norm", "../elsewhere/agent.vec", "../env.pickle"])
def test_statistics_are_known_by_what_they_hold(tmp_path: Path, place: str, space: spaces.Space) -> None:
    model(tmp_path / "models/agent.zip", 1000, space=space)
    file = statistics((tmp_path / "models" / place).resolve(), 1000, space)
    entry = found(tmp_path)["models/agent"]
    assert entry["statistics"] == str(file)
    assert (
        f"its statistics are taken to be {file}, which have counted as many steps as the model" in entry["remarks"][0]
    )


def test_the_outline_of_statistics_is_what_they_hold(tmp_path: Path) -> None:
    read = outline_of_statistics(statistics(tmp_path / "any", 12, MIXED).read_bytes())
    assert (dict(read.shapes), read.steps) == ({"position": (2,)}, 12)


def test_each_model_of_a_folder_gets_the_statistics_of_its_own_steps(tmp_path: Path) -> None:
    for steps in (100, 200):
        model(tmp_path / f"after_{steps}.zip", steps)
        statistics(tmp_path / f"scaling/{'early' if steps == 100 else 'late'}.pkl", steps)
    entries = found(tmp_path)
    assert {name: Path(entry["statistics"]).name for name, entry in entries.items()} == {
        "after_100": "early.pkl",
        "after_200": "late.pkl",
    }


def test_statistics_of_other_observations_or_of_an_array_that_is_none_are_not_taken(tmp_path: Path) -> None:
    model(tmp_path / "agent.zip", 100)
    statistics(tmp_path / "other.pkl", 100, spaces.Box(-1.0, 1.0, (2,)))
    (tmp_path / "cut.pkl").write_bytes(statistics(tmp_path / "whole", 100).read_bytes()[:-40])
    (tmp_path / "whole").unlink()
    assert of(tmp_path, "agent", "statistics") is None


def test_stacked_frames_have_the_statistics_of_one(tmp_path: Path) -> None:
    model(tmp_path / "agent.zip", 100, space=spaces.Box(-1.0, 1.0, (12,)))
    file = statistics(tmp_path / "one.pkl", 100)
    assert of(tmp_path, "agent", "statistics") == str(file)


def test_a_model_that_was_not_normalised_is_given_no_statistics(tmp_path: Path) -> None:
    model(tmp_path / "agent.zip", 100, NOT_NORMALIZED)
    statistics(tmp_path / "of_another.pkl", 100)
    assert of(tmp_path, "agent", "statistics") is None


@pytest.mark.parametrize(("steps", "taken"), [(100, True), (90, False)])
def test_where_the_zip_does_not_say_whether_it_was_normalised_steps_have_to_be_equal(
    tmp_path: Path, steps: int, taken: bool
) -> None:
    model(tmp_path / "sac.zip", 100, OFF_POLICY)
    statistics(tmp_path / "its.pkl", steps)
    assert (of(tmp_path, "sac", "statistics") is not None) is taken


def test_the_best_model_gets_the_only_statistics_of_its_run_and_that_is_said(tmp_path: Path) -> None:
    model(tmp_path / "best/best_model.zip", 60, started=1.0)
    model(tmp_path / "agent.zip", 100, started=1.0)
    file = statistics(tmp_path / "agent_stats.pkl", 100)
    entry = found(tmp_path)["best/best_model"]
    assert entry["statistics"] == str(file)
    assert entry["remarks"] == [f"its statistics are taken to be {file}, which have counted 100 steps, the model 60"]


def test_statistics_elsewhere_that_counted_less_than_the_model_learned_are_not_taken(tmp_path: Path) -> None:
    model(tmp_path / "removed/agent.zip", 100)
    statistics(tmp_path / "another/stats.pkl", 60)
    assert of(tmp_path, "removed/agent", "statistics") is None


def test_runs_of_equally_many_steps_are_told_apart_by_names(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        model(tmp_path / f"models/seed_{seed}.zip", 100, started=float(seed))
        statistics(tmp_path / f"scales/scale_{seed}.pkl", 100)
    entries = found(tmp_path)
    assert {name: Path(entry["statistics"]).name for name, entry in entries.items()} == {
        f"models/seed_{seed}": f"scale_{seed}.pkl" for seed in (1, 2, 3)
    }


def test_what_cannot_be_told_is_a_remark_with_the_candidates(tmp_path: Path) -> None:
    model(tmp_path / "agent.zip", 100)
    for name in ("one", "two"):
        statistics(tmp_path / f"{name}.pkl", 100)
    entry = found(tmp_path)["agent"]
    assert entry["statistics"] is None
    (remark,) = entry["remarks"]
    assert f"which statistics are its own cannot be told: {tmp_path}/one.pkl, {tmp_path}/two.pkl fit" in remark


def test_one_file_is_not_given_to_two_runs(tmp_path: Path) -> None:
    for name in ("walker", "hopper"):
        model(tmp_path / f"{name}.zip", 100, started=float(len(name) + (name == "hopper")))
    statistics(tmp_path / "scales.pkl", 100)
    entries = found(tmp_path)
    assert [entry["statistics"] for entry in entries.values()] == [None, None]
    assert all("fits several runs" in entry["remarks"][0] for entry in entries.values())


def test_statistics_that_another_run_has_by_their_name_stay_with_it(tmp_path: Path) -> None:
    model(tmp_path / "one/agent.zip", 100, started=1.0)
    statistics(tmp_path / "one/vecnormalize.pkl", 100)
    model(tmp_path / "two/agent.zip", 100, started=2.0)
    entries = found(tmp_path)
    assert entries["one/agent"]["statistics"] is not None
    assert entries["two/agent"]["statistics"] is None


def test_of_two_files_with_the_usual_names_steps_decide(tmp_path: Path) -> None:
    model(tmp_path / "agent.zip", 100)
    own = statistics(tmp_path / "vec_normalize.pkl", 100)
    statistics(tmp_path / "vecnormalize.pkl", 70)
    assert of(tmp_path, "agent", "statistics") == str(own)


# --- Evaluations -------------------------------------------------------------------------------------------------


def test_evaluations_are_found_where_the_callback_was_told_to_write_them(tmp_path: Path) -> None:
    """``best_model_save_path`` and ``log_path`` are two folders, as in SB3's documentation."""
    model(tmp_path / "models/best_model.zip", 60, NOT_NORMALIZED, started=1.0)
    model(tmp_path / "models/agent.zip", 110, NOT_NORMALIZED, started=1.0)
    model(tmp_path / "models/agent_75_steps.zip", 75, NOT_NORMALIZED, started=1.0)
    file = evaluations(tmp_path / "logs/evaluations.npz", [20, 40, 60, 80, 100], [1, 2, 9, 3, 4])
    entries = found(tmp_path)
    assert {entry["evaluations"] for entry in entries.values()} == {str(file)}
    assert entries["models/best_model"]["remarks"][0].endswith("with one at its 60 steps")
    assert entries["models/agent"]["remarks"][0].endswith("with the last at 100 of its 110 steps")
    assert entries["models/agent_75_steps"]["remarks"][0].endswith("of the same training")


def test_statistics_that_a_script_saves_at_the_end_are_not_those_of_a_checkpoint_that_has_its_own(
    tmp_path: Path,
) -> None:
    script = """
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import CheckpointCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize
venv = VecNormalize(make_vec_env("CartPole-v1"))
model = PPO("MlpPolicy", venv)
model.learn(100, callback=CheckpointCallback(50, "saved", "agent", save_vecnormalize=True))
model.save("saved/last")
venv.save("saved/moments.pkl")
"""
    text(tmp_path / "train.py", script)
    model(tmp_path / "saved/last.zip", 100)
    model(tmp_path / "saved/agent_50_steps.zip", 50)
    last = statistics(tmp_path / "saved/moments.pkl", 100)
    checkpoint = statistics(tmp_path / "saved/agent_vecnormalize_50_steps.pkl", 50)
    assert of(tmp_path, "saved/last", "statistics") == str(last)
    assert of(tmp_path, "saved/agent_50_steps", "statistics") == str(checkpoint)


TWO_TRAININGS = """
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import EvalCallback
for name, log in (("hare", "first"), ("tortoise", "second")):
    model = PPO("MlpPolicy", "CartPole-v1")
    model.learn(100, callback=EvalCallback(model.get_env(), log_path=f"logs/{log}", eval_freq=20))
    model.save(f"models/{name}")
"""


@pytest.mark.parametrize("below", ["", "models"])
def test_the_script_that_trains_says_which_evaluations_are_a_model_s(tmp_path: Path, below: str) -> None:
    (tmp_path / ".git").mkdir()
    text(tmp_path / "train.py", TWO_TRAININGS)
    written = {}
    for started, (name, log) in enumerate((("hare", "first"), ("tortoise", "second")), start=1):
        model(tmp_path / f"models/{name}.zip", 100, NOT_NORMALIZED, started=started)
        written[name] = str(evaluations(tmp_path / f"logs/{log}/evaluations.npz", [20, 40, 60, 80, 100]))
    prefix = "" if below else "models/"
    entries = found(tmp_path / below)
    assert {name: entries[f"{prefix}{name}"]["evaluations"] for name in written} == written


def test_evaluations_where_the_script_says_that_do_not_fit_the_model_s_steps_are_not_taken(tmp_path: Path) -> None:
    text(tmp_path / "train.py", TWO_TRAININGS)
    model(tmp_path / "models/hare.zip", 100, NOT_NORMALIZED)
    evaluations(tmp_path / "logs/first/evaluations.npz", [30, 60, 190])
    assert of(tmp_path, "models/hare", "evaluations") is None


@pytest.mark.parametrize(("steps", "role"), [(70, "best_model"), (100, "best_model"), (121, "agent"), (50, "agent")])
def test_evaluations_of_another_training_are_not_taken(tmp_path: Path, steps: int, role: str) -> None:
    """A best model was the best so far at its own steps; a final one was saved before a next evaluation was due."""
    model(tmp_path / f"models/{role}.zip", steps, NOT_NORMALIZED)
    evaluations(tmp_path / "logs/evaluations.npz", [20, 40, 60, 80, 100], [1, 2, 9, 3, 4])
    assert of(tmp_path, f"models/{role}", "evaluations") is None


def test_the_progress_that_a_logger_wrote_holds_evaluations_too(tmp_path: Path) -> None:
    model(tmp_path / "models/agent.zip", 45, NOT_NORMALIZED)
    rows = "time/total_timesteps,rollout/ep_rew_mean,eval/mean_reward\n16,9.5,\n20,,1.5\n40,,2.5\n"
    file = text(tmp_path / "logs/progress.csv", rows)
    assert of(tmp_path, "models/agent", "evaluations") == str(file)
    assert read_evaluations(file) == Evaluations((20, 40), (1.5, 2.5))


EVENTS = base64.b64decode(
    "SAAAAAAAAAD+kkidCepGyvOLwtpBGg1icmFpbi5FdmVudDoyUi4KLHRlbnNvcmJvYXJkLnN1bW1hcnkud3JpdGVyLmV2ZW50X2ZpbGVfd3JpdGVy"
    "6zWvFioAAAAAAAAAro2R9Qllisrzi8LaQRD0AyocChoKE3JvbGxvdXQvZXBfcmV3X21lYW4VAABAQBnNPnUnAAAAAAAAALvhsUYJ1IvK84vC2kEQ"
    "9AMqGQoXChBldmFsL21lYW5fcmV3YXJkFQAAwD/gAJTYKAAAAAAAAAD/cBZKCSOMyvOLwtpBEOCnEioZChcKEGV2YWwvbWVhbl9yZXdhcmQVAAAQ"
    "wNtBB6o="
)
"""An event file of PyTorch's SummaryWriter: a rollout's mean, then evaluations at 500 and at 300,000 steps."""


def test_event_files_of_tensorboard_hold_evaluations_too(tmp_path: Path) -> None:
    model(tmp_path / "models/agent.zip", 300_000, NOT_NORMALIZED)
    file = tmp_path / "tb/PPO_1/events.out.tfevents.1795829711.host.24479.0"
    file.parent.mkdir(parents=True)
    file.write_bytes(EVENTS)
    assert of(tmp_path, "models/agent", "evaluations") == str(file)
    assert read_evaluations(file) == Evaluations((500, 300_000), (1.5, -2.25))
    table = text(tmp_path / "tb/progress.csv", "time/total_timesteps,eval/mean_reward\n300000,-2.25\n")
    assert of(tmp_path, "models/agent", "evaluations") == str(table), "both hold the same"


@pytest.mark.parametrize("length", range(len(EVENTS) - 60, len(EVENTS), 7))
def test_an_event_file_that_was_cut_off_gives_what_was_written_before(tmp_path: Path, length: int) -> None:
    file = tmp_path / "events.out.tfevents.0"
    file.write_bytes(EVENTS[:length])
    assert read_evaluations(file) in (None, Evaluations((500,), (1.5,)))


@pytest.mark.parametrize("seed", range(20))
def test_damaged_event_files_are_read_or_refused(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    content = np.frombuffer(EVENTS, dtype=np.uint8).copy()
    content[rng.integers(40, len(content), 5)] = rng.integers(0, 256, 5)
    file = tmp_path / "events.out.tfevents.0"
    file.write_bytes(content.tobytes())
    with contextlib.suppress(Unreadable):
        found = read_evaluations(file)
        assert found is None or (len(found.steps) == len(found.means) and list(found.steps) == sorted({*found.steps}))


def test_evaluations_are_read_as_numpy_wrote_them(tmp_path: Path) -> None:
    file = evaluations(tmp_path / "evaluations.npz", [20, 40], [1.5, -2.25])
    assert read_evaluations(file) == Evaluations((20, 40), (1.5, -2.25))
    np.savez_compressed(file, timesteps=np.asarray([5], dtype=np.int32), results=np.asarray([[2.5]], dtype=np.float32))
    assert read_evaluations(file) == Evaluations((5,), (2.5,))


# --- Copies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["agent_old", "agent (1)", "agent-backup2", "agent.bak", "agentOld"])
def test_a_stale_copy_beside_a_newer_model_is_remarked_on(tmp_path: Path, name: str) -> None:
    model(tmp_path / "agent.zip", 100, NOT_NORMALIZED, started=2)
    model(tmp_path / f"{name}.zip", 50, NOT_NORMALIZED, started=1)
    (said,) = of(tmp_path, name, "remarks")
    assert said == (
        "it may be a stale copy: agent.zip beside it, of nearly the same name, was trained for 100 steps, this one "
        "for 50"
    )
    assert of(tmp_path, "agent", "remarks") in ([], ())


@pytest.mark.parametrize(
    ("name", "steps", "started"), [("agent_old", 100, 2), ("agent_2", 50, 1), ("b/agent_old", 50, 1)]
)
def test_what_is_no_stale_copy_is_not_remarked_on(tmp_path: Path, name: str, steps: int, started: float) -> None:
    model(tmp_path / "agent.zip", 100, NOT_NORMALIZED, started=2)
    model(tmp_path / f"{name}.zip", steps, NOT_NORMALIZED, started=started)
    assert of(tmp_path, name, "remarks") in ([], ())


# --- Monitor files -------------------------------------------------------------------------------------------------


def monitors(folder: Path, *steps: int, started: float = 1.6e9) -> Path:
    """Files of Monitors, one for each environment, with episodes of ten steps."""
    for number, taken in enumerate(steps):
        rows = "".join(f"1.0,10,{episode}.5\n" for episode in range(taken // 10))
        text(folder / f"{number}.monitor.csv", f'#{{"t_start": {started}, "env_id": "X-v0"}}\nr,l,t\n{rows}')
    return folder


def test_monitor_files_anywhere_in_a_run_are_those_of_its_steps_and_times(tmp_path: Path) -> None:
    model(tmp_path / "out/agent.zip", 205, {"n_envs": 2}, started=1.6e18 + 1e9)
    monitors(tmp_path / "logs/first", 100, 100)
    monitors(tmp_path / "logs/later", 100, 100, started=1.6e9 + 60)
    monitors(tmp_path / "logs/longer", 150, 150)
    monitors(tmp_path / "logs/evaluated", 200)
    found = by_name(runs=[{"folder": str(tmp_path), "env": "CartPole-v1"}])["out/agent"]
    assert found["monitors"] == [str(tmp_path / f"logs/first/{number}.monitor.csv") for number in range(2)]
    assert any("200 of its 205 steps" in remark for remark in found["remarks"])


def test_monitor_files_of_two_runs_that_both_fit_are_named_and_not_taken(tmp_path: Path) -> None:
    model(tmp_path / "out/agent.zip", 100, {"n_envs": 1}, started=1.6e18 + 1e9)
    for name in ("a", "b"):
        monitors(tmp_path / "logs" / name, 100)
    found = by_name(runs=[{"folder": str(tmp_path), "env": "CartPole-v1"}])["out/agent"]
    assert not found["monitors"]
    assert any("which monitor files" in remark for remark in found["remarks"])


# --- Environments --------------------------------------------------------------------------------------------------


def test_a_model_that_nothing_speaks_of_is_run_as_those_of_the_same_training(tmp_path: Path) -> None:
    model(tmp_path / "CartPole-v1.zip", 110, started=1.0)
    model(tmp_path / "best_model.zip", 60, started=1.0)
    best = by_name(runs=[str(tmp_path)])["best_model"]
    assert best["environment"]["env"] == "CartPole-v1"
    assert "it is run as CartPole-v1, which is of the same training: CartPole-v1" in best["remarks"]
    model(tmp_path / "other.zip", 60, started=2.0)
    with pytest.raises(Unanswered, match=r"other\.zip: no environment"):
        by_name(runs=[str(tmp_path)])
