"""What training left in a model's zip besides parameters: steps, updates, the last observation, the last episodes."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

from reload_audit.reading import limits
from reload_audit.reading.model_zip import SavedModel
from reload_audit.reading.plain_values import mapping
from reload_audit.reading.refusal import Unreadable

Observation = Mapping[str, np.ndarray]
"""A batch of observations, one for each environment: by key of a dictionary, or under ``""``."""

_EPOCHS = ("PPO", "RecurrentPPO", "MaskablePPO")
"""Algorithms that count an update for each of several epochs over a rollout."""

_ONE_UPDATE_A_ROLLOUT = ("A2C", "TRPO")


@dataclass(frozen=True)
class Episode:
    """A training episode as a monitor reported it: reward and steps."""

    reward: float
    length: int


@dataclass(frozen=True)
class Traces:
    """What a model's zip holds of its training; None for what it does not hold.

    :param num_timesteps: SB3's step count, which ``learn`` resets unless told otherwise
    :param began_at: ``num_timesteps`` when ``learn`` was last called
    :param planned: ``num_timesteps`` at which that call was to end
    :param trained_steps: all steps it was ever trained for, computed from the number of updates; on-policy only
    :param rollout: steps between two updates; on-policy only
    :param n_envs: environments that it was last trained in
    :param last: what the policy observed last
    :param original: off-policy: the same before it was normalised, if it was, and else the observation of the step
        before; on-policy: the first one of training before it was normalised, if it was
    :param never_normalized: whether training was on-policy and left no original, so that there was no VecNormalize
    :param monitor: which of SB3's monitors reported the episodes
    """

    on_policy: bool
    num_timesteps: int | None
    began_at: int | None
    planned: int | None
    trained_steps: int | None
    rollout: int | None
    n_envs: int | None
    last: Observation | None
    original: Observation | None
    never_normalized: bool
    episodes: Sequence[Episode]
    monitor: str | None

    @property
    def counted_from_zero(self) -> bool:
        """Whether it is certain that ``num_timesteps`` are all steps that it was ever trained for."""
        known = self.trained_steps is not None and self.num_timesteps is not None and self.rollout is not None
        return known and 0 <= self.num_timesteps - self.trained_steps <= self.rollout  # type: ignore[operator]


def traces_of(saved: SavedModel, algo: str, n_envs: int | None) -> Traces:
    """Read what training left in a zip; None for what cannot be rebuilt.

    :param n_envs: environments it was trained in, if its run's own files say so
    """
    last = observation(_value(saved, "_last_obs"))
    original = observation(_value(saved, "_last_original_obs"))
    envs = _batch(last) or whole(saved.settings.get("n_envs")) or n_envs
    on_policy = "gae_lambda" in saved.settings
    rollout = envs * steps if envs and (steps := whole(saved.settings.get("n_steps"))) and on_policy else None
    updates = _updates(saved, algo)
    reported = _value(saved, "ep_info_buffer")
    return Traces(
        on_policy=on_policy,
        num_timesteps=whole(saved.settings.get("num_timesteps")),
        began_at=whole(saved.settings.get("_num_timesteps_at_start")),
        planned=whole(saved.settings.get("_total_timesteps")),
        trained_steps=None if rollout is None or updates is None else updates * rollout,
        rollout=rollout,
        n_envs=envs,
        last=last,
        original=original,
        never_normalized=on_policy and last is not None and saved.settings.get("_last_original_obs", "") is None,
        episodes=_episodes(reported),
        monitor=_monitor(reported),
    )


def observation(value: Any) -> Observation | None:
    """A batch of observations as arrays of numbers by key; None where it is anything else."""
    parts = value if isinstance(value, dict) else {"": value}
    arrays = {
        str(key): part for key, part in parts.items() if isinstance(part, np.ndarray) and part.dtype.kind in "iuf"
    }
    return arrays if arrays and len(arrays) == len(parts) and all(part.ndim for part in arrays.values()) else None


def space_of(saved: SavedModel, attribute: str) -> spaces.Space | None:
    """``observation_space`` or ``action_space``, where it can be rebuilt."""
    value = _value(saved, attribute)
    return value if isinstance(value, spaces.Space) else None


def whole(value: Any) -> int | None:
    """A value as a count; None where it is none, or too large to be one."""
    return value if type(value) is int and 0 <= value < 2**62 else None


def _value(saved: SavedModel, attribute: str) -> Any:
    """An attribute of the saved model, rebuilt without executing anything; None where that is not possible."""
    with contextlib.suppress(Unreadable):
        return saved.value(attribute)
    return None


def _batch(last: Observation | None) -> int | None:
    """The number of environments that a batch of observations is of; None where its parts disagree."""
    sizes = {len(part) for part in (last or {}).values()}
    return sizes.pop() if len(sizes) == 1 else None


def _updates(saved: SavedModel, algo: str) -> int | None:
    """How many rollouts an on-policy model was updated with; None where that is not certain.

    PPO counts epochs in ``_n_updates``, and stops early where ``target_kl`` is set.
    """
    updates = whole(saved.settings.get("_n_updates"))
    if updates is None or algo in _ONE_UPDATE_A_ROLLOUT:
        return updates
    epochs = whole(saved.settings.get("n_epochs"))
    if algo not in _EPOCHS or not epochs or saved.settings.get("target_kl", "") is not None or updates % epochs:
        return None
    return updates // epochs


def _episodes(reported: Any) -> list[Episode]:
    """The episodes in an ``ep_info_buffer``; whatever is none in it is left out."""
    episodes = []
    for entry in reported if isinstance(reported, Sequence) or hasattr(reported, "popleft") else ():
        reward, length = mapping(entry).get("r"), mapping(entry).get("l")
        numbers = isinstance(reward, int | float | np.floating) and isinstance(length, int | np.integer)
        if numbers and abs(reward) < limits.LARGEST_REWARD and 0 < length < limits.LARGEST_COUNT:  # type: ignore[arg-type, operator]
            episodes.append(Episode(float(reward), int(length)))  # type: ignore[arg-type]
    return episodes


def _monitor(reported: Any) -> str | None:
    """Which of SB3's monitors reported episodes, by the type of their rewards; None where that does not tell.

    Monitor reports Python's numbers, or NumPy's of double precision; VecMonitor sums in single precision.
    """
    kinds = {type(mapping(entry).get("r")) for entry in reported or ()} if hasattr(reported, "popleft") else set()
    if kinds == {np.float32}:
        return "VecMonitor"
    return "Monitor" if kinds and kinds <= {int, float, np.float64} else None
