"""How a repository says that its models are run, in the terms of a configuration, each part with its source."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from reload_audit.repository.places import Place
from reload_audit.repository.values import Class, Value


@dataclass(frozen=True)
class Definition:
    """A class or function of the repository that a configuration would name.

    :param module: the dotted name of its module
    :param folders: what has to be on Python's path for it, relative to the repository's folder
    :param text: of the module, where it has to be taken out of a notebook, or of a script that would train; else empty
    """

    name: str
    module: str
    folders: tuple[str, ...]
    place: Place
    text: str = ""


@dataclass(frozen=True)
class Setup:
    """How models are run, as far as scripts say it.

    :param env: an id, or ``module:Class``
    :param id: the id that scripts have it under; empty for none
    :param wrappers: of each environment, innermost first, each a dotted name and its arguments
    :param vec_wrappers: of the VecEnv, as ``wrappers``, where it has others than VecFrameStack around VecNormalize
    :param normalize: arguments of VecNormalize; None for an environment without
    :param definitions: what is imported of the repository itself
    :param packages: packages that may have registered the id, which the script imports
    :param sources: for each key of an entry of ``runs`` where it is said
    :param classes: of the repository, which the model is made of, each by the name that its zip has it under
    :param gaps: what a configuration cannot say, in words
    :param monitor: whether an episode and its reward are the environment's own, or as its wrappers leave them
    :param is_mentioned: whether a text only mentions it: then it counts only if it is registered
    :param made_by: the class of the repository that the environment is of, and those of its arguments that are known
    """

    env: str
    id: str
    env_kwargs: Mapping[str, Value]
    wrappers: tuple[tuple[str, Mapping[str, Value]], ...]
    vec_wrappers: tuple[tuple[str, Mapping[str, Value]], ...]
    frame_stack: int | None
    normalize: Mapping[str, Value] | None
    n_envs: int | None
    definitions: tuple[Definition, ...]
    packages: tuple[str, ...]
    sources: Mapping[str, Place | str]
    gaps: tuple[str, ...] = ()
    classes: tuple[tuple[str, Definition], ...] = ()
    monitor: Literal["env", "wrapped"] = "env"
    is_mentioned: bool = False
    made_by: Class | None = field(default=None, compare=False)
    made_with: Mapping[str, Value] = field(default_factory=dict, compare=False)

    @classmethod
    def of_id(cls, env: str, source: str) -> Setup:
        """A registered environment and nothing else."""
        return cls(env, env, {}, (), (), None, None, None, (), (), {"env": source})

    def registered_elsewhere(self) -> Setup:
        """The same, with an id that Gymnasium knows only once a package is imported, which the script imports."""
        if not self.packages:
            return replace(self, gaps=(*self.gaps, f"{self.env} ({self.sources['env']}), which nothing registers"))
        return replace(self, env=f"{self.packages[0]}:{self.env}")

    def said_where(self) -> dict[str, str]:
        """For each key of an entry of ``runs`` that it has a value for, where that is said."""
        return {key: str(place) for key, place in self.sources.items() if getattr(self, key) or key == "env"}

    @functools.cached_property
    def key(self) -> str:
        """The same text for setups in which a model acts alike."""
        # What VecNormalize is given is in the statistics.
        layers = [(name, {} if name == "VecNormalize" else kwargs) for name, kwargs in self.vec_wrappers]
        return json.dumps([self.env, self.env_kwargs, self.wrappers, layers, self.frame_stack], default=str)

    @property
    def runs_own_code(self) -> bool:
        """Whether it needs code of the repository, or of a package that is in none of the libraries."""
        names = [name for name, _ in (*self.wrappers, *self.vec_wrappers)]
        module = self.env.partition(":")[0] if ":" in self.env else "gymnasium"
        return bool(self.definitions or self.classes) or not all(map(_is_of_libraries, [*names, module]))


def _is_of_libraries(name: str) -> bool:
    is_short = "." not in name and name.startswith("Vec")
    return is_short or name.partition(".")[0] in ("gymnasium", "stable_baselines3", "sb3_contrib", "ale_py")
