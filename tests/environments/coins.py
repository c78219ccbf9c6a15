"""Environments that toss one coin with Python's global generator: what two states of it give is often the same.

:param toss: which toss counts, so that a test can choose one that a probe's first two states agree on
"""

from __future__ import annotations

import random
from typing import Any

import planted

TOSSES = 8
_at_import = [random.getrandbits(1) for _ in range(TOSSES)]


class TossedAtImport(planted.Draws):
    """The coin is tossed once for the whole process."""

    def __init__(self, toss: int = 0) -> None:
        self.coin = _at_import[toss]

    def observe(self) -> Any:
        return super().observe() * (0.5 + self.coin / 2)


class TossedAtConstruction(TossedAtImport):
    """The coin is tossed for each instance."""

    def __init__(self, toss: int = 0) -> None:
        super().__init__(toss)
        self.coin = [random.getrandbits(1) for _ in range(TOSSES)][toss]
