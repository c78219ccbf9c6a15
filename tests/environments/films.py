"""Environments that render with NumPy alone, and some that do not as they should."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import planted

_HEIGHT, _WIDTH = 240, 400


class Dial(planted.Gauge):
    """:class:`planted.Gauge` as a picture: a needle where the hidden number is."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012 as Gymnasium has it

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__()
        self.render_mode = render_mode

    def render(self) -> Any:
        if self.render_mode != "rgb_array":
            return None
        picture = np.full((_HEIGHT, _WIDTH, 3), 235, np.uint8)
        picture[:, _WIDTH // 2 - 1 : _WIDTH // 2 + 1] = (120, 120, 120)
        place = int(np.clip(_WIDTH / 2 * (1.0 + self.pointer / 3.0), 4, _WIDTH - 5))
        picture[40:200, place - 4 : place + 4] = (200, 60, 40) if self.pointer > 0.0 else (40, 90, 200)
        return picture


class AlwaysRenders(Dial):
    """Knows no ``render_mode``, and renders all the same."""

    def __init__(self) -> None:
        super().__init__("rgb_array")


class RendersText(Dial):
    """Renders as text."""

    def render(self) -> Any:
        return f"pointer at {self.pointer:.2f}"


class RaisesInRender(Dial):
    """Has no screen."""

    def render(self) -> Any:
        raise RuntimeError("no display")


class DrawsInRender(Dial):
    """Whatever renders it changes what comes next."""

    def render(self) -> Any:
        self.np_random.normal()
        return super().render()


gym.register("Dial-v0", "films:Dial", max_episode_steps=100)
