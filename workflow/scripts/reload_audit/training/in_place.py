"""Measure a model in the environments that it was trained in, and leave them as they were.

Copies are measured where environments can be copied. Others are measured themselves, which only the end of training
allows: their generators and counters have moved on afterwards.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import gymnasium as gym
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecEnvWrapper, VecNormalize

from reload_audit.environments.build import make_env
from reload_audit.environments.older_apis import layers
from reload_audit.environments.seeded_episodes import SeededEpisodes
from reload_audit.evaluation.reference import evaluate_in_looks
from reload_audit.models import model_folder
from reload_audit.records.episodes import Episode
from reload_audit.records.specs import EnvironmentSpec, EvaluationSpec
from reload_audit.training.layers import copies_of, layers_with_effect, vec_layers_with_effect, without_files


def evaluate_in_place(
    model: BaseAlgorithm, spec: EnvironmentSpec, evaluation: EvaluationSpec, *, at_the_end: bool
) -> list[Episode] | None:
    """Run the protocol's episodes in the environments that a model is trained in.

    :param spec: of the same environments, built anew
    :param at_the_end: whether those that cannot be copied may be used themselves
    :return: None for environments in other processes, and for those that may neither be copied nor used
    """
    venv = model.get_env()
    inner = None if venv is None else venv.unwrapped
    if venv is None or not isinstance(inner, DummyVecEnv):
        return None
    with without_files([*inner.envs, *vec_layers_with_effect(venv)]):
        try:
            envs = copies_of(inner.envs)
        except Exception as error:
            if not at_the_end:
                print(f"not measured in place: the environments cannot be copied ({_said(error)})", flush=True)
                return None
            return _in_originals(model, venv, inner.envs, spec, evaluation)
        return evaluate_in_looks(model, _around(venv, _seeded(envs, spec)), evaluation)


def _in_originals(
    model: BaseAlgorithm, venv: VecEnv, envs: Sequence[gym.Env], spec: EnvironmentSpec, evaluation: EvaluationSpec
) -> list[Episode]:
    """Measure in the environments themselves. A training that goes on resets them first."""
    monitors = [layer for env in envs for layer in layers(env) if isinstance(layer, Monitor)]
    kept = [{key: copy.copy(value) for key, value in vars(monitor).items()} for monitor in monitors]
    inside = [(layer, layer.env) for env in envs for layer in layers(env) if isinstance(layer, gym.Wrapper)]
    try:
        return evaluate_in_looks(model, _around(venv, _seeded(envs, spec)), evaluation)
    finally:
        for layer, env in inside:
            layer.env = env
        for monitor, held in zip(monitors, kept, strict=True):
            vars(monitor).update(held)
        model._last_obs = None


def _seeded(envs: Sequence[gym.Env], spec: EnvironmentSpec) -> list[gym.Env]:
    """Environments with :class:`SeededEpisodes` in each, where new ones have it: around what the user wraps."""
    own = len(layers_with_effect(make_env(replace(spec, wrappers=()))))
    return [_with_seeded_episodes(env, own) for env in envs]


def _with_seeded_episodes(env: gym.Env, own: int) -> gym.Env:
    """Put SeededEpisodes into an environment.

    :param own: how many layers with an effect are the environment's own
    """
    every = [*layers(env)]
    effective = layers_with_effect(env)
    place = next(index for index, layer in enumerate(every) if layer is effective[len(effective) - own])
    while place and isinstance(every[place - 1], Monitor):
        place -= 1
    seeded = SeededEpisodes(every[place])
    if place == 0:
        return seeded
    every[place - 1].env = seeded
    return env


def _around(venv: VecEnv, envs: Sequence[gym.Env]) -> VecEnv:
    """Copies of the wrappers of a VecEnv around other environments."""
    stack: VecEnv = DummyVecEnv([lambda env=env: env for env in envs])  # type: ignore[misc]
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


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
