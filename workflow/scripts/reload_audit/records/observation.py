"""What a script of the user's was seen to do with models and environments: the observation of one run of it.

Calls are listed with the line of the user's own code that made them. Models, environments and VecNormalize layers are
numbered in the order in which the script made them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from reload_audit.records.environment_spec import VEC_FRAME_STACK, WrapperSpec
from reload_audit.records.plain_data import PlainData

Made = Literal["constructed", "loaded", "unpickled"]
"""How an object came to be: by its constructor, by its class's ``load``, or by the user's own unpickling."""

Ending = Literal["ended", "cut", "open"]
"""An episode that ended by itself, one that a reset ended before, and one that was going on when the script stopped."""


@dataclass(frozen=True)
class Line(PlainData):
    """A line of the user's code.

    :param file: its path from the script's folder
    :param code: its text, without indentation
    :param scope: the functions and classes that it stands in, the outer ones first: ``Agent.act``; empty for none
    """

    file: str
    line: int
    code: str
    scope: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    def sees(self, code: str, other: Line) -> bool:
        """Whether code of another line stands for the same on this one.

        So it does in one function, or one inside that, for what is global, and among methods for what ``self`` has.
        """
        files = {one.file.partition(" In [")[0] for one in (self, other)}  # the cells of a notebook share their names
        if len(files) > 1 or not other.scope:
            return len(files) == 1
        of_one, of_other = (one.scope.rpartition(".")[0] for one in (self, other))
        is_of_self = code.startswith("self.") and of_one == of_other
        return is_of_self or f"{self.scope}.".startswith(f"{other.scope}.")


@dataclass(frozen=True)
class ObservedCall(PlainData):
    """Calls of one function, from one line.

    :param what: such as ``gym.make``, ``PPO.load``, ``set_parameters``
    :param line: None where no line of the user's code made it
    :param said: what it was called with, as far as it matters, in words
    """

    what: str
    line: Line | None
    said: str = ""
    count: int = 1


@dataclass(frozen=True)
class ObservedModel(PlainData):
    """A model that the script made.

    :param algo: its class
    :param line: that made it
    :param path: the zip that it was loaded from, absolute; None where it was not, or not from a file
    :param loaded_on: the model whose ``load`` was called; None where that of a class was
    :param set_from: zips that ``set_parameters`` read into it; empty texts for parameters that were no file
    :param set_line: that gave it other parameters last before it first acted, those of no file; None where it was not
        seen, as in place; and ``set_again_line`` after that
    :param learned: steps that it was trained for in the script before it last acted; 0 for none
    :param learn_line: of that training
    :param learn_statistics: file that the observer made of the VecNormalize around its environments when that ended
    :param learn_count: samples of observations in the VecNormalize around its environments when that began; -1 for none
    :param saved: zips that it was saved to, absolute
    :param kept: zip that the observer made of it, where it was trained, but neither saved nor ever acted
    :param took_nothing: of a ``load_state_dict(..., strict=False)`` that found none of them in what it was given
    :param kept_under: the key under which that has them; empty for none
    :param weights: digest of its policy's parameters when it was made, empty for a new model that never acts
    :param weights_learned: digest of them when the last training of it in the script ended; empty for none
    :param weights_acting: digest of them when it first acted outside ``learn``; empty where it never did
    :param weights_last: digest of them when the script ended
    """

    algo: str
    made: Made
    line: Line | None
    path: str | None = None
    loaded_on: int | None = None
    set_from: tuple[str, ...] = ()
    set_line: Line | None = None
    set_again_line: Line | None = None
    learned: int = 0
    learn_line: Line | None = None
    learn_count: float = 0.0
    learn_statistics: str = ""
    saved: tuple[str, ...] = ()
    kept: str = ""
    took_nothing: Line | None = None
    kept_under: str = ""
    weights: str = ""
    weights_learned: str = ""
    weights_acting: str = ""
    weights_last: str = ""


@dataclass(frozen=True)
class FailedLoad(PlainData):
    """A model's ``load`` that raised.

    :param algo: the class that was to load it
    :param path: the zip, absolute; None for what is no file
    :param raised: name of the exception
    """

    algo: str
    path: str | None
    line: Line | None
    raised: str = ""

    @property
    def is_missing(self) -> bool:
        """Whether there is no such file."""
        return self.path is not None and not Path(self.path).is_file()


@dataclass(frozen=True)
class ObservedNormalization(PlainData):
    """A VecNormalize that the script made, and how it was when environments were stepped through it.

    :param path: the file that it was loaded from
    :param steps: of its environments, outside ``learn``
    :param updating: steps with ``training`` set
    :param scaling: steps with ``norm_reward`` set
    :param normalizing: steps with ``norm_obs`` set
    :param count: samples of observations in its statistics before the first of these steps
    :param count_last: and after the last
    :param moments: digest of means and variances before the first of these steps
    :param inputs: the file with these statistics that the observer wrote; empty where there is none
    """

    made: Made
    line: Line | None
    path: str | None = None
    steps: int = 0
    updating: int = 0
    scaling: int = 0
    normalizing: int = 0
    count: float = 0.0
    count_last: float = 0.0
    moments: str = ""
    inputs: str = ""


@dataclass(frozen=True)
class Spaces(PlainData):
    """The spaces of an environment as texts, such as ``Box(-1, 1, (1,), float)``; empty where they are not known."""

    actions: str = ""
    observations: str = ""


@dataclass(frozen=True)
class ObservedWrapper(PlainData):
    """A wrapper of the user's own around an environment, or around its VecEnv.

    :param spec: its class, and what that was called with
    :param line: that made it
    :param defaults: of the parameters of its class
    :param spaces: as it leaves them
    :param changes_observations: whether it was seen to change the first observation of an episode
    """

    spec: WrapperSpec
    line: Line | None
    defaults: Mapping[str, object] = field(default_factory=dict)
    spaces: Spaces = field(default_factory=Spaces)
    changes_observations: bool = False


@dataclass(frozen=True)
class ObservedEnvironment(PlainData):
    """Environments that the script stepped, as it called them: a VecEnv or a single environment.

    :param line: that made the innermost environment
    :param env_id: of its registration; empty for a class that was not registered
    :param env_class: ``package.module:Class`` of the innermost environment; empty where it is in another process
    :param env_kwargs: of its registration and ``make``; None where they are not known
    :param env_defaults: of the parameters of its class; empty where its constructor was not seen
    :param time_limit: steps; None for no limit, or where it is not known
    :param wrappers: the user's own, innermost first; None where they are in another process
    :param monitored: whether a Monitor is among them
    :param layers: classes of the VecEnv's layers, outermost first; empty for a single environment
    :param normalization: number of the VecNormalize around it; None for none
    :param inner_normalization: number of a second one inside that; None for none
    :param n_envs: environments side by side; 1 for a single one
    :param vec_line: that made the outermost layer of the VecEnv; None for a single environment
    :param leaf_line: that made the innermost one, likewise
    :param spaces: of the environment itself; of one in another process, as its wrappers leave them
    :param vec_wrappers: around the VecEnv, innermost first, without those that only watch, and VecTransposeImage
    :param asked: the line of the script itself that asks for it, where ``line`` may lie in a module
    """

    line: Line | None
    env_id: str
    env_class: str
    env_kwargs: Mapping[str, object] | None
    env_defaults: Mapping[str, object]
    time_limit: int | None
    wrappers: Sequence[ObservedWrapper] | None
    monitored: bool
    layers: tuple[str, ...]
    normalization: int | None
    n_envs: int
    vec_line: Line | None = None
    leaf_line: Line | None = None
    inner_normalization: int | None = None
    spaces: Spaces = field(default_factory=Spaces)
    vec_wrappers: Sequence[ObservedWrapper] = ()
    asked: Line | None = None

    @property
    def stacks_frames(self) -> bool:
        """Whether a VecFrameStack is around it."""
        return any(one.spec.name == VEC_FRAME_STACK for one in self.vec_wrappers)

    @property
    def spaces_outwards(self) -> list[Spaces]:
        """Its own spaces, and as each of its wrappers, and of those of its VecEnv, leaves them."""
        return [self.spaces, *(one.spaces for one in (*(self.wrappers or ()), *self.vec_wrappers))]

    def with_each_wrapper(self, changed: Callable[[ObservedWrapper], ObservedWrapper]) -> ObservedEnvironment:
        """It with what a function makes of each of its wrappers, innermost first, and then of those of its VecEnv."""
        own = None if self.wrappers is None else [*map(changed, self.wrappers)]
        return replace(self, wrappers=own, vec_wrappers=[*map(changed, self.vec_wrappers)])


@dataclass(frozen=True)
class ObservedActs(PlainData):
    """Actions that the script asked a policy for, in one way from one line.

    :param how: ``predict``, ``policy.predict``, ``policy()`` and the like
    :param deterministic: None where that is open, or where the policy has no other actions
    :param state: whether a recurrent state was given
    :param starts: whether the beginnings of episodes were given
    :param masks: whether action masks were given
    :param training: whether the policy's network acted as in training, and acts otherwise there
    """

    how: str
    line: Line | None
    deterministic: bool | None
    state: bool
    starts: bool
    masks: bool
    training: bool
    count: int = 1


@dataclass(frozen=True)
class ObservedEpisode(PlainData):
    """One episode of a script.

    :param slot: which of the environments side by side
    :param reward: sum of what the environment gave
    :param seen: sum of what the script was given
    :param beyond: steps that the script made after its end, without a reset
    :param last: what the script was given in its last step
    :param seed: with which the script began it; None where it gave none
    """

    slot: int
    reward: float
    seen: float
    length: int
    ending: Ending
    beyond: int = 0
    last: float = 0.0
    seed: int | None = None


@dataclass(frozen=True)
class UntilAny(PlainData):
    """What environments side by side were seen to earn between two times that an episode of any of them ended.

    :param first: the sum of the first one's rewards
    :param every: that of all
    :param last: the first one's reward in the last step
    """

    first: float
    every: float
    last: float


@dataclass(frozen=True)
class View(PlainData):
    """One observation on its way to the policy, of the first environment side by side.

    :param raw: as the environment gave it
    :param returned: as the script was given it
    :param given: as the script handed it to the policy
    :param inner: as the environment inside the script's own wrappers gave it; None where there are none
    """

    raw: tuple[float, ...]
    returned: tuple[float, ...]
    given: tuple[float, ...]
    inner: tuple[float, ...] | None = None


@dataclass(frozen=True)
class ActionTaken(PlainData):
    """An action that the first environment side by side was given, as numbers.

    :param chosen: as the policy gave it; None where the script chose it itself
    :param raw: then the observation that it follows, as the environment gave it
    :param returned: likewise, as the script was given it
    """

    taken: tuple[float, ...]
    chosen: tuple[float, ...] | None = None
    raw: tuple[float, ...] = ()
    returned: tuple[float, ...] = ()


@dataclass(frozen=True)
class ObservedRun(PlainData):
    """What one model, or the script's own code, did in one environment.

    :param model: its number; None where the script's own code chose the actions
    :param environment: its number
    :param parts: of the dictionaries of observations in ``views``, how many numbers each key has; "" of arrays
    :param outside: steps with an action of ``policy()`` that was neither clipped to the action space nor rescaled to it
    :param begins: steps whose ``predict`` was told that an episode begins
    :param changed: steps with another action than ``predict`` gave
    :param unasked: steps since whose predecessor no policy was asked for actions
    :param steps: calls of ``step`` that a reset does not count among
    :param cut_line: of the last reset that ended episodes which were going on; None where that is where all begin
    :param formula_line: that computes what the policy is given; None where nothing does, or more than one line
    :param masks_again: steps whose ``predict`` was given the very array of action masks of the one before, unchanged
    :param again: of ``unasked``, steps with the action of the one before
    :param most_in_a_row: steps that followed each other without the policy being asked, at most
    :param together: numbers of the models that were all asked before most of its steps, and given the same, where no
        single one gave its actions
    :param until_any: of several environments side by side, from each end of any episode to the next
    :param taken: the first actions that the script chose itself, and those of the policy from the first altered one on
    :param formed_line: that computes the action which ``step_line`` takes; None where nothing does
    """

    model: int | None
    environment: int
    acts: Sequence[ObservedActs]
    episodes: Sequence[ObservedEpisode]
    views: Sequence[View]
    parts: Mapping[str, int]
    outside: int
    begins: int
    changed: int
    unasked: int
    steps: int
    step_line: Line | None
    cut_line: Line | None = None
    formula_line: Line | None = None
    masks_again: int = 0
    again: int = 0
    most_in_a_row: int = 0
    together: tuple[int, ...] = ()
    until_any: Sequence[UntilAny] = ()
    taken: Sequence[ActionTaken] = ()
    formed_line: Line | None = None

    @property
    def acts_by_itself(self) -> bool:
        """Whether the script's own code chose the actions of nearly all steps."""
        return not self.acts or (self.steps - self.unasked) * 20 < self.steps

    @property
    def repeats(self) -> int:
        """How often the script takes each action of the policy; 1 where it does not do so equally often."""
        asked, times = self.steps - self.unasked, self.most_in_a_row + 1
        takes_all = self.again == self.unasked > (times - 1) * (asked - len(self.episodes)) - times
        return times if takes_all else 1

    @property
    def ended(self) -> list[ObservedEpisode]:
        """The episodes that ended by themselves."""
        return [episode for episode in self.episodes if episode.ending == "ended"]

    @property
    def has_one_seed(self) -> bool:
        """Whether all of several episodes began with one seed."""
        seeds = [episode.seed for episode in self.counted]
        return len(seeds) > 1 and seeds[0] is not None and len({*seeds}) == 1

    @property
    def own_limit(self) -> int | None:
        """Steps after which the script itself stops episodes; None where it does not, or not after equally many."""
        lengths = {episode.length for episode in self.episodes if episode.ending == "cut"}
        longest = max((episode.length for episode in self.episodes), default=0)
        return longest if lengths == {longest} else None

    @property
    def counted(self) -> list[ObservedEpisode]:
        """The episodes that the script counts: those that ended, and those that it stopped itself after its limit."""
        if self.own_limit is None:
            return self.ended
        return [episode for episode in self.episodes if episode.ending != "open" or episode.length == self.own_limit]

    @property
    def seen(self) -> np.ndarray:
        """What the script saw these earn, shape ``(n,)``."""
        return np.asarray([episode.seen for episode in self.counted], dtype=np.float64)

    @property
    def earned(self) -> np.ndarray:
        """What they earned in the environment, shape ``(n,)``."""
        return np.asarray([episode.reward for episode in self.counted], dtype=np.float64)


