"""Run the measured episodes under one scenario, in a process of its own: same seeds and actions, one thing changed."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any

import gymnasium as gym
import torch as th

from reload_audit.environments.build import close, make_env
from reload_audit.environments.ids import register_environments
from reload_audit.environments.valid_actions import can_be_masked, sample_valid
from reload_audit.probing import generators, state
from reload_audit.probing.clocks import clock
from reload_audit.probing.code import Code
from reload_audit.probing.scenario import GLOBAL, PHASES, REAL_ENTROPY, Leaf, Play, Result, Scenario
from reload_audit.probing.stated_problems import stating_problems
from reload_audit.probing.traces import Moment, Trace, moment
from reload_audit.probing.watching import Watch
from reload_audit.records.environment_spec import EnvironmentSpec
from reload_audit.records.probe_record import Phase, Place

_USUAL, _OTHER = 20_000, 70_000
"""Seeds of the global generators in the usual and in another state; phase, variant and play are added."""

_PLAYS_OF_A_VARIANT = 1000
"""More plays than a scenario has, so that no two variants seed a global generator alike."""

_PRELUDE = 500_000
"""Seed of the first episode that is run before the measured ones; each further variant adds as much again."""

_STRANGERS = 5
"""Episodes at most that another instance runs before the measured one is made."""


@stating_problems
def run(spec: EnvironmentSpec, plays: Sequence[Play], scenario: Scenario, trusted: tuple[str, ...] = ()) -> Result:
    """Run every play as the scenario says, each on an environment of its own.

    :param trusted: packages that may have registered the environment
    """
    th.set_num_threads(1)
    return _Run(spec, plays, scenario, trusted).result()


class _Run:
    def __init__(
        self, spec: EnvironmentSpec, plays: Sequence[Play], scenario: Scenario, trusted: tuple[str, ...]
    ) -> None:
        self._spec = spec
        self._trusted = trusted
        self._plays = plays
        self._scenario = scenario
        self._code = Code(spec)
        self._watch = Watch(self._code) if scenario.watched else None
        self._entropy: generators.Entropy | None = None
        if scenario.fixed_entropy != REAL_ENTROPY or scenario.noted_entropy:
            self._entropy = generators.Entropy(self._who_asks, scenario.fixed_entropy)
        self._result = Result()
        self._play = 0

    def result(self) -> Result:
        with contextlib.ExitStack() as stack:
            stack.enter_context(clock(self._scenario.clock, self._scenario.variant))
            if self._entropy is not None:
                stack.enter_context(self._entropy.replaced())
            self._do("import", self._import)
            for number, play in enumerate(self._plays):
                self._play = number
                self._measure(play)
        if self._entropy is not None:
            self._result.asked = self._entropy.asked
        if self._watch is not None:
            self._result.draws, self._result.clocks = self._watch.draws, self._watch.clocks
            self._result.order_lines = self._watch.order_lines()
        return self._result

    def _import(self) -> None:
        register_environments(self._spec.env, self._trusted)
        self._code.import_modules()

    def _measure(self, play: Play) -> None:
        before, restored = self._scenario.before, self._scenario.restored
        shared = state.roots(None, self._code)
        kept = state.keep(shared, restored)
        if before in ("twin", "strangers"):
            self._use_another(play)
            state.put_back(state.roots(None, self._code), kept)
        env = self._make()
        kept = state.keep(state.roots(env, self._code), restored)
        if before == "same":
            self._result.firsts.append(self._episode(env, play))
        elif before == "episodes":
            self._use(env, self._scenario.episodes, remember=not self._result.traces)
        if before in ("same", "episodes"):
            state.put_back(state.roots(env, self._code), kept)
        for name, number in self._scenario.moved.items():
            state.set_number(state.roots(env, self._code), name, number)
        self._result.before.append(state.capture(state.roots(env, self._code)))
        other = _Other(self, env) if before == "interleaved" else None
        self._result.traces.append(self._episode(env, play, other, measured=True))
        close(env)

    def _use_another(self, play: Play) -> None:
        env = self._make()
        if self._scenario.before == "twin":
            self._result.firsts.append(self._episode(env, play))
        else:
            self._use(env, min(self._scenario.episodes, _STRANGERS))
        close(env)

    def _make(self) -> gym.Env:
        made: gym.Env = self._do("construct", make_env, self._spec)
        return made

    def _episode(self, env: gym.Env, play: Play, other: _Other | None = None, measured: bool = False) -> Trace:
        observation, _ = self._do("reset", env.reset, seed=play.seed)
        moments = [moment(observation)]
        if measured:
            self._result.after.append(state.capture(state.roots(env, self._code)))
        if other is not None:
            other.reset()
        self._do("step", self._steps, env, play, moments, other)
        return Trace(play.seed, play.source, tuple(moments))

    def _steps(self, env: gym.Env, play: Play, moments: list[Moment], other: _Other | None) -> None:
        for action in play.actions:
            observation, reward, terminated, truncated, _ = env.step(copy.deepcopy(action))
            moments.append(moment(observation, reward, bool(terminated), bool(truncated)))
            if terminated or truncated:
                return
            if other is not None:
                other.step()

    def _use(self, env: gym.Env, episodes: int, remember: bool = False) -> None:
        """Run other episodes than the measured ones, with random actions.

        :param remember: whether to record the values of the instance's numbers before each of them
        """
        first_seed = _PRELUDE * (1 + self._scenario.variant)
        actions = RandomActions(env, first_seed)
        left = self._scenario.prelude_steps
        for index in range(episodes):
            if remember:
                self._remember(state.capture(state.roots(env, self._code)))
            self._do("reset", env.reset, seed=first_seed + index)
            left -= self._do("step", _play_on, env, actions, left)
            if left <= 0:
                return

    def _remember(self, leaves: Mapping[str, Leaf]) -> None:
        for name, leaf in leaves.items():
            if leaf.number is not None:
                self._result.history.setdefault(name, []).append(leaf.number)

    def _do(self, phase: Phase, function: Callable, *arguments: Any, **named: Any) -> Any:
        """Call a function with the global generators in the state that the scenario gives them in this phase."""
        generators.seed_global({name: self._global_seed(name, phase) for name in GLOBAL})
        if self._entropy is not None:
            self._entropy.phase = phase
            self._entropy.restart()
        known = generators.fingerprints()
        if self._watch is None:
            value = function(*arguments, **named)
        else:
            self._watch.phase = phase
            with self._watch.following():
                value = function(*arguments, **named)
        for name, fingerprint in generators.fingerprints().items():
            if fingerprint != known[name] and phase not in self._result.drawn.setdefault(name, []):
                self._result.drawn[name].append(phase)
        return value

    def _global_seed(self, generator: str, phase: Phase) -> int:
        """What a global generator is seeded with before a phase: another number for every variant and every play.

        What is drawn once in a process, at an import for instance, sees only the first play's.
        """
        if phase not in self._scenario.others.get(generator, ()):
            return _USUAL + PHASES.index(phase)
        other = _PLAYS_OF_A_VARIANT * self._scenario.variant + self._play
        return _OTHER + PHASES.index(phase) + len(PHASES) * other

    def _who_asks(self, frame: FrameType | None) -> Place | None:
        """The innermost line of the environment's own code that a call comes from."""
        own = self._code.nearest(frame)
        return None if own is None else self._code.place(own)

    # For another instance that is used between the steps of the measured one.

    @contextlib.contextmanager
    def aside(self, env: gym.Env) -> Iterator[None]:
        """Use another instance in the block, and note what of the measured one that changes.

        Global generators and fixed entropy are afterwards what they were; so are the attributes to put back.

        :param env: the measured one
        """
        kept = state.keep(state.roots(env, self._code), self._scenario.restored)
        known = state.capture(state.roots(env, self._code)) if self._scenario.watched else {}
        with generators.global_states_kept(), self._entropy.kept() if self._entropy else contextlib.nullcontext():
            yield
        for name, leaf in state.capture(state.roots(env, self._code)).items() if known else ():
            if name in known and known[name].digest != leaf.digest:
                self._result.touched.setdefault(name, (known[name], leaf))
        state.put_back(state.roots(env, self._code), kept)

    def make_other(self) -> gym.Env:
        """Make another instance; neither the watch nor the record of draws sees it."""
        generators.seed_global(dict.fromkeys(GLOBAL, _USUAL + PHASES.index("construct")))
        if self._entropy is not None:
            self._entropy.restart()
        return make_env(self._spec)


