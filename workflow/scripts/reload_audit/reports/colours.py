"""The verdicts' colours on a light page, on a dark one and on a terminal, distinguishable with any colour vision.

Most are Okabe and Ito's, https://jfly.uni-koeln.de/color/. Every pair of them is as far apart as theirs are, to people
with normal vision as to those who lack one kind of cones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from reload_audit.judging.criteria import Verdict

Palette: TypeAlias = "Mapping[Verdict, str]"
"""A colour for each verdict, in the verdicts' order, as ``#rrggbb``."""

ON_LIGHT: Palette = {
    "identical": "#0072b2",
    "equivalent": "#56b4e9",
    "retained": "#004d56",
    "improved": "#009e73",
    "consistent": "#b66dff",
    "inconclusive": "#e69f00",
    "degraded": "#d55e00",
    "error": "#6f7782",
}

ON_DARK: Palette = {
    "identical": "#2b90d0",
    "equivalent": "#8acdf3",
    "retained": "#b8f5d4",
    "improved": "#1fb98d",
    "consistent": "#a970ff",
    "inconclusive": "#f0b429",
    "degraded": "#ec7325",
    "error": "#98a2ae",
}

ON_TERMINAL: Palette = {**ON_LIGHT, "retained": "#44aa99"}
"""Colours that can be read on a black and on a white background."""
