"""Measure what a model earns right after training, on freshly built environments, in the process that trained it."""

from __future__ import annotations

from collections.abc import Callable

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from reload_audit.environments.build import build_vec_env, close, freeze_normalization
from reload_audit.evaluation.rollouts import ModelPolicy, RandomPolicy, run_episodes, run_looks
from reload_audit.models import model_folder
from reload_audit.processes.full_disk import is_out_of_space
from reload_audit.records.environment_spec import EnvironmentSpec
from reload_audit.records.episodes import RANDOM_POLICY_EPISODES, Episode, first_difference
from reload_audit.records.specs import EvaluationSpec
from reload_audit.records.steps import Steps


def evaluate_in_place_and_anew(
    model: BaseAlgorithm,
    venv: VecEnv,
    evaluation: EvaluationSpec,
    evaluate_anew: Callable[[], list[Episode]],
    steps: Steps | None = None,
) -> tuple[list[Episode], list[Episode]]:
    """Run the protocol's episodes in the environments trained in, and as reference.

    In place comes before the reference, so that it meets the environments as training left them. Where its first look
    is the reference's in every bit, the reference's further episodes stand for those in place, which are not run.

    :param venv: the environments trained in
    :param evaluate_anew: runs the reference episodes
    :param steps: takes the first steps of the first episodes in place, if given
    :return: the episodes in place, all or those of the first look, and the reference
    """
    freeze_normalization(venv)
    policy, first_look = ModelPolicy(model), evaluation.stops[0]
    in_place = run_episodes(policy, venv, evaluation, 0, first_look, steps)
    reference = evaluate_anew()
    if first_difference(in_place, reference[:first_look]) is not None:
        in_place += run_looks(policy, venv, evaluation, evaluation.stops[1:], steps=steps, first=first_look)
    return in_place, reference


def evaluate_in_looks(
    model: BaseAlgorithm, venv: VecEnv, evaluation: EvaluationSpec, steps: Steps | None = None
) -> list[Episode]:
    """Run all episodes of the protocol, look by look, with the same calls that the reload makes."""
    freeze_normalization(venv)
    return run_looks(ModelPolicy(model), venv, evaluation, evaluation.stops, steps=steps)


def evaluate_reference(
    model: BaseAlgorithm,
    environment: EnvironmentSpec,
    evaluation: EvaluationSpec,
    seed: int,
    steps: Steps | None = None,
) -> list[Episode]:
    """Run the reference episodes, on freshly built environments.

    :param seed: of the global generators in worker processes, if the environments have any
    :param steps: takes the first steps of the first episodes, if given
    """
    venv = fresh_environments(model, environment, evaluation.n_envs, seed)
    try:
        return evaluate_in_looks(model, venv, evaluation, steps)
    finally:
        close(venv)


def evaluate_random_policy(
    model: BaseAlgorithm, environment: EnvironmentSpec, evaluation: EvaluationSpec, seed: int
) -> list[Episode] | None:
    """Run episodes with random actions; None where they break the environment.

    The margin is a part of the distance between their reward and the model's.
    """
    venv = fresh_environments(model, environment, evaluation.n_envs, seed)
    try:
        policy = RandomPolicy(venv, seed=evaluation.seed)
        return run_episodes(policy, venv, evaluation, start=0, stop=RANDOM_POLICY_EPISODES)
    except Exception as error:
        if is_out_of_space(error):
            raise
        print(f"the random policy could not be measured: {type(error).__name__}: {error}", flush=True)
        return None
    finally:
        close(venv)


def fresh_environments(model: BaseAlgorithm, environment: EnvironmentSpec, n_envs: int, seed: int) -> VecEnv:
    """Build new environments, normalised with a copy of the model's statistics if it has any."""
    normalize = model.get_vec_normalize_env()
    return build_vec_env(
        environment,
        n_envs,
        seed=seed,
        normalizer=None if normalize is None else model_folder.normalizer_from_memory(normalize),
    )
