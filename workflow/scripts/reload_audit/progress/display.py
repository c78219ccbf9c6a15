"""Where a run is shown while it goes on: a terminal, whose last lines are written over, or a file, line after line."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol, TextIO

from reload_audit.progress import lines
from reload_audit.progress.state import Ended, State
from reload_audit.reports.colours import ON_TERMINAL

_SECONDS_BETWEEN_LINES = 20.0
_LINES = 50
"""Lines are apart by at least the duration of the run so far, divided by this."""

_WITH_BARS = 70
"""Columns of a terminal from which on there is room for bars."""

_JOBS = 8
"""Jobs under way that are named, at most."""

_TROUBLED = 20
"""Models that lost their reward, or failed, that are named as it happens, at most; the report has all."""

_FEW = 40
"""Models of which each is named when its verdict falls, also where all is well."""


class Display(Protocol):
    """What shows a run."""

    stream: TextIO
    """What takes other lines while the run is shown."""

    def ended(self, ended: Ended, state: State) -> None:
        """Show what became of a model."""

    def refresh(self, state: State) -> None:
        """Show how far the run is."""

    def close(self, state: State) -> None:
        """Show how far the run came, and nothing more."""


def display(stream: TextIO, *, coloured: bool) -> Display:
    """What suits a stream: a terminal is written over, anything else gets plain lines.

    :param coloured: whether a terminal is to show colours
    """
    if stream.isatty() and os.environ.get("TERM") != "dumb":
        try:
            return Terminal(stream, coloured=coloured and not os.environ.get("NO_COLOR"))
        except ImportError:  # Snakemake's own environment need not have rich
            pass
    return Plain(stream)


class Plain:
    """Lines without control characters.

    :param clock: gives seconds
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream = stream
        self._clock = clock
        self._said, self._at = "", -math.inf
        self._named = 0

    def ended(self, ended: Ended, state: State) -> None:
        """Name the model, unless there are very many."""
        self._named, text = _named(self._named, ended, state)
        if text:
            self._write(text)

    def refresh(self, state: State) -> None:
        """Write a line now and then, the seldomer the longer the run takes."""
        now = self._clock()
        if now - self._at < max(_SECONDS_BETWEEN_LINES, state.seconds / _LINES):
            return
        said = lines.of_run(state)
        if said.partition("  ")[2] != self._said:
            self._write(said)
            self._said, self._at = said.partition("  ")[2], now

    def close(self, state: State) -> None:
        """Write how far the run came."""
        self._write(lines.of_run(state))

    def _write(self, text: str) -> None:
        self.stream.write(f"{text}\n")
        self.stream.flush()


class Terminal:
    """One line for each kind of work and for each job under way, which are written over; what has happened is above.

    :raises ImportError: there is no package ``rich``
    """

    def __init__(self, stream: TextIO, *, coloured: bool) -> None:
        from rich.console import Console
        from rich.live import Live

        console = Console(file=stream, no_color=not coloured, highlight=False, force_terminal=True)
        self._live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False)
        self._live.start()
        self.stream: TextIO = sys.stderr  # what rich has put there: it keeps the lines that are written over below
        self._named = 0

    def ended(self, ended: Ended, state: State) -> None:
        """Write the model above the lines that are written over."""
        from rich.text import Text

        self._named, text = _named(self._named, ended, state)
        if text:
            name, _, rest = text.partition(": ")
            verdict, comma, said = rest.partition(", ")
            style = {**ON_TERMINAL, "suspect": ON_TERMINAL["inconclusive"], "error": "reverse"}.get(verdict, "")
            shown = Text.assemble(f"{name}: ", (verdict, f"bold {style}".strip()), comma, said)
            self._live.console.print(shown, soft_wrap=True)

    def refresh(self, state: State) -> None:
        """Write the lines over."""
        self._live.update(_table(state, self._live.console.width), refresh=True)

    def close(self, state: State) -> None:
        """Leave how far the run came as the last line."""
        from rich.text import Text

        self._live.stop()
        self._live.console.print(Text(lines.of_run(state)), soft_wrap=True)


def _named(before: int, ended: Ended, state: State) -> tuple[int, str]:
    """How many models in trouble were named with this one, and what is said of it; nothing where there are too many."""
    if ended.verdict not in ("error", "degraded", "suspect"):
        return before, lines.of_ended(ended) if state.models <= _FEW else ""
    if before < _TROUBLED:
        return before + 1, lines.of_ended(ended)
    return before + 1, "further models are in the report" if before == _TROUBLED else ""


def _table(state: State, width: int) -> Any:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    kinds = Table.grid(padding=(0, 2))
    for kind in state.kinds.values():
        total = max(len(kind.names), 1)
        bar = ProgressBar(total=total, completed=len(kind.finished), width=20)
        count = f"{len(kind.finished):,}/{len(kind.names):,} {kind.of}"
        cells: list[Any] = [Text(kind.done), bar, Text(count), Text(lines.time_left(kind), style="dim")]
        kinds.add_row(*(cells if width >= _WITH_BARS else [cells[0], *cells[2:]]))
    jobs = lines.slowest(state)
    texts = [Text(f"  {lines.of_job(job)}", style="dim", no_wrap=True, overflow="ellipsis") for job in jobs[:_JOBS]]
    if len(jobs) > _JOBS:
        texts.append(Text(f"  and {len(jobs) - _JOBS:,} more", style="dim"))
    last = "  ".join(filter(None, [lines.elapsed(state), lines.of_verdicts(state)]))
    return Group(kinds, *texts, Text(last, no_wrap=True, overflow="ellipsis"))
