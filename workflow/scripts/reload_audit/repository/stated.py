"""What scripts say of environments and models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from reload_audit.repository.places import Place
from reload_audit.repository.values import HOLE, Class, Function, Value


@dataclass(frozen=True)
class Layer:
    """A wrapper of an environment or of a VecEnv.

    :param name: dotted; of a class of the repository itself, as it is imported
    :param own: the class, if it is one of the repository
    :param unknown: arguments that cannot be written into a configuration
    """

    name: str
    kwargs: Mapping[str, Value]
    place: Place
    own: Class | None = None
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Registration:
    """An id that the repository registers with Gymnasium.

    :param entry_point: ``module:Class``, the class, or the environment that a function makes
    """

    id: str
    entry_point: Any
    kwargs: Mapping[str, Value]
    max_episode_steps: int | None
    place: Place


@dataclass(frozen=True, eq=False)
class Environment:
    """An environment that a script makes, with what is around it.

    Whatever is put around it gives another one, which shares the lists of the files that its statistics are kept in.

    :param env: an id, which may hold what is not known; empty for a class
    :param own: the class of the repository that makes it
    :param library: the dotted name of one of another package
    :param unknown: arguments that cannot be written into a configuration
    :param wrappers: of each environment, innermost first
    :param layers: of the VecEnv, innermost first
    :param monitored: how many of the wrappers stand inside its Monitor; None where no script puts one
    :param saved: files that VecNormalize's statistics are saved to, each with its place; ``loaded``, they come from
    """

    place: Place
    env: str = ""
    own: Class | None = None
    library: str = ""
    kwargs: Mapping[str, Value] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    wrappers: tuple[Layer, ...] = ()
    monitored: int | None = None
    vec_env: str | None = None
    n_envs: int | None = None
    layers: tuple[Layer, ...] = ()
    seed: int | None = None
    saved: list[tuple[str, Place]] = field(default_factory=list)
    loaded: list[tuple[str, Place]] = field(default_factory=list)

    def within(self, layer: Layer) -> Environment:
        """It in a wrapper, which is one of the VecEnv's where there is a VecEnv already."""
        if self.vec_env is None:
            return replace(self, wrappers=(*self.wrappers, layer))
        return replace(self, layers=(*self.layers, layer))

    @property
    def is_known(self) -> bool:
        """Whether something says which environment it is, and with which arguments."""
        is_said = self.own is not None or bool(self.library) or bool(self.env and HOLE not in self.env)
        return is_said and not self.unknown

    def unwrapped(self) -> Environment:
        """What ``unwrapped`` gives: of one made by its id, it without wrappers and without the id's time limit."""
        if not self.env or self.vec_env is not None:
            return self
        return replace(self, wrappers=(), kwargs={**self.kwargs, "max_episode_steps": -1})

    parts = ("observation", "reward")
    """The results of ``reset`` and ``step`` stand for the environment itself: they say where a policy acts."""


@dataclass(frozen=True)
class Evaluation:
    """That a script evaluates a model.

    :param episodes: how many, if that is known
    """

    episodes: int | None
    deterministic: bool
    place: Place


@dataclass(eq=False)
class Model:
    """A model that a script trains or loads.

    :param files: what it is saved to, without ``.zip``, each with its place; ``best``, by an EvalCallback;
        ``checkpoints``, by a CheckpointCallback; ``loaded``, what it is loaded from
    :param classes: of the repository, which it is made of: its policy, its features extractor, ...
    :param hyperparameters: numbers that the script gives its algorithm
    :param logs: folders that an EvalCallback writes ``evaluations.npz`` to
    """

    algo: str
    place: Place
    environment: Environment | None = None
    trained: bool = False
    seed: int | None = None
    files: list[tuple[str, Place]] = field(default_factory=list)
    best: list[tuple[str, Place]] = field(default_factory=list)
    checkpoints: list[tuple[str, Place]] = field(default_factory=list)
    loaded: list[tuple[str, Place]] = field(default_factory=list)
    logs: list[tuple[str, Place]] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    classes: list[Class] = field(default_factory=list)
    hyperparameters: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Found:
    """All that scripts say of environments and models.

    :param outermost: environments with all that is put around them
    :param registrations: by the ids that they register
    :param classes: all classes of the repository; ``parts``, those that models are made of, and what
        environments and wrappers are given of the repository
    """

    outermost: dict[int, Environment] = field(default_factory=dict)
    models: list[Model] = field(default_factory=list)
    registrations: dict[str, Registration] = field(default_factory=dict)
    classes: list[Class] = field(default_factory=list)
    parts: list[Class | Function] = field(default_factory=list)

    @property
    def environments(self) -> list[Environment]:
        return list(self.outermost.values())
