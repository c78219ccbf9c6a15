"""Collect, while a script runs, what it does with models, environments and episodes.

``hooks`` calls this from inside the functions of SB3 and Gymnasium that it has replaced. Nothing here draws a random
number, or changes an object that it is shown.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecNormalize

from reload_audit.observing import acting
from reload_audit.observing.acting import (
    DISTRIBUTION,
    PARTS,
    Batch,
    are_equal,
    as_it_is_now,
    is_answer,
    is_copy,
    rows,
)
from reload_audit.observing.describe import arguments_of, described, is_whole, layers_of, own_wrappers, single_of
from reload_audit.observing.keeping_out import Absent, EnoughSeen, careful
from reload_audit.observing.lines import UserLines
from reload_audit.observing.models_seen import ModelsSeen
from reload_audit.observing.normalizations_seen import NormalizationsSeen
from reload_audit.observing.own_classes import keep_arguments, keep_classes
from reload_audit.observing.parameters import Parameters
from reload_audit.observing.tracking import MOST_VIEWS, Acting, Place, Run, Slot, Watched, first_of, numbers, sizes
from reload_audit.observing.wrappers_seen import WrappersSeen
from reload_audit.records.observation import (
    FailedLoad,
    Line,
    Made,
    Observation,
    ObservedCall,
    ObservedEnvironment,
    ObservedEvaluation,
    View,
)

MOST_EPISODES = 200
"""Episodes of one model in one environment after which a script is stopped: it may never end by itself."""
MOST_WITHOUT_MODEL = 2_000
"""Episodes likewise where no model is asked, as while statistics of observations are collected."""
MOST_BEYOND, MOST_STEPS = 10_000, 100_000
"""Steps after the end of an episode, and of one episode, after which it is stopped: it may never reset."""

_IN_THREADS = "it steps environments in threads: which action is whose cannot be told where several run at a time"

Flags = tuple[bool | None, bool, bool, bool, bool]

Request = tuple[Acting, Any, Any]
"""A model that is asked for actions, and how; what it is given; and what it answers."""


class _InThisThread(threading.local):
    """What goes on in each thread.

    :ivar building: the environments, VecEnvs and wrappers whose constructors run, the innermost last
    """

    def __init__(self) -> None:
        self.building: list[Any] = []


@dataclass(frozen=True, slots=True)
class _Asked:
    """A plain call of ``predict``, from the user's own code, as most scripts make in each step.

    :param mode: the argument ``deterministic``; :data:`_NOT_GIVEN` for none
    :param code: the code that makes the call, and ``at`` where in it
    """

    actor: Any
    mode: object
    code: CodeType
    at: int
    acting: Acting


_NOT_GIVEN = object()


class Observer:
    """Takes notes of one script.

    :param lines: finds the user's own lines
    :param stop_at: ``time.monotonic()`` after which the script is stopped
    :param folder: takes the statistics and weights that the script acted with
    :ivar is_asking: whether a model or a policy is being asked for actions
    :ivar is_stepping: whether an environment is being reset or stepped
    :ivar depth: how many other observed calls are going on inside each other, by kind
    :ivar here: whether this is the process of the script itself, and not a copy of it
    :ivar on: whether notes are taken: not in a copy of the process, nor of what training does
    :ivar watched: the environments that the script resets and steps, by their identity
    :ivar innermost: the environment inside all wrappers of the one that the script resets or steps
    :ivar innermost_gave: the observation that it returned then; None where it was not called
    :ivar leaf_rewards: what the innermost VecEnv gave in this step; None where that is not known
    :ivar acting: the request for actions that the next step follows; None where there was none since the last step
    :ivar answer: what ``predict``, or a policy that was called by itself, gave last, before the script could change it
    :ivar masks_are_new: whether the script has asked its environment for action masks since it gave some to ``predict``
    :ivar begins: whether ``predict`` was told last that an episode begins
    """

    def __init__(self, lines: UserLines, stop_at: float, folder: Path) -> None:
        self._lines, self._stop_at = lines, stop_at
        self.here = self.on = True
        self.is_asking = self.is_stepping = False
        os.register_at_fork(after_in_child=self._in_copy)
        self.depth: dict[str, int] = defaultdict(int)
        self.leaf_rewards: Any = None
        self.answer: Any = None
        self.begins = False
        self._masks: Any = None
        self._masks_then: Any = None
        self._masks_again = self.masks_are_new = False
        self.said: list[str] = []
        self._calls: Counter[tuple[str, Place, str]] = Counter()
        self._folder = folder
        self._models = ModelsSeen(folder)
        self._normalizations = NormalizationsSeen(folder)
        self._environments: list[ObservedEnvironment] = []
        self.watched: dict[int, Watched] = {}
        self.innermost: Any = None
        self.innermost_gave: Any = None
        self._made: dict[int, tuple[Any, Place, Place]] = {}
        self._arguments: dict[int, tuple[Any, dict[str, object], dict[str, object]]] = {}
        self._in_this_thread = _InThisThread()
        self._inside: dict[int, Any] = {}
        self._wrappers = WrappersSeen()
        self._runs: list[Run] = []
        self._evaluations: list[ObservedEvaluation] = []
        self.acting: Acting | None = None
        self._given: Any = None
        self._asked_last: Acting | None = None
        self._last: _Asked | None = None
        self._earlier: dict[int | None, Request] = {}
        self._batch = Batch()
        self._failed_load: FailedLoad | None = None
        self._last_reset: Place = None

    def _in_copy(self) -> None:
        """This process is a copy of that of the script."""
        self.here = self.on = False

    def __reduce__(self) -> Any:
        """In a worker process, to which an environment's class may take this along, nothing is observed."""
        return Absent, ()

    @contextlib.contextmanager
    def inside(self, kind: str) -> Iterator[None]:
        """While the block runs, an observed call of a kind is going on."""
        self.depth[kind] += 1
        try:
            yield
        finally:
            self.depth[kind] -= 1

    @contextlib.contextmanager
    def learning(self) -> Iterator[None]:
        """While the block runs, a model is trained, and no notes are taken."""
        before, self.on = self.on, False
        try:
            yield
        finally:
            self.on = before and self.here

    def failed(self, error: Exception) -> None:
        """Observing itself raised an error, which the script does not get to see."""
        if threading.current_thread() is not threading.main_thread():
            self.say(_IN_THREADS)
            return
        traceback.print_exception(error)
        self.say(f"not all could be observed: {type(error).__name__}: {error}")

    def say(self, sentence: str) -> None:
        """Say something of the observation, once."""
        if sentence not in self.said:
            self.said.append(sentence)

    @careful
    def note(self, what: str, said: str = "") -> None:
        """Note a call."""
        self._calls[what, self._lines.place(), said] += 1

    # --- Models ---

    @careful
    def model_made(self, model: BaseAlgorithm, made: Made, path: str | None, loaded_on: Any) -> None:
        """A model was constructed, or loaded."""
        self._last = None
        self._models.made(model, made, self._line(), path, loaded_on)

    @careful
    def parameters_set(self, model: BaseAlgorithm, source: Any) -> None:
        """Parameters were put into a model."""
        self._models.parameters_set(model, source)

    @careful
    def took(self, policy: Any, given: Mapping[str, object], missing: Collection[str]) -> None:
        """A policy took parameters, and did not mind that some were missing."""
        own = policy.state_dict().keys()
        if own <= {*missing}:
            inside = (key for key, part in given.items() if isinstance(part, dict) and own <= part.keys())
            self._models.took_nothing(policy, self._line(), next(inside, ""))

    @careful
    def load_failed(self, kind: type[BaseAlgorithm], path: str | None, error: Exception) -> None:
        """``load`` of an algorithm raised."""
        self._failed_load = FailedLoad(kind.__name__, path, self._line(), type(error).__name__)

    @careful
    def model_saved(self, model: BaseAlgorithm, path: str | None) -> None:
        """A model was saved."""
        if path is not None:
            self._models.saved(model, path)

    @careful
    def learns(self, model: BaseAlgorithm) -> None:
        """A model is about to be trained."""
        self._models.learns(model)

    @careful
    def learned(self, model: BaseAlgorithm, steps: int) -> None:
        """A model was trained: the environments in which it was, if they are normalised, are others from now on."""
        self._last = None
        normalize = model.get_vec_normalize_env()
        for key, watched in list(self.watched.items()):
            if normalize is not None and watched.normalization is normalize and watched.switches is not None:
                watched.stop()
                watched.switches.begin_anew()
                del self.watched[key]
        self._models.learned(model, steps, self._line())

    def predicts_again(self, actor: Any, args: Sequence[object], kwargs: Mapping[str, object]) -> bool:
        """Note a call of ``predict`` that is made as the last one was, with nothing else asked in between.

        :return: False where it is another one, and nothing was noted
        """
        last = self._last
        if last is None or last.actor is not actor or self.acting is not None or self._earlier or len(args) != 1:
            return False
        mode = kwargs.get("deterministic", _NOT_GIVEN)
        frame = sys._getframe(2)
        if (
            mode is not last.mode
            or len(kwargs) != (mode is not _NOT_GIVEN)
            or frame.f_lasti != last.at
            or frame.f_code is not last.code
        ):
            return False
        self.acting, self._given, self.begins = last.acting, args[0], False
        self._batch.asked(last.acting)
        return True

    def predicts(self, actor: Any, args: tuple[object, ...], kwargs: dict[str, object], parameters: Parameters) -> None:
        """``predict`` of a model, or of a policy, is called.

        :param parameters: of that method
        """
        try:
            given, of_model = parameters.read(args, kwargs), isinstance(actor, BaseAlgorithm)
            masks, mode, starts = given.get("action_masks"), given.get("deterministic"), given.get("episode_start")
            if masks is not None:
                self._masked(masks)
            mode = None if mode is None or acting.has_one_mode(actor, of_model=of_model) else bool(mode)
            flags = (mode, given.get("state") is not None, starts is not None, masks is not None, False)
            self._acted(actor, "predict" if of_model else "policy.predict", parameters.first(args, kwargs), flags)
            self.begins = starts is not None and bool(np.any(starts))  # type: ignore[call-overload]
            self._remember(actor, args, kwargs, sys._getframe(2))
        except Exception as error:
            self.failed(error)

    def _remember(self, actor: Any, args: tuple[object, ...], kwargs: dict[str, object], frame: FrameType) -> None:
        """Keep a request for actions that the user's own code makes in this frame, if the next may be the same."""
        assert self.acting is not None
        file, _ = self.acting[1][1] or ("", 0)
        if len(args) == 1 and kwargs.keys() <= {"deterministic"} and file == frame.f_code.co_filename:
            mode = kwargs.get("deterministic", _NOT_GIVEN)
            self._last = _Asked(actor, mode, frame.f_code, frame.f_lasti, self.acting)

    @careful
    def forwards(self, policy: Any, observation: Any, given: dict[str, object]) -> None:
        """A policy is called by itself, with tensors.

        :param given: what its parameters are given, by their names
        """
        mode, masked = given.get("deterministic"), given.get("action_masks") is not None
        mode = None if mode is None or acting.has_one_mode(policy, of_model=False) else bool(mode)
        flags = (mode, False, False, masked, acting.is_as_in_training(policy))
        self._acted(policy, "policy()", acting.as_array(observation), flags)

    def _acted(self, actor: Any, how: str, observation: Any, flags: Flags) -> None:
        """Actions were asked for.

        :param actor: a model or a policy
        :param observation: as it was given
        :param flags: whether deterministic, None where that is open or makes no difference; whether state, starts and
            masks were given; whether the network acts as in training
        """
        number = self._models.acts(actor)
        if self.acting is not None and self.acting[0] != number:
            self._earlier[self.acting[0]] = (self.acting, self._given, self.answer)
        self._earlier.pop(number, None)
        asked = (number, (how, self._lines.place(), *flags))
        self._asked_last = self.acting = self._asked_last if asked == self._asked_last else asked
        self._given = observation
        self._batch.asked(self.acting)

    def _masked(self, masks: Any) -> None:
        now = np.array(masks)
        is_same = masks is self._masks and np.array_equal(now, self._masks_then)
        self._masks_again = is_same and not self.masks_are_new  # an environment may give one array again and again
        self._masks, self._masks_then, self.masks_are_new = masks, now, False

    @careful
    def chosen(self, answer: Any, deterministic: bool) -> None:
        """A distribution of the policy's was asked for an action."""
        if self.acting is not None and self.acting[1][0] in (PARTS, DISTRIBUTION):
            number, (how, _, before, *others) = self.acting
            mode = None if how == DISTRIBUTION and before != deterministic else deterministic  # asked both ways
            self.acting = (number, (DISTRIBUTION, self._lines.place(), mode, *others))  # type: ignore[assignment]
            self.answer = as_it_is_now(answer)

    @careful
    def asked_part(self, policy: Any, observation: Any) -> None:
        """A method of a policy was called from whose result actions can be computed, outside a request for actions."""
        if self.acting is None and self._models.number_of(policy) is not None:
            shown = acting.as_array(observation)
            self._acted(policy, PARTS, shown, (None, False, False, False, acting.is_as_in_training(policy)))

    # --- Statistics ---

    @careful
    def normalization_made(self, normalize: VecNormalize, made: Made, path: str | None) -> None:
        """A VecNormalize was constructed, loaded or unpickled; what is loaded is unpickled before."""
        self._normalizations.made(normalize, made, self._line(), path)
        self._note_made(id(normalize), normalize)

    # --- Environments ---

    @careful
    def made_by(self, env: Any) -> None:
        """An environment was made, by ``gym.make`` or its class."""
        self._note_made(id(env.unwrapped), env)

    @careful
    def built(self, env: Any, constructor: Any, args: Any, kwargs: Any) -> None:
        """The class of an environment, a VecEnv or a wrapper is called; those of its base classes follow."""
        if id(env) in self._arguments and self._arguments[id(env)][0] is env:
            return
        with contextlib.suppress(TypeError):  # wrong arguments: the constructor itself will raise
            self._arguments[id(env)] = (env, *arguments_of(constructor, env, args, kwargs))
        self._note_made(id(env), env)

    def _note_made(self, key: int, env: Any) -> None:
        """Note the line that makes an environment, a wrapper or a VecEnv, and the script's own that asks for that."""
        self._made.setdefault(key, (env, self._lines.place(), self._lines.place(in_script=True)))

    @contextlib.contextmanager
    def building(self, env: Any, given: Sequence[object]) -> Iterator[None]:
        """While the block runs, the constructor of an environment, a VecEnv or a wrapper does.

        :param given: its arguments
        """
        building = self._in_this_thread.building
        if any(one is env for one in building):  # this is the constructor of a base class
            yield
            return
        if building and isinstance(building[-1], gym.Wrapper | VecEnvWrapper):
            self._inside[id(env)] = building[-1]
        building.append(env)
        try:
            yield
            self._note_inside(env, given)
        finally:
            building.pop()

    @careful
    def _note_inside(self, env: Any, given: Sequence[object]) -> None:
        """A wrapper that was given no environment has made the one inside it, or will make it later."""
        makes_its_own = not any(isinstance(value, gym.Env | VecEnv) for value in given)
        if makes_its_own and isinstance(env, gym.Wrapper | VecEnvWrapper) and is_whole(env):
            self._inside.setdefault(id(env.unwrapped), env)

    def before(self, env: Any) -> Watched | None:
        """The script is about to reset or step an environment.

        :return: the environment as it is watched; None where it cannot be, or not yet
        """
        try:
            if not is_whole(env):
                return None
            watched = self._watch(env)
        except Exception as error:
            self.failed(error)
            return None
        self.innermost, self.innermost_gave, self.leaf_rewards = watched.innermost, None, None
        return watched

    @careful
    def began(self, env: Any, result: Any) -> None:
        """An environment, or a wrapper around one, returned the first observation of an episode."""
        self._wrappers.began(env, result)

    @careful
    def was_reset(self, env: Any, result: Any, seeds: Sequence[int | None]) -> None:
        """The script reset an environment, or several side by side, with these seeds."""
        watched, self._last_reset = self._watch(env), self._lines.place()
        watched.first_reset = watched.first_reset or self._last_reset
        if watched.begin(seeds) and watched.run is not None and self._last_reset != watched.first_reset:
            watched.run.cut_at = self._last_reset
        self._keep_shown(watched, result[0] if not watched.vectorized and isinstance(result, tuple) else result)
        watched.has_view = True

    def was_stepped(self, watched: Watched, action: Any, result: Any) -> None:
        """The script stepped an environment.

        :param action: as it was before the step
        :raises EnoughSeen: the script is to end
        """
        row, together = None, self._choose(watched, action) if self._earlier else {}
        if not watched.vectorized and isinstance(self.answer, np.ndarray) and self.answer.ndim:
            self.acting, row = self._batch.of(watched.number, self.acting, self.answer, watched.action_shape)
        run, asked = watched.run, self.acting
        if run is not None and asked is not None and asked is run.acting:
            run.times += 1
        else:
            run = self._run(watched)
        run.steps += 1
        if together and not watched.in_thread:  # there, requests of others come in between
            run.step_among_several(together)
        wants_views = len(run.views) < MOST_VIEWS
        if asked is None:
            run.step_unasked(again=watched.action is not None and are_equal(watched.action, action))
        else:
            run.in_a_row = 0
            self._note_action(watched, run, action, row)
            if wants_views and watched.has_view:
                self._note_view(watched, run, row)
        watched.action = action
        watched.step(result, self.leaf_rewards)
        watched.has_view = wants_views
        watched.returned = result[0]
        if wants_views:
            self._keep_shown(watched, result[0])
        self.acting = None
        if time.monotonic() > self._stop_at:
            raise EnoughSeen("time")
        slot = watched.slots[0]
        most = MOST_WITHOUT_MODEL if run.model is None else MOST_EPISODES
        if len(run.episodes) >= most or slot.beyond >= MOST_BEYOND or slot.length >= MOST_STEPS:
            raise EnoughSeen("enough")

    def _choose(self, watched: Watched, action: Any) -> dict[Acting, bool]:
        """Where several models were asked since the last step, let this one follow the request that it belongs to.

        Where another environment's observation was given, too, models act side by side, each in an environment of its
        own. Else the step is of the one model that was given this environment's, if its action is taken; where all were
        given it, of the one that has acted in it so far; and otherwise of the last one that was asked.

        :return: of several models that were all given this environment's observation, and that of no other one, whether
            the action is the one that each gave; empty otherwise
        """
        asked = {**self._earlier}
        if self.acting is not None:
            asked[self.acting[0]] = (self.acting, self._given, self.answer)
        self._earlier.clear()
        before = None if watched.run is None else watched.run.model
        own, elsewhere = _given_by(watched, asked), self._given_elsewhere(watched, asked)
        several = len(own) == len(asked) > 1 and not elsewhere
        if own and elsewhere:
            chosen = min(own, key=lambda model: (model in elsewhere, model != before))
            self._earlier.update({model: asked[model] for model in elsewhere if model != chosen})
        elif len(own) == 1 and (self.acting is None or is_answer(action, asked[own[0]][2])):
            chosen = own[0]
        elif several:
            chosen = before if before in own else own[-1]
        else:
            return {}
        self.acting, self._given, self.answer = asked[chosen]
        return {acting: is_answer(action, answer) for acting, _, answer in asked.values()} if several else {}

    def _given_elsewhere(self, watched: Watched, asked: Mapping[int | None, Request]) -> list[int | None]:
        """The models that were given the observation of another environment than this one."""
        others = [one for one in [*self.watched.values()] if one is not watched]
        found = {model for other in others for model in _given_by(other, asked)}
        return [model for model in asked if model in found]

    def _watch(self, env: Any) -> Watched:
        watched = self.watched.get(id(env))
        if watched is not None and watched.env is env:
            return watched
        vectorized = isinstance(env, VecEnv)
        layers = layers_of(env)
        in_thread = threading.current_thread() is not threading.main_thread()
        if in_thread:
            self.say(_IN_THREADS)
        normalizing: list[Any] = [layer for layer in layers if isinstance(layer, VecNormalize)]
        normalize, inner, *_ = [*normalizing, None, None]
        number = None if normalize is None else self._normalizations.begins(normalize, self._line())
        seen = described(layers, self._made_at, number, self._arguments, self._inside)
        own = own_wrappers(single_of(layers[-1]), self._inside)
        within = None if inner is None else self._normalizations.begins(inner, self._line())
        vec_line, leaf_line = (self._made_at(one) if vectorized else None for one in (env, layers[-1]))
        asked = self._lines.at(self._made.get(id(single_of(layers[-1]).unwrapped), (None, None, None))[2])
        seen = replace(seen, vec_line=vec_line, leaf_line=leaf_line, inner_normalization=within, asked=asked)
        self._environments.append(seen)
        self._wrappers.around(own)  # what comes before may raise, and is tried again in the next step
        slots = [Slot() for _ in range(env.num_envs if vectorized else 1)]
        switches = None if number is None else self._normalizations[number]
        number = len(self._environments) - 1
        made = Watched(env, number, vectorized, slots, normalize, layers[-1], switches, in_thread=in_thread)
        made.action_shape = getattr(getattr(env, "action_space", None), "shape", None)
        single = single_of(layers[-1])
        if normalize is None and isinstance(single, gym.Env):
            made.innermost = single.unwrapped
        self.watched[id(env)] = made
        return made

    def _line(self) -> Line | None:
        """The user's line that is being carried out."""
        return self._lines.at(self._lines.place())

    def _made_at(self, env: Any) -> Line | None:
        """The line that made an environment, a wrapper, or a VecEnv."""
        return self._lines.at(self._made.get(id(env), (None, None, None))[1])

    def _run(self, watched: Watched) -> Run:
        """The run that a step belongs to; a new one begins where another model acts."""
        model, acts = (None, None) if self.acting is None else self.acting
        run = watched.run
        if run is not None and run.model is None and not run.acts and not run.episodes:
            run.model, run.mode = model, None if acts is None else acts[2]  # which was not asked for the first steps
        if run is None or (
            acts is not None
            and (run.model != model or (run.mode is not acts[2] and _begins_in_other_mode(watched, run, acts)))
        ):
            watched.stop()
            if run is not None and run.model is None and watched.switches is not None:
                self._normalizations.begins_anew(watched.switches)  # steps without a model may have warmed it up
            mode = None if acts is None else acts[2]
            run = watched.run = Run(
                model, watched.number, place=self._lines.place(), in_thread=watched.in_thread, mode=mode
            )
            self._runs.append(run)
        if self.acting is not None:
            run.follows(self.acting)
        return run

    def _note_action(self, watched: Watched, run: Run, action: Any, row: int | None) -> None:
        """Compare an action with the one that the policy gave, which has been asked for one."""
        assert self.acting is not None
        run.begins += self.begins
        run.masks_again += self._masks_again
        how = self.acting[1][0]
        if how in ("policy()", DISTRIBUTION):  # predict() clips
            self._note_bounds(watched, run, action)
        elif how != PARTS:
            answer = self.answer
            are_arrays = row is None and isinstance(action, np.ndarray) and isinstance(answer, np.ndarray)
            is_same = are_arrays and action.dtype == answer.dtype and action.tobytes() == answer.tobytes()
            run.changed += not (is_same or is_answer(action, answer, row))

    def _note_bounds(self, watched: Watched, run: Run, action: Any) -> None:
        space = watched.env.action_space
        if isinstance(space, spaces.Box) and isinstance(action, np.ndarray) and action.dtype.kind == "f":
            outside = bool((action < space.low).any() or (action > space.high).any())
            model = None if run.model is None else self._models[run.model]
            squashed = model is not None and acting.is_squashed(model, space)
            run.outside += outside or (squashed and is_answer(action, self.answer))

    def _note_view(self, watched: Watched, run: Run, row: int | None) -> None:
        n_envs = len(watched.slots) if watched.vectorized else None
        shown = self._given if row is None else rows(self._given, row)
        raw = None if watched.raw is None else numbers(watched.raw, None)
        returned = numbers(watched.returned, n_envs)
        given = numbers(shown, n_envs)
        if given is None or (returned is not None and len(given) != len(returned)):
            given = numbers(shown, 1)  # a script may give one of several, or add an axis to a single one
        if returned is not None and given is not None:
            run.parts = run.parts or sizes(first_of(watched.returned, n_envs))
            inner = None if watched.inner is None else numbers(watched.inner, None)
            run.views.append(View(returned if raw is None else raw, returned, given, inner))

    def _keep_shown(self, watched: Watched, returned: Any) -> None:
        """Keep what an environment returned, and what its first one gave before VecNormalize and the script's wrappers.

        None of the latter where that is not known, as of an environment in another process.
        """
        watched.returned = returned
        watched.raw, watched.inner = None if watched.vectorized else returned, self.innermost_gave
        if watched.normalization is not None:
            watched.raw = first_of(watched.normalization.get_original_obs(), len(watched.slots))

    # --- The end ---

    @careful
    def evaluated(self, model: Any, env: Any, settings: tuple[int, bool, int], result: Any) -> None:
        """``evaluate_policy`` was called.

        :param settings: episodes, whether deterministic, and :meth:`episodes_so_far` before it
        :param result: what it gave; None where it raised
        """
        watched = self.watched.get(id(env)) or self._around(env)
        mean, std = (float("nan"), float("nan"))
        if isinstance(result, tuple) and result and len(np.atleast_1d(result[0])):
            rewards = np.atleast_1d(np.asarray(result[0], dtype=np.float64))
            mean = float(rewards.mean())
            std = float(result[1]) if np.ndim(result[0]) == 0 else float(rewards.std())
        number = None if watched is None else watched.number
        self._evaluations.append(
            ObservedEvaluation(self._line(), self._models.number_of(model), number, *settings, mean, std)
        )

    def _around(self, env: Any) -> Watched | None:
        """The last VecEnv that was put around a single environment, as ``evaluate_policy`` does."""
        for watched in reversed(self.watched.values()):
            if any(one is env for one in getattr(watched.leaf, "envs", ())):
                return watched
        return None

    def episodes_so_far(self, env: Any) -> int:
        """How many episodes the present run in an environment has, when a reset has ended those that go on."""
        watched = self.watched.get(id(env))
        if watched is None or watched.run is None:
            return 0
        return len(watched.run.episodes) + sum(bool(slot.length) for slot in watched.slots)

    @careful
    def _look_at_the_last_made(self) -> None:
        """Describe the VecEnv, or else the environment, that was made last, where the script has stepped none."""
        whole = (env for env, *_ in self._made.values() if not isinstance(env, VecNormalize) or "returns" in vars(env))
        made = sorted(whole, key=lambda env: isinstance(env, VecEnv))
        if made and not self._environments:
            self._watch(made[-1])

    def observation(self, script: str) -> Observation:
        """All that was seen."""
        for watched in self.watched.values():
            watched.stop()
        self._look_at_the_last_made()
        calls = self._calls.items()
        environments = self._wrappers.noted(self._environments)
        own_classes = keep_classes([layers_of(one.env) for one in self.watched.values()], self._folder)
        return Observation(
            script=script,
            calls=[ObservedCall(what, self._lines.at(at), said, count) for (what, at, said), count in calls],
            models=self._models.record(),
            normalizations=self._normalizations.record(),
            environments=keep_arguments(environments, self._folder),
            own_classes=own_classes,
            runs=[run.record(self._lines.at, self._lines.formula_of) for run in self._runs],
            evaluations=self._evaluations,
            failed_load=self._failed_load,
            last_reset=self._lines.at(self._last_reset),
            said=tuple(self.said),
        )


def _given_by(watched: Watched, asked: Mapping[int | None, Request]) -> list[int | None]:
    """The models that were given what an environment returned last; where none was given just that, a copy of it."""
    same = [model for model, (_, given, _) in asked.items() if given is watched.returned]
    return same or [model for model, (_, given, _) in asked.items() if is_copy(given, watched.returned)]


def _begins_in_other_mode(watched: Watched, run: Run, acts: Any) -> bool:
    """Whether a line that asked for deterministic actions begins an episode with stochastic ones, or vice versa.

    So it does where a script compares both.
    """
    began = not any(slot.length for slot in watched.slots)
    return began and {(place, mode) for _, place, mode, *_ in run.acts} == {(acts[1], run.mode)}
