"""Carry out a condition: build its environments around a loaded model, and run its episodes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.evaluation import evaluate_policy as evaluate_maskable_policy
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv, VecMonitor, VecNormalize, unwrap_vec_normalize

from reload_audit.environments.build import (
    build_vec_env,
    close,
    freeze_normalization,
    normalizable_keys,
    seed_global_generators,
)
from reload_audit.environments.stack import Normalizer
from reload_audit.evaluation.rollouts import ModelPolicy, TimeAllowed, run_episodes, run_looks
from reload_audit.reading.refusal import Unreadable
from reload_audit.reading.statistics import Moments, SavedStatistics, read_statistics
from reload_audit.records.conditions import Condition
from reload_audit.records.environment_spec import EnvironmentSpec, WrapperSpec, vec_wrapper_spec
from reload_audit.records.episodes import UNSEEDED, Episode
from reload_audit.records.first_look import FirstLook, Spared
from reload_audit.records.specs import EvaluationSpec
from reload_audit.records.steps import Steps

_BURN_IN_EPISODES = 60
_OTHER_EPISODES = 10_000_000
"""Added to the seeds of episodes that are not measured, so that none of them is a measured one."""


@dataclass(frozen=True)
class Subject:
    """A loaded model, with what is needed to evaluate it.

    :param normalizer: puts its statistics around environments; None for a model without any
    :param statistics: reads its statistics; None for a model without any
    :param settings: VecNormalize's arguments, where they are known
    :param trusted: packages that files of statistics may name
    """

    model: BaseAlgorithm
    environment: EnvironmentSpec
    train_seed: int
    device: str
    normalizer: Normalizer | None = None
    statistics: Callable[[], SavedStatistics] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    trusted: Sequence[str] = ()


# --- Environments ---


def fresh_environments(subject: Subject, condition: Condition, slots: int | None = None) -> VecEnv:
    """Seed the global random generators unlike training did, then build a condition's environments.

    Loading a model seeds them with the training seed, and an environment that draws from them would look healthy by
    that coincidence: so they are put into a state that training did not start from.

    :param slots: how many environments, if not those of the condition
    """
    global_seed = (subject.train_seed + 2**31) % 2**32
    seed_global_generators(global_seed)
    environment, normalizer = _normalized(subject, condition, _altered(subject.environment, condition.environment))
    venv = build_vec_env(
        environment,
        slots or condition.n_envs,
        seed=global_seed,
        kind=condition.vec_env,
        start_method=_start_method(subject.device),
        normalizer=normalizer,
    )
    freeze_normalization(venv)
    normalize = unwrap_vec_normalize(venv)
    if normalize is not None:
        normalize.training = condition.statistics in ("updating", "new")
        normalize.norm_reward = condition.reward != "raw"
    return VecMonitor(venv) if condition.reward == "monitor outside" else venv


def _altered(environment: EnvironmentSpec, changes: Mapping[str, Any]) -> EnvironmentSpec:
    wrappers = tuple(WrapperSpec(name, kwargs) for name, kwargs in changes.get("wrappers", ()))
    inside, arguments = environment.wrappers, changes.get("all_env_kwargs", environment.env_kwargs)
    if "all_wrappers" in changes:
        inside = tuple(WrapperSpec(name, kwargs) for name, kwargs in changes["all_wrappers"])
    altered = replace(
        environment,
        env_kwargs={**arguments, **changes.get("env_kwargs", {})},
        wrappers=(*inside, *wrappers),
        **{key: value for key, value in changes.items() if key in ("env", "time_limit")},
    )
    if "vec_wrappers" in changes:
        altered = replace(altered, vec_wrappers=tuple(map(vec_wrapper_spec, changes["vec_wrappers"])))
    if "set_on_vec_env" in changes:
        setting = WrapperSpec("reload_audit.evaluation.wrappers:with_vec_attribute", changes["set_on_vec_env"])
        altered = replace(altered, vec_wrappers=(*altered.vec_wrappers, setting))
    return altered.stacking(changes["frame_stack"]) if "frame_stack" in changes else altered


def _normalized(
    subject: Subject, condition: Condition, environment: EnvironmentSpec
) -> tuple[EnvironmentSpec, Normalizer | None]:
    """The environment and what goes around it, with the condition's choice of statistics."""
    around, inside = environment, environment.unnormalized()
    if condition.statistics in ("fresh", "new"):
        return around, _with_fresh_statistics(subject)
    if condition.statistics == "file":
        assert condition.statistics_file is not None
        return around, read_statistics(condition.statistics_file, subject.trusted).around
    if subject.normalizer is None or condition.statistics == "none":
        return inside, None
    if condition.statistics in ("loaded", "updating"):
        return around, subject.normalizer
    assert subject.statistics is not None
    statistics = subject.statistics()
    if condition.statistics == "swapped":
        return around, swapped(statistics).around
    if condition.statistics == "twice":
        return around, lambda venv: statistics.around(statistics.around(venv))
    if condition.statistics == "wrapper":
        return _wrapped(
            inside, "reload_audit.remedies.normalize_as_trained:NormalizeAsTrained", {"statistics": statistics}
        ), None
    if list(statistics.observations) != [""]:
        raise Unreadable("the wrapper that is commonly posted knows no dictionaries of observations")
    moments = {"moments": statistics.observations[""]}
    return _wrapped(inside, "reload_audit.evaluation.wrappers:PostedNormalizer", moments), None


