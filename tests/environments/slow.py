"""An environment whose later episodes take longer than anybody waits."""

from __future__ import annotations

import time
from typing import Any

from as_written import Walk

LAST = 1_000_019
"""Seed of the last episode that ends."""


class Stuck(Walk):
    """Ends its first twenty episodes, and none after them."""

    def reset(self, seed: int | None = None) -> Any:  # type: ignore[override]
        self.is_stuck = seed is not None and seed > LAST
        return super().reset(seed)

    def step(self, action: Any) -> Any:
        time.sleep(3600 if self.is_stuck else 0)
        return super().step(action)


class StuckAtOnce(Stuck):
    """Ends only every second of its episodes."""

    def reset(self, seed: int | None = None) -> Any:  # type: ignore[override]
        result = super().reset(seed)
        self.is_stuck = seed is not None and seed % 2 == 1
        return result
