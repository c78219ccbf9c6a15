"""Say why training broke where PyTorch only says that a network's output is no longer a distribution."""

from __future__ import annotations

import traceback
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm

from reload_audit.evaluation.observations import PARAMETERS_NOT_FINITE, not_finite, parameters_are_finite, unusable

_LIBRARIES = ("torch", "stable_baselines3", "sb3_contrib")


class TrainingBroke(RuntimeError):
    """Training ended at numbers that are not finite, or at observations that no policy can act on."""


class FirstNotFinite:
    """Notes the first reward or observation of training that is not finite. Nothing is done about it until it breaks.

    Under VecNormalize it looks at what the environments gave.
    """

    def __init__(self, model: BaseAlgorithm) -> None:
        self._model = model
        self._normalize = model.get_vec_normalize_env()
        self._seen = ""

    def look_at_reset(self) -> None:
        """Look at the observations of the first reset."""
        normalize = self._normalize
        self._look("observation", self._model._last_obs if normalize is None else normalize.old_obs, 0)

    def look_at_step(self, rewards: Any, observations: Any) -> None:
        """Look at the rewards and observations of a step.

        :param observations: those that follow it; None where SB3's loop has none of its own
        """
        if self._seen:
            return
        normalize, step = self._normalize, self._model.num_timesteps
        if normalize is not None:
            rewards, observations = normalize.old_reward, normalize.old_obs
        self._look("reward", rewards, step)
        self._look("observation", observations, step)

    def why(self, error: Exception) -> str:
        """Why training broke; empty where numbers that are not finite, or unusable observations, are no reason.

        :param error: that training raised
        """
        (*_, (frame, _)) = traceback.walk_tb(error.__traceback__)
        model, library = self._model, str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if library not in _LIBRARIES or model._last_obs is None:
            return ""  # what the environment raises speaks for itself
        if self._seen:
            return f"{self._seen}; expected finite numbers"
        at = f"at step {model.num_timesteps:,} of training"
        if said := unusable(model._last_obs, model.observation_space):
            return f"{at} {said}"
        if parameters_are_finite(model):
            return ""
        return (
            f"{at} the network's parameters are not finite, and all rewards and observations before were: learning "
            "diverged. What may help: a smaller learning_rate, normalize: true, rewards of a smaller scale"
        )

    def remark(self) -> str:
        """What a user should know of a training that did not break at such numbers; empty where there were none.

        Algorithms that choose the action of the highest value train on when all values are NaN.
        """
        parameters = "" if parameters_are_finite(self._model) else PARAMETERS_NOT_FINITE
        return "; ".join(filter(None, [self._seen, parameters]))

    def _look(self, what: str, values: Any, step: int) -> None:
        if values is None or self._seen or (number := not_finite(values)) is None:
            return
        when = f"step {step:,} of training" if step else "the first reset"
        given = f"a reward of {number}" if what == "reward" else f"an observation with {number}"
        self._seen = f"the environment gave {given} at {when}"
