"""Film one episode of a model under one condition: what its environment renders, what the policy sees, does and earns.

Runs in a process of its own: see ``jobs.replay``.
"""

from __future__ import annotations

import base64
import contextlib
import io
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsFloat

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from reload_audit.environments.seeded_episodes import SeededEpisode
from reload_audit.environments.unseen import Unseen
from reload_audit.evaluation.conditions import Subject, fresh_environments, run_condition
from reload_audit.evaluation.external import load_external
from reload_audit.evaluation.trained import load_trained
from reload_audit.judging.criteria import Criteria
from reload_audit.records.conditions import Condition
from reload_audit.records.digests import Digest
from reload_audit.records.replay import MOST_STEPS, Film, Moment
from reload_audit.records.specs import EvaluationSpec, ExternalPolicy, ExternalSpec, TrainingSpec

if TYPE_CHECKING:
    from PIL.Image import Image

_WIDEST = 200
"""Pixels of the longer edge of a frame."""

_QUALITY = 60
"""Of a frame as WebP, from 0 to 100."""

_MOST_NUMBERS = 8
"""Numbers of an observation or action that are shown."""

_LAST_FRAME = f"{__name__}:LastFrame"


class NotFilmed(RuntimeError):
    """An environment does not render pictures; the message says what it gives."""


def film_trained(folder: Path, spec: TrainingSpec, condition: Condition, episode: int) -> Film:
    """Film an episode of the model in ``folder``, which this workflow trained.

    :param episode: its index
    :raises NotFilmed: its environment does not render
    """
    return film(load_trained(folder, spec, condition), condition, spec.evaluation, spec.evaluation.stops, episode)


def film_external(
    spec: ExternalSpec, policy: ExternalPolicy, condition: Condition, criteria: Criteria, episode: int
) -> Film:
    """Film an episode of an external model.

    :param episode: its index
    :raises NotFilmed: its environment does not render
    """
    subject, evaluation, stops = load_external(spec, policy, condition, criteria)
    return film(subject, condition, evaluation, stops, episode)


def film(
    subject: Subject, condition: Condition, evaluation: EvaluationSpec, stops: Sequence[int], episode: int
) -> Film:
    """Run a condition's episodes again, from the first on, and film one of them.

    They run as when they were measured: an episode may depend on those before it.

    :param stops: number of episodes after each look
    :raises NotFilmed: the environment does not render
    """
    _render_without_a_screen()
    camera = _Camera(_rendering_environments(subject, condition), episode, evaluation.seed + episode)
    try:
        run_condition(subject, camera, condition, evaluation, stops)
    except _Over as over:
        return over.film
    finally:
        camera.close()
    raise NotFilmed(f"episode {episode} did not run again")


def _render_without_a_screen() -> None:
    """Tell MuJoCo how it renders where there is no screen: what it tries by itself needs one."""
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        os.environ.setdefault("MUJOCO_GL", "egl")


class _Over(Exception):
    """The episode that is filmed is over: no further one is needed."""

    def __init__(self, film: Film) -> None:
        super().__init__()
        self.film = film


class LastFrame(Unseen):
    """Renders where an episode ends: its VecEnv resets the environment before anybody outside can."""

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        self._wanted = False
        self._frame: Any = None
        self.hide()

    def want_last_frame(self) -> None:
        """From now on, render at the end of each episode."""
        self._wanted = True

    def last_frame(self) -> Any:
        """What was rendered at the end of the last episode; None where nothing was."""
        return self._frame

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        if self._wanted and (terminated or truncated):
            with contextlib.suppress(Exception):  # all other frames are there
                self._frame = self.env.render()
        return observation, reward, terminated, truncated, info


def _rendering_environments(subject: Subject, condition: Condition) -> VecEnv:
    """A condition's environments, asked to render; as they are where they know no ``render_mode``."""
    changes = dict(condition.environment)
    if subject.environment.vec_env is None:
        changes["wrappers"] = [*changes.get("wrappers", ()), (_LAST_FRAME, {})]
    asking = {**changes, "env_kwargs": {**changes.get("env_kwargs", {}), "render_mode": "rgb_array"}}
    try:
        return fresh_environments(subject, replace(condition, environment=asking))
    except TypeError:
        return fresh_environments(subject, replace(condition, environment=changes))


