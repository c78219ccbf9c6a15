"""How a model's environments are built: what they are, and the wrappers around each and around their VecEnv."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from reload_audit.records.plain_data import PlainData

MonitorPlace = Literal["env", "wrapped", "vec"]

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
