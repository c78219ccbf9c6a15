"""Let scripts that record videos run where moviepy, which writes them, is not installed."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

from gymnasium.wrappers import RecordVideo
from stable_baselines3.common.vec_env import VecVideoRecorder

_MODULES = ("moviepy", "moviepy.video", "moviepy.video.io", "moviepy.video.io.ImageSequenceClip")
"""What the recorders of Gymnasium and SB3 import of it."""

_IMPORTING: tuple[tuple[type, str], ...] = (
    (RecordVideo, "__init__"),
    (RecordVideo, "stop_recording"),
    (VecVideoRecorder, "__init__"),
    (VecVideoRecorder, "_stop_recording"),
)
"""The methods of these recorders that import it."""

NO_FILM = "videos were left out: moviepy, which writes them, is not installed (pip install moviepy)"


def allow_recorders(say: Callable[[str], None]) -> None:
    """Where moviepy is not installed, let recorders write no video, and say so, where they would raise.

    :param say: is told where one was left out
    """
    if find_spec("moviepy") is not None:
        return

    class ImageSequenceClip:
        """Stands for moviepy's class of this name."""

        def __init__(self, *_arguments: object, **_named: object) -> None:
            say(NO_FILM)

        def write_videofile(self, *_arguments: object, **_named: object) -> None:
            """Write nothing."""

    modules = {name: module_from_spec(ModuleSpec(name, None)) for name in _MODULES}
    vars(modules[_MODULES[-1]])["ImageSequenceClip"] = ImageSequenceClip
    for kind, name in _IMPORTING:
        setattr(kind, name, _finding(modules, getattr(kind, name)))


def _finding(modules: Mapping[str, ModuleType], original: Any) -> Any:
    """A method that finds modules while it runs: the script itself finds none of them."""

    @functools.wraps(original)
    def method(*args: Any, **kwargs: Any) -> Any:
        sys.modules.update(modules)
        try:
            return original(*args, **kwargs)
        finally:
            for name in modules:
                sys.modules.pop(name, None)

    return method