class _Camera(VecEnvWrapper):
    """Films one episode, in whichever slot it runs.

    Which episode a slot runs is known from what ``run_episodes`` asks its environments for.

    :param seed: of the episode that is filmed; episodes that are not measured have other ones
    """

    def __init__(self, venv: VecEnv, episode: int, seed: int) -> None:
        super().__init__(venv)
        self._wanted = (episode, seed)
        self._queues: list[list[tuple[int, int]]] = [[] for _ in range(venv.num_envs)]
        self._observations: VecEnvObs = np.empty(0)
        self._slot: int | None = None
        self._moments: list[Moment] = []
        self._steps = 0
        self._earned = 0.0
        self._begun: Moment | None = None
        self._has_last_frame = venv.has_attr("want_last_frame")

    def reset(self) -> VecEnvObs:
        self._observations = self.venv.reset()
        self._look()
        return self._observations

    def step_async(self, actions: np.ndarray) -> None:
        self._begun = None if self._slot is None or self._steps >= MOST_STEPS else self._begin(self._slot, actions)
        self.venv.step_async(actions)

    def step_wait(self) -> VecEnvStepReturn:
        observations, rewards, dones, infos = self.venv.step_wait()
        self._observations = observations
        if self._slot is not None:
            self._steps += 1
            if self._begun is not None:
                self._end(self._begun, float(rewards[self._slot]))
        return observations, rewards, dones, infos

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        found = super().env_method(method_name, *method_args, indices=indices, **method_kwargs)
        if method_name == "begin_episodes":
            assert isinstance(indices, int)
            self._queues[indices] = list(method_args[0])
        elif method_name == "collect_episodes":
            slots = [indices] if isinstance(indices, int) else range(self.num_envs)
            for slot, (finished, _) in zip(slots, found, strict=True):
                self._ended(slot, finished)
        return found

    def _ended(self, slot: int, finished: Sequence[SeededEpisode]) -> None:
        """Note which episodes have ended in a slot, and end with the one that is filmed."""
        for episode in finished:
            if (episode.episode, episode.seed) == self._wanted and self._moments:
                moments, last = tuple(self._moments), self._last_frame(slot)
                raise _Over(Film(self._steps, moments, episode.raw_observations, episode.rewards, last))
        self._queues[slot] = self._queues[slot][len(finished) :]
        self._look()

    def _look(self) -> None:
        """Find the slot that runs the episode now."""
        self._slot = next((slot for slot, queue in enumerate(self._queues) if queue[:1] == [self._wanted]), None)
        if self._slot is not None and self._has_last_frame:
            self.venv.env_method("want_last_frame", indices=[self._slot])

    def _last_frame(self, slot: int) -> str:
        """What the environment of a slot rendered at the end of its episode, likewise in Base64; empty if nothing."""
        if not self._has_last_frame:
            return ""
        (picture,) = self.venv.env_method("last_frame", indices=[slot])
        return "" if picture is None else _frame(picture)

    def _begin(self, slot: int, actions: np.ndarray) -> Moment:
        """A step as far as it is known before its reward."""
        (picture,) = self.venv.env_method("render", indices=[slot])
        observation, action = _of_slot(self._observations, slot), np.array(actions[slot])
        digest = Digest().add_observation(observation).add_array(action).hexdigest()
        return Moment(_frame(picture), _said(observation), _said(action), 0.0, 0.0, digest)

    def _end(self, begun: Moment, reward: float) -> None:
        self._earned += reward
        digest = Digest().add(begun.digest).add(reward).hexdigest()
        self._moments.append(replace(begun, reward=reward, earned=self._earned, digest=digest))


def _of_slot(observations: VecEnvObs, slot: int) -> Any:
    if isinstance(observations, dict):
        return {key: array[slot] for key, array in observations.items()}
    return observations[slot]


def _said(value: Any) -> str:
    """An observation or action in few characters: ``0.03, -1.2``; its shape where it is an image."""
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_said(part)}" for key, part in value.items())
    array = np.asarray(value)
    if array.ndim > 1 and array.size > _MOST_NUMBERS:
        return f"an array of shape {array.shape}"
    numbers = array.ravel().tolist()
    more = f", … ({len(numbers)} numbers)" if len(numbers) > _MOST_NUMBERS else ""
    return ", ".join(f"{number:.4g}" for number in numbers[:_MOST_NUMBERS]) + more


def _frame(picture: Any) -> str:
    """What an environment rendered as a small WebP picture, in Base64.

    :raises NotFilmed: it is no picture
    """
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or not _is_picture(picture.shape):
        kind = f"{picture.dtype} of shape {picture.shape}" if isinstance(picture, np.ndarray) else repr(picture)[:100]
        raise NotFilmed(f"render() gave {kind}")
    image = _image(picture)
    content = io.BytesIO()
    image.save(content, "WEBP", quality=_QUALITY, method=4)
    return base64.b64encode(content.getvalue()).decode()


def _is_picture(shape: tuple[int, ...]) -> bool:
    return 0 not in shape and (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4)))


def _image(picture: np.ndarray) -> Image:
    from PIL import Image  # not installed with the audit, and only films need it

    whole = Image.fromarray(picture[..., 0] if picture.shape[2:] == (1,) else picture).convert("RGB")
    scale = _WIDEST / max(whole.size)
    if scale < 1:
        whole = whole.resize((max(1, round(scale * whole.width)), max(1, round(scale * whole.height))))
    return whole
