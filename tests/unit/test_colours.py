"""The verdicts' colours can be told apart by everybody, on the page and on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pytest

from reload_audit.judging.criteria import VERDICTS
from reload_audit.reports.colours import ON_DARK, ON_LIGHT, ON_TERMINAL

PALETTES = {"light": ON_LIGHT, "dark": ON_DARK, "terminal": ON_TERMINAL}

VISION = {
    "normal": np.eye(3),
    "no long-wave cones": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no medium-wave cones": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no short-wave cones": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
"""What linear RGB looks like to whom: Machado, Oliveira and Fernandes (2009), severity 1."""

TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
"""From linear sRGB, white being D65: IEC 61966-2-1."""

JUST_NOTICED = 2.3
"""Distance in CIELAB that half of all people notice (Mahy and others, 1994)."""


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[first : first + 2], 16) for first in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def cielab(rgb: np.ndarray) -> np.ndarray:
    relative = TO_XYZ @ np.clip(rgb, 0.0, 1.0) / (TO_XYZ @ np.ones(3))
    x, y, z = np.where(relative > 216 / 24389, np.cbrt(relative), (24389 / 27 * relative + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one: str, other: str) -> float:
    """As the Web Content Accessibility Guidelines define it."""
    dark, light = sorted(float(TO_XYZ[1] @ linear(colour)) for colour in (one, other))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", PALETTES.values(), ids=PALETTES)
def test_every_verdict_has_a_colour(palette: Mapping[str, str]) -> None:
    assert tuple(palette) == VERDICTS


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("palette", PALETTES.values(), ids=PALETTES)
def test_no_two_verdicts_look_alike_to_anybody(palette: Mapping[str, str], vision: str) -> None:
    seen = {verdict: cielab(np.array(VISION[vision]) @ linear(colour)) for verdict, colour in palette.items()}
    if palette is ON_TERMINAL:
        del seen["error"]  # is written in reverse
    distances = {pair: float(np.linalg.norm(seen[pair[0]] - seen[pair[1]])) for pair in combinations(seen, 2)}
    assert {pair: distance for pair, distance in distances.items() if distance < 5 * JUST_NOTICED} == {}


@pytest.mark.parametrize(
    ("palette", "backgrounds"),
    [(ON_LIGHT, ["#ffffff"]), (ON_DARK, ["#171d25"]), (ON_TERMINAL, ["#ffffff", "#000000"])],
    ids=PALETTES,
)
def test_every_verdict_stands_out_from_its_background(palette: Mapping[str, str], backgrounds: list[str]) -> None:
    """Words are written in black or white; colours are of dots, bars, and of bold words on a terminal."""
    weak = {
        v: contrast(colour, back) for v, colour in palette.items() for back in backgrounds if contrast(colour, back) < 2
    }
    assert weak == {}
