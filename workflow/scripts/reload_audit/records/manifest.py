"""What is recorded about a model besides rewards: what was trained, or what an external model's files say.

``manifest.json`` of a trained model is a :class:`TrainedManifest`; that of an external model is part of its record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from reload_audit.processes.outcome import Failure, Usage
from reload_audit.records.divergence import Divergence
from reload_audit.records.environment_spec import WrapperEntry
from reload_audit.records.plain_data import BESIDE, PlainData
from reload_audit.records.specs import FORMAT, Claim, ExternalSpec, TrainingSpec
from reload_audit.records.unpicklable_part import UnpicklablePart

_MOST_NAMES = 100


@dataclass(frozen=True)
class Construction(PlainData):
    """How an environment was built.

    :param wrappers: dotted names of the classes, from the outermost wrapper to the environment itself
    :param arguments: of the environment's constructor, defaults filled in; a text in angle brackets stands for an
        argument that JSON cannot hold
    :param time_limit: in steps; None where there is none
    :param code: content digest of the file that the environment's class is in; empty for installed packages
    """

    wrappers: Sequence[str]
    arguments: Mapping[str, Any]
    time_limit: int | None
    code: str

    @classmethod
    def from_untrusted(cls, data: Any) -> Construction | None:
        """Read it from a manifest that anybody may have written; None where the data does not describe one."""
        kinds = {"wrappers": list, "arguments": dict, "time_limit": int | None, "code": str}
        if not isinstance(data, dict) or not all(isinstance(data.get(key), kind) for key, kind in kinds.items()):
            return None
        few = len(data["arguments"]) <= _MOST_NAMES and 0 < len(data["wrappers"]) <= _MOST_NAMES
        names = (*data["wrappers"], *data["arguments"])
        return (
            cls(**{key: data[key] for key in kinds}) if few and all(isinstance(name, str) for name in names) else None
        )


@dataclass(frozen=True)
class ChangedAttribute(PlainData):
    """An attribute that the environments trained in have otherwise than newly built ones.

    :param attribute: its name, after the class of the wrapper that has it
    :param name: its name alone
    :param trained: its value in the environments trained in
    :param new: its value in a new one
    :param argument: whether the environment's constructor has an argument of this name
    :param of_vec_env: whether it is one of a VecEnv of the user's own, or of a wrapper around the VecEnv
    """

    attribute: str
    name: str
    trained: Any
    new: Any
    argument: bool
    of_vec_env: bool = False


@dataclass(frozen=True)
class Digests:
    """Content digests of what was learned.

    :param parameters: of the policy's networks and of single tensors such as ``log_ent_coef``
    :param optimizer: of the states of all optimizers
    :param normalizer: of VecNormalize's statistics and settings; None without VecNormalize
    """

    parameters: str | None
    optimizer: str | None
    normalizer: str | None


@dataclass(frozen=True)
class ActsOn(PlainData):
    """The spaces that a model acts in, and the environments that it was given.

    :param observation_space: of the policy, as ``repr`` shows it; ``action_space`` likewise
    :param env_spec: what Gymnasium's registry says of the environment; None for one that was constructed directly
    :param env_stack: dotted names of the environment's wrappers, the outermost first, then its own
    :param construction: None in manifests of earlier versions, and where it cannot be read
    :param vec_env_stack: class names of the VecEnv and its wrappers, the outermost first
    """

    observation_space: str
    action_space: str
    env_spec: Mapping[str, Any] | None
    env_stack: Sequence[str]
    construction: Construction | None = None
    vec_env_stack: Sequence[str] = ()


@dataclass(frozen=True)
class Identity(PlainData):
    """What is compared to tell whether a loaded model, its environments and its packages are those that were saved.

    :param versions: of Python and of the packages that decide what a model does, by name
    :param computed_on: PyTorch device that the policy ran on, and what it is; empty in manifests of earlier versions
    """

    digests: Digests
    acts_on: ActsOn
    versions: Mapping[str, str]
    computed_on: str = ""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Identity:
        """Read it from a manifest, which may hold more."""
        known = {field.name for field in fields(cls)}
        return super().from_dict({key: value for key, value in data.items() if key in known})


@dataclass(frozen=True)
class Machine:
    """Where a model was trained: another processor may change the last bits of what its policy computes."""

    platform: str
    processor: str
    cpu_capability: str
    torch_threads: int
    omp_num_threads: str | None
    python_hash_seed: str | None


@dataclass(frozen=True)
class Description(PlainData):
    """What is recorded of a model that has just been trained.

    :param ep_rew_mean: mean reward of the last training episodes; None where none has ended
    :param normalized: whether it was trained with VecNormalize
    :param vecnormalize: arguments of its VecNormalize, defaults filled in; None without one
    """

    num_timesteps: int
    ep_rew_mean: float | None
    normalized: bool
    vecnormalize: Mapping[str, Any] | None
    identity: Identity = field(metadata=BESIDE)
    machine: Machine


@dataclass(frozen=True)
class Training(PlainData):
    """What training one model gave, besides its files and its episodes.

    :param hyperparams: of the algorithm, defaults filled in
    :param unpicklable: the parts of its environments that cannot be pickled
    :param resumed_from: steps of the checkpoint that training went on from; None where it was not interrupted
    :param in_place_divergence: where the reference first differs from the episodes on the environments trained in
    :param seconds: that each step took: ``learn`` and ``evaluate``
    :param not_finite: what was no finite number in its training, in words; empty for nothing
    """

    hyperparams: Mapping[str, Any]
    unpicklable: Sequence[UnpicklablePart]
    description: Description = field(metadata=BESIDE)
    resumed_from: int | None
    in_place_divergence: Divergence | None
    seconds: Mapping[str, float]
    not_finite: str = ""


@dataclass(frozen=True)
class TrainedManifest(PlainData):
    """``manifest.json`` of a model that this workflow trained.

    :param spec: what ``TrainingSpec.from_dict`` reads, as it was planned
    :param code: digest of the code that decides the training
    :param failure: why training gave no model, or None
    :param process: the process that trained
    :param training: what training gave; None where it failed
    :param format: version of this record
    """

    model: str
    spec: Mapping[str, Any]
    code: str
    failure: Failure | None
    process: Usage
    training: Training | None = field(metadata=BESIDE)
    format: int = FORMAT

    @cached_property
    def training_spec(self) -> TrainingSpec:
        """The spec as a dataclass."""
        return TrainingSpec.from_dict(self.spec)


@dataclass(frozen=True)
class ExternalFacts(PlainData):
    """What an external model's files say, and what was done to load it, as far as loading got.

    :param num_timesteps: environment steps that the zip says it was trained for
    :param train_seed: that the zip says it was trained with
    :param saved_with: versions of the packages that saved it, by name
    :param claims: what files say that it earned
    :param remarks: what a user should know, one sentence each
    :param normalized: whether it has VecNormalize statistics; None where that was not found out
    :param plain_load_error: what SB3's own ``load`` would say; None where it would load
    :param loaded_with: what had to be changed to load it
    :param env_ran: the id of the environment that it ran in; None where none could be built
    :param vec_wrappers: what was around the VecEnv that it ran in, innermost first, as a configuration has it
    :param env_package: the package that registers that id when it is imported; empty where none needs to be
    :param versions: of the packages that it was loaded with, and the platform, by name
    """

    num_timesteps: int | None = None
    train_seed: int | None = None
    saved_with: Mapping[str, str] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()
    remarks: tuple[str, ...] = ()
    normalized: bool | None = None
    plain_load_error: str | None = None
    loaded_with: tuple[str, ...] = ()
    env_ran: str | None = None
    vec_wrappers: tuple[WrapperEntry, ...] = ()
    env_package: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ExternalManifest(PlainData):
    """What is recorded of an external model.

    :param external: its files and settings, as they were planned
    :param problem: why it was not evaluated, or None
    """

    model: str
    external: ExternalSpec
    problem: str | None
    facts: ExternalFacts = field(metadata=BESIDE)
