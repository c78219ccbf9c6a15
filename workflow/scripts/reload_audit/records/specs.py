"""Typed records of what to train, under which protocol to evaluate, and under which conditions.

They are built from plain dictionaries (``from_dict``), because those are what Snakemake can compare to
decide whether a job must run again, and what JSON can hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from reload_audit.records.plain_data import PlainData

FORMAT = 1
"""Version of the manifest and of the reload record."""

VecEnvKind = Literal["dummy", "subproc"]
VEC_ENV_KINDS: tuple[VecEnvKind, ...] = ("dummy", "subproc")
MonitorPlace = Literal["env", "wrapped", "vec"]

ModelSource = Literal["table", "zoo", "hub", "folder", "recorded"]
"""How an external model was found: by a row of a table, or by the layout that its files lie in."""

ModelRole = Literal["final", "best", "checkpoint"]
"""Whether a model was saved at the end of training, or during it: as the best so far, or as a checkpoint."""


Arguments = Mapping[str, Any]
"""Keyword arguments of an environment or a wrapper: what they are, only it knows."""

WrapperEntry = str | Mapping[str, Arguments]
"""A wrapper as a configuration has it: its dotted name, or that with its keyword arguments."""


@dataclass(frozen=True)
class WrapperSpec:
    """A wrapper of an environment or of a VecEnv by dotted name, with its keyword arguments."""

    name: str
    kwargs: Arguments

    def to_plain(self) -> WrapperEntry:
        """What :func:`wrapper_spec` reads."""
        return {self.name: dict(self.kwargs)} if self.kwargs else self.name


def wrapper_spec(entry: WrapperEntry) -> WrapperSpec:
    """Read a wrapper from its name, or from a mapping of that to its keyword arguments.

    The name of a class alone is one of sb3-contrib, of SB3's for Atari, or else of Gymnasium.
    """
    read = _named(entry)
    if "." in read.name or ":" in read.name:
        return read
    return replace(read, name=f"{_MODULES.get(read.name, 'gymnasium.wrappers')}.{read.name}")


_MODULES = {
    **dict.fromkeys(("ActionMasker", "TimeFeatureWrapper"), "sb3_contrib.common.wrappers"),
    **dict.fromkeys(
        (
            *("AtariWrapper", "ClipRewardEnv", "EpisodicLifeEnv", "FireResetEnv", "MaxAndSkipEnv", "NoopResetEnv"),
            *("StickyActionEnv", "WarpFrame"),
        ),
        "stable_baselines3.common.atari_wrappers",
    ),
    "Monitor": "stable_baselines3.common.monitor",
}
"""Where the wrappers of single environments are that SB3 and sb3-contrib have."""


def _named(entry: WrapperEntry) -> WrapperSpec:
    if isinstance(entry, str):
        return WrapperSpec(entry, {})
    ((name, kwargs),) = entry.items()
    return WrapperSpec(name, kwargs or {})


VEC_FRAME_STACK, VEC_MONITOR, VEC_NORMALIZE = "VecFrameStack", "VecMonitor", "VecNormalize"
VEC_TRANSPOSE_IMAGE = "VecTransposeImage"

_OF_SB3 = re.compile(r"stable_baselines3\.common\.vec_env(\.\w+)?[.:](?=Vec\w+$)")


def vec_wrapper_spec(entry: WrapperEntry) -> WrapperSpec:
    """Read a wrapper of a VecEnv. Those of SB3 are called by their class names alone, however they are spelt."""
    read = _named(entry)
    return replace(read, name=_OF_SB3.sub("", read.name))


def vec_wrappers_of(
    vec_wrappers: Iterable[WrapperEntry] = (),
    *,
    monitor: MonitorPlace = "env",
    normalize: bool | Arguments = False,
    frame_stack: int | None = None,
) -> tuple[WrapperSpec, ...]:
    """The wrappers around a VecEnv, innermost first, from what a configuration says of them.

    ``monitor: vec``, ``normalize`` and ``frame_stack`` are short for VecMonitor, inside all that ``vec_wrappers``
    names, VecNormalize around these, and VecFrameStack around that, which is RL Zoo's order. Whatever ``vec_wrappers``
    names itself stands where it is named.
    """
    named = tuple(map(vec_wrapper_spec, vec_wrappers))
    names = {wrapper.name for wrapper in named}
    inside, around = [], []
    if monitor == "vec" and VEC_MONITOR not in names:
        inside.append(WrapperSpec(VEC_MONITOR, {}))
    if normalize is not False and VEC_NORMALIZE not in names:
        around.append(WrapperSpec(VEC_NORMALIZE, {} if normalize is True else normalize))
    if frame_stack is not None and VEC_FRAME_STACK not in names:
        around.append(WrapperSpec(VEC_FRAME_STACK, {"n_stack": frame_stack}))
    return (*inside, *named, *around)


@dataclass(frozen=True)
class EnvironmentSpec(PlainData):
    """How a model's environments are built.

    :param env: a registered id, ``module:Id-v0``, ``package.module:EnvClass``, or a function that returns one
    :param wrappers: around each environment, innermost first
    :param monitor: ``env`` for a Monitor on each environment, inside its wrappers; ``wrapped`` for one around them, so
        that an episode and its reward are as they leave them; ``vec`` for a VecMonitor among ``vec_wrappers`` instead
    :param vec_wrappers: around the VecEnv, innermost first; VecTransposeImage is put around them where it is needed.
        Of an external model VecNormalize is among them only where its place is known: see ``environments.stack``
    :param python_path: folders to put on ``sys.path`` first
    :param vec_env: dotted name of the VecEnv itself, or of a function that returns it, which takes ``n_envs`` and the
        ``env_kwargs``; None for a VecEnv of SB3 that is made of single environments
    :param time_limit: steps after which an episode is truncated, -1 for no limit; None as the environment is registered
    """

    env: str
    env_kwargs: Arguments
    wrappers: tuple[WrapperSpec, ...]
    monitor: MonitorPlace
    vec_wrappers: tuple[WrapperSpec, ...]
    python_path: tuple[str, ...]
    vec_env: str | None = None
    time_limit: int | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> EnvironmentSpec:
        return cls(
            env=data["env"],
            env_kwargs=data["env_kwargs"],
            wrappers=tuple(map(wrapper_spec, data["wrappers"])),
            monitor=data["monitor"],
            vec_wrappers=vec_wrappers_of(data["vec_wrappers"], monitor=data["monitor"]),
            python_path=tuple(data["python_path"]),
            vec_env=data.get("vec_env"),
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain data, which :meth:`from_dict` reads. A time limit of its own is not part of it."""
        return {
            "env": self.env,
            "env_kwargs": self.env_kwargs,
            "wrappers": [wrapper.to_plain() for wrapper in self.wrappers],
            "monitor": self.monitor,
            "vec_wrappers": [wrapper.to_plain() for wrapper in self.vec_wrappers],
            "python_path": list(self.python_path),
            "vec_env": self.vec_env,
        }

    @property
    def normalize(self) -> Arguments | None:
        """Arguments of its VecNormalize; None where it has none."""
        return self._arguments_of(VEC_NORMALIZE)

    @property
    def frame_stack(self) -> int | None:
        """Observations that its VecFrameStack stacks; None where it has none."""
        arguments = self._arguments_of(VEC_FRAME_STACK)
        return None if arguments is None else arguments.get("n_stack")

    def unnormalized(self) -> EnvironmentSpec:
        """The same without VecNormalize."""
        return replace(self, vec_wrappers=tuple(one for one in self.vec_wrappers if one.name != VEC_NORMALIZE))

    def stacking(self, frames: int) -> EnvironmentSpec:
        """The same with so many observations stacked: where it stacks them, or else around all that it has."""
        stack = WrapperSpec(VEC_FRAME_STACK, {"n_stack": frames})
        known = tuple(stack if one.name == VEC_FRAME_STACK else one for one in self.vec_wrappers)
        return replace(self, vec_wrappers=known if stack in known else (*known, stack))

    def _arguments_of(self, name: str) -> Arguments | None:
        return next((wrapper.kwargs for wrapper in self.vec_wrappers if wrapper.name == name), None)


