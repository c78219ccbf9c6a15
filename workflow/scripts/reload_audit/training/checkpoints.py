"""Save checkpoints during a training, and go on from the last one.

SB3 saves neither the state of environments nor that of random generators. A training that goes on meets environments
that start anew, so its model is another one than an uninterrupted training makes: the manifest says so.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from reload_audit.models import model_folder
from reload_audit.records.digests import digest
from reload_audit.records.storage import folder_digest, plain

_REPLAY_BUFFER = "replay_buffer.pkl"
_CONTENT = ".content"
"""The file of a checkpoint that has a digest of all others."""

_NAME = re.compile(r"step([0-9]+)")


class Checkpoints:
    """The checkpoints of one model.

    :param folder: of this model alone; checkpoints in it that another spec or other code left are not used
    :param identity: what decides the training: its spec, and the digest of the code
    """

    def __init__(self, folder: Path, identity: Any) -> None:
        self._folder = folder / digest(plain(identity))

    def last(self) -> Path | None:
        """The folder of the last checkpoint; None where there is none.

        One that is not as it was written, because the machine lost power or its disk has a fault, is deleted.
        """
        for folder in reversed(self._steps()):
            noted = folder / _CONTENT
            if noted.is_file() and noted.read_bytes() == folder_digest(folder).encode():
                return folder
            print(f"{folder} is not as it was written (lost power? a full disk?): it is deleted", flush=True)
            shutil.rmtree(folder, ignore_errors=True)
        return None

    def save(self, model: BaseAlgorithm) -> None:
        """Save a checkpoint, which appears complete or not at all, and remove those before it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=".", dir=self._folder))
        try:
            model_folder.save(model, building)
            if isinstance(model, OffPolicyAlgorithm):
                model.save_replay_buffer(building / _REPLAY_BUFFER)
            (building / _CONTENT).write_text(folder_digest(building), encoding="utf-8")
            with contextlib.suppress(OSError):  # a second copy of this job has just saved the same
                building.rename(self._folder / f"step{model.num_timesteps}")
        finally:  # of a checkpoint that a full disk has cut off, too
            shutil.rmtree(building, ignore_errors=True)
        for older in self._steps()[:-1]:
            shutil.rmtree(older, ignore_errors=True)

    def _steps(self) -> list[Path]:
        found = [path for path in self._folder.glob("step*") if _NAME.fullmatch(path.name)]
        return sorted(found, key=lambda path: int(path.name.removeprefix("step")))


def load_into(model: BaseAlgorithm, checkpoint: Path) -> BaseAlgorithm:
    """Load the model of a checkpoint, to train on in the environments of a new model.

    :param model: untrained; its environments are used, which must have the checkpoint's VecNormalize statistics already
    """
    loaded: BaseAlgorithm = type(model).load(checkpoint / model_folder.MODEL, env=model.env, device=model.device)
    if isinstance(loaded, OffPolicyAlgorithm):
        loaded.load_replay_buffer(checkpoint / _REPLAY_BUFFER)
    # Loading restores the seed that training began with; with that one it would repeat its first episodes.
    loaded.set_random_seed((loaded.seed or 0) + loaded.num_timesteps)
    return loaded


class SaveCheckpoints(BaseCallback):
    """Saves a checkpoint between two rollouts, as soon as enough steps have passed since the last one."""

    def __init__(self, checkpoints: Checkpoints, every: int) -> None:
        super().__init__()
        self._checkpoints = checkpoints
        self._every = every

    def _on_training_start(self) -> None:
        self._saved = self.num_timesteps

    def _on_rollout_start(self) -> None:
        if self.num_timesteps - self._saved >= self._every:
            self._checkpoints.save(self.model)
            self._saved = self.num_timesteps

    def _on_step(self) -> bool:
        return True
