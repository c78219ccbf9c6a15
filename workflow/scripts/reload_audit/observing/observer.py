"""Collect, while a script runs, what it does with models, environments and episodes.

``hooks`` calls this from inside the functions of SB3 and Gymnasium that it has replaced. Nothing here draws a random
number, or changes an object that it is shown.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from reload_audit.observing import acting
from reload_audit.observing.acting import (
    DISTRIBUTION,
    PARTS,
    are_equal,
    is_answer,
    rows,
)
from reload_audit.observing.built_seen import BuiltSeen
from reload_audit.observing.describe import described, is_whole, layers_of, own_wrappers, single_of
from reload_audit.observing.keeping_out import Absent, EnoughSeen, careful
from reload_audit.observing.lines import UserLines
from reload_audit.observing.models_seen import ModelsSeen
from reload_audit.observing.normalizations_seen import NormalizationsSeen
from reload_audit.observing.own_classes import keep_arguments, keep_classes
from reload_audit.observing.requests_seen import RequestsSeen
from reload_audit.observing.tracking import MOST_VIEWS, Place, Run, Slot, Watched, first_of, numbers, sizes
from reload_audit.observing.wrappers_seen import WrappersSeen
from reload_audit.records.observation import (
    ActionTaken,
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
    :ivar requests: for actions
    :ivar built: environments, VecEnvs and wrappers
    """

    def __init__(self, lines: UserLines, stop_at: float, folder: Path) -> None:
        self._lines, self._stop_at = lines, stop_at
        self.here = self.on = True
        self.is_asking = self.is_stepping = False
        os.register_at_fork(after_in_child=self._in_copy)
        self.depth: dict[str, int] = defaultdict(int)
        self.leaf_rewards: Any = None
        self.said: list[str] = []
        self._calls: Counter[tuple[str, Place, str]] = Counter()
        self._folder = folder
        self._models = ModelsSeen(folder)
        self.requests = RequestsSeen(lines, self._models, self.failed)
        self.built = BuiltSeen(lines, self.failed)
        self._normalizations = NormalizationsSeen(folder)
        self._environments: list[ObservedEnvironment] = []
        self.watched: dict[int, Watched] = {}
        self.innermost: Any = None
        self.innermost_gave: Any = None
        self._wrappers = WrappersSeen()
        self._runs: list[Run] = []
        self._evaluations: list[ObservedEvaluation] = []
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
        self.requests.forget()
        self._models.made(model, made, self._line(), path, loaded_on)

    @careful
    def parameters_set(self, model: BaseAlgorithm, source: Any) -> None:
        """Parameters were put into a model."""
        self._models.parameters_set(model, source, self._line())

    @careful
    def parameters_changed(self, actor: Any) -> None:
        """A model, or its policy, took other parameters, or was built anew."""
        self._models.parameters_changed(actor, self._line())

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
        self.requests.forget()
        normalize = model.get_vec_normalize_env()
        for key, watched in list(self.watched.items()):
            if normalize is not None and watched.normalization is normalize and watched.switches is not None:
                watched.stop()
                watched.switches.begin_anew()
                del self.watched[key]
        self._models.learned(model, steps, self._line())

    # --- Statistics ---

    @careful
    def normalization_made(self, normalize: VecNormalize, made: Made, path: str | None) -> None:
        """A VecNormalize was constructed, loaded or unpickled; what is loaded is unpickled before."""
        self._normalizations.made(normalize, made, self._line(), path)
        self.built.note(normalize)

    # --- Environments ---

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
        requests, row, together = self.requests, None, {}
        if requests.earlier:
            others = [one for one in [*self.watched.values()] if one is not watched]
            together = requests.choose(watched, action, others)
        if not watched.vectorized and isinstance(requests.answer, np.ndarray) and requests.answer.ndim:
            row = requests.row_of(watched)
        run, asked = watched.run, requests.acting
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
            self._note_taken(watched, run, action)
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
        requests.acting = None
        if time.monotonic() > self._stop_at:
            raise EnoughSeen("time")
        slot = watched.slots[0]
        most = MOST_WITHOUT_MODEL if run.model is None else MOST_EPISODES
        if len(run.episodes) >= most or slot.beyond >= MOST_BEYOND or slot.length >= MOST_STEPS:
            raise EnoughSeen("enough")

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
        seen = described(layers, self.built.line_of, number, self.built.arguments, self.built.inside)
        own = own_wrappers(single_of(layers[-1]), self.built.inside)
        within = None if inner is None else self._normalizations.begins(inner, self._line())
        vec_line, leaf_line = (self.built.line_of(one) if vectorized else None for one in (env, layers[-1]))
        asked = self.built.asking_line_of(single_of(layers[-1]).unwrapped)
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

    def _run(self, watched: Watched) -> Run:
        """The run that a step belongs to; a new one begins where another model acts."""
        acting = self.requests.acting
        model, acts = (None, None) if acting is None else acting
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
        if acting is not None:
            run.follows(acting)
        return run

    def _note_action(self, watched: Watched, run: Run, action: Any, row: int | None) -> None:
        """Compare an action with the one that the policy gave, which has been asked for one."""
        requests = self.requests
        assert requests.acting is not None
        run.begins += requests.begins
        run.masks_again += requests.masks_again
        how = requests.acting[1][0]
        if how in ("policy()", DISTRIBUTION):  # predict() clips
            self._note_bounds(watched, run, action)
        elif how != PARTS:
            answer = requests.answer
            are_arrays = row is None and isinstance(action, np.ndarray) and isinstance(answer, np.ndarray)
            is_same = are_arrays and action.dtype == answer.dtype and action.tobytes() == answer.tobytes()
            run.changed += not (is_same or is_answer(action, answer, row))
            if run.changed:
                self._note_taken(watched, run, action, answer if row is None else answer[row])
        else:
            self._note_taken(watched, run, action)

    def _note_taken(self, watched: Watched, run: Run, action: Any, chosen: Any = None) -> None:
        """Keep one of the first actions that are altered, or the script's own, with what it is made of, or follows."""
        if len(run.actions) >= MOST_VIEWS or not (watched.has_view or chosen is not None):
            return
        n_envs = len(watched.slots) if watched.vectorized else None
        taken = acting.as_numbers(action, n_envs)
        given = None if chosen is None else acting.as_numbers(chosen, n_envs)
        returned = numbers(watched.returned, n_envs)
        raw = returned if watched.raw is None else numbers(watched.raw, None)
        if taken is not None and given is not None:
            run.actions.append(ActionTaken(taken, given))
        elif taken is not None and chosen is None and raw is not None and returned is not None:
            run.actions.append(ActionTaken(taken, None, raw, returned))

    def _note_bounds(self, watched: Watched, run: Run, action: Any) -> None:
        space = watched.env.action_space
        if isinstance(space, spaces.Box) and isinstance(action, np.ndarray) and action.dtype.kind == "f":
            outside = bool((action < space.low).any() or (action > space.high).any())
            model = None if run.model is None else self._models[run.model]
            squashed = model is not None and acting.is_squashed(model, space)
            run.outside += outside or (squashed and is_answer(action, self.requests.answer))

    def _note_view(self, watched: Watched, run: Run, row: int | None) -> None:
        n_envs = len(watched.slots) if watched.vectorized else None
        given = self.requests.given
        shown = given if row is None else rows(given, row)
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
        whole = (env for env in self.built.all() if not isinstance(env, VecNormalize) or "returns" in vars(env))
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


def _begins_in_other_mode(watched: Watched, run: Run, acts: Any) -> bool:
    """Whether a line that asked for deterministic actions begins an episode with stochastic ones, or vice versa.

    So it does where a script compares both.
    """
    began = not any(slot.length for slot in watched.slots)
    return began and {(place, mode) for _, place, mode, *_ in run.acts} == {(acts[1], run.mode)}