class _Other:
    """Another instance, which is reset and stepped after each reset and step of the measured one."""

    def __init__(self, run: _Run, measured: gym.Env) -> None:
        self._run = run
        self._measured = measured
        with run.aside(measured):
            self._env = run.make_other()
        self._actions = RandomActions(self._env, seed=600_000)
        self._seed = 600_000

    def reset(self) -> None:
        self._seed += 1
        with self._run.aside(self._measured):
            self._env.reset(seed=self._seed)

    def step(self) -> None:
        over = False
        with self._run.aside(self._measured):
            _, _, terminated, truncated, _ = self._env.step(self._actions.next())
            over = bool(terminated or truncated)
        if over:
            self.reset()


class RandomActions:
    """Random actions that the seed decides; only valid ones where an environment masks its actions."""

    def __init__(self, env: gym.Env, seed: int) -> None:
        self._space = copy.deepcopy(env.action_space)
        self._space.seed(seed)
        self._env = env
        self._masked = can_be_masked(env.action_space) and env.has_wrapper_attr("action_masks")

    def next(self) -> Any:
        if not self._masked:
            return self._space.sample()
        return sample_valid(self._space, self._env.get_wrapper_attr("action_masks")())


def _play_on(env: gym.Env, actions: RandomActions, most: int) -> int:
    """Step until the episode ends, ``most`` steps at most; how many steps that took."""
    for step in range(most):
        _, _, terminated, truncated, _ = env.step(actions.next())
        if terminated or truncated:
            return step + 1
    return most
