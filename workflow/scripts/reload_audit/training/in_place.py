"""Measure a model in the environments that it was trained in, and leave them as they were.

Copies are measured where environments can be copied. Others are measured themselves, which only the end of training
allows: their generators and counters have moved on afterwards. Those in other processes are reached there.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence

import gymnasium as gym
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecEnvWrapper, VecNormalize

from reload_audit.environments.construction import describe_vec_env
from reload_audit.environments.own_vec_env import OwnVecEnv
from reload_audit.evaluation.reference import evaluate_in_place_and_anew
from reload_audit.models import model_folder
from reload_audit.records.environment_spec import EnvironmentSpec
from reload_audit.records.episodes import Episode
from reload_audit.records.specs import EvaluationSpec
from reload_audit.training.in_workers import NotReached, Workers
from reload_audit.training.layers import vec_layers_with_effect, without_files
from reload_audit.training.with_episodes import NotMeasured, with_episodes


def evaluate_in_place(
    model: BaseAlgorithm,
    spec: EnvironmentSpec,
    evaluation: EvaluationSpec,
    evaluate_anew: Callable[[], list[Episode]],
    *,
    at_the_end: bool,
) -> tuple[list[Episode] | None, list[Episode]]:
    """Run the protocol's episodes in the environments that a model is trained in, and as reference.

    :param spec: of the same environments, built anew
    :param evaluate_anew: runs the reference episodes
    :param at_the_end: whether those that cannot be copied may be used themselves
    :return: the episodes in place, None where the environments may neither be copied nor used, or cannot be reached;
        and the reference
    """
    venv = model.get_env()
    assert venv is not None
    try:
        with (
            without_files(vec_layers_with_effect(venv)),
            _vec_env_with_episodes(venv, spec, at_the_end) as (inner, own),
        ):
            if own:
                model._last_obs = None  # a training that goes on resets the environments first
            return evaluate_in_place_and_anew(model, _around(venv, inner), evaluation, evaluate_anew)
    except (NotMeasured, NotReached) as problem:
        print(f"not measured in place: {problem}", flush=True)
        return None, evaluate_anew()


@contextlib.contextmanager
def _vec_env_with_episodes(venv: VecEnv, spec: EnvironmentSpec, at_the_end: bool) -> Iterator[tuple[VecEnv, bool]]:
    """A VecEnv that runs given episodes in the environments trained in, and whether these are used themselves.

    :raises NotMeasured: they may neither be copied nor used
    :raises NotReached: they are in other processes, and cannot be reached there
    """
    inner = venv.unwrapped
    if isinstance(inner, DummyVecEnv):
        with with_episodes(inner.envs, spec, at_the_end=at_the_end) as (envs, own):
            yield _dummy(envs), own
    elif isinstance(inner, SubprocVecEnv):
        with Workers(inner) as workers:
            own = workers.begin_episodes(spec, at_the_end=at_the_end)
            yield _dummy(workers.envs), own
    elif at_the_end:
        yield OwnVecEnv(inner, describe_vec_env(inner, spec.env_kwargs)), True
    else:
        raise NotMeasured(f"a {type(inner).__name__} cannot be copied; the end of training is measured")


def _dummy(envs: Sequence[gym.Env]) -> DummyVecEnv:
    return DummyVecEnv([lambda env=env: env for env in envs])  # type: ignore[misc]


def _around(venv: VecEnv, inner: VecEnv) -> VecEnv:
    """Copies of the wrappers of a VecEnv around another one."""
    stack = inner
    for layer in vec_layers_with_effect(venv):
        if isinstance(layer, VecNormalize):
            stack = model_folder.normalizer_from_memory(layer)(stack)
        else:
            stack = _copy_around(layer, stack)
    return stack


def _copy_around(layer: VecEnvWrapper, venv: VecEnv) -> VecEnvWrapper:
    """A copy of a VecEnv's wrapper around another VecEnv; not by ``deepcopy``, which asks a half-made wrapper."""
    kept = (layer.class_attributes, venv)
    known = {id(layer.venv): venv, **{id(one): one for one in kept}}
    copied = type(layer).__new__(type(layer))
    vars(copied).update(copy.deepcopy(vars(layer), known))
    return copied
