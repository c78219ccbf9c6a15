"""Try every experiment before anything is trained: does its environment exist, and can its algorithm act there?

Runs in a process of its own, because it runs the user's code: see ``jobs.check``.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import gymnasium as gym

from reload_audit.environments.build import close, make_env
from reload_audit.environments.packages import what_to_install
from reload_audit.models.algorithms import HyperparameterProblem, algorithm, check_action_space, default_policy
from reload_audit.models.without_dynamo import spare_compiler
from reload_audit.processes.imports import ImportProblem
from reload_audit.processes.outcome import error_said
from reload_audit.records.specs import TrainingSpec
from reload_audit.training.train import create_model, training_environment


def find_problems(experiments: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """What keeps experiments from starting: one sentence each, with the key to change.

    :param experiments: where each stands in the configuration, and the training spec of one of its models
    """
    warnings.simplefilter("ignore")  # of old environment versions: said again where they matter, in the training log
    problems = []
    for where, data in experiments:
        spec = TrainingSpec.from_dict(data)
        problem = _environment_problem(spec) or _algorithm_problem(spec)
        if problem:
            problems.append(f"{where}.{problem}")
    return problems


def _environment_problem(spec: TrainingSpec) -> str | None:
    environment = spec.environment
    try:
        bare = make_env(replace(environment, wrappers=()))
    except (ImportProblem, gym.error.Error) as error:
        said = what_to_install(error, environment.env) or " ".join(str(error).split())
        return f"env: {environment.env!r} cannot be made: {said}"
    except Exception as error:
        return f"env: constructing {environment.env!r} with {dict(environment.env_kwargs)} raised {error_said(error)}"
    close(bare)
    try:
        wrapped = make_env(environment)
    except Exception as error:
        names = [wrapper.name for wrapper in environment.wrappers]
        if not names:
            return f"env: constructing {environment.env!r} a second time in one process raised {error_said(error)}"
        return f"wrappers: putting {names} around {environment.env!r} raised {error_said(error)}"
    try:
        check_action_space(spec.algo, wrapped.action_space)
    except ValueError as error:
        return f"algo: {error} in {environment.env!r}; choose another algorithm or wrap the environment"
    finally:
        close(wrapped)
    return None


def _algorithm_problem(spec: TrainingSpec) -> str | None:
    try:
        venv = training_environment(replace(spec, vec_env="dummy"))
    except Exception as error:
        key = "normalize" if spec.environment.normalize is not None else "env"
        return f"{key}: vectorising {spec.environment.env!r} raised {error_said(error)}"
    try:
        policy = spec.hyperparams.get("policy") or default_policy(spec.algo, venv.observation_space)
        known = algorithm(spec.algo).policy_aliases
        if policy not in known and "." not in policy:
            return f"hyperparams.policy: {spec.algo} has no {policy!r}; expected one of {', '.join(known)}"
        spare_compiler()
        create_model(spec, venv)
    except HyperparameterProblem as problem:
        return f"hyperparams.{problem}"
    except Exception as error:
        return f"hyperparams: {spec.algo} refuses them: {error_said(error)}"
    finally:
        close(venv)
    return None
