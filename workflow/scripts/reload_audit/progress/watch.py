"""Watch a run: take what Snakemake says of jobs, read what jobs say of themselves, and show both as it changes."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from reload_audit.progress.display import Display
from reload_audit.progress.page import Page, Standing
from reload_audit.progress.state import Ended, State

_SECONDS = 1.0
_SHARE = 50
"""The pause after a look is at least so many times as long as the look took: slow files are read less often."""


class Watch:
    """Shows a run until it is closed. Each method may be called from any thread.

    :param page: where the page is written
    """

    def __init__(self, state: State, display: Display, page: Path) -> None:
        self._state, self._display, self._page = state, display, Page(page)
        self._lock, self._over = threading.RLock(), threading.Event()
        self._failed: dict[int, str] = {}
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._page.write(state, "running", [])
        display.refresh(state)
        self._thread.start()

    @contextlib.contextmanager
    def shown(self) -> Iterator[TextIO]:
        """A stream that takes other lines, above those that are written over."""
        with self._lock:
            yield self._display.stream

    def start(self, number: int, rule: str, wildcards: Sequence[str], does: str, log: str | None) -> None:
        """A job was started: see :meth:`State.start`."""
        with self._lock:
            self._state.start(number, rule, wildcards, does, log)

    def end(self, number: int) -> None:
        """A job has done what it was started for, if not in its first attempt."""
        with self._lock:
            self._failed.pop(number, None)
            self._show(self._state.end(number))

    def fail(self, number: int, what: str) -> None:
        """A job has failed.

        :param what: says which, and why
        """
        with self._lock:
            self._failed[number] = what
            self._show(self._state.end(number, failed=True))

    def close(self, standing: Standing) -> None:
        """Show how the run ended, and stop."""
        if self._over.is_set():
            return
        self._over.set()
        self._thread.join()
        with self._lock:
            self._show(self._state.look())
            if standing == "finished":
                self._state.finish()
            self._display.close(self._state)
            self._page.write(self._state, standing, [*self._failed.values()])

    def _go_on(self) -> None:
        pause = _SECONDS
        while not self._over.wait(pause):
            began = time.monotonic()
            with self._lock:
                self._show(self._state.look())
                self._display.refresh(self._state)
                self._page.write_if_due(self._state, [*self._failed.values()])
            pause = max(_SECONDS, _SHARE * (time.monotonic() - began))

    def _show(self, ended: Sequence[Ended]) -> None:
        for one in ended:
            self._display.ended(one, self._state)