def stops(looks: Sequence[int], episodes: int) -> tuple[int, ...]:
    """Those of the looks that come before all episodes have run, and all episodes as the last one."""
    return (*(look for look in looks[:-1] if look < episodes), episodes)


@dataclass(frozen=True)
class EvaluationSpec(PlainData):
    """The episode protocol: episode ``k`` is reset with ``seed + k`` in every condition.

    :param episodes: how many are recorded at train time
    :param n_envs: environments of the VecEnv in the canonical condition
    :param max_episode_steps: an episode that is longer is cut
    :param looks: numbers of episodes, increasing, after each of which a decision is tried
    """

    episodes: int
    seed: int
    n_envs: int
    max_episode_steps: int
    looks: tuple[int, ...]

    @property
    def stops(self) -> tuple[int, ...]:
        """The looks that are smaller than ``episodes``, without the last one, then ``episodes`` itself.

        Train time and reload both run their episodes in these portions, so that both make the same calls.
        """
        return stops(self.looks, self.episodes)


@dataclass(frozen=True)
class Limits:
    """What training one model may take, and how its process is made.

    :param timeout: seconds
    :param memory: MiB
    :param isolation: as of :class:`ReloadSpec`
    """

    timeout: float
    memory: int
    isolation: Literal["forkserver", "spawn"] = "forkserver"


