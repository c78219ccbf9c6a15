"""The conditions under which a reloaded model is evaluated, and in which factors they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from reload_audit.records.environment_spec import Arguments
from reload_audit.records.plain_data import PlainData
from reload_audit.records.specs import EvaluationSpec, ReloadSpec, VecEnvKind

Statistics = Literal[
    "loaded", "none", "fresh", "updating", "swapped", "twice", "wrapper", "posted wrapper", "file", "new"
]
RewardScale = Literal["raw", "normalized", "monitor outside"]
Seeding = Literal["episodes", "evaluate_policy", "unseeded"]


@dataclass(frozen=True)
class Condition(PlainData):
    """One way to evaluate a reloaded model. Whatever it does not name is as in the canonical condition.

    :param name: unique among a model's conditions, and what the result tables call it
    :param n_envs: environments of the VecEnv
    :param statistics: those of VecNormalize: ``loaded`` and frozen; ``none``; ``fresh``, estimated from episodes of its
        own, then frozen; loaded and still ``updating``; with mean and variance ``swapped``; applied ``twice``; applied
        by a Gymnasium ``wrapper`` that reproduces VecNormalize, or by the ``posted wrapper``, a common one that does
        not; of another ``file``; ``new``, which start empty and are updated from then on
    :param statistics_file: that file
    :param model_file: zip of the model that acts in place of the audited one
    :param reward: on the environment's scale, on VecNormalize's, or as a monitor outside VecNormalize reports it
    :param seeding: every episode with its own seed; only the first, as SB3's ``evaluate_policy`` does; or none
    :param carry_state: whether a recurrent policy is given its state
    :param episode_starts: whether a recurrent policy is told where episodes begin
    :param give_masks: whether a policy that masks actions is given the masks
    :param clip_actions: whether continuous actions are put into their bounds, as ``predict`` does and a policy does not
    :param shown: what is made of observations before the policy is given them, as a script does that changes them:
        their numbers in another ``order``, with ``factors`` and ``shifts``, and clipped at a ``bound``; rounded to some
        ``decimals``; of another ``dtype``
    :param training_mode: whether the policy's network is as in training, where dropout drops, and normalisation of
        batches takes the moments of each batch
    :param episodes_before: episodes that every environment has seen before the first that counts
    :param environment: what is other of :class:`EnvironmentSpec`: ``env``, ``time_limit``, ``frame_stack``,
        ``vec_wrappers``; ``env_kwargs`` and ``wrappers`` are added to what is there, ``all_env_kwargs`` and
        ``all_wrappers`` take its place; ``set_on_vec_env`` names an ``attribute`` of a layer of the VecEnv, and its
        ``value``
    :param migration: what makes the environment as an older version of it was, by its name in ``migrations.yaml``; None
        for the version that runs as it is
    :param processor: ``baseline`` to compute with only those instructions that every processor of this architecture has
    :param device: where the policy runs, if not as usual
    :param n_episodes: how many are run, if not those of the first look; canonically as many as are needed
    :param anew_after: episodes after which statistics that are updated are again what they were before the first: they
        drift, and further episodes would be of others; None for never
    """

    name: str
    n_envs: int
    vec_env: VecEnvKind = "dummy"
    deterministic: bool = True
    statistics: Statistics = "loaded"
    statistics_file: str | None = None
    model_file: str | None = None
    reward: RewardScale = "raw"
    seeding: Seeding = "episodes"
    carry_state: bool = True
    episode_starts: bool = True
    give_masks: bool = True
    clip_actions: bool = True
    shown: Arguments = field(default_factory=dict)
    training_mode: bool = False
    episodes_before: int = 0
    environment: Mapping[str, Any] = field(default_factory=dict)
    migration: str | None = None
    processor: Literal["native", "baseline"] = "native"
    device: str | None = None
    n_episodes: int | None = None
    anew_after: int | None = None

    @property
    def earned(self) -> Literal["reward", "step_reward", "monitor_reward"]:
        """The field of :class:`~reload_audit.records.episodes.Episode` that is its reward under this condition."""
        return _EARNED[self.reward]

    def changes(self, canonical: Condition) -> dict[str, Any]:
        """The factors that are other than in the canonical condition."""
        mine, its = asdict(self), asdict(canonical)
        return {key: value for key, value in mine.items() if key not in _OF_HOW_MANY and value != its[key]}


_OF_HOW_MANY = ("name", "n_episodes", "anew_after")
"""Fields that say how often something is measured, and not what."""

CANONICAL = "reload"
EXPLORING = "stochastic"
"""The names of the canonical condition, and of the one that differs from it in stochastic actions alone."""

_EARNED: dict[RewardScale, Literal["reward", "step_reward", "monitor_reward"]] = {
    "raw": "reward",
    "normalized": "step_reward",
    "monitor outside": "monitor_reward",
}


def conditions(
    evaluation: EvaluationSpec, reload: ReloadSpec, *, deterministic: bool = True, own_vec_env: bool = False
) -> tuple[Condition, ...]:
    """The canonical condition, then those that the configuration asks for, each with one factor of it changed.

    :param own_vec_env: whether the environments are a VecEnv of the user's own, which is no SubprocVecEnv
    """
    canonical = Condition(CANONICAL, evaluation.n_envs, deterministic=deterministic)
    chosen = [canonical]
    chosen += [replace(canonical, name=f"n_envs={n}", n_envs=n) for n in reload.n_envs if n != evaluation.n_envs]
    if reload.other_vec_env and not own_vec_env:
        chosen.append(replace(canonical, name="SubprocVecEnv", vec_env="subproc"))
    return tuple(chosen)


def joined(one: str, other: str) -> str:
    """The name of a condition that changes what two others change, from their names."""
    return f"{one} + {other}"
