"""Let environments that a model is trained in, or copies of them, run given episodes, and leave them as they were."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace

import gymnasium as gym
from stable_baselines3.common.monitor import Monitor

from reload_audit.environments.build import make_env
from reload_audit.environments.older_apis import layers
from reload_audit.environments.seeded_episodes import SeededEpisodes
from reload_audit.records.environment_spec import EnvironmentSpec
from reload_audit.training.layers import copies_of, layers_with_effect, without_files


class NotMeasured(RuntimeError):
    """Environments can neither be copied nor, because training goes on, be used themselves."""


@contextlib.contextmanager
def with_episodes(
    envs: Sequence[gym.Env], spec: EnvironmentSpec, *, at_the_end: bool
) -> Iterator[tuple[list[gym.Env], bool]]:
    """Copies of environments that run given episodes, or at the end of training themselves, and whether it is these.

    :raises NotMeasured: they may neither be copied nor used
    """
    with without_files(envs):
        try:
            copies = copies_of(envs)
        except Exception as error:
            if not at_the_end:
                said = f"the environments cannot be copied ({type(error).__name__}: {error})"
                raise NotMeasured(said) from None
        else:
            yield _seeded(copies, spec), False
            return
        with _put_back(envs):
            yield _seeded(envs, spec), True


@contextlib.contextmanager
def _put_back(envs: Sequence[gym.Env]) -> Iterator[None]:
    """Put the layers of environments, and their monitors' counts, back as they were."""
    monitors = [layer for env in envs for layer in layers(env) if isinstance(layer, Monitor)]
    kept = [{key: copy.copy(value) for key, value in vars(monitor).items()} for monitor in monitors]
    inside = [(layer, layer.env) for env in envs for layer in layers(env) if isinstance(layer, gym.Wrapper)]
    try:
        yield
    finally:
        for layer, env in inside:
            layer.env = env
        for monitor, held in zip(monitors, kept, strict=True):
            vars(monitor).update(held)


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