@dataclass(frozen=True)
class ReloadSpec(PlainData):
    """How models are reloaded.

    :param n_envs: further conditions, one for each number of environments
    :param other_vec_env: whether there is a condition with SubprocVecEnv
    :param isolation: where each condition's fresh process comes from
    :param timeout: seconds that one condition may take
    :param memory: MiB that one condition may hold
    :param conditions: whether those that find a cause run only where a reward is lost, or for every model
    """

    n_envs: tuple[int, ...]
    other_vec_env: bool
    isolation: Literal["forkserver", "spawn"]
    timeout: float
    memory: int
    conditions: Literal["needed", "all"] = "needed"


@dataclass(frozen=True)
class TrainingSpec(PlainData):
    """One model to train.

    :param checkpoint_every: environment steps; None for no checkpoints
    """

    model: str
    experiment: str
    algo: str
    seed: int
    n_envs: int
    total_timesteps: int
    vec_env: VecEnvKind
    start_method: str
    hyperparams: Mapping[str, Any]
    device: str
    environment: EnvironmentSpec
    evaluation: EvaluationSpec
    checkpoint_every: int | None = None


ClaimKind = Literal[
    "explicit", "evaluations", "model_card", "reported", "trend", "best", "last_evaluation", "training", "stated"
]


@dataclass(frozen=True)
class Claim(PlainData):
    """A train-time reward that somebody or some file states.

    :param kind: where it comes from, which decides how far it is believed: see ``judging.claims``
    :param std: standard deviation with ddof 0, as ``evaluate_policy`` reports it; None where it is not stated
    :param n: episodes behind it; None where it is not stated
    :param where: the file and place it was read from
    """

    kind: ClaimKind
    mean: float
    std: float | None
    n: int | None
    where: str