def _with_fresh_statistics(subject: Subject) -> Normalizer:
    # Only what the policy sees: rewards are not normalised in an evaluation.
    keys = {"norm_obs_keys": normalizable_keys(subject.model.observation_space)}
    arguments = {**keys, **subject.settings, "norm_reward": False}

    def around(venv: VecEnv) -> VecNormalize:
        if subject.normalizer is not None:
            subject.normalizer(venv)  # raises where its own statistics would not stand
        return VecNormalize(venv, **arguments)

    return around


def swapped(statistics: SavedStatistics) -> SavedStatistics:
    """Exchange mean and variance in statistics of observations.

    :raises Unreadable: a mean is negative, so it cannot be a variance
    """
    if any((moments.mean < 0).any() for moments in statistics.observations.values()):
        raise Unreadable("a mean is negative, so mean and variance have not changed places")
    observations = {
        key: Moments(moments.var, moments.mean, moments.count) for key, moments in statistics.observations.items()
    }
    return replace(statistics, observations=observations)


def _wrapped(environment: EnvironmentSpec, name: str, kwargs: Mapping[str, Any]) -> EnvironmentSpec:
    return replace(environment, wrappers=(*environment.wrappers, WrapperSpec(name, kwargs)))


def _start_method(device: str) -> str:
    """Fork where that is safe: this process has one thread that computes, and has built no environment yet."""
    return "fork" if device == "cpu" and sys.platform == "linux" else "forkserver"


# --- Episodes ---


def run_condition(
    subject: Subject,
    venv: VecEnv,
    condition: Condition,
    evaluation: EvaluationSpec,
    stops: Sequence[int],
    enough: Callable[[Sequence[Episode]], bool] = lambda _: False,
    steps: Steps | None = None,
    allowed: TimeAllowed | None = None,
    first_look: FirstLook | None = None,
) -> list[Episode]:
    """Run a condition's episodes in the environments built for it. If these are fewer, the policy's batch is as large.

    :param stops: number of episodes after each look
    :param enough: whether further looks can be spared
    :param steps: takes the first steps of the first episodes, if given
    :param allowed: the time for them; unlimited if not given
    :param first_look: whether the first episodes of a condition other than the canonical one tell so much that the rest
        is spared; it is not asked where episodes depend on those before them
    """
    policy = ModelPolicy(
        subject.model,
        condition.deterministic,
        carry_state=condition.carry_state,
        episode_starts=condition.episode_starts,
        give_masks=condition.give_masks,
        clip_actions=condition.clip_actions,
        shown=condition.shown,
        training_mode=condition.training_mode,
        batch=condition.n_envs,
    )
    before = replace(evaluation, seed=evaluation.seed + _OTHER_EPISODES)
    if condition.statistics == "fresh":
        normalize = unwrap_vec_normalize(venv)
        assert normalize is not None
        normalize.training = True
        explorer = ModelPolicy(subject.model, deterministic=False)  # as in training
        run_episodes(explorer, venv, before, start=0, stop=max(_BURN_IN_EPISODES, condition.n_envs))
        normalize.training = False
    if condition.episodes_before:
        run_episodes(policy, venv, before, start=0, stop=condition.episodes_before * condition.n_envs)
    if condition.n_episodes is not None:
        stops = [condition.n_episodes]
    if first_look is not None and _has_independent_episodes(condition):
        first = first_look.ends_after(venv.num_envs, stops[0])
        stops, enough = sorted({first, stops[0]}), _asking(first_look, enough)
    if condition.seeding != "episodes":
        return _as_people_do(subject.model, venv, condition, evaluation, stops[0])
    if condition.anew_after is not None and condition.statistics in ("updating", "new"):
        return _in_rounds(policy, venv, evaluation, stops[0], condition.anew_after, allowed)
    return run_looks(policy, venv, evaluation, stops, enough, steps, allowed)


