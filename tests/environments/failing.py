"""Environments that fail: they raise, crash, hang, take all memory or print without end, in training or on reload.

What must not show in training asks which process it is in: see :func:`planted.reloading`.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from planted import Draws, Step, reloading


class RaisesInConstructor(Draws):
    """Cannot be constructed."""

    def __init__(self, port: int = 80) -> None:
        raise ConnectionError(f"no simulator on port {port}")


class RaisesInTraining(Draws):
    """Raises at its 21st step."""

    steps = 0

    def step(self, action: Any) -> Step:
        self.steps += 1
        if self.steps > 20:
            raise RuntimeError("the simulator went away")
        return super().step(action)


class CrashesInTraining(Draws):
    """Ends its process with a segmentation fault at its 21st step."""

    steps = 0

    def step(self, action: Any) -> Step:
        self.steps += 1
        if self.steps > 20:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().step(action)


class KilledOnceInTraining(Draws):
    """Ends its process with SIGKILL at its 200th step, or raises, but only the first time.

    :param marker: file that says that it has happened
    :param killed: whether it is killed; else it raises
    """

    steps = 0

    def __init__(self, marker: str, killed: bool = True) -> None:
        self.marker, self.killed = marker, killed

    def step(self, action: Any) -> Step:
        self.steps += 1
        if self.steps == 200 and not Path(self.marker).exists():
            Path(self.marker).touch()
            if not self.killed:
                raise RuntimeError("the simulator went away")
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step(action)


class RaisesOnReload(Draws):
    """Raises in a process that reloads a model."""

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        if reloading():
            raise RuntimeError("the licence server is gone")
        return super().reset(**kwargs)


class CrashesOnReload(Draws):
    """Ends a process that reloads a model with a segmentation fault."""

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        if reloading():
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().reset(**kwargs)


class KilledOnReload(Draws):
    """Ends a process that reloads a model with SIGKILL."""

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        if reloading():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().reset(**kwargs)


class ExitsOnReload(Draws):
    """Ends a process that reloads a model with status 0 and without a word."""

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        if reloading():
            os._exit(0)
        return super().reset(**kwargs)


class HangsOnReload(Draws):
    """Sleeps for an hour in a process that reloads a model."""

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        if reloading():
            time.sleep(3600)
        return super().reset(**kwargs)


class FillsMemoryOnReload(Draws):
    """Takes memory without end in a process that reloads a model."""

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        if reloading():
            hoard = []
            while True:
                hoard.append(np.ones(2**22))
                time.sleep(0.01)
        return super().reset(**kwargs)


class DeadlocksOnReload(Draws):
    """Waits for a lock that it holds itself, in a process that reloads a model."""

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        if reloading():
            lock = threading.Lock()
            lock.acquire()
            lock.acquire()
        return super().reset(**kwargs)


class ForksOnReload(Draws):
    """Forks a process that reloads a model; the child goes on with the evaluation, as far as it gets."""

    forked = False

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        if reloading() and not ForksOnReload.forked:
            ForksOnReload.forked = True
            os.fork()
        return super().reset(**kwargs)


class PrintsOnReload(Draws):
    """Prints some 20 megabytes an episode in a process that reloads a model."""

    def step(self, action: Any) -> Step:
        if reloading():
            print("x" * 4_000_000)
        return super().step(action)


class RaisesInClose(Draws):
    """Raises when it is closed, in a process that reloads a model."""

    def close(self) -> None:
        if reloading():
            raise RuntimeError("the window is gone")


class ExitsInClose(Draws):
    """Ends a process that reloads a model when it is closed."""

    def close(self) -> None:
        if reloading():
            os._exit(0)


class OtherShapeOnReload(Draws):
    """Observes arrays of another shape in a process that reloads a model."""

    def observe(self) -> Any:
        return np.zeros(7, np.float32) if reloading() else super().observe()
