"""Arguments of calls as a configuration has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reload_audit.repository.values import Value, as_data, is_object, is_plain

_NOT_ARGUMENTS = (
    "render_mode",
    "render",
    "gui",
    "verbose",
    "disable_env_checker",
    "autoreset",
    "apply_api_compatibility",
)
"""Arguments of environments that only say what is shown."""

POSITIONAL: dict[str, tuple[str, ...]] = {
    "TimeLimit": ("max_episode_steps",),
    "ResizeObservation": ("shape",),
    "GrayScaleObservation": ("keep_dim",),
    "GrayscaleObservation": ("keep_dim",),
    "FrameStack": ("num_stack",),
    "FrameStackObservation": ("stack_size",),
    "FilterObservation": ("filter_keys",),
    "RescaleAction": ("min_action", "max_action"),
    "AtariPreprocessing": ("noop_max", "frame_skip", "screen_size"),
    "AtariWrapper": ("noop_max", "frame_skip", "screen_size"),
    "MaxAndSkipEnv": ("skip",),
    "WarpFrame": ("width", "height"),
    "ActionMasker": ("action_mask_fn",),
}
"""Names of the positional arguments of common wrappers, after the environment."""


def as_plain(given: Mapping[str, Value]) -> tuple[dict[str, Value], tuple[str, ...]]:
    """Arguments that can be written into a configuration, and the names of the others."""
    kept = {key: value for key, value in given.items() if key not in _NOT_ARGUMENTS}
    plain = {key: as_data(value) for key, value in kept.items() if is_plain(value) or is_object(value)}
    return plain, tuple(key for key in kept if key not in plain)


def as_mapping(value: Any) -> dict[str, Value]:
    return value if isinstance(value, dict) else {}


def as_integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def without_ending(path: str) -> str:
    return path.removesuffix(".zip")