def _in_rounds(
    policy: ModelPolicy,
    venv: VecEnv,
    evaluation: EvaluationSpec,
    n: int,
    anew_after: int,
    allowed: TimeAllowed | None,
) -> list[Episode]:
    """Run episodes, with the statistics of observations as they are now before each of several rounds.

    :param anew_after: episodes of a round
    """
    normalize = unwrap_vec_normalize(venv)
    assert normalize is not None
    before, episodes = deepcopy(normalize.obs_rms), []
    for start in range(0, n, anew_after):
        normalize.obs_rms = deepcopy(before)
        stop = min(start + anew_after, n)
        episodes += run_episodes(policy, venv, evaluation, start, stop, allowed=allowed)
        if len(episodes) < stop:
            break
    return episodes


def run_in_few_workers(
    subject: Subject, condition: Condition, evaluation: EvaluationSpec, first_look: FirstLook, allowed: TimeAllowed
) -> list[Episode]:
    """Run the first look of a condition in a SubprocVecEnv with an environment for each of its episodes, and no more.

    :return: none where that would be as many environments as the condition has, or its first look does not suffice
    """
    slots = first_look.episodes
    if condition.vec_env != "subproc" or slots >= condition.n_envs:
        return []
    venv = fresh_environments(subject, condition, slots)
    episodes = run_condition(subject, venv, condition, evaluation, [slots], allowed=allowed)
    close(venv)
    return episodes if first_look.suffices(episodes) else []


def why_spared(first_look: FirstLook | None, ran: int, asked: int, allowed: TimeAllowed) -> Spared:
    """Why fewer episodes were run than a condition has; empty where they were not, or time ended."""
    return "" if first_look is None or ran >= asked or allowed.is_up else first_look.says


def _has_independent_episodes(condition: Condition) -> bool:
    """Whether an episode is the same wherever a run of episodes is interrupted."""
    updating = condition.statistics in ("updating", "new")
    return condition.seeding == "episodes" and condition.episode_starts and not (updating or condition.episodes_before)


def _asking(first_look: FirstLook, enough: Callable[[Sequence[Episode]], bool]) -> Callable[[Sequence[Episode]], bool]:
    def told(so_far: Sequence[Episode]) -> bool:
        enough(so_far)
        return first_look.suffices(so_far)

    return told


def _as_people_do(
    model: BaseAlgorithm, venv: VecEnv, condition: Condition, evaluation: EvaluationSpec, n_episodes: int
) -> list[Episode]:
    """Run SB3's own ``evaluate_policy``, which seeds only the first episode of each environment, or none."""
    if condition.seeding == "evaluate_policy":
        venv.seed(evaluation.seed)
    settings: dict[str, Any] = {
        "n_eval_episodes": n_episodes,
        "deterministic": condition.deterministic,
        "return_episode_rewards": True,
    }
    if isinstance(model, MaskablePPO):
        rewards, lengths = evaluate_maskable_policy(model, venv, use_masking=condition.give_masks, **settings)
    else:
        rewards, lengths = evaluate_policy(model, venv, **settings)
    assert isinstance(rewards, list)
    assert isinstance(lengths, list)
    return [
        Episode(index, UNSEEDED, float(reward), int(length), False, None, float(reward), {})
        for index, (reward, length) in enumerate(zip(rewards, lengths, strict=True))
    ]
