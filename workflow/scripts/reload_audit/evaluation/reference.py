"""Measure what a model earns right after training, on freshly built environments, in the process that trained it."""

from __future__ import annotations

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from reload_audit.environments.build import build_vec_env, freeze_normalization
from reload_audit.evaluation.rollouts import ModelPolicy, RandomPolicy, run_episodes, run_looks
from reload_audit.models import model_folder
from reload_audit.processes.full_disk import is_out_of_space
from reload_audit.records.episodes import RANDOM_POLICY_EPISODES, Episode
from reload_audit.records.specs import EnvironmentSpec, EvaluationSpec
from reload_audit.records.steps import Steps


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
        venv.close()


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
        venv.close()


def fresh_environments(model: BaseAlgorithm, environment: EnvironmentSpec, n_envs: int, seed: int) -> VecEnv:
    """Build new environments, normalised with a copy of the model's statistics if it has any."""
    normalize = model.get_vec_normalize_env()
    return build_vec_env(
        environment,
        n_envs,
        seed=seed,
        normalizer=None if normalize is None else model_folder.normalizer_from_memory(normalize),
    )
