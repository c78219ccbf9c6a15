"""The verdicts' colours on a light page, on a dark one and on a terminal; each is ``#rrggbb``, by verdict.

Most are Okabe and Ito's, https://jfly.uni-koeln.de/color/. People who lack one kind of cones tell them apart, too.
"""

from __future__ import annotations

from collections.abc import Mapping

ON_LIGHT: Mapping[str, str] = {
    "identical": "#0072b2",
    "equivalent": "#56b4e9",
    "retained": "#004d56",
    "improved": "#009e73",
    "consistent": "#b66dff",
    "inconclusive": "#e69f00",
    "degraded": "#d55e00",
    "error": "#6f7782",
}

ON_DARK: Mapping[str, str] = {
    "identical": "#2b90d0",
    "equivalent": "#8acdf3",
    "retained": "#b8f5d4",
    "improved": "#1fb98d",
    "consistent": "#a970ff",
    "inconclusive": "#f0b429",
    "degraded": "#ec7325",
    "error": "#98a2ae",
}

ON_TERMINAL: Mapping[str, str] = {**ON_LIGHT, "retained": "#00606b"}
"""Colours that can be read on black and on white; an error is written in reverse instead."""