@dataclass(frozen=True)
class ExternalSpec(PlainData):
    """One external model: its files, and what is known of them.

    :param group: the folder or table that it was found by
    :param deterministic: whether its claim was measured with deterministic actions
    :param path: the zip
    :param statistics: path of the VecNormalize statistics that it would be loaded with in practice, if there are any
    :param normalized: whether the run's own files say that it was trained with VecNormalize; None if they say nothing
    :param n_envs: environments it was trained in, if known
    :param environment: without VecNormalize where nobody says where among ``vec_wrappers`` it stands
    :param named_by_user: which of ``env``, ``wrappers``, ``vec_wrappers`` and ``vec_env`` the user named; what a file
        names is imported only from packages that are trusted
    :param claim: what the user says it earned
    :param evaluations: ``evaluations.npz`` of its run
    :param model_card: ``README.md`` of its repository
    :param results: ``results.json`` of its repository
    :param monitors: ``*.monitor.csv`` of its run
    :param recording: folder that a ReferenceRecorder or this workflow wrote, with reference episodes and manifest
    :param problem: why it cannot be audited, where that shows without opening it
    :param remarks: what a user should know of how its files were found, one sentence each
    :param claims: what its repository says that it earns
    :param classes: as in :class:`ExternalPolicy`, of this model
    :param compared: whether another model of the audit is compared with it
    """

    model: str
    source: ModelSource
    group: str
    role: ModelRole
    algo: str
    device: str
    deterministic: bool
    path: str
    statistics: str | None
    normalized: bool | None
    n_envs: int | None
    environment: EnvironmentSpec
    named_by_user: tuple[str, ...]
    claim: Claim | None = None
    evaluations: str | None = None
    model_card: str | None = None
    results: str | None = None
    monitors: tuple[str, ...] = ()
    recording: str | None = None
    problem: str | None = None
    remarks: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    classes: Mapping[str, str] = field(default_factory=dict)
    compared: bool = False

    def failed(self, problem: str) -> ExternalSpec:
        """What stands for it where its data cannot be used: what it is called, where it is from, and why."""
        nothing = EnvironmentSpec(self.environment.env, {}, (), "env", (), self.environment.python_path)
        return replace(
            self,
            statistics=None,
            environment=nothing,
            claim=None,
            evaluations=None,
            model_card=None,
            results=None,
            monitors=(),
            recording=None,
            problem=problem,
        )

    @property
    def judged_by_recording(self) -> bool:
        """Whether its recorded reference decides: only a claim that the user makes of this very model is stronger."""
        return self.recording is not None and (self.claim is None or self.claim.kind != "explicit")


@dataclass(frozen=True)
class ExternalPolicy(PlainData):
    """Settings that hold for every external model.

    :param evaluation: the episode protocol; a recorded reference brings its own
    :param trust: packages that their files may name
    :param env_versions: environment ids, each with the id that replaces it
    :param max_bytes: what a model's zip may unpack to
    :param classes: dotted names of classes in their zips, each with the one to import instead
    """

    evaluation: EvaluationSpec
    trust: tuple[str, ...]
    env_versions: Mapping[str, str]
    max_bytes: int
    classes: Mapping[str, str] = field(default_factory=dict)

    def classes_of(self, spec: ExternalSpec) -> Mapping[str, str]:
        """The classes to import for a model: what is said of it counts more than what is said of all."""
        return {**self.classes, **spec.classes}


@dataclass(frozen=True)
class ScriptSpec(PlainData):
    """A script to observe, run as its user runs it.

    :param name: what results call it
    :param script: path of the Python file or notebook
    :param args: its command line
    :param cwd: the folder that it is run in
    :param env: environment variables that it is run with, beside those of the audit
    :param model: the name of a model of this audit that it is about; empty where nothing is said
    :param timeout: seconds after which it is stopped
    :param memory: MiB that it may hold
    :param python_path: folders in which it finds modules, beside its own
    """

    name: str
    script: str
    args: tuple[str, ...]
    cwd: str
    env: Mapping[str, str]
    model: str
    timeout: float
    memory: int
    python_path: tuple[str, ...] = ()


Statistics = Literal[
    "loaded", "none", "fresh", "updating", "swapped", "twice", "wrapper", "posted wrapper", "file", "new"
]
RewardScale = Literal["raw", "normalized", "monitor outside"]
Seeding = Literal["episodes", "evaluate_policy", "unseeded"]


