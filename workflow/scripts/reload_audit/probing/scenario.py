"""Input and output of a process that runs episodes under one scenario. Data only, quick to import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from reload_audit.probing.traces import Trace
from reload_audit.records.environment_spec import EnvironmentSpec
from reload_audit.records.probe_record import Held, Kind, Phase, Place, Scope, Source

PHASES: tuple[Phase, ...] = ("import", "construct", "reset", "step")

GLOBAL = ("np.random", "random", "torch")
"""The names of the global generators: NumPy's, Python's and PyTorch's."""

Clock = Literal["real", "shifted", "frozen"]
Before = Literal["nothing", "same", "episodes", "twin", "strangers", "interleaved"]

REAL_ENTROPY: frozenset[Place] = frozenset()
"""No line of the code gets fixed entropy: all of it gets what the operating system gives."""


@dataclass(frozen=True)
class Play:
    """A seed to reset with, and the actions to take then.

    :param source: where the actions come from: drawn at random, or chosen by the model
    """

    seed: int
    source: Source
    actions: tuple[Any, ...]


@dataclass(frozen=True)
class Planned:
    """The environment that is probed, and the episodes that every scenario measures.

    :param environment: as it can be made today, and a remark where that is another one than was asked for
    :param model: why no play has actions of a model; empty where some have
    """

    environment: EnvironmentSpec
    remark: str
    plays: tuple[Play, ...]
    model: str


@dataclass(frozen=True)
class Scenario:
    """How episodes are run; with all defaults, as in the baseline.

    :param before: what happens to the process before each measured episode. ``nothing``; the ``same`` episode, or other
        ``episodes``, on the same instance; the same episode on a ``twin`` of it, or others on ``strangers``; or, with
        ``interleaved``, another instance is reset and stepped in between
    :param episodes: how many others at most, of ``prelude_steps`` steps in all
    :param others: phases in which a global generator starts from another state, by generator
    :param variant: which other episodes, which other state of global generators, and which other time of day
    :param fixed_entropy: places in the code for which the operating system's entropy is always the same; None for all
    :param noted_entropy: whether to record which places ask for entropy
    :param restored: attributes that are put back to their values from before whatever ``before`` names
    :param moved: numbers that attributes are set to before the measured reset, by attribute
    :param watched: whether to find out which lines draw, or read a clock
    """

    before: Before = "nothing"
    episodes: int = 25
    prelude_steps: int = 2000
    others: Mapping[str, tuple[Phase, ...]] = field(default_factory=dict)
    variant: int = 0
    clock: Clock = "real"
    fixed_entropy: frozenset[Place] | None = REAL_ENTROPY
    noted_entropy: bool = False
    restored: tuple[str, ...] = ()
    moved: Mapping[str, float] = field(default_factory=dict)
    watched: bool = False

    @property
    def held(self) -> Held:
        """Whether entropy, clocks or both have a fixed state."""
        if self.fixed_entropy is None:
            return Held.ENTROPY_AND_CLOCKS if self.clock == "frozen" else Held.ENTROPY
        return Held.CLOCKS if self.clock == "frozen" else Held.NOTHING


@dataclass(frozen=True)
class Leaf:
    """One value inside an attribute.

    :param root: the attribute that it is part of, and that can be put back
    :param kind: ``generator``, ``cache`` (of a function, which can be cleared) or ``value``
    :param number: the value, where it is a finite number
    """

    root: str
    scope: Scope
    kind: Kind
    digest: str
    text: str
    number: float | None


@dataclass
class Result:
    """What running a scenario gave: the traces of its episodes, and what else was seen.

    :param firsts: traces of the same episodes when run before the measured ones: on the same instance, or on its twin
    :param before: all values that an environment carries along, by path, before each measured reset
    :param after: all these values after each measured reset
    :param drawn: phases in which each global generator was drawn from
    :param history: values of numeric attributes before each of the other episodes that an instance ran first
    :param asked: places that asked for entropy, with the phase
    :param draws: by generator, places that drew from it, with the phase
    :param clocks: places that read a clock, with the phase
    :param order_lines: places that make sets or ask for hashes
    :param touched: attributes of the measured instance that using another one changed: their values before and after
    """

    traces: list[Trace] = field(default_factory=list)
    firsts: list[Trace] = field(default_factory=list)
    before: list[dict[str, Leaf]] = field(default_factory=list)
    after: list[dict[str, Leaf]] = field(default_factory=list)
    drawn: dict[str, list[Phase]] = field(default_factory=dict)
    history: dict[str, list[float]] = field(default_factory=dict)
    asked: dict[Place, Phase] = field(default_factory=dict)
    draws: dict[str, dict[Place, Phase]] = field(default_factory=dict)
    clocks: dict[Place, Phase] = field(default_factory=dict)
    order_lines: list[Place] = field(default_factory=list)
    touched: dict[str, tuple[Leaf, Leaf]] = field(default_factory=dict)
