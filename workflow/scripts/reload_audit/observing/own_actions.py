"""What a script's own code chooses, beside what its model would choose after the same observations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm

from reload_audit.models.load_untrusted import load
from reload_audit.observing.acting import PARTS, is_squashed
from reload_audit.observing.subject import OwnActions, Subject
from reload_audit.reading.model_zip import read_model
from reload_audit.reading.refusal import Unreadable
from reload_audit.reading.statistics import read_statistics
from reload_audit.records.observation import ActionTaken
from reload_audit.records.specs import ExternalPolicy

_CLOSE = 1e-3
"""How far an action may be off, as part of the range of actions."""

_WITH_MORE_TO_KNOW = ("RecurrentPPO", "MaskablePPO")
"""Algorithms whose policies choose by more than an observation."""


def own_actions(subject: Subject, policy: ExternalPolicy) -> OwnActions | None:
    """Compare the first actions of a script's own with those of its model.

    :return: None where it chooses hardly any, or the model cannot be asked about the observations that they follow
    """
    run = subject.run
    if not (run.acts_by_itself or all(act.how == PARTS for act in run.acts)):
        return None
    taken = [one for one in run.taken if one.chosen is None]
    sizes = {(len(one.taken), len(one.raw), len(one.returned)) for one in taken}
    if len(sizes) != 1 or subject.spec.algo in _WITH_MORE_TO_KNOW:
        return None
    try:
        spec, classes = subject.spec, policy.classes_of(subject.spec)
        saved = read_model(spec.path, trusted=policy.trust, classes=classes, max_bytes=policy.max_bytes)
        model = load(saved, spec.algo, "cpu").model
        if isinstance(model.observation_space, spaces.Dict):
            return None
        shown = [*_shown(subject, taken, policy)]
        return _compared(model, shown, np.asarray([one.taken for one in taken]))
    except (Unreadable, ValueError):  # it expects observations or actions of another shape
        return None


def _shown(subject: Subject, taken: Sequence[ActionTaken], policy: ExternalPolicy) -> Iterator[np.ndarray]:
    """The observations that actions follow, as training would show them, and then as the script was given them."""
    raw, returned = (np.asarray([getattr(one, name) for one in taken]) for name in ("raw", "returned"))
    path = subject.spec.statistics
    moments = None if path is None else (statistics := read_statistics(path, policy.trust)).observations.get("")
    if moments is not None and moments.mean.size == raw.shape[1]:
        bound = float(statistics.settings["clip_obs"])
        deviation = np.sqrt(np.ravel(moments.var) + float(statistics.settings["epsilon"]))
        yield np.clip((raw - np.ravel(moments.mean)) / deviation, -bound, bound)
    else:
        yield raw
    yield returned


def _compared(model: BaseAlgorithm, shown: Sequence[np.ndarray], taken: np.ndarray) -> OwnActions:
    """The first way to act as the model that gives nearly all of the actions; else as it acts in training.

    :param taken: shape ``(n, numbers of an action)``
    """
    found: list[OwnActions] = []
    for place, given in enumerate(shown):
        observations = given.reshape(-1, *(model.observation_space.shape or ())).astype(model.observation_space.dtype)
        for bounded in (True, False):
            alike = _alike(model, observations, taken, bounded=bounded)
            found.append(OwnActions(len(taken), alike, bounded=bounded, as_in_training=place == 0))
    return next((one for one in found if one.are_of_the_model), found[0])


def _alike(model: BaseAlgorithm, observations: np.ndarray, taken: np.ndarray, *, bounded: bool) -> int:
    """How many actions are those that a model gives after some observations.

    :param bounded: whether they are clipped or rescaled to the action space, as by ``predict``; False for those of the
        policy network
    """
    if bounded:
        chosen, _ = model.predict(observations, deterministic=True)
    else:
        with th.no_grad():
            chosen = model.policy._predict(model.policy.obs_to_tensor(observations)[0], deterministic=True).numpy()
    space = model.action_space
    off = np.abs(np.reshape(chosen, (len(taken), -1)) - taken)
    if not isinstance(space, spaces.Box):
        return int((off == 0.0).all(axis=1).sum())
    ranges = 2.0 if is_squashed(model, space) and not bounded else np.ravel(space.high - space.low)
    allowed = _CLOSE * np.where(np.isfinite(ranges), ranges, 1.0)
    return int((off <= allowed).all(axis=1).sum())
