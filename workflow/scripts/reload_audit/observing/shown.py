"""What a script writes to standard output and error: the numbers in it, and the user's own lines that write them."""

from __future__ import annotations

import contextlib
import re
import sys
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any, TextIO

from reload_audit.observing.lines import UserLines
from reload_audit.observing.printed import numbers_in
from reload_audit.observing.tracking import Place
from reload_audit.records.observation import ObservedPrint

_MOST_NUMBERS = 200
_MOST_LINES = 100
"""Lines with numbers in them, of what a script writes."""

_LONGEST = 20_000
"""Characters of a line in which numbers are looked for."""

_LINE_END = re.compile(r"([\r\n])")
"""What ends a line: a carriage return, too, after which another text takes its place."""

_ADDED = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours of a terminal
    r"|(?<![\w.])(?:\d{4}[-/]\d\d[-/]\d\d|\d\d/\d\d/\d\d(?:\d\d)?)(?:(?=T\d)|(?![\w./]))"  # a date
    r"|(?<![\d.:])T?\d?\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?(?![\w:])"  # a time
    r"|(?<![\w./-])[\w./-]+\.py:\d+|(?<![\w.<>])[\w.<>]+:[\w.<>]+:\d+(?= - )"  # a line of code
    r"|(?<!\d)\d+(?:%\|[^|]*\| *\S+ \[[^],]*,[^],]*|it \[[^],]*,[^],]*)"  # how far a progress bar is
)
"""What terminals, loggers and progress bars add to a text: no number there is one of the script's."""


class Shown:
    """What a script shows of itself.

    :param lines: of the user's code
    """

    def __init__(self, lines: UserLines) -> None:
        self.lines = lines
        self._numbers: deque[float] = deque(maxlen=_MOST_NUMBERS)
        self._texts: deque[tuple[Place, str]] = deque(maxlen=_MOST_LINES)
        self._counts: Counter[Place] = Counter()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Note what is written to standard output and error, which are given all of it as it is."""
        output, error = _Watched(sys.stdout, self, libraries=True), _Watched(sys.stderr, self, libraries=False)
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(error):
            yield
        output.end()
        error.end()

    def add(self, line: str, place: Place) -> None:
        """Note a line, and where the user's own code writes it; None for no place that can be blamed for it."""
        text = _ADDED.sub("", line)
        found = numbers_in(text)
        self._numbers.extend(found)
        if found and place is not None:
            self._counts[place] += 1
            self._texts.append((place, text[:300]))

    def numbers(self) -> tuple[float, ...]:
        """The last numbers in all that was written."""
        return tuple(self._numbers)

    def prints(self) -> tuple[ObservedPrint, ...]:
        """The last lines with numbers that the user's own code wrote."""
        return tuple(ObservedPrint(self.lines.at(at), text, self._counts[at]) for at, text in self._texts)


class _Watched:
    """A stream that does what another does, and has what is written to it noted, line by line.

    :param libraries: whether to note what libraries write of their own accord, which is warnings on standard error
    """

    def __init__(self, stream: TextIO, shown: Shown, *, libraries: bool) -> None:
        self._stream = stream
        self._shown = shown
        self._libraries = libraries
        self._begun: list[str] = []
        self._length = 0
        self._place: Place = None
        self._is_bar = self._rewritten = False

    def write(self, text: str) -> int:
        written = self._stream.write(text)
        if text:
            place = self._shown.lines.writing()
            itself = place is not None and place[0] == sys._getframe(1).f_code.co_filename
            first, *others = _LINE_END.split(text)
            self._go_on(first, place, itself=itself)
            for end, part in zip(others[::2], others[1::2], strict=True):
                self.end()
                self._rewritten = end == "\r"
                self._go_on(part, place, itself=itself)
        return written

    def _go_on(self, part: str, place: Place, *, itself: bool) -> None:
        part = part[: _LONGEST - self._length]
        if part:
            self._place, self._is_bar = place, self._rewritten and not itself
            self._begun.append(part)
            self._length += len(part)

    def end(self) -> None:
        """End the line that is being written.

        What a library writes in place of another line, as a progress bar does, is nobody's in particular.
        """
        line = "".join(self._begun)
        self._begun.clear()
        self._length = 0
        if line and (self._libraries or self._place is not None):
            self._shown.add(line, None if self._is_bar else self._place)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
