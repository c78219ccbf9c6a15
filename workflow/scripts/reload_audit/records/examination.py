"""What examining one model gave: facts of its files, findings, and the trials that may show why its reward changed.

``diagnosis.examine`` makes it, ``jobs.diagnosis`` writes it into the model's record, ``diagnosis.evidence`` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypedDict

from reload_audit.causes.finding import Detail, Finding
from reload_audit.records.conditions import Condition


class Facts(TypedDict, total=False):
    """What a model's files say about its training, as JSON holds it; a key is missing where nothing can be said.

    ``normalized_keys`` are those parts of a dictionary of observations that VecNormalize normalises, or can.
    Steps are environment steps, over all parallel environments; lengths are steps of an episode.
    """

    unreadable: str
    unreadable_statistics: str
    num_timesteps: int | None
    planned_timesteps: int | None
    normalized_keys: list[str]
    trained_steps: int | None
    n_envs: int | None
    saved_with: dict[str, str]
    trained_normalized: bool | None
    statistics_steps: int | None
    statistics_resets: int | None
    statistics_n_envs: int | None
    statistics_pairing: str
    statistics_paired: bool
    optimizer_steps: dict[str, int]
    optimizer_steps_expected: dict[str, int]
    parameters_finite: bool
    training_episodes: int
    monitor: str | None
    training_reward_mean: float
    training_reward_std: float
    training_length_mean: float
    training_length_max: int
    training_episodes_of_max_length: int
    reward_scale: float


@dataclass(frozen=True)
class Trial:
    """A condition that may be what differed when the reward was measured.

    :param causes: the causes that it would speak for; two where it joins two conditions, none where it only shows how
        sensitive a model is
    :param details: what a fix of these causes may name
    """

    condition: Condition
    causes: tuple[str, ...] = ()
    details: Mapping[str, Detail] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Trial:
        return cls(Condition.from_dict(data["condition"]), tuple(data["causes"]), data["details"])


@dataclass(frozen=True)
class Estimate:
    """A mean reward that another way of measuring would have given, computed from episodes that were run already.

    :param name: that way of measuring
    :param cause: what it would speak for
    :param details: what the fix of this cause may name
    """

    name: str
    cause: str
    mean: float
    details: Mapping[str, Detail]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Estimate:
        return cls(**{**data, "mean": float(data["mean"])})


@dataclass(frozen=True)
class Examination:
    """What examining one model's files and environment gave.

    :param target: mean reward that is to be explained; None where no loss or gain is shown
    :param target_std: its standard deviation, where that is known of a claim
    :param gained: whether it is shown that the model earns more than that
    :param pairs: whether two conditions at once may be tried, where none explains the reward alone
    :param trials: those that are worth trying; in a record, those that were planned up to the one that explained it
    :param failure: why the examination itself failed; all the rest is empty then
    """

    facts: Facts = field(default_factory=lambda: Facts())
    findings: tuple[Finding, ...] = ()
    target: float | None = None
    target_std: float | None = None
    gained: bool = False
    pairs: bool = False
    estimates: tuple[Estimate, ...] = ()
    trials: tuple[Trial, ...] = ()
    failure: str = ""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Examination:
        if data["failure"]:
            return cls(failure=data["failure"])
        return cls(
            facts=data["facts"],
            findings=tuple(Finding(**finding) for finding in data["findings"]),
            target=None if data["target"] is None else float(data["target"]),
            target_std=None if data["target_std"] is None else float(data["target_std"]),
            gained=data["gained"],
            pairs=data["pairs"],
            estimates=tuple(Estimate.from_dict(estimate) for estimate in data["estimates"]),
            trials=tuple(Trial.from_dict(trial) for trial in data["trials"]),
        )

    def to_dict(self) -> dict[str, Any]:
        """What :meth:`from_dict` reads, for JSON."""
        return {"failure": self.failure} if self.failure else asdict(self)