@dataclass(frozen=True)
class ObservedEvaluation(PlainData):
    """A call of ``evaluate_policy``.

    :param first: number of the first of its episodes among those of the run
    :param mean: mean reward that it gave; not a number where it raised
    """

    line: Line | None
    model: int | None
    environment: int | None
    episodes: int
    deterministic: bool
    first: int = 0
    mean: float = math.nan
    std: float = math.nan


@dataclass(frozen=True)
class ObservedPrint(PlainData):
    """A line of text with numbers in it that the user's own code printed.

    :param count: of such lines that the same line of the code printed
    """

    line: Line | None
    text: str
    count: int = 1


Stopped = Literal["", "enough", "time"]
"""Why the observer ended a script: it had seen enough episodes, or its time was up; empty where it ended by itself."""


@dataclass(frozen=True)
class Observation(PlainData):
    """All that was seen of one run of a script.

    :param calls: in the order of the first of each
    :param own_classes: of environments and wrappers that the script defines itself, by ``__main__:Name``, the name
        under which the observer has kept them
    :param own_packages: the user's own packages and modules that it imported, also while it loaded a model
    :param python_path: folders that it put on ``sys.path`` itself
    :param failed_load: the last ``load`` that raised
    :param last_reset: the line of the last reset of an environment
    :param raised: the exception that ended it, in one line; empty for none
    :param raised_at: the line of the user's code that it came through last
    :param stopped: why the observer ended it
    :param said: what was changed or cannot be known, a sentence each: a window that was not opened, for example
    :param printed: numbers that it printed, in their order, at most the last 200
    :param prints: the lines with numbers that its own code printed, in their order, at most the last 100
    """

    script: str
    calls: Sequence[ObservedCall] = ()
    models: Sequence[ObservedModel] = ()
    normalizations: Sequence[ObservedNormalization] = ()
    environments: Sequence[ObservedEnvironment] = ()
    runs: Sequence[ObservedRun] = ()
    evaluations: Sequence[ObservedEvaluation] = ()
    own_classes: Mapping[str, str] = field(default_factory=dict)
    own_packages: tuple[str, ...] = ()
    python_path: tuple[str, ...] = ()
    failed_load: FailedLoad | None = None
    last_reset: Line | None = None
    raised: str = ""
    raised_at: Line | None = None
    stopped: Stopped = ""
    said: tuple[str, ...] = ()
    printed: tuple[float, ...] = field(default=())
    prints: Sequence[ObservedPrint] = ()

    @property
    def run(self) -> ObservedRun | None:
        """The run that the script is about: the last one with episodes that ended; else the last one with any."""
        with_end = [run for run in self.runs if run.counted]
        with_any = [run for run in self.runs if run.episodes]
        runs = with_end or with_any
        return runs[-1] if runs else None