@dataclass(frozen=True)
class Condition(PlainData):
    """One way to evaluate a reloaded model. Whatever it does not name is as in the canonical condition.

    :param name: unique among a model's conditions, and what the result tables call it
    :param n_envs: environments of the VecEnv
    :param statistics: those of VecNormalize: ``loaded`` and frozen; ``none``; ``fresh``, estimated from episodes of its
        own, then frozen; loaded and still ``updating``; with mean and variance ``swapped``; applied ``twice``; applied
        by a Gymnasium ``wrapper`` that reproduces VecNormalize, or by the ``posted wrapper``, a common one that does
        not; of another ``file``; ``new``, which start empty and are updated from then on
    :param statistics_file: that file
    :param model_file: zip of the model that acts in place of the audited one
    :param reward: on the environment's scale, on VecNormalize's, or as a monitor outside VecNormalize reports it
    :param seeding: every episode with its own seed; only the first, as SB3's ``evaluate_policy`` does; or none
    :param carry_state: whether a recurrent policy is given its state
    :param episode_starts: whether a recurrent policy is told where episodes begin
    :param give_masks: whether a policy that masks actions is given the masks
    :param clip_actions: whether continuous actions are put into their bounds, as ``predict`` does and a policy does not
    :param training_mode: whether the policy's network is as in training, where dropout drops, and normalisation of
        batches takes the moments of each batch
    :param episodes_before: episodes that every environment has seen before the first that counts
    :param environment: what is other of :class:`EnvironmentSpec`: ``env``, ``time_limit``, ``frame_stack``,
        ``vec_wrappers``; ``env_kwargs`` and ``wrappers`` are added to what is there, ``all_env_kwargs`` and
        ``all_wrappers`` take its place; ``set_on_vec_env`` names an ``attribute`` of a layer of the VecEnv, and its
        ``value``
    :param migration: what makes the environment as an older version of it was, by its name in ``migrations.yaml``; None
        for the version that runs as it is
    :param processor: ``baseline`` to compute with only those instructions that every processor of this architecture has
    :param device: where the policy runs, if not as usual
    :param n_episodes: how many are run, if not those of the first look; canonically as many as are needed
    """

    name: str
    n_envs: int
    vec_env: VecEnvKind = "dummy"
    deterministic: bool = True
    statistics: Statistics = "loaded"
    statistics_file: str | None = None
    model_file: str | None = None
    reward: RewardScale = "raw"
    seeding: Seeding = "episodes"
    carry_state: bool = True
    episode_starts: bool = True
    give_masks: bool = True
    clip_actions: bool = True
    training_mode: bool = False
    episodes_before: int = 0
    environment: Mapping[str, Any] = field(default_factory=dict)
    migration: str | None = None
    processor: Literal["native", "baseline"] = "native"
    device: str | None = None
    n_episodes: int | None = None

    @property
    def earned(self) -> Literal["reward", "step_reward", "monitor_reward"]:
        """The field of :class:`~reload_audit.records.episodes.Episode` that is its reward under this condition."""
        return _EARNED[self.reward]

    def changes(self, canonical: Condition) -> dict[str, Any]:
        """The factors that are other than in the canonical condition."""
        mine, its = asdict(self), asdict(canonical)
        return {key: value for key, value in mine.items() if key not in ("name", "n_episodes") and value != its[key]}


CANONICAL = "reload"
EXPLORING = "stochastic"
"""The names of the canonical condition, and of the one that differs from it in stochastic actions alone."""

_EARNED: dict[RewardScale, Literal["reward", "step_reward", "monitor_reward"]] = {
    "raw": "reward",
    "normalized": "step_reward",
    "monitor outside": "monitor_reward",
}


def conditions(
    evaluation: EvaluationSpec, reload: ReloadSpec, *, deterministic: bool = True, own_vec_env: bool = False
) -> tuple[Condition, ...]:
    """The canonical condition, then those that the configuration asks for, each with one factor of it changed.

    :param own_vec_env: whether the environments are a VecEnv of the user's own, which is no SubprocVecEnv
    """
    canonical = Condition(CANONICAL, evaluation.n_envs, deterministic=deterministic)
    chosen = [canonical]
    chosen += [replace(canonical, name=f"n_envs={n}", n_envs=n) for n in reload.n_envs if n != evaluation.n_envs]
    if reload.other_vec_env and not own_vec_env:
        chosen.append(replace(canonical, name="SubprocVecEnv", vec_env="subproc"))
    return tuple(chosen)


def joined(one: str, other: str) -> str:
    """The name of a condition that changes what two others change, from their names."""
    return f"{one} + {other}"
