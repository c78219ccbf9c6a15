"""A training that went on, or was interrupted, is told from statistics and parameters that are not the model's own."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import planted
import pytest
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from reload_audit.forensics.examine_files import examine_files
from reload_audit.forensics.history import history_of, remarks_on_training
from reload_audit.forensics.model_files import ModelFiles
from reload_audit.forensics.traces import traces_of
from reload_audit.models.model_folder import MODEL, STATISTICS, save
from reload_audit.reading.model_zip import read_model
from reload_audit.reading.statistics import read_statistics
from support.external_audits import audit_table

SMALL = {"policy_kwargs": {"net_arch": [4]}, "device": "cpu"}
ON_POLICY = {"n_steps": 16, **SMALL}
OFF_POLICY = {"buffer_size": 200, "batch_size": 4, "learning_starts": 12, **SMALL}
SETTINGS: dict[str, dict[str, Any]] = {
    "PPO": {**ON_POLICY, "batch_size": 8, "n_epochs": 2},
    "PPO that stops early": {**ON_POLICY, "batch_size": 8, "n_epochs": 2, "target_kl": 1e9},
    "A2C": ON_POLICY,
    "DQN": OFF_POLICY,
    "SAC": {**OFF_POLICY, "train_freq": 2, "gradient_steps": -1},
    "SAC by episodes": {**OFF_POLICY, "train_freq": (1, "episode"), "gradient_steps": -1},
    "TD3": {**OFF_POLICY, "train_freq": 1},
}
CLASSES: dict[str, type[BaseAlgorithm]] = {"PPO": PPO, "A2C": A2C, "DQN": DQN, "SAC": SAC, "TD3": TD3}


def venv_of(algo: str, n_envs: int = 2) -> VecNormalize:
    kind = planted.Draws if algo in ("PPO", "A2C", "DQN") else planted.Continuous
    return VecNormalize(DummyVecEnv([kind] * n_envs))


def new_model(name: str, venv: VecNormalize) -> BaseAlgorithm:
    settings = copy.deepcopy(SETTINGS[name])  # SB3 adds to policy_kwargs
    return CLASSES[name.split()[0]]("MlpPolicy", venv, seed=0, **settings)


def first_half(name: str, folder: Path, n_envs: int = 2) -> Path:
    """A model that was trained for 96 steps, and its statistics."""
    algo = name.split()[0]
    model = new_model(name, venv_of(algo, 1 if "episodes" in name else n_envs))
    folder.mkdir()
    save(model.learn(96), folder)
    return folder


def remarks(folder: Path, algo: str, role: str = "final") -> tuple[str, ...]:
    saved, statistics = read_model(folder / MODEL), read_statistics(folder / STATISTICS)
    return remarks_on_training(saved, statistics, traces_of(saved, algo, None), role)


def causes(folder: Path, algo: str, role: str = "final") -> list[tuple[str, bool]]:
    statistics = read_statistics(folder / STATISTICS) if (folder / STATISTICS).exists() else None
    found = examine_files(ModelFiles(read_model(folder / MODEL), statistics, algo, role=role))
    return [(finding.cause, finding.proof) for finding in found.findings]


def gone_on(name: str, folder: Path, first: Path, *, fresh: bool, reset: bool, n_envs: int = 2) -> Path:
    """A model whose training went on after it was loaded.

    :param first: what was loaded
    :param fresh: whether with new statistics, and not with those of the first half
    """
    algo = name.split()[0]
    venv = venv_of(algo, 1 if "episodes" in name else n_envs)
    if not fresh:
        venv = VecNormalize.load(str(first / STATISTICS), venv.venv)
    model = CLASSES[algo].load(first / MODEL, env=venv, device="cpu")
    model.learn(64, reset_num_timesteps=reset)
    folder.mkdir()
    save(model, folder)
    return folder


# --- Training that went on ---------------------------------------------------------------------------------------

IN_ALL = {"PPO": 160, "A2C": 160, "DQN": 160, "SAC": 148, "TD3": 148}
"""What the files tell of a model that was trained for 96 and 64 steps; a second ``learning_starts`` leaves no trace."""


@pytest.mark.parametrize("name", SETTINGS)
def test_training_that_went_on_is_no_fault_and_the_files_tell_with_which_statistics(name: str, tmp_path: Path) -> None:
    algo, first = name.split()[0], first_half(name, tmp_path / "first")
    right = gone_on(name, tmp_path / "right", first, fresh=False, reset=True)
    assert causes(right, algo) == []
    assert "its statistics went on" in remarks(right, algo)[0]
    saved = read_model(right / MODEL)
    history = history_of(saved, traces_of(saved, algo, None))
    assert history is not None
    if name in IN_ALL:
        assert (history.counted, history.earlier, history.total) == (64, True, IN_ALL[name])
    fresh = gone_on(name, tmp_path / "fresh", first, fresh=True, reset=False)
    assert causes(fresh, algo) == []
    assert "with new statistics: they have counted its last" in remarks(fresh, algo)[0]
    shutil.copyfile(first / STATISTICS, right / STATISTICS)  # forgotten to be saved again
    assert [cause for cause, _ in causes(right, algo)] == ["statistics-of-another-checkpoint"]


def test_a_training_that_went_on_in_fewer_environments_is_no_fault(tmp_path: Path) -> None:
    first = first_half("PPO", tmp_path / "first")
    for reset in (True, False):
        folder = gone_on("PPO", tmp_path / str(reset), first, fresh=False, reset=reset, n_envs=1)
        assert causes(folder, "PPO") == []


# --- Interrupted training ----------------------------------------------------------------------------------------


def interrupted(model: BaseAlgorithm, steps: int, at: int) -> BaseAlgorithm:
    """A model whose training is interrupted right after an optimizer's step."""
    made = 0

    def interrupt(*_: Any) -> None:
        nonlocal made
        made += 1
        if made == at:
            raise KeyboardInterrupt

    optimizer = getattr(model.policy, "optimizer", None) or model.critic.optimizer  # type: ignore[attr-defined]
    hook = optimizer.register_step_post_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.learn(steps, reset_num_timesteps=False)
    hook.remove()
    return model


