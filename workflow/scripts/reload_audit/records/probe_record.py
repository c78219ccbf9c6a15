"""The record of one probed environment: ``jobs.probe`` writes it to ``results/probes``, ``results.aggregate`` reads it.

It holds what was measured. Captions and sentences are made of it by ``probing.conclusions``.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from reload_audit.processes.outcome import Failure
from reload_audit.records.specs import FORMAT
from reload_audit.records.storage import read_json, write_json

Phase = Literal["import", "construct", "reset", "step"]
Source = Literal["random", "model"]
Scope = Literal["instance", "class", "module"]
Kind = Literal["generator", "cache", "value"]


class Contrast(StrEnum):
    """Two scenarios that differ in one thing; ``FAR_BEYOND`` is tried only where a number grew with every episode."""

    REPEAT = "repeat"
    SAME_INSTANCE = "same instance"
    TWO_INSTANCES = "two instances"
    GLOBAL_GENERATORS = "global generators"
    ANOTHER_INSTANCE = "another instance"
    MANY_EPISODES = "many episodes"
    USED_PROCESS = "used process"
    HASH_ORDER = "hash order"
    CLOCK = "clock"
    FAR_BEYOND = "far beyond"


class Held(StrEnum):
    """What the probe holds fixed in every contrast but ``REPEAT``, because two equal runs differ without it.

    ``NOTHING``: equal runs are the same already. ``NONE``: they differ even with entropy and clocks held fixed.
    """

    NOTHING = "nothing"
    ENTROPY = "entropy"
    CLOCKS = "clocks"
    ENTROPY_AND_CLOCKS = "entropy and clocks"
    NONE = "none"


@dataclass(frozen=True, order=True)
class Place:
    """A line of an environment's code.

    :param file: relative to the working directory or to an entry of ``sys.path``
    :param function: the name of the function that was run; empty where only the file was read
    """

    file: str
    line: int
    function: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}" if self.function else f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Mismatch:
    """The first place where two episodes with the same seed and actions are not the same.

    :param actions: whose: random ones or the model's
    :param step: 0 for what ``reset`` returned
    :param component: ``observation[3]``, ``reward``, ``terminated``, ``truncated``, or ``length``
    :param expected: the value in the first of the two; None where it was not kept
    """

    seed: int
    actions: Source
    step: int
    component: str
    expected: float | None
    found: float | None


@dataclass(frozen=True)
class Compared:
    """The result of one contrast.

    :param differs: whether the episodes differ; None where that could not be seen
    :param difference: where they first do, if so
    :param failure: why the contrast could not be run, or None
    """

    differs: bool | None = None
    difference: Mismatch | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class Change:
    """A value that is part of an attribute and differs between two processes.

    :param attribute: the path to the value
    :param root: the attribute that it is part of, and that can be put back
    :param expected: the value in the baseline, as text
    """

    attribute: str
    root: str
    scope: Scope
    kind: Kind
    expected: str
    found: str


@dataclass(frozen=True)
class GeneratorEffect:
    """A global generator whose state changes the episodes.

    :param generator: ``np.random``, ``random`` or ``torch``
    :param phases: in which another state changes the episodes
    :param where: lines that draw from it then
    :param attributes: what differs after ``reset``
    """

    generator: str
    phases: tuple[Phase, ...]
    where: tuple[Place, ...]
    attributes: tuple[Change, ...]
    difference: Mismatch


@dataclass(frozen=True)
class EntropyEffect:
    """The operating system's entropy changes the episodes.

    :param where: the line that asks for it; None where no single line could be shown to matter
    :param phase: in which it asks; None where the line is not known
    :param attributes: what differs after ``reset``
    :param same_instance_repeats: whether one instance gives the same episode twice
    """

    where: Place | None
    phase: Phase | None
    attributes: tuple[Change, ...]
    same_instance_repeats: bool
    difference: Mismatch


@dataclass(frozen=True)
class ClockEffect:
    """A clock changes the episodes.

    :param changed: the contrast that shows it: ``REPEAT`` or ``CLOCK``
    :param lines: where clocks are read
    """

    changed: Contrast
    lines: tuple[Place, ...]
    difference: Mismatch


@dataclass(frozen=True)
class HashOrderEffect:
    """Another PYTHONHASHSEED changes the episodes.

    :param attributes: what differs after ``reset``
    :param lines: where sets are made or hashes asked for
    """

    attributes: tuple[Change, ...]
    lines: tuple[Place, ...]


@dataclass(frozen=True)
class StateEffect:
    """What episodes, or other instances, leave behind changes the episodes that follow.

    :param attributes: what they leave behind, if that can be named
    :param proved: whether the episodes are the same once these attributes are put back
    :param history: numbers among them, before each of the episodes that were run first
    :param counts_only: whether other episodes, but as many, have the same effect
    """

    contrast: Contrast
    attributes: tuple[Change, ...]
    proved: bool
    history: Mapping[str, tuple[float, ...]]
    counts_only: bool
    difference: Mismatch


@dataclass(frozen=True)
class CheckerReport:
    """What an environment checker said.

    :param checker: ``gymnasium`` or ``stable_baselines3``
    :param error: what it ended with, or None
    :param where: where the method begins that the error names, or None
    """

    checker: str
    error: str | None
    warnings: tuple[str, ...]
    where: Place | None


@dataclass(frozen=True)
class VectorizedComparison:
    """Whether a VecEnv gives the episodes of single environments.

    :param difference: where it does not, or None
    """

    vec_env: str
    n_envs: int
    difference: Mismatch | None


@dataclass(frozen=True)
class NotRun:
    """A process that should have checked something and gave nothing."""

    failure: Failure


@dataclass(frozen=True)
class PlayedEpisode:
    """One of the episodes that every scenario plays, with the same seed and the same actions.

    :param steps: the number of actions
    """

    seed: int
    actions: Source
    steps: int


@dataclass(frozen=True)
class Effects:
    """What every contrast gave, and what is behind those that differ.

    :param generators: global generators that matter
    :param entropy: lines that ask for entropy that matters
    :param clock: None where no clock matters
    :param hash_order: None where it does not matter, or is not known to
    """

    contrasts: Mapping[Contrast, Compared]
    held: Held = Held.NOTHING
    generators: tuple[GeneratorEffect, ...] = ()
    entropy: tuple[EntropyEffect, ...] = ()
    clock: ClockEffect | None = None
    hash_order: HashOrderEffect | None = None
    state: tuple[StateEffect, ...] = ()


@dataclass(frozen=True)
class ProbeRecord:
    """All that is known of an environment after its probe.

    :param environment: its specification, as in the configuration
    :param failure: why not even the baseline runs, or None
    :param remark: that another version of the environment was probed than asked for, or empty
    :param model: why no episode has a model's actions, or empty
    :param processes: how many it took
    """

    environment: Mapping[str, Any]
    plays: tuple[PlayedEpisode, ...]
    effects: Effects
    failure: Failure | None
    checks: tuple[CheckerReport | NotRun, ...]
    vectorized: tuple[VectorizedComparison | NotRun, ...]
    remark: str
    model: str
    processes: int
    seconds: float

    @classmethod
    def read(cls, path: Path) -> ProbeRecord:
        """Read a record from its file.

        :raises DamagedFileError: the file is not what :meth:`write` wrote
        """
        return cls.from_dict(read_json(path))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ProbeRecord:
        names = {field.name for field in fields(Effects)}
        effects = {name: value for name, value in data.items() if name in names}
        record: ProbeRecord = _typed(cls, {**data, "effects": effects})
        return record

    def write(self, path: Path) -> None:
        write_json(path, self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """What :meth:`from_dict` reads: the effects stand beside the rest."""
        rest = asdict(self)
        return {"format": FORMAT, **rest.pop("effects"), **rest}


def _typed(kind: Any, value: Any) -> Any:
    """Build dataclasses, tuples, mappings and enumerations from what JSON holds of them."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return None if value is None else _typed(_fitting(parts, value), value)
    if is_dataclass(kind):
        build, hints = cast("Callable[..., Any]", kind), get_type_hints(kind)
        values = {field.name: _typed(hints[field.name], value[field.name]) for field in fields(kind)}
        return build(**values)
    if origin is tuple:
        return tuple(_typed(parts[0], item) for item in value)
    if origin is Mapping and parts[1] is not Any:
        return {_typed(parts[0], key): _typed(parts[1], item) for key, item in value.items()}
    return kind(value) if kind is float or (isinstance(kind, type) and issubclass(kind, StrEnum)) else value


def _fitting(kinds: Sequence[Any], value: Any) -> Any:
    """Which of several types a value is: the dataclass whose fields it has, or else the last type that is not None."""
    kinds = [kind for kind in kinds if kind is not type(None)]
    return next((kind for kind in kinds[:-1] if value.keys() == {part.name for part in fields(kind)}), kinds[-1])
