"""Let scripts that record videos run where moviepy, which writes them, is not installed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec

_MODULES = ("moviepy", "moviepy.video", "moviepy.video.io", "moviepy.video.io.ImageSequenceClip")
"""What the recorders of Gymnasium and SB3 import of it."""

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

    for name in _MODULES:
        sys.modules[name] = module_from_spec(ModuleSpec(name, None))
    vars(sys.modules[_MODULES[-1]])["ImageSequenceClip"] = ImageSequenceClip