@pytest.mark.parametrize("name", ["PPO", "A2C", "DQN", "SAC", "SAC by episodes", "TD3"])
def test_an_interrupted_update_is_not_parameters_of_another_checkpoint(name: str, tmp_path: Path) -> None:
    algo = name.split()[0]
    model = new_model(name, venv_of(algo, 1))
    save(interrupted(model, 300, at=9 if algo == "PPO" else 7), tmp_path)
    assert causes(tmp_path, algo) == []
    if algo in ("DQN", "TD3"):
        save(interrupted(model, 300, at=20), tmp_path)
        assert causes(tmp_path, algo) == []


def test_learning_that_was_interrupted_within_a_step_has_its_own_statistics(tmp_path: Path) -> None:
    class Interrupts(planted.Draws):
        def step(self, action: Any) -> planted.Step:
            if planted.Draws.steps_of_all == until:
                raise KeyboardInterrupt
            return super().step(action)

    until = planted.Draws.steps_of_all + 75
    model = new_model("PPO", VecNormalize(DummyVecEnv([Interrupts, Interrupts])))
    with pytest.raises(KeyboardInterrupt):
        model.learn(300)
    save(model, tmp_path)
    assert causes(tmp_path, "PPO") == []
    assert remarks(tmp_path, "PPO") == ()


# --- The best model ----------------------------------------------------------------------------------------------


def best_model(folder: Path, rename: Callable[[Path], Path] = lambda path: path) -> Path:
    """EvalCallback's best model beside the statistics that the training ended with."""
    evaluation = venv_of("A2C")
    model = new_model("A2C", venv_of("A2C"))

    class Once(EvalCallback):
        def _on_step(self) -> bool:
            return super()._on_step() if self.num_timesteps <= 64 else True

    model.learn(256, callback=Once(evaluation, n_eval_episodes=2, eval_freq=32, best_model_save_path=str(folder)))
    model.get_vec_normalize_env().save(str(folder / STATISTICS))
    return rename(folder / "best_model.zip")


def test_a_best_model_with_the_final_statistics_is_a_remark_and_no_disagreement_of_its_files(tmp_path: Path) -> None:
    best = best_model(tmp_path, lambda path: path.replace(tmp_path / MODEL))
    for role in ("best", "final"):  # people rename it
        (said,) = remarks(tmp_path, "A2C", role)
        assert said.startswith("the model was saved at 64 steps, its statistics at 256")
        assert causes(tmp_path, "A2C", role) == [("statistics-of-another-checkpoint", True)]
    right = gone_on("PPO", tmp_path / "right", first_half("PPO", tmp_path / "first"), fresh=False, reset=True)
    rows = [
        {"name": "best", "model": best, "vecnormalize": tmp_path / STATISTICS, "algo": "A2C"},
        {"name": "went-on", "model": right / MODEL, "vecnormalize": right / STATISTICS, "algo": "PPO"},
    ]
    rows = [{**row, "env": "planted:Draws", "claim_mean": 2.5, "claim_std": 0.1, "claim_n": 2} for row in rows]
    for model in audit_table(rows, tmp_path / "audit").values():
        assert "do not agree" not in model["reason"]
        assert "statistics" in model["remarks"]
        assert model["verdict"] != "degraded"
        assert model["cause"] != "statistics-of-another-checkpoint"
