"""Say why training broke where PyTorch only says that a network's output is no longer a distribution."""

from __future__ import annotations

import traceback
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback

from reload_audit.evaluation.observations import PARAMETERS_NOT_FINITE, not_finite, parameters_are_finite, unusable

_LIBRARIES = ("torch", "stable_baselines3", "sb3_contrib")


class TrainingBroke(RuntimeError):
    """Training ended at numbers that are not finite, or at observations that no policy can act on."""


class FirstNotFinite(BaseCallback):
    """Notes the first reward or observation of training that is not finite. Nothing is done about it until it breaks.

    Under VecNormalize it looks at what the environments gave.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seen = ""

    def why(self, error: Exception) -> str:
        """Why training broke; empty where numbers that are not finite, or unusable observations, are no reason.

        :param error: that training raised
        """
        (*_, (frame, _)) = traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] not in _LIBRARIES:
            return ""  # what the environment raises speaks for itself
        if self._seen:
            return f"{self._seen}; expected finite numbers"
        at = f"at step {self.num_timesteps:,} of training"
        if said := unusable(self.model._last_obs, self.model.observation_space):
            return f"{at} {said}"
        if parameters_are_finite(self.model):
            return ""
        return (
            f"{at} the network's parameters are not finite, and all rewards and observations before were: learning "
            "diverged. What may help: a smaller learning_rate, normalize: true, rewards of a smaller scale"
        )

    def remark(self) -> str:
        """What a user should know of a training that did not break at such numbers; empty where there were none.

        Algorithms that choose the action of the highest value train on when all values are NaN.
        """
        parameters = "" if parameters_are_finite(self.model) else PARAMETERS_NOT_FINITE
        return "; ".join(filter(None, [self._seen, parameters]))

    def _on_training_start(self) -> None:
        normalize = self.model.get_vec_normalize_env()
        self._look("observation", self.model._last_obs if normalize is None else normalize.old_obs, 0)

    def _on_step(self) -> bool:
        if not self._seen:
            normalize = self.model.get_vec_normalize_env()
            rewards, observations = self.locals.get("rewards"), self.locals.get("new_obs")
            if normalize is not None:
                rewards, observations = normalize.old_reward, normalize.old_obs
            self._look("reward", rewards, self.num_timesteps)
            self._look("observation", observations, self.num_timesteps)
        return True

    def _look(self, what: str, values: Any, step: int) -> None:
        if values is None or self._seen or (number := not_finite(values)) is None:
            return
        when = f"step {step:,} of training" if step else "the first reset"
        given = f"a reward of {number}" if what == "reward" else f"an observation with {number}"
        self._seen = f"the environment gave {given} at {when}"
