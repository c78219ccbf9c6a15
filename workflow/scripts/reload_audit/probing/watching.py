"""Which lines of an environment's code draw from a global generator, or read a clock."""

from __future__ import annotations

import ast
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from reload_audit.probing import generators
from reload_audit.probing.clocks import reads_clock
from reload_audit.probing.code import Code, shown
from reload_audit.probing.scenario import GLOBAL
from reload_audit.records.probe_record import Phase, Place

_SET_MAKERS = {"set", "frozenset", "hash"}


class Watch:
    """Notes, while it follows the code, where the state of a global generator changes and where a clock is read.

    :param code: what to follow
    """

    def __init__(self, code: Code) -> None:
        self._code = code
        self._here: Place | None = None
        self._known: dict[str, int] = {}
        self.phase: Phase = "import"
        self.draws: dict[str, dict[Place, Phase]] = {name: {} for name in GLOBAL}
        self.clocks: dict[Place, Phase] = {}
        self.files: set[str] = set()

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """Trace all code that the block runs."""
        self._known = generators.fingerprints()
        sys.settrace(self._entered)
        sys.setprofile(self._called)
        try:
            yield
        finally:
            sys.settrace(None)
            sys.setprofile(None)

    def order_lines(self) -> list[Place]:
        """Lines that make sets or ask for hashes, in files of which code has run."""
        return [place for file in sorted(self.files) for place in _order_lines(file)]

    def _entered(self, frame: FrameType, _event: str, _: Any) -> Callable | None:
        if not self._code.holds(frame.f_code.co_filename):
            return None
        self.files.add(frame.f_code.co_filename)
        self._note()
        self._here = self._code.place(frame)
        return self._moved

    def _moved(self, frame: FrameType, event: str, _: Any) -> Callable | None:
        self._note()
        outer = self._code.nearest(frame.f_back) if event == "return" else frame
        self._here = None if outer is None else self._code.place(outer)
        return self._moved

    def _note(self) -> None:
        """If a global generator's state has changed since the current line began, note that this line drew from it."""
        known = generators.fingerprints()
        for name, fingerprint in known.items():
            if fingerprint != self._known[name] and self._here is not None:
                self.draws[name].setdefault(self._here, self.phase)
        self._known = known

    def _called(self, frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call" and reads_clock(function):
            outer = self._code.nearest(frame)
            if outer is not None:
                self.clocks.setdefault(self._code.place(outer), self.phase)


def _order_lines(file: str) -> Iterator[Place]:
    with contextlib.suppress(OSError, SyntaxError, ValueError):
        for node in ast.walk(ast.parse(Path(file).read_bytes())):
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _SET_MAKERS
            if isinstance(node, ast.expr) and (called or isinstance(node, ast.Set | ast.SetComp)):
                yield Place(shown(file), node.lineno)
