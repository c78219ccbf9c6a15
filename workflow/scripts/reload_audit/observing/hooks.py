"""Replace functions of SB3 and Gymnasium by functions that do the same and tell an observer.

Only in a process that runs a script and ends with it. What is replaced are attributes of classes and modules, so that
objects that are copied or pickled stay as they are.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import gymnasium.envs.registration as registration
import numpy as np
from sb3_contrib.common.maskable import evaluation as maskable_evaluation
from stable_baselines3.common import env_util, evaluation
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecNormalize

from reload_audit.observing.acting import as_it_is_now, is_traced
from reload_audit.observing.models_seen import absolute
from reload_audit.observing.observer import Observer
from reload_audit.observing.parameters import Parameters
from reload_audit.observing.replacing import everywhere, in_all

_ON_SCREEN = 'render("human") was left out: no window is opened while a script is observed'
_HUMAN = 'render_mode="human" was left out: no window is opened while a script is observed'


def install(observer: Observer) -> None:
    """Have an observer told of all that models and environments are asked to do from now on."""
    for base, name, maker in _METHODS:
        in_all(base, name, functools.partial(maker, observer))
    _observe_loading(observer)
    BasePolicy.load_state_dict = _taking_parameters(observer, BasePolicy.load_state_dict)  # type: ignore[method-assign]
    for module in (evaluation, maskable_evaluation):
        original = module.evaluate_policy
        everywhere(original, _evaluating(observer, original))
    everywhere(registration.make, _making(observer, registration.make))
    for name in ("make_vec_env", "make_atari_env"):
        original = getattr(env_util, name)
        everywhere(original, _noting(observer, name, original))


# --- Models ---


class _Load(classmethod):
    """``load`` of models, which knows whether it was called on a model or on a class."""

    def __init__(self, observer: Observer, original: Any) -> None:
        super().__init__(original)
        self._observer = observer

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        bound, observer = super().__get__(instance, owner), self._observer

        @functools.wraps(bound)
        def load(*args: Any, **kwargs: Any) -> Any:
            path = absolute(args[0] if args else kwargs.get("path"), ".zip")
            try:
                with observer.inside("load"):
                    model = bound(*args, **kwargs)
            except Exception as error:
                if observer.on and not observer.depth["load"]:
                    observer.load_failed(owner, path, error)
                raise
            if observer.on and not observer.depth["load"]:
                observer.model_made(model, "loaded", path, instance)
            return model

        return load


def _observe_loading(observer: Observer) -> None:
    owner: Any = BaseAlgorithm
    owner.load = _Load(observer, vars(owner)["load"].__func__)
    original = VecNormalize.load

    @functools.wraps(original)
    def load(load_path: str, venv: VecEnv) -> VecNormalize:
        normalize = original(load_path, venv)
        if observer.on:
            observer.normalization_made(normalize, "loaded", absolute(load_path, ".pkl"))
        return normalize

    VecNormalize.load = staticmethod(load)  # type: ignore[method-assign]


def _constructing(observer: Observer, original: Any) -> Any:
    def construct(self: Any, *args: Any, **kwargs: Any) -> None:
        with observer.inside("construct"):
            original(self, *args, **kwargs)
        if observer.on and not observer.depth["construct"] and not observer.depth["load"]:
            observer.model_made(self, "constructed", None, None)

    return construct


def _setting_parameters(observer: Observer, original: Any) -> Any:
    parameters = Parameters(original)

    def set_parameters(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        if observer.on and not observer.depth["load"]:
            observer.parameters_set(self, parameters.first(args, kwargs))
        return result

    return set_parameters


def _taking_parameters(observer: Observer, original: Any) -> Any:
    @functools.wraps(original)
    def load_state_dict(self: Any, state_dict: Any, strict: bool = True, *args: Any, **kwargs: Any) -> Any:
        result = original(self, state_dict, strict, *args, **kwargs)
        if observer.on and not observer.depth["load"]:
            observer.parameters_changed(self)
            if not strict:
                observer.took(self, state_dict, result.missing_keys)
        return result

    return load_state_dict


def _setting_up(observer: Observer, original: Any) -> Any:
    def set_up(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        if observer.on and not (observer.depth["construct"] or observer.depth["load"]):
            observer.parameters_changed(self)
        return result

    return set_up


def _saving(observer: Observer, original: Any) -> Any:
    parameters = Parameters(original)

    def save(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        if observer.here:
            observer.model_saved(self, absolute(parameters.first(args, kwargs), ".zip"))
        return result

    return save


def _learning(observer: Observer, original: Any) -> Any:
    def learn(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = self.num_timesteps
        if observer.on:
            observer.learns(self)
        try:
            with observer.learning():
                return original(self, *args, **kwargs)
        finally:
            if observer.on:
                anew = kwargs.get("reset_num_timesteps", True)
                observer.learned(self, self.num_timesteps - (0 if anew else before))

    return learn


def _predicting(observer: Observer, original: Any) -> Any:
    parameters = Parameters(original, BasePolicy.predict)

    def predict(self: Any, *args: Any, **kwargs: Any) -> Any:
        if observer.is_asking or (observer.is_stepping and observer.requests.acting is not None):  # an opponent acts
            return original(self, *args, **kwargs)
        if observer.on and not observer.requests.is_repeated(self, args, kwargs):
            observer.requests.predicts(self, args, kwargs, parameters)
        observer.is_asking = True
        try:
            result = original(self, *args, **kwargs)
        finally:
            observer.is_asking = False
        answer = result[0] if isinstance(result, tuple) else result
        if observer.on:
            observer.requests.answer = answer.copy() if type(answer) is np.ndarray else as_it_is_now(answer)
        return result

    return predict


def _forwarding(observer: Observer, original: Any) -> Any:
    parameters = Parameters(original, BasePolicy._predict)

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        if observer.is_asking or (observer.is_stepping and observer.requests.acting is not None):
            return original(self, *args, **kwargs)
        observation = parameters.first(args, kwargs)
        if is_traced(observation):
            return original(self, *args, **kwargs)
        if observer.on:
            observer.requests.forwards(self, observation, parameters.read(args, kwargs))
        observer.is_asking = True
        try:
            result = original(self, *args, **kwargs)
        finally:
            observer.is_asking = False
        if observer.on:
            observer.requests.answer = as_it_is_now(result)
        return result

    return forward


def _asking_parts(observer: Observer, original: Any) -> Any:
    """A method of a policy from whose result a script computes actions itself. How it does so is not known."""
    parameters = Parameters(original)

    def part(self: Any, *args: Any, **kwargs: Any) -> Any:
        if observer.is_asking or (observer.is_stepping and observer.requests.acting is not None):
            return original(self, args[0]) if len(args) == 1 and not kwargs else original(self, *args, **kwargs)
        observation = parameters.first(args, kwargs)
        if is_traced(observation):
            return original(self, *args, **kwargs)
        if observer.on:
            observer.requests.asks_part(self, observation)
        observer.is_asking = True
        try:
            return original(self, *args, **kwargs)
        finally:
            observer.is_asking = False

    return part


def _choosing(observer: Observer, original: Any, *, deterministic: bool) -> Any:
    """A method of a distribution that returns an action: a script may call it instead of ``predict``."""

    def choose(self: Any, *args: Any, **kwargs: Any) -> Any:
        if observer.is_asking or (observer.is_stepping and observer.requests.acting is not None) or is_traced(None):
            return original(self, *args, **kwargs) if args or kwargs else original(self)
        observer.is_asking = True
        try:
            answer = original(self, *args, **kwargs)
        finally:
            observer.is_asking = False
        if observer.on:
            observer.requests.chose(answer, deterministic)
        return answer

    return choose


# --- Environments ---


def _stepping(observer: Observer, original: Any) -> Any:
    parameters = Parameters(original)

    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        if observer.is_stepping:
            result = original(self, args[0]) if len(args) == 1 and not kwargs else original(self, *args, **kwargs)
            if self is observer.innermost and isinstance(result, tuple):  # not so super().step()
                observer.innermost_gave = result[0]
            return result
        if not observer.on:
            return original(self, *args, **kwargs)
        watched = observer.watched.get(id(self))
        if watched is None or watched.env is not self:
            watched = observer.before(self)
        else:
            observer.innermost, observer.innermost_gave, observer.leaf_rewards = watched.innermost, None, None
        action = args[0] if args else parameters.first(args, kwargs)
        taken = action.copy() if type(action) is np.ndarray else as_it_is_now(action)  # one call less
        observer.is_stepping = True
        try:
            result = original(self, action) if len(args) == 1 and not kwargs else original(self, *args, **kwargs)
        finally:
            observer.is_stepping = False
        if watched is not None:
            try:
                observer.was_stepped(watched, taken, result)
            except Exception as error:
                observer.failed(error)
        return result

    return step


def _resetting(observer: Observer, original: Any) -> Any:
    def reset(self: Any, *args: Any, **kwargs: Any) -> Any:
        if observer.is_stepping:
            result = original(self, *args, **kwargs)
            if self is observer.innermost and isinstance(result, tuple):  # not so super().reset()
                observer.innermost_gave = result[0]
            if observer.on:
                observer.began(self, result)
            return result
        outermost, seeds = observer.on, [kwargs.get("seed")]
        if outermost:
            watched = observer.before(self)
            seeds = seeds if watched is None or not watched.vectorized else getattr(watched.leaf, "_seeds", seeds)
        observer.is_stepping = True
        try:
            result = original(self, *args, **kwargs)
        finally:
            observer.is_stepping = False
        if outermost:
            observer.began(self, result)
            observer.was_reset(self, result, seeds)
        return result

    return reset


def _giving_masks(observer: Observer, original: Any) -> Any:
    def action_masks(*args: Any, **kwargs: Any) -> Any:
        if observer.on and not observer.is_stepping:
            observer.requests.masks_are_new = True
        return original(*args, **kwargs)

    return action_masks


def _rendering(observer: Observer, original: Any) -> Any:
    parameters = Parameters(original, VecEnv.render)

    def render(self: Any, *args: Any, **kwargs: Any) -> Any:
        if (parameters.read(args, kwargs).get("mode") or getattr(self, "render_mode", None)) == "human":
            observer.say(_ON_SCREEN)
            return None
        return original(self, *args, **kwargs)

    return render


def _waiting(observer: Observer, original: Any) -> Any:
    def step_wait(self: Any) -> Any:
        result = original(self)
        observer.leaf_rewards = np.array(result[1])
        return result

    return step_wait


def _building(observer: Observer, original: Any) -> Any:
    def build(self: Any, *args: Any, **kwargs: Any) -> None:
        if not observer.on:
            original(self, *args, **kwargs)
            return
        observer.built.begins(self, original, args, kwargs)
        with observer.built.building(self, (*args, *kwargs.values())):
            original(self, *args, **kwargs)

    return build


def _making(observer: Observer, original: Any) -> Any:
    @functools.wraps(original)
    def make(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("render_mode") == "human":
            del kwargs["render_mode"]
            observer.say(_HUMAN)
        env = original(*args, **kwargs)
        if observer.on:
            observer.built.made(env)
        return env

    return make


def _noting(observer: Observer, name: str, original: Any) -> Any:
    @functools.wraps(original)
    def noted(*args: Any, **kwargs: Any) -> Any:
        if observer.on:
            observer.note(name, str(args[0])[:100] if args and isinstance(args[0], str) else "")
        given = kwargs.get("env_kwargs")
        if isinstance(given, dict) and given.get("render_mode") == "human":  # worker processes may be given it
            kwargs["env_kwargs"] = {key: value for key, value in given.items() if key != "render_mode"}
            observer.say(_HUMAN)
        return original(*args, **kwargs)

    return noted


# --- Statistics and evaluations ---


def _constructing_normalization(observer: Observer, original: Any) -> Any:
    def construct(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if observer.on:
            observer.normalization_made(self, "constructed", None)

    return construct


def _unpickling(observer: Observer, original: Any) -> Any:
    def set_state(self: Any, state: Any) -> None:
        original(self, state)
        if observer.on:
            observer.normalization_made(self, "unpickled", None)

    return set_state


def _normalizing(observer: Observer, original: Any) -> Any:
    def normalize_obs(self: Any, obs: Any) -> Any:
        if observer.on and not observer.is_stepping:
            observer.note("VecNormalize.normalize_obs")
        return original(self, obs)

    return normalize_obs


def _evaluating(observer: Observer, original: Any) -> Any:
    @functools.wraps(original)
    def evaluate_policy(
        model: Any, env: Any, n_eval_episodes: int = 10, deterministic: bool = True, *args: Any, **kwargs: Any
    ) -> Any:
        result = None
        first = observer.episodes_so_far(env)
        try:
            result = original(model, env, n_eval_episodes, deterministic, *args, **kwargs)
        finally:
            if observer.on:
                observer.evaluated(model, env, (n_eval_episodes, bool(deterministic), first), result)
        return result

    return evaluate_policy


_METHODS: tuple[tuple[type, str, Callable[[Observer, Any], Any]], ...] = (
    (BaseAlgorithm, "__init__", _constructing),
    (BaseAlgorithm, "set_parameters", _setting_parameters),
    (BaseAlgorithm, "_setup_model", _setting_up),
    (BaseAlgorithm, "learn", _learning),
    (BaseAlgorithm, "save", _saving),
    (BaseAlgorithm, "predict", _predicting),
    (BasePolicy, "predict", _predicting),
    (BasePolicy, "forward", _forwarding),
    (BasePolicy, "_predict", _forwarding),
    (BasePolicy, "get_distribution", _asking_parts),
    (BasePolicy, "extract_features", _asking_parts),
    (Distribution, "mode", functools.partial(_choosing, deterministic=True)),
    (Distribution, "sample", functools.partial(_choosing, deterministic=False)),
    (gym.Env, "__init__", _building),
    (gym.Env, "step", _stepping),
    (gym.Env, "reset", _resetting),
    (gym.Env, "action_masks", _giving_masks),
    (VecEnv, "step", _stepping),
    (VecEnv, "reset", _resetting),
    (VecEnv, "render", _rendering),
    (DummyVecEnv, "step_wait", _waiting),
    (SubprocVecEnv, "step_wait", _waiting),
    (VecNormalize, "__init__", _constructing_normalization),
    (VecNormalize, "__setstate__", _unpickling),
    (VecNormalize, "normalize_obs", _normalizing),
    (VecEnv, "__init__", _building),  # but for that of VecNormalize
)
