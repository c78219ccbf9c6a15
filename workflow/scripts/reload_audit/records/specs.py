"""Typed records of what to train, which models are external, and under which protocol all are evaluated.

They are built from plain dictionaries (``from_dict``), because those are what Snakemake can compare to
decide whether a job must run again, and what JSON can hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from reload_audit.records.environment_spec import EnvironmentSpec
from reload_audit.records.plain_data import PlainData

FORMAT = 1
"""Version of the manifest and of the reload record."""

VecEnvKind = Literal["dummy", "subproc"]
VEC_ENV_KINDS: tuple[VecEnvKind, ...] = ("dummy", "subproc")

ModelSource = Literal["table", "zoo", "hub", "folder", "recorded"]
"""How an external model was found: by a row of a table, or by the layout that its files lie in."""

ModelRole = Literal["final", "best", "checkpoint"]
"""Whether a model was saved at the end of training, or during it: as the best so far, or as a checkpoint."""


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
