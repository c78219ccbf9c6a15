"""Break a saved model in exactly one way, as people do: a folder with ``model.zip`` and ``vecnormalize.pkl``.

Some faults are in the files; others are in how a model was trained, by an environment that its audit is not told of.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from reload_audit.models.algorithms import algorithm
from reload_audit.models.model_folder import MODEL, STATISTICS


@dataclass(frozen=True)
class Material:
    """What faults are made of.

    :param make_venv: one environment, or more, like those in training, not normalised
    :param checkpoint: folder of the same model at another moment of its training
    :param agent: folder of a model with another seed that was trained for as many steps
    """

    algo: str
    make_venv: Callable[[], VecEnv]
    checkpoint: Path
    agent: Path


@dataclass(frozen=True)
class Fault:
    """One way to break a model.

    :param cause: what the audit has to name
    :param plant: changes the files in a folder
    :param trained_with: of the environment in training, as in an experiment's configuration; its audit is without
    :param needs: what there must be for it
    """

    cause: str
    plant: Callable[[Path, Material], None] = lambda folder, material: None
    trained_with: Mapping[str, Any] = field(default_factory=dict)
    needs: Literal["statistics", "actions in a box", "observations of whole numbers"] | None = None


def lose_statistics(folder: Path, material: Material) -> None:
    """Delete the saved statistics."""
    (folder / STATISTICS).unlink()


def take_statistics_of_checkpoint(folder: Path, material: Material) -> None:
    """Replace the statistics by those of another moment of the same training."""
    shutil.copyfile(material.checkpoint / STATISTICS, folder / STATISTICS)


def take_statistics_of_agent(folder: Path, material: Material) -> None:
    """Replace the statistics by those of a model trained with another seed."""
    shutil.copyfile(material.agent / STATISTICS, folder / STATISTICS)


def evaluate_in_training_mode(folder: Path, material: Material, steps: int = 200) -> None:
    """Evaluate without ``training = False``, and save the statistics that this has changed."""
    model = algorithm(material.algo).load(folder / MODEL)
    normalize = VecNormalize.load(str(folder / STATISTICS), material.make_venv())
    observations = normalize.reset()
    for _ in range(steps):
        actions, _ = model.predict(observations, deterministic=True)
        observations, _, _, _ = normalize.step(actions)
    normalize.save(str(folder / STATISTICS))
    normalize.close()


def swap_mean_and_variance(folder: Path, material: Material) -> None:
    """Swap mean and variance, as loading arrays by position in the wrong order does."""
    normalize = VecNormalize.load(str(folder / STATISTICS), material.make_venv())
    moments = normalize.obs_rms.values() if isinstance(normalize.obs_rms, dict) else [normalize.obs_rms]
    for running in moments:
        running.mean, running.var = running.var, running.mean
    normalize.venv, normalize.class_attributes, normalize.returns = None, {}, None  # as an environment would set them
    normalize.save(str(folder / STATISTICS))


def take_parameters_of_checkpoint(folder: Path, material: Material) -> None:
    """Replace policy and optimizers by those of another moment of the same training."""
    _take_members(folder / MODEL, material.checkpoint / MODEL, lambda name: name.endswith(".pth"))


def take_policy_of_checkpoint(folder: Path, material: Material) -> None:
    """Replace the policy, but not its optimizers, by that of another moment of the same training."""
    _take_members(folder / MODEL, material.checkpoint / MODEL, lambda name: name == "policy.pth")


def _take_members(path: Path, donor: Path, wanted: Callable[[str], bool]) -> None:
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(donor) as other:
        members = {name: (other if wanted(name) else archive).read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


FAULTS: dict[str, Fault] = {
    "statistics lost": Fault("statistics-missing", lose_statistics, needs="statistics"),
    "statistics of a checkpoint": Fault(
        "statistics-of-another-checkpoint", take_statistics_of_checkpoint, needs="statistics"
    ),
    "statistics of another seed": Fault("statistics-of-another-agent", take_statistics_of_agent, needs="statistics"),
    "statistics left in training mode": Fault(
        "statistics-updated-since", evaluate_in_training_mode, needs="statistics"
    ),
    "mean and variance swapped": Fault("statistics-swapped", swap_mean_and_variance, needs="statistics"),
    "parameters of a checkpoint": Fault("parameters-of-another-checkpoint", take_parameters_of_checkpoint),
    "policy of a checkpoint": Fault("parameters-of-another-checkpoint", take_policy_of_checkpoint),
    "actions rescaled": Fault(
        "action-space-rescaled",
        trained_with={"wrappers": [{"gymnasium.wrappers.RescaleAction": {"min_action": -1.0, "max_action": 1.0}}]},
        needs="actions in a box",
    ),
    "frames stacked": Fault("frame-stack-missing", trained_with={"frame_stack": 3}),
    "observations of another type": Fault(
        "observation-dtype",
        trained_with={"wrappers": [{"gymnasium.wrappers.DtypeObservation": {"dtype": "float32"}}]},
        needs="observations of whole numbers",
    ),
}
